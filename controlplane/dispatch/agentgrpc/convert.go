package agentgrpc

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/model"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// sendDesired sends it as one message, so that a full set arrives whole.
func (s *Server) sendDesired(stream agentv1.AgentService_SessionServer, cluster model.ClusterName, d *dispatch.Desired) error {
	definitions, err := s.definitions(d.Definitions)
	if err != nil {
		return err
	}
	m := &agentv1.Desired{Full: d.Full, Definitions: definitions, Ack: d.Ack}
	for _, t := range d.Tasks {
		task, err := s.task(t)
		if err != nil {
			return err
		}
		task.Checks = checks(d.Checks[t.ID])
		m.Tasks = append(m.Tasks, task)
	}
	for _, id := range d.Removed {
		m.Removed = append(m.Removed, s.cfg.Owner.TaskARN(cluster, id))
	}
	s.metrics.desired.Inc()
	return stream.Send(&agentv1.ControlMessage{Message: &agentv1.ControlMessage_Desired{Desired: m}})
}

func (s *Server) definitions(list []*model.Definition) ([]*agentv1.Definition, error) {
	out := make([]*agentv1.Definition, 0, len(list))
	for _, d := range list {
		b, err := json.Marshal(d.Shape)
		if err != nil {
			return nil, fmt.Errorf("encoding task definition %s: %w", d.Ref, err)
		}
		out = append(out, &agentv1.Definition{Arn: s.cfg.Owner.DefinitionARN(d.Ref), Json: b})
	}
	return out, nil
}

func (s *Server) task(t *model.Task) (*agentv1.Task, error) {
	out := &agentv1.Task{
		Arn:           s.cfg.Owner.TaskARN(t.Cluster, t.ID),
		Cluster:       string(t.Cluster),
		Definition:    s.cfg.Owner.DefinitionARN(t.Definition),
		DesiredStatus: string(model.TaskRunning),
		KnownStatus:   string(t.LastStatus),
		Group:         t.Group,
		StopReason:    t.StoppedReason,
		Subnets:       t.Subnets(),
		LaunchType:    string(t.LaunchType),
	}
	// Whether it is in target groups is nothing to the containers: they run.
	if t.MayStop() {
		out.DesiredStatus = string(model.TaskStopped)
	}
	if t.InTraffic() {
		out.KnownStatus = string(model.TaskRunning)
	}
	for _, c := range t.Containers {
		out.ContainerArns = append(out.ContainerArns, s.cfg.Owner.ContainerARN(t.Cluster, t.ID, c.ID))
		if len(c.GPUs) > 0 || c.PinnedDigest != "" {
			out.Assignments = append(out.Assignments, &agentv1.Assignment{Container: c.Name, GpuIds: c.GPUs, ImageDigest: c.PinnedDigest})
		}
	}
	if t.Overrides != nil {
		b, err := json.Marshal(t.Overrides)
		if err != nil {
			return nil, fmt.Errorf("encoding the overrides of task %s: %w", t.ID, err)
		}
		out.Overrides = b
	}
	return out, nil
}

// reports translates what an agent said. A task that is not one of this account
// and region is skipped: nothing here could take the report.
func (s *Server) reports(r *agentv1.Report) []dispatch.Report {
	out := make([]dispatch.Report, 0, len(r.GetTasks()))
	for _, t := range r.GetTasks() {
		_, id, err := s.cfg.Owner.InCluster("task", t.GetArn())
		if err != nil {
			s.cfg.Logger.Warn("agent reports a task of somebody else", "task", t.GetArn(), "error", err)
			continue
		}
		out = append(out, dispatch.Report{Task: model.TaskID(id), TaskReport: taskReport(t)})
	}
	return out
}

func taskReport(t *agentv1.TaskState) model.TaskReport {
	out := model.TaskReport{
		Status:             model.TaskStatus(model.Shared(t.GetStatus())),
		StopCode:           ecs.TaskStopCode(model.Shared(t.GetStopCode())),
		Reason:             model.Shared(t.GetReason()),
		HealthStatus:       ecs.HealthStatus(model.Shared(t.GetHealthStatus())),
		PullStartedAt:      moment(t.GetPullStartedAt()),
		PullStoppedAt:      moment(t.GetPullStoppedAt()),
		StartedAt:          moment(t.GetStartedAt()),
		ExecutionStoppedAt: moment(t.GetExecutionStoppedAt()),
		Interface: model.InterfaceReport{
			Subnet:      t.GetNetworkInterface().GetSubnet(),
			MACAddress:  t.GetNetworkInterface().GetMacAddress(),
			IPv4Address: t.GetNetworkInterface().GetIpv4Address(),
		},
	}
	for _, x := range t.GetTargets() {
		out.Targets = append(out.Targets, model.TargetReport{
			Group: model.TargetGroupARN(x.GetGroup()), Container: x.GetContainer(), ContainerPort: int32(x.GetContainerPort()),
			Health: model.TargetHealth(x.GetHealth()), Reason: x.GetReason(), Description: x.GetDescription(),
		})
	}
	for _, c := range t.GetContainers() {
		out.Containers = append(out.Containers, model.ContainerReport{
			Name:            c.GetName(),
			RuntimeID:       c.GetRuntimeId(),
			Status:          model.TaskStatus(model.Shared(c.GetStatus())),
			ExitCode:        c.ExitCode,
			Reason:          c.GetReason(),
			ImageDigest:     model.Shared(c.GetImageDigest()),
			HealthStatus:    ecs.HealthStatus(model.Shared(c.GetHealthStatus())),
			NetworkBindings: bindings(c.GetNetworkBindings()),
		})
	}
	return out
}

func bindings(list []*agentv1.NetworkBinding) []ecs.NetworkBinding {
	out := make([]ecs.NetworkBinding, 0, len(list))
	for _, b := range list {
		if b.GetContainerPortRange() != "" {
			out = append(out, ecs.NetworkBinding{
				BindIP: b.GetBindIp(), Protocol: ecs.TransportProtocol(b.GetProtocol()),
				ContainerPortRange: b.GetContainerPortRange(), HostPortRange: b.GetHostPortRange(),
			})
			continue
		}
		container, host := int32(b.GetContainerPort()), int32(b.GetHostPort())
		out = append(out, ecs.NetworkBinding{
			BindIP: b.GetBindIp(), ContainerPort: &container, HostPort: &host, Protocol: ecs.TransportProtocol(b.GetProtocol()),
		})
	}
	return out
}

// moment reads milliseconds since the epoch; 0 is not yet.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func checks(list []dispatch.Check) []*agentv1.TargetCheck {
	out := make([]*agentv1.TargetCheck, 0, len(list))
	for _, c := range list {
		out = append(out, &agentv1.TargetCheck{
			Group: string(c.Target.Group), Container: c.Target.Container, ContainerPort: uint32(c.Target.ContainerPort),
			Address: c.Address, Port: uint32(c.Port), Protocol: c.Protocol, Tls: c.TLS, Path: c.Path, Matcher: c.Matcher,
			IntervalMs: uint32(c.Interval.Milliseconds()), TimeoutMs: uint32(c.Timeout.Milliseconds()),
			HealthyAfter: uint32(c.HealthyAfter), UnhealthyAfter: uint32(c.UnhealthyAfter), Health: string(c.Target.Health),
		})
	}
	return out
}

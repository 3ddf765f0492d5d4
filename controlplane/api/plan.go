package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
	"github.com/longshore/longshore/proto/plan"
)

// plans is the table of Longshore's own operations. They do what the operation of ECS
// does, by the same code, in a transaction that is taken back.
func plans() []operation {
	return []operation{
		op("PlanRunTask", (*Handler).planRunTask),
		op("PlanUpdateService", (*Handler).planUpdateService),
	}
}

// planRunTask says where the tasks would go, and why not elsewhere.
func (h *Handler) planRunTask(ctx context.Context, in *ecs.RunTaskRequest) (*plan.RunTask, error) {
	out := &plan.RunTask{Count: 1, Instances: []plan.Instance{}}
	if in.Count != nil {
		out.Count = int(*in.Count)
	}
	var l launched
	l.look = func(fleet *placement.Fleet, p launch.Portion) {
		out.Instances = append(out.Instances, h.considered(fleet, p)...)
	}
	if err := h.launch(ctx, in, &l, h.store.Plan); err != nil {
		return nil, err
	}
	out.ClusterArn = h.Owner.ClusterARN(l.cluster)
	for _, t := range l.tasks {
		out.TaskDefinitionArn = h.Owner.DefinitionARN(t.Definition)
		if len(out.Instances) == 0 {
			out.Repeated = append(out.Repeated, h.Owner.TaskARN(l.cluster, t.ID))
			continue
		}
		out.Placed++
		arn := h.Owner.InstanceARN(l.cluster, t.Instance)
		i := slices.IndexFunc(out.Instances, func(i plan.Instance) bool {
			return i.ContainerInstanceArn == arn && i.CapacityProvider == string(t.CapacityProvider)
		})
		out.Instances[i].Tasks++
	}
	// What was found when a task did not fit counts the tasks placed before it.
	for _, f := range l.failed {
		arn := h.Owner.InstanceARN(l.cluster, model.InstanceID(f.InstanceID))
		for i := range out.Instances {
			if in := &out.Instances[i]; in.ContainerInstanceArn == arn && in.Reason == "" {
				in.Reason, in.Detail = string(f.Reason), f.String()
			}
		}
	}
	return out, nil
}

// considered says of each instance that a portion concerns why it takes no task of it, as
// it is before any is placed.
func (h *Handler) considered(fleet *placement.Fleet, p launch.Portion) []plan.Instance {
	request := p.Request(1, nil)
	var out []plan.Instance
	for v := range fleet.All() {
		if !p.Concerns(v) {
			continue
		}
		i := plan.Instance{
			ContainerInstanceArn: h.Owner.InstanceARN(p.Cluster, model.InstanceID(v.ID())),
			Ec2InstanceID:        v.Instance().EC2InstanceID,
			CapacityProvider:     string(p.CapacityProvider),
		}
		if why, fits := placement.Explain(fleet, request, v.ID()); !fits {
			i.Reason, i.Detail = string(why.Reason), why.String()
		}
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b plan.Instance) int { return compareInstances(&a, &b) })
	return out
}

// ServicePreview is what the service loop would do about a service.
type ServicePreview struct {
	Desired, AtLeast, AtMost int
	Steps                    []ServiceStep
	Settled                  bool
	Stuck                    string
}

// ServiceStep is one transaction of the service loop.
type ServiceStep struct {
	At               time.Time
	Started, Stopped []*model.Task
	Events           []string
	Failures         []placement.Failure
}

// planUpdateService says what the scheduler would do next if the service were updated.
func (h *Handler) planUpdateService(ctx context.Context, in *ecs.UpdateServiceRequest) (*plan.UpdateService, error) {
	if err := checkServiceUpdate(in); err != nil {
		return nil, err
	}
	if h.Preview == nil {
		return nil, unsupported("plans of services")
	}
	var out *plan.UpdateService
	err := h.store.Plan(ctx, func(tx *store.Tx) error {
		now := h.Clock()
		before, s, err := h.changeService(tx, in)
		if err != nil {
			return err
		}
		if s.HasTaskSets() {
			return unsupported("plans of services that have task sets")
		}
		preview, err := h.Preview(tx, s.Key(), now)
		if err != nil {
			return err
		}
		out = &plan.UpdateService{
			ServiceArn:        h.Owner.ServiceARN(s.Key()),
			TaskDefinitionArn: h.Owner.DefinitionARN(s.Primary().Definition),
			NewDeployment:     before.Primary().ID != s.Primary().ID,
			DesiredCount:      preview.Desired, AtLeast: preview.AtLeast, AtMost: preview.AtMost,
			Steps: make([]plan.Step, len(preview.Steps)), Settled: preview.Settled, Stuck: preview.Stuck,
		}
		for i := range preview.Steps {
			out.Steps[i] = h.plannedStep(tx, s.Cluster, &preview.Steps[i], now)
		}
		return nil
	})
	return out, err
}

func (h *Handler) plannedStep(tx *store.Tx, c model.ClusterName, step *ServiceStep, now time.Time) plan.Step {
	out := plan.Step{
		AfterSeconds: step.At.Sub(now).Seconds(),
		Start:        make([]plan.Task, len(step.Started)),
		Stop:         make([]plan.Task, len(step.Stopped)),
		Events:       orEmpty(step.Events),
	}
	task := func(t *model.Task) plan.Task {
		return plan.Task{
			ContainerInstanceArn: h.Owner.InstanceARN(c, t.Instance),
			TaskDefinitionArn:    h.Owner.DefinitionARN(t.Definition),
			CapacityProvider:     string(t.CapacityProvider),
		}
	}
	for i, t := range step.Started {
		out.Start[i] = task(t)
	}
	for i, t := range step.Stopped {
		out.Stop[i] = task(t)
		out.Stop[i].TaskArn = h.Owner.TaskARN(c, t.ID)
		out.Stop[i].LastStatus, out.Stop[i].Reason = string(t.LastStatus), t.StoppedReason
	}
	for _, f := range step.Failures {
		i := plan.Instance{ContainerInstanceArn: h.Owner.InstanceARN(c, model.InstanceID(f.InstanceID)), Reason: string(f.Reason), Detail: f.String()}
		if instance, ok := tx.Instance(c, model.InstanceID(f.InstanceID)); ok {
			i.Ec2InstanceID = instance.EC2InstanceID
		}
		out.PassedOver = append(out.PassedOver, i)
	}
	return out
}

func compareInstances(a, b *plan.Instance) int {
	if a.Ec2InstanceID != b.Ec2InstanceID {
		return strings.Compare(a.Ec2InstanceID, b.Ec2InstanceID)
	}
	return strings.Compare(a.ContainerInstanceArn, b.ContainerInstanceArn)
}

package services

import (
	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// spreadsEvenly tells whether a service is to be kept even over zones.
func spreadsEvenly(s *model.Service) bool {
	return s.AvailabilityZoneRebalancing == ecs.AvailabilityZoneRebalancingENABLED
}

// zones lists the zones with an instance that may take tasks of a service, whether or not
// it has the room; none if nobody can tell.
func (l *Loop) zones(view *store.Tables, s *model.Service) []string {
	order, err := orderFor(view, s, s.Primary().Definition, launch.ForService)
	if err != nil {
		return nil
	}
	return placement.ValuesWithin(view.Fleet(s.Cluster), order.Request(1, nil), launch.ZoneAttribute)
}

// eligible lists the instances that a DAEMON service belongs on: those that may
// take its tasks, whether or not they have the room. If nobody can tell, it belongs where
// it is and wherever it tries to start, which says what is wrong.
func (l *Loop) eligible(view *store.Tables, s *model.Service) []model.InstanceID {
	order, err := orderFor(view, s, s.Primary().Definition, launch.ForService)
	if err != nil {
		return open(view, s.Cluster)
	}
	l.watchTasks(s.Key(), order)
	request := order.Request(1, nil)
	// Whether there is room is no question here: a task that is there takes it.
	request.CPU, request.MemoryMiB, request.TCP, request.UDP, request.GPUCount, request.DistinctInstance = 0, 0, nil, nil, 0, false
	fleet := view.Fleet(s.Cluster)
	if order.DependsOnTasks() {
		fleet = withoutTasksOf(fleet, view, s)
	}
	fitting := placement.Fitting(fleet, request)
	out := make([]model.InstanceID, len(fitting))
	for i, id := range fitting {
		out[i] = model.InstanceID(id)
	}
	return out
}

// open lists the instances that take tasks.
func open(view *store.Tables, c model.ClusterName) []model.InstanceID {
	var out []model.InstanceID
	for i := range view.LiveInstances(c, "") {
		if i.Status == model.StatusActive && i.AgentConnected {
			out = append(out, i.ID)
		}
	}
	return out
}

// withoutTasksOf is the fleet as it would be without a service's own tasks: they must not
// decide whether they may be there, or each would come and go for ever.
func withoutTasksOf(fleet *placement.Fleet, view *store.Tables, s *model.Service) *placement.Fleet {
	fleet = fleet.Clone()
	for t := range view.LiveTasksOfService(s.Key()) {
		fleet.RemoveTask(string(t.Instance), placement.Use{Group: t.Group, Stopping: t.DesiredStatus == model.TaskStopped})
	}
	return fleet
}

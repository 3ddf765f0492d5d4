package store

import (
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// Upsets count what may upset a plan that was made on older tables of the same store: as long as
// a number is the same, nothing of the kind has happened. They say nothing else, and a transaction
// that is taken back may have counted.
type Upsets struct {
	Tasks     uint64 // of services, that ceased to serve; see CeasesToServe
	Instances uint64 // that came, went, or became others; see Turns
}

// Upsets returns the numbers of a cluster.
func (t *Tables) Upsets(c model.ClusterName) Upsets {
	if d, ok := t.derived.get(&derived{cluster: c}); ok {
		return d.upsets
	}
	return Upsets{}
}

// TaskServes tells whether a task may be one of those that do its service's work: it is RUNNING, is to go on,
// and is not known to be UNHEALTHY.
func TaskServes(t *model.Task) bool {
	return t.LastStatus == model.TaskRunning && t.DesiredStatus == model.TaskRunning && t.HealthStatus != ecs.HealthStatusUNHEALTHY
}

// CeasesToServe tells whether a task that has become another serves no more, or is HEALTHY no more;
// next is nil for one that was deleted.
func CeasesToServe(old, next *model.Task) bool {
	return TaskServes(old) && (next == nil || !TaskServes(next) || old.HealthStatus == ecs.HealthStatusHEALTHY && next.HealthStatus != old.HealthStatus)
}

// Turns tells whether an instance that has become another is in another status, or has fallen silent
// or come back.
func Turns(old, next *model.Instance) bool {
	return old.Status != next.Status || !old.SilentSince.Equal(next.SilentSince)
}

func (t *Tables) deriveTaskUpset(old, next *model.Task) {
	if old != nil && old.Service != "" && CeasesToServe(old, next) {
		t.derivedOf(old.Cluster).upsets.Tasks++
	}
}

func (t *Tables) deriveInstanceUpset(old, next *model.Instance) {
	switch {
	case next == nil:
		t.derivedOf(old.Cluster).upsets.Instances++
	case old == nil || Turns(old, next):
		t.derivedOf(next.Cluster).upsets.Instances++
	}
}

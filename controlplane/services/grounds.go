package services

import (
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// grounds are what a plan rests on beside the records that it replaces. Between the
// snapshot and the transaction a task that serves may crash, and then stopping another
// would leave too few; a silent host may come back, and then its tasks count again.
type grounds struct {
	serving   []*model.Task // that serve in the snapshot, if the plan stops any that run
	instances []*model.Instance
}

func groundsOf(in rollout.Input, out rollout.Output) grounds {
	var g grounds
	if stopsRunning(out) {
		for _, t := range in.Tasks {
			if mayServe(t) {
				g.serving = append(g.serving, t)
			}
		}
	}
	if g.serving == nil && !out.StartsAny() {
		return g
	}
	seen := map[model.InstanceID]bool{}
	for _, t := range in.Tasks {
		if seen[t.Instance] {
			continue
		}
		seen[t.Instance] = true
		if i, ok := in.Instance(t.Instance); ok {
			g.instances = append(g.instances, i)
		}
	}
	return g
}

func stopsRunning(out rollout.Output) bool {
	for _, t := range out.Tasks {
		if t.LastStatus == model.TaskRunning && t.DesiredStatus == model.TaskStopped {
			return true
		}
	}
	return false
}

func mayServe(t *model.Task) bool {
	return t.LastStatus == model.TaskRunning && t.DesiredStatus == model.TaskRunning && t.HealthStatus != ecs.HealthStatusUNHEALTHY
}

// hold tells whether the newest state still bears the plan.
func (g grounds) hold(tx *store.Tx) bool {
	for _, t := range g.serving {
		now, ok := tx.Task(t.Cluster, t.ID)
		if !ok || now != t && (!mayServe(now) || t.HealthStatus == ecs.HealthStatusHEALTHY && now.HealthStatus != t.HealthStatus) {
			return false
		}
	}
	for _, i := range g.instances {
		now, ok := tx.Instance(i.Cluster, i.ID)
		if !ok || now != i && (now.Status != i.Status || !now.SilentSince.Equal(i.SilentSince)) {
			return false
		}
	}
	return true
}

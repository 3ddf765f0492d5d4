package services

import (
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/rollout"
	"github.com/longshore/longshore/controlplane/store"
)

// grounds are what a plan rests on beside the records that it replaces. Between the
// snapshot and the transaction a task that serves may crash, and then stopping another
// would leave too few; a silent host may come back, and then its tasks count again.
//
// Nearly always nothing of the kind has happened to any service of the cluster, which the store
// can tell at once. Otherwise all that is concerned is looked at, while others wait.
type grounds struct {
	in     rollout.Input
	stops  bool // tasks that run, so that those that serve must go on serving
	starts bool
	upsets store.Upsets
}

func groundsOf(view *store.Tables, in rollout.Input, out rollout.Output) grounds {
	return grounds{in: in, stops: stopsRunning(out), starts: out.StartsAny(), upsets: view.Upsets(in.Service.Cluster)}
}

func stopsRunning(out rollout.Output) bool {
	for t := range out.AllTasks() {
		if t.LastStatus == model.TaskRunning && t.DesiredStatus == model.TaskStopped {
			return true
		}
	}
	return false
}

// hold tells whether the newest state still bears the plan.
func (g *grounds) hold(tx *store.Tx) bool {
	now := tx.Upsets(g.in.Service.Cluster)
	if g.stops && now.Tasks != g.upsets.Tasks && !g.stillServing(tx) {
		return false
	}
	return !g.stops && !g.starts || now.Instances == g.upsets.Instances || g.instancesHold(tx)
}

// renew takes what a transaction has done for the new state of things, that later steps rest on.
func (g *grounds) renew(tx *store.Tx) { g.upsets = tx.Upsets(g.in.Service.Cluster) }

// stillServing tells whether all tasks that served serve.
func (g *grounds) stillServing(tx *store.Tx) bool {
	for t := range g.in.Roster.Tasks() {
		if now, ok := tx.Task(t.Cluster, t.ID); store.TaskServes(t) && (!ok || store.CeasesToServe(t, now)) {
			return false
		}
	}
	return true
}

// instancesHold tells whether all instances with tasks are what they were.
func (g *grounds) instancesHold(tx *store.Tx) bool {
	for id := range g.in.Roster.Instances() {
		was, known := g.in.Instance(id)
		now, ok := tx.Instance(g.in.Service.Cluster, id)
		if known && (!ok || store.Turns(was, now)) {
			return false
		}
	}
	return true
}

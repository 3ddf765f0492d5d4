// Package rollout decides what a service must do next: given the service, its
// tasks, the instances under them and the time, [Plan] says which tasks to stop,
// how many to start, what to write down, and when to look again.
//
// It is pure. It has no clock, no store, no randomness and no memory of its own:
// all that it must remember stands in the records that it hands back, so that a
// plan can be asked for at any moment, by any leader, any number of times. It
// does not choose instances (controlplane/placement does) and does not act: its
// caller applies a plan in one transaction, of at most Settings.MaxChanges tasks,
// and what is left of its stops and starts in further ones; see [Step].
//
// A caller that plans often keeps a [Roster] of the service's tasks and tells it what has
// changed: then a plan reads no other records. That is for speed alone.
//
// The caller, once for each time that the key of a service comes up:
//
//	out := rollout.Plan(in)
//	put out.Tasks
//	place out.Restore.Count tasks of the deployment that it names, and
//	out.Start.Count tasks of the PRIMARY deployment, and make their records
//	svc, more := rollout.Placed(out.Service, started, miss) // if any were to start
//	append out.Events and more to the events of the service
//	put svc, if it is another than the one that was read
//	look again at out.WakeAt, or when a task or an instance of the service changes
//
// So, with the zone as an attribute that is required, out.Moves and [PlacedMoves].
// For a service that is made of task sets, out.Starts stands in the place of
// out.Start, and [PlacedSet] in that of [Placed].
//
// Why things happen in which order, in short. A task is worth keeping if it is
// of the PRIMARY deployment, on an instance that is not draining, and not
// UNHEALTHY; what is not worth keeping goes, and what is missing is started. What
// is PENDING goes at once, what is UNHEALTHY when another serves in its place, or to
// make room for that. A task that is protected stays
// through scaling and deployments, not through failing health checks, an instance
// that drains, or the end of its service. What is RUNNING and healthy
// goes only while minimumHealthyPercent of the desired count stay, and nothing is
// started beyond maximumPercent, in which tasks that are still stopping count.
// While a deployment does not get on, or has failed, what the last completed one loses
// is started again as it was.
package rollout

// Package lifecycle is the state machine of one task on one host. Compile turns
// a task definition and its overrides into a Task; State is what has been
// observed and done of it; Next says, from the two and the time, which actions
// may run now, what to report, and when to look again.
//
// It is pure: it calls no engine, reads no clock and starts nothing. The agent
// runs the actions and feeds their outcomes back through Begin, End, Observe
// and Gone. Every decision is taken from the present state alone, so that an
// event may be missed or seen twice without harm.
package lifecycle

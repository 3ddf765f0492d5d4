// Package placement decides on which container instances of a cluster tasks go:
// a request and a [Fleet] in, assignments or failures with reasons out.
//
// It owns the arithmetic of what instances have left, the rules that an instance
// must pass (state, agent, attributes, constraints, resources; in this order) and
// the strategies that choose among those which pass (random, binpack, spread; ECS
// guide, task placement). It must not know a clock, the network, a store or a
// source of chance of its own, it creates no tasks, and it changes no fleet that
// it is asked to place on: the caller makes the records and then calls
// [Fleet.AddTask].
//
// # How it is fast
//
// A request must not look at every instance. Instances sit in numbered slots, and
// what requests ask for is kept, incrementally, as sets of slots with 64 of them
// in a word: who is ACTIVE and connected, who carries an attribute and with which
// value, who has a host port taken, who runs more than k tasks of a group. To
// filter by any of these is one AND per 64 instances. What is left of CPU and
// memory stands in columns of 64, with the least and the most of each block, and
// in two ordered trees. Everything is copy-on-write, so [Fleet.Clone] is O(1).
//
// With n instances, a task costs
//
//   - always n/64 word operations per filter and per strategy, which at 10,000
//     instances is below a microsecond together;
//   - random, and the last choice among equals: a few probes. When nearly no
//     instance has room, one comparison of columns per instance, once per request;
//   - binpack: a walk up the ordered tree from what the task needs. When the first
//     [walkLimit] entries are of no use (they lack the other resource, or were
//     filtered out), a comparison of columns instead, by blocks. So it is when a
//     spread follows binpack in the chain;
//   - spread over instances: the sets of the group, one per level; a level is a
//     number of tasks of the group on one instance;
//   - spread over an attribute: one intersection per value of the attribute and
//     level of the group. An attribute with as many values as instances makes this
//     linear;
//   - MemberOf: one call of the predicate for each instance that is tried, which
//     is proportional to how many do not match, and at most one per instance and
//     request, plus one per task placed. [Predicate.Implies] turns the attribute
//     conditions of an expression into sets;
//   - failures: one examination of every instance, but only when a task cannot be
//     placed.
package placement

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
// value, who has a host port taken, how many tasks of a group each has, digit by
// digit. To filter by any of these is one AND per 64 instances. What is left of CPU
// and memory stands in blocks of 64, column by column and in order, and eight blocks are a
// row. All of it is copy-on-write, so
// [Fleet.Clone] is O(1), and the first change after it copies a block, a chunk of one set
// or two and the few pointers that lead there: some two kilobytes, and for each thousand
// instances 30 bytes more.
//
// Three things are remembered from one request to the next, in what clones share, and
// make answers faster but never different: how many tasks of a group each value of an
// attribute has, which instances meet a condition that comes again, and which instances
// of a row have room for a need and which of them was the tightest. What changes bears a
// mark that nothing else ever had, a block, a row or a fleet's attributes, and what was
// found out holds as long as the mark is the same.
//
// With n instances, a task costs
//
//   - always a few operations per 64 instances for each filter and each strategy;
//   - random, and the last choice among equals: a few probes. When nearly no
//     instance has room, a few operations per 64 instances;
//   - for the room that instances have, where that is asked of more than a few: one
//     comparison per instance of the blocks of 64 that changed since a request had the same
//     need. That is one block for each task placed; all of them for a need that is new;
//   - binpack: a comparison of marks and of sets per row of 512 instances, and a look into
//     the blocks of those rows that changed, or of which others are allowed, since then;
//   - spread over instances: one step per 64 instances and binary digit of the
//     number of tasks of the group that any instance has;
//   - spread over an attribute: one step per value of the attribute, and a few per 64
//     instances. One of more than 64 values is counted anew for each request: one step
//     per 64 instances, digit and value;
//   - MemberOf: what an expression says of an instance whatever its tasks is asked of
//     all instances once, or of all values of an attribute, and then of the 64 around each
//     that changes ([Predicate.Within]). What hangs on tasks is asked of each instance
//     that is tried, which is proportional to how many do not match, and at most once
//     per instance and request, plus once per task placed;
//   - failures: one examination of every instance, but only when a task cannot be
//     placed.
package placement

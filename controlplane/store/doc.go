// Package store keeps the state of the control plane: tables in memory, which
// are the truth being served, and their copy in etcd, which is written first.
//
// Readers take a View: an immutable snapshot of everything that is durable.
// Writers call Update: the function sees the newest state, durable or not, and
// what it puts is committed to etcd, together with what other callers put
// meanwhile, in one transaction that is fenced by leadership; only then does it
// show in a View, and only then does Update return. An Update that refuses, or
// changes nothing, also waits until what it saw is durable: no answer ever rests
// on something that could still be lost.
//
// In etcd a record is a key, but all that one transaction changes of tasks is one, a
// segment: segment.go has its form, and tasklog.go what of the segments still counts.
//
// A Store lives as long as one term of leadership. When a commit fails, or its
// outcome is unknown, the store is finished: every waiter gets the error, and
// the next leader loads a new one from etcd. It never guesses.
//
// The package decides nothing about what ECS does; it must not import the
// handlers or the loops that use it.
package store

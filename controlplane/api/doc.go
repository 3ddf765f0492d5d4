// Package api answers the Amazon ECS API: the awsJson1.1 wire, one table of
// operations, and a handler for each, by resource. Handlers read a View of the
// store and write through its Update, with everything that decides about a
// write checked inside of it.
//
// It owns what ECS answers to whom: validation, defaults, errors, shapes. It
// must not talk to agents or to Docker, run loops, or keep state of its own; the
// loops of the control plane see what it wrote in the store.
//
// To add an operation: a row in operations.go, a method in the file of its
// resource, a test through the SDK, and a row in docs/compatibility.md.
package api

// Package testbed runs the longshore program for tests and benchmarks that look
// at it from outside: it builds it, starts it, waits until it is ready, ends it,
// and finds addresses for it. It knows nothing of what is tested.
package testbed

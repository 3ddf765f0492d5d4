// Package launch turns a task definition, and what a caller or a service asks
// for, into what placement needs to know and then into the records of tasks. It
// is the one place that knows what a task reserves and how its record begins, so
// that RunTask, StartTask and the service loop agree. It also divides
// tasks among capacity providers. It leaves the choice of instances to placement
// and stores nothing.
package launch

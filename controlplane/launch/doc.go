// Package launch turns a task definition, and what a caller or a service asks
// for, into what placement needs to know and then into the records of tasks. It
// is the one place that knows what a task reserves and how its record begins, so
// that RunTask, StartTask and the service loop agree. It chooses no instance and
// stores nothing.
package launch

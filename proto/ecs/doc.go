// Package ecs holds the shapes of the Amazon ECS API: the structures, enums,
// errors and operations, and the checks that their definitions ask for. All of
// it but the few hand-written files is generated from model.json by
// scripts/genecs.
//
// How a shape becomes Go: a boxed scalar is a pointer and left out of JSON when
// nil; an unboxed one is a value and always written, as ECS itself does; a
// string, list, map, structure or timestamp is left out when zero, and a list
// that is empty but not nil is written as []. The package decides nothing about
// what ECS does; controlplane/api does.
package ecs

//go:generate go run ../../scripts/genecs -model model.json -out .

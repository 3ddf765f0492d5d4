package placement

import (
	"slices"
	"testing"
)

func TestPlace_ReportsWhyTheInstanceDoesNotTakeTheTask(t *testing.T) {
	matchNone := Predicate{Text: "attribute:x == y", Match: func(View) bool { return false }}
	tests := []struct {
		name     string
		instance Instance
		tasks    []Use
		request  Request
		want     Failure
		text     string
	}{
		{
			name:     "draining",
			instance: host("i", func(in *Instance) { in.Status, in.Connected = Draining, false }),
			want:     Failure{Reason: "INACTIVE", Subject: "DRAINING"},
			text:     "the container instance is DRAINING",
		},
		{
			name:     "inactive",
			instance: host("i", func(in *Instance) { in.Status = Inactive }),
			want:     Failure{Reason: "INACTIVE", Subject: "INACTIVE"},
			text:     "the container instance is INACTIVE",
		},
		{
			name:     "agent not connected, before attributes",
			instance: host("i", func(in *Instance) { in.Connected = false }),
			request:  Request{RequiredAttributes: []Attribute{{Name: "gone", AnyValue: true}}},
			want:     Failure{Reason: "AGENT"},
			text:     "the agent is not connected",
		},
		{
			name:     "attribute lacking, before constraints",
			instance: host("i"),
			request:  Request{RequiredAttributes: []Attribute{{Name: "ecs.capability.task-eni", AnyValue: true}}, MemberOf: []Predicate{matchNone}},
			want:     Failure{Reason: "ATTRIBUTE", Subject: "ecs.capability.task-eni"},
			text:     "needs the attribute ecs.capability.task-eni",
		},
		{
			name:     "attribute with another value",
			instance: host("i", with("ecs.os-type", "windows")),
			request:  Request{RequiredAttributes: []Attribute{{Name: "ecs.os-type", Value: "linux"}}},
			want:     Failure{Reason: "ATTRIBUTE", Subject: "ecs.os-type=linux"},
			text:     "needs the attribute ecs.os-type=linux",
		},
		{
			name:     "attribute that must be empty",
			instance: host("i", with("a", "something")),
			request:  Request{RequiredAttributes: []Attribute{{Name: "a"}}},
			want:     Failure{Reason: "ATTRIBUTE", Subject: "a"},
			text:     "needs the attribute a",
		},
		{
			name:     "expression, before distinctInstance",
			instance: host("i"),
			tasks:    []Use{{Group: "g"}},
			request:  Request{MemberOf: []Predicate{matchNone}, DistinctInstance: true, Group: "g"},
			want:     Failure{Reason: "MemberOf placement constraint unsatisfied.", Subject: "attribute:x == y"},
			text:     "does not match attribute:x == y",
		},
		{
			name:     "task of the group, before resources",
			instance: host("i"),
			tasks:    []Use{{Group: "g"}, {Group: "g"}, {Group: "h"}},
			request:  Request{DistinctInstance: true, Group: "g", CPU: 5000},
			want:     Failure{Reason: "DistinctInstance placement constraint unsatisfied.", Subject: "g", Available: 2},
			text:     "already has 2 of the tasks of g",
		},
		{
			name:     "CPU, before memory",
			instance: host("i"),
			tasks:    []Use{{CPU: 600, MemoryMiB: 1000}},
			request:  Request{CPU: 512, MemoryMiB: 512},
			want:     Failure{Reason: "RESOURCE:CPU", Needed: 512, Available: 424},
			text:     "needs 512 CPU units, 424 available",
		},
		{
			name:     "memory, before ports",
			instance: host("i", func(in *Instance) { in.ReservedTCP = []uint16{22} }),
			request:  Request{MemoryMiB: 1025, TCP: []uint16{22}},
			want:     Failure{Reason: "RESOURCE:MEMORY", Needed: 1025, Available: 1024},
			text:     "needs 1025 MiB of memory, 1024 available",
		},
		{
			name:     "reserved port",
			instance: host("i", func(in *Instance) { in.ReservedTCP = []uint16{22} }),
			request:  Request{TCP: []uint16{80, 22}, GPUCount: 1},
			want:     Failure{Reason: "RESOURCE:PORTS", Needed: 22, Subject: "TCP"},
			text:     "needs TCP port 22, which is reserved or in use",
		},
		{
			name:     "port of a task",
			instance: host("i"),
			tasks:    []Use{{UDP: []uint16{53}}},
			request:  Request{TCP: []uint16{53}, UDP: []uint16{53}},
			want:     Failure{Reason: "RESOURCE:PORTS", Needed: 53, Subject: "UDP"},
			text:     "needs UDP port 53, which is reserved or in use",
		},
		{
			name:     "GPUs",
			instance: host("i", func(in *Instance) { in.GPUs = []string{"a", "b"} }),
			tasks:    []Use{{GPUs: []string{"a"}}},
			request:  Request{GPUCount: 2},
			want:     Failure{Reason: "RESOURCE:GPU", Needed: 2, Available: 1},
			text:     "needs 2 GPUs, 1 available",
		},
		{
			name:     "unknown candidate",
			instance: host("other"),
			request:  Request{Candidates: []string{"i"}},
			want:     Failure{Reason: "MISSING"},
			text:     "no such container instance",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := fleetOf(test.instance)
			for _, u := range test.tasks {
				f.AddTask(test.instance.ID, u)
			}
			test.request.Count, test.want.InstanceID = 1, "i"
			result := Place(f, test.request)
			if len(result.Assignments) > 0 || len(result.Failures) != 1 || result.Failures[0] != test.want {
				t.Fatalf("got %+v, want the failure %+v", result, test.want)
			}
			if *result.Closest != test.want {
				t.Errorf("closest is %+v", *result.Closest)
			}
			if why, ok := Explain(f, test.request, "i"); ok || why != test.want {
				t.Errorf("Explain says %+v, %v", why, ok)
			}
			if got := test.want.String(); got != test.text {
				t.Errorf("reads %q, want %q", got, test.text)
			}
		})
	}
}

func TestPlace_ReportsMemoryShortageOfEveryInstance(t *testing.T) {
	f := fleetOf(host("a"), host("b", func(in *Instance) { in.MemoryMiB = 600 }))
	result := Place(f, Request{Count: 4, MemoryMiB: 500})
	if got := placedOn(result); len(got) != 3 {
		t.Errorf("placed on %v, want three", got)
	}
	want := []Failure{
		{InstanceID: "a", Reason: ReasonMemory, Needed: 500, Available: 24},
		{InstanceID: "b", Reason: ReasonMemory, Needed: 500, Available: 100},
	}
	if !slices.Equal(result.Failures, want) || *result.Closest != want[1] {
		t.Errorf("failures %v, closest %v; want %v", result.Failures, *result.Closest, want)
	}
}

func TestPlace_ClosestCameFurthestInTheChecks(t *testing.T) {
	f := fleetOf(
		host("disconnected", func(in *Instance) { in.Connected = false }),
		host("small", func(in *Instance) { in.CPU = 100 }),
		host("smaller", func(in *Instance) { in.CPU = 50 }),
		host("drained", func(in *Instance) { in.Status = Draining }),
	)
	result := Place(f, Request{Count: 1, CPU: 101})
	if result.Closest == nil || result.Closest.InstanceID != "small" {
		t.Errorf("closest is %v, want small", result.Closest)
	}
}

func TestPlace_EmptyClusterHasNoInstances(t *testing.T) {
	result := Place(NewFleet(), Request{Count: 1})
	if !result.NoInstances || len(result.Failures) != 0 || result.Closest != nil {
		t.Errorf("got %+v", result)
	}
	f := fleetOf(host("a", func(in *Instance) { in.Status = Draining }))
	if Place(f, Request{Count: 1}).NoInstances {
		t.Error("a draining instance is an instance")
	}
	f.RemoveInstance("a")
	if !Place(f, Request{Count: 1, Strategies: []Strategy{SpreadAttribute("z"), BinpackCPU()}, Rand: seeded(1)}).NoInstances {
		t.Error("the last instance is gone")
	}
}

func TestPlace_FailuresAreOnlyOfTheCandidatesInTheirOrder(t *testing.T) {
	f := fleetOf(host("a"), host("b"), host("c"))
	result := Place(f, Request{Count: 1, CPU: 2000, Candidates: []string{"c", "x", "a", "c"}})
	var got []string
	for _, why := range result.Failures {
		got = append(got, why.InstanceID+" "+string(why.Reason))
	}
	if want := []string{"c RESOURCE:CPU", "x MISSING", "a RESOURCE:CPU"}; !slices.Equal(got, want) {
		t.Errorf("failures %v, want %v", got, want)
	}
}

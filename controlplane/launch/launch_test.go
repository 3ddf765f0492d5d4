package launch_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/proto/ecs"
)

func number(n int32) *int32 { return &n }

func TestReserve_SumsContainersAndFixedPorts(t *testing.T) {
	d := &ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{
		{Name: "a", Cpu: 10, Memory: number(100), PortMappings: []ecs.PortMapping{
			{ContainerPort: number(80), HostPort: number(8080)}, {ContainerPort: number(81), HostPort: number(0)}, {ContainerPort: number(82)},
			{ContainerPort: number(53), HostPort: number(53), Protocol: ecs.TransportProtocolUdp},
		}},
		{Name: "b", Cpu: 5, Memory: number(100), MemoryReservation: number(30)},
		{Name: "c", MemoryReservation: number(7)},
	}}
	for name, c := range map[string]struct {
		overrides   *ecs.TaskOverride
		cpu, memory int64
	}{
		"as defined": {nil, 15, 137},
		"overridden": {&ecs.TaskOverride{ContainerOverrides: []ecs.ContainerOverride{
			{Name: "a", Cpu: number(1), Memory: number(50)}, {Name: "b", Memory: number(200)}, {Name: "c", MemoryReservation: number(9)},
		}}, 6, 89},
		"of another container": {&ecs.TaskOverride{ContainerOverrides: []ecs.ContainerOverride{{Name: "x", Cpu: number(1)}}}, 15, 137},
	} {
		t.Run(name, func(t *testing.T) {
			r := launch.Reserve(d, c.overrides)
			if r.CPU != c.cpu || r.MemoryMiB != c.memory || !slices.Equal(r.TCP, []uint16{8080}) || !slices.Equal(r.UDP, []uint16{53}) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// What placement is asked for and what the record then holds must be the same,
// or an instance could be filled beyond what it has.
func TestOrder_TaskTakesWhatWasAskedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int32Range(0, 1<<20)
		var d ecs.TaskDefinition
		var o ecs.TaskOverride
		for _, name := range []string{"a", "b", "c"} {
			d.ContainerDefinitions = append(d.ContainerDefinitions, ecs.ContainerDefinition{
				Name: name, Cpu: amount.Draw(t, "cpu"), Memory: rapid.Ptr(amount, true).Draw(t, "memory"),
				MemoryReservation: rapid.Ptr(amount, true).Draw(t, "reservation"),
				PortMappings:      []ecs.PortMapping{{HostPort: rapid.Ptr(rapid.Int32Range(0, 65535), true).Draw(t, "port")}},
			})
			if rapid.Bool().Draw(t, "override") {
				o.ContainerOverrides = append(o.ContainerOverrides, ecs.ContainerOverride{Name: name, Cpu: rapid.Ptr(amount, true).Draw(t, "cpu"), Memory: rapid.Ptr(amount, true).Draw(t, "memory")})
			}
		}
		order := launch.Order{Cluster: "c", Definition: &model.Definition{Ref: model.DefinitionRef{Family: "f", Revision: 1}, Shape: d}, Group: "g", Overrides: &o}
		request := order.Request(1, nil)
		task := order.Task(model.NewTaskID(), placement.Assignment{InstanceID: "i"}, time.Unix(1, 0))
		if r := task.Reserved; r.CPU != request.CPU || r.MemoryMiB != request.MemoryMiB || !slices.Equal(r.TCP, request.TCP) || !slices.Equal(r.UDP, request.UDP) || request.Group != task.Group {
			t.Fatalf("asked for %+v, took %+v", request, r)
		}
		if len(task.Containers) != 3 || task.LastStatus != model.TaskPending || task.DesiredStatus != model.TaskRunning {
			t.Fatalf("got %+v", task)
		}
	})
}

func TestForService_SpreadsOverZonesAndInstancesByDefault(t *testing.T) {
	s := &model.Service{Cluster: "c", Name: "s", PropagateTags: ecs.PropagateTagsSERVICE, EnableECSManagedTags: true,
		Tags: []ecs.Tag{{Key: "k"}}, Deployments: []model.Deployment{{ID: "ecs-svc/1", LaunchType: ecs.LaunchTypeEC2}},
		PlacementConstraints: []ecs.PlacementConstraint{{Type: ecs.PlacementConstraintTypeDistinctInstance}}}
	d := &model.Definition{Shape: ecs.TaskDefinition{RequiresAttributes: []ecs.Attribute{{Name: "a"}}}}
	order, err := launch.ForService(s, d)
	if err != nil {
		t.Fatal(err)
	}
	request := order.Request(2, nil)
	if !slices.Equal(request.Strategies, []placement.Strategy{placement.SpreadAttribute("ecs.availability-zone"), placement.SpreadInstances()}) {
		t.Errorf("strategies %v", request.Strategies)
	}
	if !request.DistinctInstance || request.Count != 2 || len(request.RequiredAttributes) != 1 || !request.RequiredAttributes[0].AnyValue {
		t.Errorf("request %+v", request)
	}
	task := order.Task("t", placement.Assignment{InstanceID: "i"}, time.Unix(1, 0))
	if task.Group != "service:s" || task.StartedBy != "ecs-svc/1" || task.Service != "s" || task.Deployment != "ecs-svc/1" || len(task.Tags) != 3 {
		t.Errorf("task %+v", task)
	}
	s.PlacementStrategy = []ecs.PlacementStrategy{{Type: ecs.PlacementStrategyTypeBinpack, Field: "cpu"}}
	if order, err = launch.ForService(s, d); err != nil || !slices.Equal(order.Strategies, []placement.Strategy{placement.BinpackCPU()}) {
		t.Errorf("got %+v, %v", order, err)
	}
	s.PlacementStrategy[0].Field = "disk"
	if _, err = launch.ForService(s, d); err == nil {
		t.Error("a strategy that does not exist was taken")
	}
}

func TestStandaloneTaskTags_OwnTagsWin(t *testing.T) {
	v := func(s string) *string { return &s }
	tags := launch.StandaloneTaskTags("c", []ecs.Tag{{Key: "a", Value: v("own")}}, []ecs.Tag{{Key: "a", Value: v("def")}, {Key: "b", Value: v("def")}}, true)
	var got []string
	for _, tag := range tags {
		got = append(got, tag.Key+"="+*tag.Value)
	}
	if !slices.Equal(got, []string{"a=own", "b=def", "aws:ecs:clusterName=c"}) {
		t.Errorf("got %v", got)
	}
	for s, want := range map[string]bool{"aws:x": true, "AWS:": true, "aws": false, "x": false, "xaws:": false} {
		if launch.ReservedTag(s) != want {
			t.Errorf("ReservedTag(%q) = %t", s, !want)
		}
	}
}

func TestOrder_TaskGetsGPUsAndImagesByContainer(t *testing.T) {
	gpus := func(n string) []ecs.ResourceRequirement {
		return []ecs.ResourceRequirement{{Type: ecs.ResourceTypeGPU, Value: n}}
	}
	order := launch.Order{
		Definition: &model.Definition{Shape: ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{
			{Name: "a", ResourceRequirements: gpus("1")}, {Name: "b", VersionConsistency: ecs.VersionConsistencyDisabled}, {Name: "c", ResourceRequirements: gpus("4")},
		}}},
		Overrides: &ecs.TaskOverride{ContainerOverrides: []ecs.ContainerOverride{{Name: "c", ResourceRequirements: gpus("2")}}},
		Images:    map[string]string{"a": "sha256:a", "b": "sha256:b"},
	}
	if n := order.Request(1, nil).GPUCount; n != 3 {
		t.Errorf("asks for %d GPUs, want 3", n)
	}
	task := order.Task("t", placement.Assignment{InstanceID: "i", GPUs: []string{"x", "y", "z"}}, time.Unix(1, 0))
	for i, want := range []struct {
		gpus   []string
		digest string
	}{{[]string{"x"}, "sha256:a"}, {nil, ""}, {[]string{"y", "z"}, ""}} {
		if c := task.Containers[i]; !slices.Equal(c.GPUs, want.gpus) || c.PinnedDigest != want.digest {
			t.Errorf("container %s has %v and %q, want %+v", c.Name, c.GPUs, c.PinnedDigest, want)
		}
	}
}

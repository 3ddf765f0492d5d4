package launch_test

import (
	"slices"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/proto/ecs"
)

// hostsWith makes a fleet of one instance for each list of attributes, named by it.
func hostsWith(lists map[string][]string) *placement.Fleet {
	f := placement.NewFleet()
	for id, names := range lists {
		attributes := map[string]string{}
		for _, n := range names {
			attributes[n] = ""
		}
		f.PutInstance(placement.Instance{ID: id, CPU: 4096, MemoryMiB: 8192, Connected: true, Status: placement.Active, Attributes: attributes})
	}
	return f
}

// placed are the instances that a number of tasks of an order are spread over.
func placed(o *launch.Order, fleet *placement.Fleet, offers func(string) bool, count int) []string {
	o.Strategies = []placement.Strategy{placement.SpreadInstances()}
	o.Locate(offers)
	var out []string
	for _, a := range o.Portions(count, nil, poolOf)[0].Place(fleet, nil).Assignments {
		if !slices.Contains(out, a.InstanceID) {
			out = append(out, a.InstanceID)
		}
	}
	slices.Sort(out)
	return out
}

func awsvpcOrder(subnets ...string) *launch.Order {
	return &launch.Order{
		Cluster: "c", Group: "g", Network: &ecs.AwsVpcConfiguration{Subnets: subnets},
		Definition: &model.Definition{Shape: ecs.TaskDefinition{
			NetworkMode:          ecs.NetworkModeAwsvpc,
			ContainerDefinitions: []ecs.ContainerDefinition{{Name: "m", Cpu: 100}},
		}},
	}
}

func TestLocate_TasksGoWhereTheirSubnetsAre(t *testing.T) {
	lists := map[string][]string{
		"a": {"longshore.subnet.subnet-a"}, "b": {"longshore.subnet.subnet-b"}, "ab": {"longshore.subnet.subnet-a", "longshore.subnet.subnet-b"}, "none": nil,
	}
	wild := map[string][]string{"a": lists["a"], "any": {"longshore.any-subnet", "longshore.subnet.subnet-default"}}
	for name, c := range map[string]struct {
		hosts   map[string][]string
		subnets []string
		want    []string
	}{
		"one":                  {lists, []string{"subnet-a"}, []string{"a", "ab"}},
		"either":               {lists, []string{"subnet-a", "subnet-b"}, []string{"a", "ab", "b"}},
		"one that there is":    {lists, []string{"subnet-x", "subnet-b"}, []string{"ab", "b"}},
		"none that there is":   {lists, []string{"subnet-x"}, nil},
		"any will do":          {wild, []string{"subnet-x", "subnet-y"}, []string{"any"}},
		"its name comes first": {wild, []string{"subnet-a", "subnet-y"}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			offers := func(attribute string) bool {
				for _, list := range c.hosts {
					if slices.Contains(list, attribute) {
						return true
					}
				}
				return false
			}
			if got := placed(awsvpcOrder(c.subnets...), hostsWith(c.hosts), offers, 8); !slices.Equal(got, c.want) {
				t.Errorf("placed on %v, want %v", got, c.want)
			}
		})
	}
}

func TestRequest_AsksForHostsThatCanDoIt(t *testing.T) {
	hosts := hostsWith(map[string][]string{
		"plain": nil, "sized": {"ecs.capability.task-cpu-mem-limit"}, "fargate": {"ecs.capability.task-cpu-mem-limit", "longshore.fargate"}, "efs": {"longshore.efs.fs-1"},
	})
	for name, c := range map[string]struct {
		change func(*launch.Order)
		want   []string
	}{
		"anything":  {func(*launch.Order) {}, []string{"efs", "fargate", "plain", "sized"}},
		"a size":    {func(o *launch.Order) { o.Definition.Shape.Memory = "512" }, []string{"fargate", "sized"}},
		"overrides": {func(o *launch.Order) { o.Overrides = &ecs.TaskOverride{Cpu: "512"} }, []string{"fargate", "sized"}},
		"FARGATE":   {func(o *launch.Order) { o.LaunchType = ecs.LaunchTypeFARGATE }, []string{"fargate"}},
		"EFS": {func(o *launch.Order) {
			o.Definition.Shape.Volumes = []ecs.Volume{{EfsVolumeConfiguration: &ecs.EFSVolumeConfiguration{FileSystemId: "fs-1"}}}
		}, []string{"efs"}},
		"a capacity provider of FARGATE": {func(o *launch.Order) {
			o.CapacityStrategy = strategyOf("FARGATE_SPOT 0 1")
			o.LaunchType = launch.LaunchTypeOf(o.CapacityStrategy)
		}, []string{"fargate"}},
	} {
		t.Run(name, func(t *testing.T) {
			order := awsvpcOrder()
			order.Network = nil
			c.change(order)
			if got := placed(order, hosts, func(string) bool { return false }, 8); !slices.Equal(got, c.want) {
				t.Errorf("placed on %v, want %v", got, c.want)
			}
		})
	}
}

func TestReserve_TheTasksSizeCountsAndPortsOfItsOwnInterfaceDoNot(t *testing.T) {
	port := int32(80)
	d := &ecs.TaskDefinition{ContainerDefinitions: []ecs.ContainerDefinition{{
		Name: "m", Cpu: 100, Memory: &port, PortMappings: []ecs.PortMapping{{ContainerPort: &port, HostPort: &port}},
	}}}
	if r := launch.Reserve(d, nil); r.CPU != 100 || r.MemoryMiB != 80 || len(r.TCP) != 1 {
		t.Errorf("without a size: %+v", r)
	}
	d.NetworkMode, d.Cpu, d.Memory = ecs.NetworkModeAwsvpc, "256", "512"
	if r := launch.Reserve(d, nil); r.CPU != 256 || r.MemoryMiB != 512 || r.TCP != nil {
		t.Errorf("with a size in awsvpc mode: %+v", r)
	}
	if r := launch.Reserve(d, &ecs.TaskOverride{Memory: "1024"}); r.CPU != 256 || r.MemoryMiB != 1024 {
		t.Errorf("overridden: %+v", r)
	}
}

func TestTask_InAwsvpcModeBeginsWithAnAttachment(t *testing.T) {
	order := awsvpcOrder("subnet-a")
	order.LaunchType = ecs.LaunchTypeFARGATE
	id := model.NewTaskID()
	task := order.Task(id, placement.Assignment{InstanceID: "i"}, time.Unix(1, 0))
	if task.LastStatus != model.TaskProvisioning || len(task.Attachments) != 1 || task.PlatformVersion != "1.4.0" || task.Subnets()[0] != "subnet-a" {
		t.Fatalf("task %+v", task)
	}
	a := task.Attachments[0]
	if a.Status != model.AttachmentPrecreated || a.Subnet != "subnet-a" || model.TaskOfAttachment(a.ID) != id {
		t.Errorf("attachment %+v of task %s", a, id)
	}
	if two := awsvpcOrder("a", "b").Task(id, placement.Assignment{InstanceID: "i"}, time.Unix(1, 0)).Attachments[0]; two.Subnet != "" {
		t.Errorf("the host chooses between two subnets, and %q is shown before", two.Subnet)
	}
}

package endpoints_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/endpoints"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

func arn(name string) model.TargetGroupARN {
	return model.Owner{Account: "123456789012", Region: "us-east-1"}.TargetGroupARN(name, "0123456789abcdef")
}

type fixture struct {
	t     *testing.T
	store *store.Store
	index *endpoints.Index
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t}
	f.store = storetest.New(t, func(s *store.Store) { f.index = endpoints.NewIndex(s) })
	address := "10.0.0.9"
	f.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "i1", Cluster: "c", Status: model.StatusActive, Attributes: []ecs.Attribute{{Name: model.AddressAttribute, Value: &address}}})
		tx.PutTargetGroup(&model.TargetGroup{Name: "a", ARN: arn("a"), TargetType: model.TargetTypeInstance})
		tx.PutTargetGroup(&model.TargetGroup{Name: "b", ARN: arn("b"), TargetType: model.TargetTypeIP})
	})
	return f
}

func (f *fixture) update(change func(*store.Tx)) {
	f.t.Helper()
	if err := f.store.Update(f.t.Context(), func(tx *store.Tx) error { change(tx); return nil }); err != nil {
		f.t.Fatal(err)
	}
}

// put stores a RUNNING task of group a at a port of the host, changed so.
func (f *fixture) put(id model.TaskID, port int32, change func(*model.Task)) {
	f.t.Helper()
	container := int32(80)
	t := &model.Task{
		ID: id, Cluster: "c", Instance: "i1", DesiredStatus: model.TaskRunning, LastStatus: model.TaskRunning, RegisteredAt: time.Unix(1000, 0),
		Targets: []model.Target{{Group: arn("a"), Container: "main", ContainerPort: 80, Health: model.TargetHealthy}},
		Containers: []model.Container{{Name: "main", NetworkBindings: []ecs.NetworkBinding{
			{ContainerPort: &container, HostPort: &port, Protocol: "tcp"}}}},
	}
	if change != nil {
		change(t)
	}
	f.update(func(tx *store.Tx) { tx.PutTask(t) })
}

// members writes the members of a group down.
func (f *fixture) members(group string) []string {
	var out []string
	for _, m := range f.index.Members(arn(group)) {
		out = append(out, fmt.Sprintf("%s %s:%d %s", m.TaskID, m.Address, m.Port, m.State))
	}
	return out
}

func (f *fixture) want(group string, want ...string) {
	f.t.Helper()
	if got := f.members(group); !slices.Equal(got, want) {
		f.t.Errorf("members %q, want %q", got, want)
	}
}

func TestMembers_FollowATaskThroughItsLife(t *testing.T) {
	f := newFixture(t)
	f.put("t1", 49153, func(t *model.Task) { t.LastStatus, t.RegisteredAt = model.TaskPending, time.Time{} })
	f.want("a")
	f.put("t1", 49153, func(t *model.Task) { t.LastStatus, t.Targets[0].Health = model.TaskActivating, model.TargetInitial })
	f.want("a", "t1 10.0.0.9:49153 initial")
	f.put("t1", 49153, nil)
	f.want("a", "t1 10.0.0.9:49153 healthy")
	f.put("t1", 49153, func(t *model.Task) { t.Targets[0].Health = model.TargetUnhealthy })
	f.want("a", "t1 10.0.0.9:49153 unhealthy")
	f.put("t1", 49153, func(t *model.Task) { t.LastStatus, t.DesiredStatus = model.TaskDeactivating, model.TaskStopped })
	f.want("a", "t1 10.0.0.9:49153 draining")
	f.put("t1", 49153, func(t *model.Task) { t.LastStatus, t.DesiredStatus = model.TaskStopping, model.TaskStopped })
	f.want("a")
}

func TestMembers_APortBelongsToTheTaskThatWasRegisteredLast(t *testing.T) {
	for name, ids := range map[string][2]model.TaskID{"in the order of ids": {"t1", "t2"}, "against it": {"t2", "t1"}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.put(ids[0], 49153, nil)
			f.put(ids[1], 49153, func(t *model.Task) { t.RegisteredAt = time.Unix(2000, 0) })
			f.want("a", string(ids[1])+" 10.0.0.9:49153 healthy")
		})
	}
}

// report stores what an agent says of a container that runs, or has ended.
func (f *fixture) report(id model.TaskID, status model.TaskStatus, port int32) {
	f.t.Helper()
	err := f.store.Update(f.t.Context(), func(tx *store.Tx) error {
		task, _ := tx.Task("c", id)
		container := int32(80)
		next, _ := task.Reported(model.TaskReport{Status: status, Containers: []model.ContainerReport{{
			Name: "main", Status: status, NetworkBindings: []ecs.NetworkBinding{{ContainerPort: &container, HostPort: &port, Protocol: "tcp"}},
		}}}, time.Unix(3000, 0))
		tx.PutReported(task, next)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// start makes a task of no group whose container is started at a port.
func (f *fixture) start(id model.TaskID, port int32) {
	f.t.Helper()
	f.put(id, 0, func(t *model.Task) {
		t.LastStatus, t.RegisteredAt, t.Targets = model.TaskPending, time.Time{}, nil
		t.Containers[0].LastStatus, t.Containers[0].NetworkBindings = model.TaskPending, nil
	})
	f.report(id, model.TaskRunning, port)
}

// The engine gave the port to a container of another task: the one that had it before
// has ended, though nobody has said so yet.
func TestMembers_ATaskWhosePortIsGivenToAnotherIsNoMember(t *testing.T) {
	f := newFixture(t)
	running := func(t *model.Task) { t.Containers[0].LastStatus = model.TaskRunning }
	f.put("t1", 49153, running)
	f.put("t2", 49154, running)
	s := f.index.Subscribe()
	defer s.Close()
	if _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.start("t9", 49153)
	f.want("a", "t2 10.0.0.9:49154 healthy")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := s.Next(ctx); err != nil || !slices.Equal(got, []model.TargetGroupARN{arn("a")}) {
		t.Errorf("subscribers hear of %v, %v", got, err)
	}
	// What was said of the first one before its end was known comes late.
	f.report("t1", model.TaskRunning, 49153)
	f.want("a", "t2 10.0.0.9:49154 healthy")
	if task, _ := f.store.View().Task("c", "t9"); task.HostPort("main", 80) != 49153 {
		t.Errorf("the task that was given the port has %d", task.HostPort("main", 80))
	}
	// One that runs again, at another port, is a member again.
	f.report("t1", model.TaskRunning, 49155)
	f.want("a", "t2 10.0.0.9:49154 healthy", "t1 10.0.0.9:49155 healthy")
}

func TestMembers_ATaskWhoseContainerHasEndedIsNoMemberWhateverElseRunsInIt(t *testing.T) {
	f := newFixture(t)
	for _, group := range []string{"a", "b"} {
		f.put("t1", 49153, func(t *model.Task) {
			t.Targets[0].Group = arn(group)
			t.Attachments = []model.Attachment{{IPv4Address: "172.20.0.5"}}
			t.Containers[0].LastStatus = model.TaskStopped
			t.Containers = append(t.Containers, model.Container{Name: "side", LastStatus: model.TaskRunning})
		})
		f.want(group)
	}
}

func TestMembers_OfTasksWithAnAddressOfTheirOwnAndOfCallers(t *testing.T) {
	f := newFixture(t)
	f.put("t1", 0, func(t *model.Task) {
		t.Targets[0].Group = arn("b")
		t.Attachments = []model.Attachment{{IPv4Address: "172.20.0.5"}}
	})
	f.update(func(tx *store.Tx) {
		tx.PutTargetGroup(&model.TargetGroup{Name: "b", ARN: arn("b"), TargetType: model.TargetTypeIP, Manual: []model.ManualTarget{{ID: "10.1.1.1", Port: 81}}})
	})
	f.want("b", " 10.1.1.1:81 unavailable", "t1 172.20.0.5:80 healthy")
}

func TestSubscription_TellsOfEachGroupThatChangedAndOfNoOther(t *testing.T) {
	f := newFixture(t)
	s := f.index.Subscribe()
	defer s.Close()
	next := func() []model.TargetGroupARN {
		t.Helper()
		out, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(out)
		return out
	}
	if got := next(); !slices.Equal(got, []model.TargetGroupARN{arn("a"), arn("b")}) {
		t.Errorf("at first %v", got)
	}
	f.put("t1", 49153, nil)
	if got := next(); !slices.Equal(got, []model.TargetGroupARN{arn("a")}) {
		t.Errorf("a new target: %v", got)
	}
	// A change that does not show in a group, and then one that does.
	f.put("t1", 49153, func(t *model.Task) { t.Version = 7 })
	quiet, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := s.Next(quiet); err == nil {
		t.Errorf("a change of no target: %v", got)
	}
	other := "10.0.0.10"
	f.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "i1", Cluster: "c", Status: model.StatusActive, Attributes: []ecs.Attribute{{Name: model.AddressAttribute, Value: &other}}})
	})
	if got := next(); !slices.Equal(got, []model.TargetGroupARN{arn("a")}) {
		t.Errorf("another address of the host: %v", got)
	}
	f.want("a", "t1 10.0.0.10:49153 healthy")
}

func TestSubscription_TellsOfAHostThatACallerRegistered(t *testing.T) {
	f := newFixture(t)
	host := func(address string) {
		f.update(func(tx *store.Tx) {
			tx.PutInstance(&model.Instance{ID: "i2", EC2InstanceID: "host-2", Cluster: "d", Status: model.StatusActive,
				Attributes: []ecs.Attribute{{Name: model.AddressAttribute, Value: &address}}})
		})
	}
	host("10.0.0.20")
	for group, id := range map[string]string{"byhost": "host-2", "byid": "i2", "other": "i1"} {
		f.update(func(tx *store.Tx) {
			tx.PutTargetGroup(&model.TargetGroup{Name: group, ARN: arn(group), TargetType: model.TargetTypeInstance, Manual: []model.ManualTarget{{ID: id, Port: 81}}})
		})
	}
	s := f.index.Subscribe()
	defer s.Close()
	if _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	host("10.0.0.21")
	got, err := s.Next(t.Context())
	slices.Sort(got)
	if err != nil || !slices.Equal(got, []model.TargetGroupARN{arn("byhost"), arn("byid")}) {
		t.Errorf("another address of the host: %v, %v", got, err)
	}
	f.want("byhost", " 10.0.0.21:81 unavailable")
	f.want("byid", " 10.0.0.21:81 unavailable")
	f.want("other", " 10.0.0.9:81 unavailable")
}

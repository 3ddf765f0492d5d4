package agentgrpc_test

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/longshore/longshore/controlplane/dispatch"
	"github.com/longshore/longshore/controlplane/dispatch/agentgrpc"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/resolve"
	"github.com/longshore/longshore/controlplane/secrets"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"
)

// keys are those of the benches' secrets.
var keys, _ = secrets.ParseKeys(secrets.NewKeyFile("k"))

var owner = model.Owner{Account: "000000000000", Region: "us-east-1"}

// bench is a control plane's agent side on a real etcd and a real connection.
type bench struct {
	t      *testing.T
	store  *store.Store
	client agentv1.AgentServiceClient
	addr   string

	dispatcher *dispatch.Dispatcher
}

func newBench(t *testing.T, disconnectAfter time.Duration) *bench {
	t.Helper()
	return newBenchOver(t, disconnectAfter, insecure.NewCredentials(), func(l net.Listener) net.Listener { return l })
}

// newBenchOver lets the test choose what agents reach the control plane over.
func newBenchOver(t *testing.T, disconnectAfter time.Duration, transport credentials.TransportCredentials, wrap func(net.Listener) net.Listener) *bench {
	t.Helper()
	var d *dispatch.Dispatcher
	s := storetest.New(t, func(s *store.Store) {
		d = dispatch.New(dispatch.Config{Store: s, DisconnectAfter: disconnectAfter})
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(transport))
	agentv1.RegisterAgentServiceServer(server, agentgrpc.New(agentgrpc.Config{
		Owner:      owner,
		Dispatcher: func() *dispatch.Dispatcher { return d },
		Leader:     l.Addr().String,
		Secrets:    resolve.New(resolve.Config{Owner: owner, Keys: keys}),
		Tasks:      taskOperations{},
		Register:   register,
		Logger:     slog.New(slog.DiscardHandler),
	}))
	go server.Serve(wrap(l))
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		cancel()
		<-ended
	})
	b := &bench{t: t, store: s, client: agentv1.NewAgentServiceClient(conn), addr: l.Addr().String(), dispatcher: d}
	b.update(func(tx *store.Tx) {
		tx.PutInstance(&model.Instance{ID: "i", Cluster: "c", Status: model.StatusActive})
		tx.PutDefinition(&model.Definition{Ref: model.DefinitionRef{Family: "f", Revision: 1}, Shape: ecs.TaskDefinition{Family: "f"}})
	})
	return b
}

func (b *bench) update(f func(*store.Tx)) {
	b.t.Helper()
	if err := b.store.Update(b.t.Context(), func(tx *store.Tx) error { f(tx); return nil }); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) putTask(id model.TaskID, instance model.InstanceID) {
	b.t.Helper()
	b.update(func(tx *store.Tx) {
		tx.PutTask(&model.Task{
			ID: id, Cluster: "c", Instance: instance, Definition: model.DefinitionRef{Family: "f", Revision: 1},
			DesiredStatus: model.TaskRunning, LastStatus: model.TaskPending,
			Containers: []model.Container{{ID: "u", Name: "main", LastStatus: model.TaskPending}},
		})
	})
}

// connect opens a session and says hello.
func (b *bench) connect(ctx context.Context, instance model.InstanceID) agentv1.AgentService_SessionClient {
	b.t.Helper()
	stream, err := b.client.Session(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	hello := &agentv1.AgentMessage{Message: &agentv1.AgentMessage_Hello{Hello: &agentv1.Hello{ContainerInstance: owner.InstanceARN("c", instance)}}}
	if err := stream.Send(hello); err != nil {
		b.t.Fatal(err)
	}
	return stream
}

// await reads messages until one is what the test waits for.
func await(t *testing.T, stream agentv1.AgentService_SessionClient, is func(*agentv1.ControlMessage) bool) *agentv1.ControlMessage {
	t.Helper()
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if is(m) {
			return m
		}
	}
}

// acked is the acknowledgement that a message brings, whatever its kind.
func acked(m *agentv1.ControlMessage) uint64 {
	return max(m.GetAck().GetSequence(), m.GetDesired().GetAck(), m.GetHeartbeat().GetAck())
}

func fullDesired(m *agentv1.ControlMessage) bool { return m.GetDesired().GetFull() }

func hasTasks(m *agentv1.ControlMessage) bool { return len(m.GetDesired().GetTasks()) > 0 }

func TestSession_StartsWithEverythingAndGoesOnWithChanges(t *testing.T) {
	b := newBench(t, time.Minute)
	b.putTask("t1", "i")
	b.putTask("elsewhere", "j")
	stream := b.connect(t.Context(), "i")
	full := await(t, stream, fullDesired).GetDesired()
	if len(full.Definitions) != 1 || full.Definitions[0].Arn != full.Tasks[0].Definition {
		t.Errorf("definitions %v, want the one that the task needs", full.Definitions)
	}
	if len(full.Tasks) != 1 || full.Tasks[0].Arn != owner.TaskARN("c", "t1") {
		t.Fatalf("full set: %v, want task t1 alone", full.Tasks)
	}
	b.putTask("t2", "i")
	delta := await(t, stream, hasTasks).GetDesired()
	if delta.Full || len(delta.Tasks) != 1 || delta.Tasks[0].Arn != owner.TaskARN("c", "t2") {
		t.Errorf("change: %v, want task t2 alone", delta)
	}
	if len(delta.Definitions) != 0 {
		t.Error("a definition was sent twice in one session")
	}
	b.update(func(tx *store.Tx) {
		task, _ := tx.Task("c", "t1")
		next := *task
		next.Stop(ecs.TaskStopCodeUserInitiated, "enough", time.Now())
		tx.PutTask(&next)
	})
	stopped := await(t, stream, hasTasks).GetDesired().Tasks[0]
	if stopped.DesiredStatus != "STOPPED" || stopped.StopReason != "enough" {
		t.Errorf("got %v, want desired status STOPPED and the reason", stopped)
	}
}

func report(sequence uint64, states ...*agentv1.TaskState) *agentv1.AgentMessage {
	return &agentv1.AgentMessage{Message: &agentv1.AgentMessage_Report{Report: &agentv1.Report{Sequence: sequence, Tasks: states}}}
}

func TestSession_AcknowledgesAReportOnceItIsDurable(t *testing.T) {
	b := newBench(t, time.Minute)
	b.putTask("t1", "i")
	b.putTask("foreign", "j")
	stream := b.connect(t.Context(), "i")
	code := int32(3)
	err := stream.Send(report(7,
		&agentv1.TaskState{Arn: owner.TaskARN("c", "t1"), Status: "STOPPED", StopCode: "EssentialContainerExited", Reason: "Essential container in task exited",
			Containers: []*agentv1.ContainerState{{Name: "main", Status: "STOPPED", ExitCode: &code, RuntimeId: "r"}}},
		&agentv1.TaskState{Arn: owner.TaskARN("c", "foreign"), Status: "STOPPED"},
		&agentv1.TaskState{Arn: owner.TaskARN("c", "never-heard-of"), Status: "RUNNING"},
	))
	if err != nil {
		t.Fatal(err)
	}
	acknowledged, removed := false, []string(nil) // in either order
	await(t, stream, func(m *agentv1.ControlMessage) bool {
		acknowledged = acknowledged || acked(m) == 7
		removed = append(removed, m.GetDesired().GetRemoved()...)
		return acknowledged && len(removed) > 0
	})
	task, _ := b.store.View().Task("c", "t1")
	if task.LastStatus != model.TaskStopped || task.DesiredStatus != model.TaskStopped || task.StopCode != ecs.TaskStopCodeEssentialContainerExited {
		t.Errorf("after the acknowledgement the task is %+v", task)
	}
	if c := task.Containers[0]; c.ExitCode == nil || *c.ExitCode != 3 || c.RuntimeID != "r" || c.LastStatus != model.TaskStopped {
		t.Errorf("container: %+v, want exit code 3", c)
	}
	if foreign, _ := b.store.View().Task("c", "foreign"); foreign.LastStatus != model.TaskPending {
		t.Error("an instance changed another instance's task")
	}
	if !slices.Equal(removed, []string{owner.TaskARN("c", "t1")}) {
		t.Errorf("removed %q, want the stopped task", removed)
	}
	// The same again, and an older state, change nothing.
	if err := stream.Send(report(8, &agentv1.TaskState{Arn: owner.TaskARN("c", "t1"), Status: "RUNNING"})); err != nil {
		t.Fatal(err)
	}
	await(t, stream, func(m *agentv1.ControlMessage) bool { return acked(m) == 8 })
	if again, _ := b.store.View().Task("c", "t1"); again != task {
		t.Error("a late report changed a stopped task")
	}
}

func TestSession_OfAnUnknownInstanceIsNotFound(t *testing.T) {
	b := newBench(t, time.Minute)
	_, err := b.connect(t.Context(), "nobody").Recv()
	for err == nil {
		t.Fatal("an unknown instance got a message")
	}
	if status.Code(err) != codes.NotFound {
		t.Errorf("got %v, want NotFound", err)
	}
}

// connected waits until the instance's agentConnected is as wanted.
func (b *bench) connected(want bool) *model.Instance {
	b.t.Helper()
	changed, stop := b.store.Subscribe()
	defer stop()
	for {
		i, _ := b.store.View().Instance("c", "i")
		if i.AgentConnected == want {
			return i
		}
		select {
		case <-changed:
		case <-time.After(30 * time.Second):
			b.t.Fatalf("agentConnected did not become %t", want)
		}
	}
}

func TestSession_AnAgentThatFallsSilentIsDisconnected(t *testing.T) {
	b := newBench(t, 200*time.Millisecond)
	start := time.Now()
	stream := b.connect(t.Context(), "i")
	b.connected(true)
	i := b.connected(false)
	if i.SilentSince.Before(start) || i.SilentSince.After(time.Now()) {
		t.Errorf("silent since %v, want the moment it was last heard", i.SilentSince)
	}
	for {
		if _, err := stream.Recv(); err != nil {
			break // the half-open session was ended
		}
	}
	b.connect(t.Context(), "i")
	back := b.connected(true)
	if !back.SilentSince.IsZero() {
		t.Error("an instance that is back still counts as silent")
	}
	if !back.ConnectedAt.After(i.SilentSince) || back.ConnectedAt.After(time.Now()) {
		t.Errorf("connected since %v, silent since %v", back.ConnectedAt, i.SilentSince)
	}
}

func TestSession_HeartbeatsKeepItConnected(t *testing.T) {
	b := newBench(t, 300*time.Millisecond)
	stream := b.connect(t.Context(), "i")
	version := b.connected(true).Version
	beats := 0
	for beats < 20 { // each from the control plane is answered with one
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.GetHeartbeat() != nil {
			beats++
			if err := stream.Send(&agentv1.AgentMessage{Message: &agentv1.AgentMessage_Heartbeat{Heartbeat: &agentv1.Heartbeat{}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if now := b.connected(true); now.Version != version {
		t.Error("the instance changed though its agent was there all the time")
	}
}

func TestSession_ReconnectingInTimeIsNotSeen(t *testing.T) {
	b := newBench(t, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	first := b.connect(ctx, "i")
	version := b.connected(true).Version
	second := b.connect(t.Context(), "i")
	await(t, second, fullDesired)
	for {
		if _, err := first.Recv(); err != nil {
			break // the newer session replaced it
		}
	}
	cancel()
	if now := b.connected(true); now.Version != version {
		t.Error("a reconnection changed the instance")
	}
}

func TestSession_EndsWhenTheInstanceIsDeregistered(t *testing.T) {
	b := newBench(t, time.Minute)
	stream := b.connect(t.Context(), "i")
	await(t, stream, fullDesired)
	b.update(func(tx *store.Tx) {
		i, _ := tx.Instance("c", "i")
		next := *i
		next.Status = model.StatusInactive
		tx.PutInstance(&next)
	})
	for {
		if _, err := stream.Recv(); err != nil {
			if status.Code(err) != codes.NotFound {
				t.Errorf("got %v, want NotFound", err)
			}
			return
		}
	}
}

func TestSession_TellsWhatContainersWereAssignedAndTakesPortRanges(t *testing.T) {
	b := newBench(t, time.Minute)
	b.putTask("t1", "i")
	b.update(func(tx *store.Tx) {
		task, _ := tx.Task("c", "t1")
		next := *task
		next.Containers = slices.Clone(task.Containers)
		next.Containers[0].GPUs, next.Containers[0].PinnedDigest = []string{"GPU-1"}, "sha256:1"
		tx.PutTask(&next)
	})
	stream := b.connect(t.Context(), "i")
	assignments := await(t, stream, fullDesired).GetDesired().Tasks[0].Assignments
	if len(assignments) != 1 || assignments[0].Container != "main" || assignments[0].ImageDigest != "sha256:1" || !slices.Equal(assignments[0].GpuIds, []string{"GPU-1"}) {
		t.Errorf("assignments %v", assignments)
	}
	binding := &agentv1.NetworkBinding{BindIp: "0.0.0.0", Protocol: "tcp", ContainerPortRange: "80-81", HostPortRange: "90-91"}
	state := &agentv1.TaskState{Arn: owner.TaskARN("c", "t1"), Status: "RUNNING", Containers: []*agentv1.ContainerState{
		{Name: "main", Status: "RUNNING", NetworkBindings: []*agentv1.NetworkBinding{binding}},
	}}
	if err := stream.Send(report(1, state)); err != nil {
		t.Fatal(err)
	}
	await(t, stream, func(m *agentv1.ControlMessage) bool { return acked(m) == 1 })
	task, _ := b.store.View().Task("c", "t1")
	got := task.Containers[0].NetworkBindings
	if len(got) != 1 || got[0].ContainerPortRange != "80-81" || got[0].HostPortRange != "90-91" || got[0].ContainerPort != nil || got[0].HostPort != nil {
		t.Errorf("bindings %+v", got)
	}
}

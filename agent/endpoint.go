package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/metadata"
	"github.com/longshore/longshore/agent/session"
)

// MetadataConfig is how tasks reach what they can ask of their host.
type MetadataConfig struct {
	// Address is IPv4 and link-local; the zero value is ECS's 169.254.170.2,
	// or the address of Docker's bridge where that can not be set up.
	Address netip.Addr
	RunDir  string // shared by the agents of a host; metadata.DefaultRunDir
	Roles   *metadata.Roles
}

// endpoint ties the metadata endpoint to the tasks. A nil endpoint is one that
// is switched off, or that this host can not have.
type endpoint struct {
	server *metadata.Server
	roles  *metadata.Roles
	config Config
}

// openEndpoint returns nil where the host can not have one and nobody insists.
func (a *Agent) openEndpoint(tasks *table) (*endpoint, error) {
	c := a.config.Metadata
	if c == nil {
		return nil, nil
	}
	server, err := metadata.Open(metadata.Config{
		DataDir: a.config.DataDir, Address: c.Address, RunDir: c.RunDir, Roles: c.Roles, Logger: a.log,
		Lookup: tasks.lookup,
		Stats: func(ctx context.Context, id string) ([]byte, error) {
			stats, err := a.config.Runtime.Stats(ctx, id)
			a.metrics.called("stats", err)
			return stats, err
		},
		ControlPlane: tasks.session,
	})
	if errors.Is(err, metadata.ErrNoAddress) && !c.Address.IsValid() {
		a.log.Warn("tasks get neither metadata nor credentials of roles: no address can be set up for them", "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the task metadata endpoint: %w", err)
	}
	return &endpoint{server: server, roles: c.Roles, config: a.config}, nil
}

// attributes are what placement can ask for.
func (e *endpoint) attributes() []string {
	if e == nil || !e.server.GivesRoles() {
		return nil
	}
	return []string{capability + "task-iam-role", capability + "task-iam-role-network-host"}
}

// check marks the tasks that are still to start and whose role nobody has mapped,
// so that they fail with a reason that names it. What has started goes on.
func (e *endpoint) check(d *session.Desired) {
	if e == nil {
		return
	}
	for i := range d.Tasks {
		t := &d.Tasks[i]
		role := taskRole(*t)
		status, err := lifecycle.ParseStatus(t.KnownStatus)
		if role == "" || t.Invalid != nil || t.Stop || err != nil || status != lifecycle.Pending {
			continue
		}
		if err := e.roles.Check(role); err != nil {
			t.Invalid = fmt.Errorf("unable to assume the role '%s' that was provided for this task: %w", role, err)
		}
	}
}

// equip adds what the containers of a task need to ask.
func (e *endpoint) equip(task *lifecycle.Task, want session.Task) {
	if e == nil {
		return
	}
	var names []string
	for i := range task.Units {
		if !task.Units[i].Internal { // which stands behind the others, and asks for nothing
			names = append(names, task.Units[i].Name)
		}
	}
	for i, env := range e.server.Equip(task.ARN, names, taskRole(want)) {
		task.Units[i].Spec.Env = withEnvironment(task.Units[i].Spec.Env, env)
	}
}

// withEnvironment replaces what the definition sets under the same names: ids are
// the agent's to give.
func withEnvironment(env []string, add map[string]string) []string {
	all := slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		_, replaced := add[name]
		return replaced
	})
	for _, name := range slices.Sorted(maps.Keys(add)) {
		all = append(all, name+"="+add[name])
	}
	return all
}

// taskRole returns the ARN of a task's role, "" if it has none. A short name is
// one in the task's account.
func taskRole(t session.Task) string {
	role := ""
	if t.Definition != nil {
		role = t.Definition.TaskRoleArn
	}
	if t.Overrides != nil && t.Overrides.TaskRoleArn != "" {
		role = t.Overrides.TaskRoleArn
	}
	if role == "" || strings.HasPrefix(role, "arn:") {
		return role
	}
	part := strings.SplitN(t.ARN, ":", 6) // arn:partition:ecs:region:account:…
	if len(part) < 6 {
		return role
	}
	return "arn:" + part[1] + ":iam::" + part[4] + ":role/" + role
}

// forget is told that nothing of a task is left.
func (e *endpoint) forget(task string) {
	if e != nil {
		e.server.Forget(task)
	}
}

// complete is told that all tasks of the host have been named.
func (e *endpoint) complete() {
	if e != nil {
		e.server.Complete()
	}
}

// repair is called when the engine has come back, which may have set up the
// host's rules anew.
func (e *endpoint) repair(ctx context.Context) {
	if e == nil {
		return
	}
	if err := e.server.Repair(ctx); err != nil {
		e.config.Logger.Error("the address of the task metadata endpoint can not be repaired", "error", err)
	}
}

// question is one of a container, about its task.
type question struct {
	unit   int // index of the container
	answer chan<- metadata.Task
}

// lookup returns how a task stands now. Its worker says so, whose alone the
// state is: nothing is copied for tasks that nobody asks about.
func (t *table) lookup(ctx context.Context, arn string, unit int) (metadata.Task, error) {
	t.mu.Lock()
	w := t.workers[arn]
	t.mu.Unlock()
	if w == nil || w.about == nil {
		return metadata.Task{}, metadata.ErrGone
	}
	answer := make(chan metadata.Task, 1)
	w.tell(func(in *inbox) { in.asked = append(in.asked, question{unit, answer}) })
	select {
	case task := <-answer:
		return task, nil
	case <-w.gone:
		return metadata.Task{}, metadata.ErrGone
	case <-ctx.Done():
		return metadata.Task{}, ctx.Err()
	}
}

// answer tells those who asked how the task stands. A container can ask before
// the engine has said that it is started: it waits for that, so that it is told
// of itself as it is.
func (w *worker) answer() {
	w.asked = slices.DeleteFunc(w.asked, func(q question) bool {
		if q.unit < len(w.state.Containers) && w.state.Containers[q.unit].Doing == lifecycle.Start {
			return false
		}
		state := w.state
		state.Containers = slices.Clone(state.Containers)
		q.answer <- metadata.Task{Spec: w.task, State: state, Facts: *w.about}
		return true
	})
}

// about keeps what the control plane said of a task.
func about(want session.Task, c Config) *metadata.Facts {
	return &metadata.Facts{
		Cluster: want.Cluster, Group: want.Group, LaunchType: want.LaunchType, AvailabilityZone: c.AvailabilityZone,
		Definition: want.Definition, Overrides: want.Overrides, ContainerARNs: want.ContainerARNs,
	}
}

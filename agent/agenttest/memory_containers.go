package agenttest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

// Exit codes that the engine, not the program, decides on.
const (
	killed        = 137
	neverStarted  = 128
	noSuchCommand = 127
)

// box is a container of Memory. Its fields are guarded by Memory.mu.
type box struct {
	spec    runtime.Spec
	program Program
	seen    runtime.Container // what Inspect shows; Labels and Ports are never written to
	held    []hostPort
	ended   chan struct{} // closed when it has ended; made by the first who waits
	check   *time.Timer   // of the first health check
}

type label struct{ name, value string }

// Create makes a container, or finds the one that is the same.
func (m *Memory) Create(ctx context.Context, spec runtime.Spec) (string, error) {
	if err := m.enter(ctx, "Create"); err != nil {
		return "", err
	}
	defer m.mu.Unlock()
	img, err := m.image(spec.Image)
	if err != nil {
		return "", err
	}
	if taken, ok := m.names[spec.Name]; ok {
		if taken.spec.Hash == spec.Hash {
			return taken.seen.ID, nil
		}
		return "", &refusal{kind: runtime.ErrConflict, text: fmt.Sprintf(
			"Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.",
			"/"+spec.Name, taken.seen.ID)}
	}
	for _, other := range references(spec) {
		if m.find(other) == nil {
			return "", notFound("No such container: %s", other)
		}
	}
	if err := m.checkSpec(spec); err != nil {
		return "", err
	}
	b := newBox(spec, img)
	m.containers[b.seen.ID], m.names[spec.Name] = b, b
	for name, value := range b.seen.Labels {
		key := label{name, value}
		if m.labelled[key] == nil {
			m.labelled[key] = make(map[*box]struct{})
		}
		m.labelled[key][b] = struct{}{}
	}
	m.mountVolumes(b)
	return b.seen.ID, nil
}

func newBox(spec runtime.Spec, img *image) *box {
	labels := make(map[string]string, len(spec.Labels)+1)
	maps.Copy(labels, spec.Labels)
	labels[runtime.LabelSpecHash] = spec.Hash
	spec.Labels = labels
	spec.Ports = slices.Clone(spec.Ports)
	spec.Mounts = slices.Clone(spec.Mounts)
	spec.Links = slices.Clone(spec.Links)
	return &box{
		spec:    spec,
		program: img.program,
		seen: runtime.Container{
			ID:        newID(),
			Name:      spec.Name,
			Image:     spec.Image,
			ImageID:   img.ID,
			Labels:    labels,
			CreatedAt: time.Now().UTC(),
		},
	}
}

func newID() string {
	var id [32]byte
	rand.Read(id[:]) // never fails, by its own promise
	return hex.EncodeToString(id[:])
}

const sharedPrefix = "container:"

// sharedNamespace is a namespace that a container has from another one.
type sharedNamespace struct{ kind, with string }

func sharedNamespaces(spec runtime.Spec) []sharedNamespace {
	var all []sharedNamespace
	for _, mode := range []sharedNamespace{{"network", spec.NetworkMode}, {"PID namespace", spec.PIDMode}, {"IPC namespace", spec.IPCMode}} {
		if other, ok := strings.CutPrefix(mode.with, sharedPrefix); ok {
			all = append(all, sharedNamespace{mode.kind, other})
		}
	}
	return all
}

// references are the containers, by name or id, that one cannot be without.
func references(spec runtime.Spec) []string {
	var all []string
	for _, shared := range sharedNamespaces(spec) {
		all = append(all, shared.with)
	}
	for _, link := range append(slices.Clone(spec.Links), spec.VolumesFrom...) {
		name, _, _ := strings.Cut(link, ":")
		all = append(all, name)
	}
	return all
}

func (m *Memory) find(nameOrID string) *box {
	if b, ok := m.containers[nameOrID]; ok {
		return b
	}
	return m.names[nameOrID]
}

// Start starts a container that was never started.
func (m *Memory) Start(ctx context.Context, id string) error {
	if err := m.enter(ctx, "Start"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	b, ok := m.containers[id]
	if !ok {
		return notFound("No such container: %s", id)
	}
	if b.seen.State != runtime.Created {
		return nil
	}
	return m.run(b)
}

// Restart starts a container once more whose run that began at the given time
// has ended.
func (m *Memory) Restart(ctx context.Context, id string, began time.Time) error {
	if err := m.enter(ctx, "Restart"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	b, ok := m.containers[id]
	if !ok {
		return notFound("No such container: %s", id)
	}
	if b.seen.State != runtime.Exited || b.seen.StartedAt.IsZero() || !b.seen.StartedAt.Equal(began) {
		return nil
	}
	b.ended = nil
	return m.run(b)
}

// run starts a container that does not run.
func (m *Memory) run(b *box) error {
	if err := m.prepare(b); err != nil {
		m.releasePorts(b)
		b.seen.State, b.seen.Error = runtime.Exited, err.Error()
		b.seen.ExitCode = neverStarted
		if b.program.StartError != "" {
			b.seen.ExitCode = noSuchCommand
		}
		return err
	}
	b.seen.State, b.seen.StartedAt = runtime.Running, time.Now().UTC()
	b.seen.FinishedAt, b.seen.ExitCode, b.seen.OOMKilled, b.seen.Error, b.seen.Health = time.Time{}, 0, false, "", ""
	m.notify(b)
	if b.program.ExitsAtOnce {
		m.end(b, b.program.ExitCode)
		return nil
	}
	m.beginHealthChecks(b)
	return nil
}

// prepare gives a container what it needs to run, or the reason why it cannot.
func (m *Memory) prepare(b *box) error {
	for _, shared := range sharedNamespaces(b.spec) {
		target := m.find(shared.with)
		if target == nil {
			return refuse("No such container: %s", shared.with)
		}
		if target.seen.State != runtime.Running {
			return refuse("cannot join %s of a non running container: %s", shared.kind, target.seen.ID)
		}
	}
	if name := b.spec.NetworkMode; isNamed(name) {
		if _, there := m.networks[name]; !there {
			return refuse("network %s not found", name)
		}
	}
	for _, link := range b.spec.Links {
		name, alias, _ := strings.Cut(link, ":")
		if target := m.find(name); target == nil || target.seen.State != runtime.Running {
			return refuse("Cannot link to a non running container: /%s AS /%s/%s", name, b.spec.Name, alias)
		}
	}
	if err := sysctlRefusal(b.spec); err != nil {
		return err
	}
	if b.program.StartError != "" {
		return refuse("%s", b.program.StartError)
	}
	if b.spec.NetworkDisabled || !hasAddress(b.spec.NetworkMode) {
		return nil
	}
	b.seen.IPAddress = m.allocateAddress()
	b.seen.MACAddress = macOf(b.seen.IPAddress)
	return m.allocatePorts(b)
}

// end is the one way in which a running container ends.
func (m *Memory) end(b *box, code int) {
	if b.check != nil {
		b.check.Stop()
	}
	m.releasePorts(b)
	b.seen.State, b.seen.ExitCode, b.seen.FinishedAt = runtime.Exited, code, time.Now().UTC()
	if b.ended != nil {
		close(b.ended)
	}
	m.notify(b)
}

// Stop sends the stop signal, waits up to grace, then kills. As with Docker, a
// stop goes on when nobody waits for it any more.
func (m *Memory) Stop(ctx context.Context, id string, grace time.Duration) error {
	if err := m.enter(ctx, "Stop"); err != nil {
		return err
	}
	b, ok := m.containers[id]
	if !ok || b.seen.State != runtime.Running {
		m.mu.Unlock()
		return nil
	}
	code, wait := b.program.StopExitCode, b.program.StopTakes
	if b.program.IgnoresStop || wait >= grace {
		code, wait = killed, grace
	}
	if wait <= 0 {
		m.end(b, code)
		m.mu.Unlock()
		return nil
	}
	if b.ended == nil {
		b.ended = make(chan struct{})
	}
	ended, outage := b.ended, m.outage
	m.mu.Unlock()

	timer := time.AfterFunc(wait, func() { m.endIfRunning(b, code) })
	select {
	case <-ended:
		timer.Stop()
		return nil
	case <-outage:
		return fmt.Errorf("Stop: %w", runtime.ErrUnavailable)
	case <-ctx.Done():
		return fmt.Errorf("Stop: %w", ctx.Err())
	}
}

func (m *Memory) endIfRunning(b *box, code int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b.seen.State != runtime.Running {
		return false
	}
	m.end(b, code)
	return true
}

// Exit makes a running container's program end by itself with the given code.
// It tells whether the container was running.
func (m *Memory) Exit(id string, code int) bool {
	m.mu.Lock()
	b, ok := m.containers[id]
	m.mu.Unlock()
	return ok && m.endIfRunning(b, code)
}

// KillForMemory makes the kernel kill a running container that is over its
// memory limit. It tells whether the container was running.
func (m *Memory) KillForMemory(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.containers[id]
	if !ok || b.seen.State != runtime.Running {
		return false
	}
	b.seen.OOMKilled = true
	m.end(b, killed)
	return true
}

// Remove deletes a container, running or not.
func (m *Memory) Remove(ctx context.Context, id string) error {
	if err := m.enter(ctx, "Remove"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	b, ok := m.containers[id]
	if !ok {
		return nil
	}
	if b.seen.State == runtime.Running {
		m.end(b, killed)
	}
	delete(m.containers, id)
	delete(m.names, b.seen.Name)
	for name, value := range b.seen.Labels {
		key := label{name, value}
		delete(m.labelled[key], b)
		if len(m.labelled[key]) == 0 {
			delete(m.labelled, key)
		}
	}
	m.unmountVolumes(b)
	m.notify(b)
	return nil
}

// Inspect returns what is true of a container now.
func (m *Memory) Inspect(ctx context.Context, id string) (runtime.Container, error) {
	if err := m.enter(ctx, "Inspect"); err != nil {
		return runtime.Container{}, err
	}
	defer m.mu.Unlock()
	b, ok := m.containers[id]
	if !ok {
		return runtime.Container{}, notFound("No such container: %s", id)
	}
	return b.snapshot(), nil
}

// List returns every container that carries all the given labels.
func (m *Memory) List(ctx context.Context, labels map[string]string) ([]runtime.Container, error) {
	if err := m.enter(ctx, "List"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var found []runtime.Container
	if len(labels) == 0 {
		for _, b := range m.containers {
			found = append(found, b.snapshot())
		}
		return found, nil
	}
	for b := range m.rarest(labels) {
		if carries(b.seen.Labels, labels) {
			found = append(found, b.snapshot())
		}
	}
	return found, nil
}

// rarest returns the smallest of the sets of containers that carry one of the labels.
func (m *Memory) rarest(labels map[string]string) map[*box]struct{} {
	var smallest map[*box]struct{}
	first := true
	for name, value := range labels {
		set := m.labelled[label{name, value}]
		if first || len(set) < len(smallest) {
			smallest, first = set, false
		}
	}
	return smallest
}

func carries(have, wanted map[string]string) bool {
	for name, value := range wanted {
		if got, ok := have[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// snapshot copies what a caller could write to.
func (b *box) snapshot() runtime.Container {
	c := b.seen
	c.Labels = maps.Clone(c.Labels)
	c.Ports = slices.Clone(c.Ports)
	return c
}

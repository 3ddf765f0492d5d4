// Package agenttest is for tests of what uses a container engine. It has
// Memory, an engine that exists only in memory, for speed and for faults that
// a real one does not produce on demand; Intercept, which puts a test between
// a caller and any engine; and RunConformance, the suite by which Memory and
// the Docker engine are held to the same contract, so that what is proved on
// one holds for the other. Nothing but tests may import it.
package agenttest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/distribution/reference"

	"github.com/longshore/longshore/agent/runtime"
)

// Program is what the containers of an image do. The zero Program runs until
// it gets the stop signal, and then ends at once with 0.
type Program struct {
	// StartError, if any, is the engine's reason why such a container cannot
	// be started. Its exit code is then ExitCode, or 127.
	StartError string
	// ExitsAtOnce: it ends with ExitCode as soon as it was started.
	ExitsAtOnce bool
	ExitCode    int

	// StopExitCode is what it ends with on the stop signal, after StopTakes.
	StopExitCode int
	StopTakes    time.Duration
	// IgnoresStop: it goes on until it is killed.
	IgnoresStop bool

	// Health is what the first health check finds, "healthy" or "unhealthy".
	// Empty: it stays "starting" until SetHealth.
	Health string
}

// Memory is a container engine in memory. It costs no goroutine per container,
// and works in a bubble of testing/synctest.
type Memory struct {
	info runtime.Info

	mu       sync.Mutex
	images   map[string]*image     // by familiar name and by id: what the engine has
	registry map[string]*published // by familiar name: what it could pull

	containers map[string]*box             // by id
	names      map[string]*box             // by name
	labelled   map[label]map[*box]struct{} // by each label
	volumes    map[string]*volume
	networks   map[string]runtime.Network // made by EnsureNetwork

	ports    map[hostPort]*box
	nextPort map[string]uint16 // by protocol
	nextAddr uint32

	watchers map[*watcher]struct{}
	calls    map[string]int
	outage   chan struct{} // closed while the engine is down
	down     bool
}

type image struct {
	runtime.Image
	name    string // it has no other
	created time.Time
	program Program
}

type published struct {
	program Program
	auth    *runtime.Auth // who may pull it; nil: anybody
}

var _ runtime.Runtime = (*Memory)(nil)

// NewMemory returns an engine without images on the given host. Parts of info
// that are zero are made up.
func NewMemory(info runtime.Info) *Memory {
	return &Memory{
		info:       completeInfo(info),
		images:     make(map[string]*image),
		registry:   make(map[string]*published),
		containers: make(map[string]*box),
		names:      make(map[string]*box),
		labelled:   make(map[label]map[*box]struct{}),
		volumes:    make(map[string]*volume),
		networks:   make(map[string]runtime.Network),
		ports:      make(map[hostPort]*box),
		nextPort:   make(map[string]uint16),
		watchers:   make(map[*watcher]struct{}),
		calls:      make(map[string]int),
		outage:     make(chan struct{}),
	}
}

func completeInfo(info runtime.Info) runtime.Info {
	if info.EngineVersion == "" {
		info.EngineVersion = "memory"
	}
	if info.APIVersion == "" {
		info.APIVersion = "1.41"
	}
	if info.CPUs == 0 {
		info.CPUs = 4
	}
	if info.MemoryBytes == 0 {
		info.MemoryBytes = 8 << 30
	}
	if info.OSType == "" {
		info.OSType = "linux"
	}
	if info.Architecture == "" {
		info.Architecture = "amd64"
	}
	if info.Hostname == "" {
		info.Hostname = "memory"
	}
	if info.CgroupVersion == "" {
		info.CgroupVersion = "2"
	}
	if info.CgroupDriver == "" {
		info.CgroupDriver = "cgroupfs"
	}
	if info.VolumeDrivers == nil {
		info.VolumeDrivers = []string{localDriver}
	}
	if info.LogDrivers == nil {
		info.LogDrivers = []string{"json-file", "local"}
	}
	return info
}

// AddImage puts an image into the engine's store. Its containers run program.
func (m *Memory) AddImage(ref string, program Program) {
	name := mustName(ref)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addImage(name, program, "")
}

// PublishImage puts an image into the registry, from where it can be pulled:
// by anybody, or with exactly the given credentials.
func (m *Memory) PublishImage(ref string, program Program, auth *runtime.Auth) {
	name := mustName(ref)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.registry[name] = &published{program: program, auth: auth}
}

func (m *Memory) addImage(name string, program Program, digest string) {
	id := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name)))
	made := &image{Image: runtime.Image{ID: id, Digest: digest}, name: name, created: time.Now(), program: program}
	m.images[name], m.images[id] = made, made
}

// Calls returns how often each method was called, by its name, successful or not.
func (m *Memory) Calls() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.calls)
}

// SetDown makes the engine unreachable, or reachable again. While it is down
// every call, those under way included, answers runtime.ErrUnavailable and
// every Watch ends with it. Containers go on; see KillRunning.
func (m *Memory) SetDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case down && !m.down:
		close(m.outage)
	case !down && m.down:
		m.outage = make(chan struct{})
	}
	m.down = down
}

// KillRunning ends every running container with exit code 137, as the crash of
// a host or of an engine does.
func (m *Memory) KillRunning() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.containers {
		if b.seen.State == runtime.Running {
			m.end(b, killed)
		}
	}
}

// Info describes the engine and its host.
func (m *Memory) Info(ctx context.Context) (runtime.Info, error) {
	if err := m.enter(ctx, "Info"); err != nil {
		return runtime.Info{}, err
	}
	defer m.mu.Unlock()
	return m.info, nil
}

// Image looks an image up, by name or id.
func (m *Memory) Image(ctx context.Context, ref string) (runtime.Image, error) {
	if err := m.enter(ctx, "Image"); err != nil {
		return runtime.Image{}, err
	}
	defer m.mu.Unlock()
	found, err := m.image(ref)
	if err != nil {
		return runtime.Image{}, err
	}
	return found.Image, nil
}

func (m *Memory) image(ref string) (*image, error) {
	if byID, ok := m.images[ref]; ok {
		return byID, nil
	}
	name, err := familiarName(ref)
	if err != nil {
		return nil, refuse("%v", err)
	}
	found, ok := m.images[name]
	if !ok {
		return nil, notFound("No such image: %s", name)
	}
	return found, nil
}

// Pull puts a published image into the engine's store.
func (m *Memory) Pull(ctx context.Context, ref string, auth *runtime.Auth, progress func(runtime.PullProgress)) error {
	if err := m.enter(ctx, "Pull"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	name, err := familiarName(ref)
	if err != nil {
		return refuse("%v", err)
	}
	found, ok := m.registry[name]
	if !ok || found.auth != nil && (auth == nil || *auth != *found.auth) {
		return notFound("pull access denied for %s, repository does not exist or may require 'docker login'", ref)
	}
	m.addImage(name, found.program, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("manifest of "+name))))
	if progress != nil {
		progress(runtime.PullProgress{Status: "Downloaded newer image for " + name})
	}
	return nil
}

// Import makes an image. Its containers run the zero Program.
func (m *Memory) Import(ctx context.Context, ref string, _ []byte, _ []string) error {
	if err := m.enter(ctx, "Import"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	name, err := familiarName(ref)
	if err != nil {
		return refuse("%v", err)
	}
	m.addImage(name, Program{}, "")
	return nil
}

// enter begins a call: it counts it, and returns with m.mu held unless the
// call cannot be made.
func (m *Memory) enter(ctx context.Context, method string) error {
	m.mu.Lock()
	m.calls[method]++
	err := ctx.Err()
	if err == nil && m.down {
		err = runtime.ErrUnavailable
	}
	if err != nil {
		m.mu.Unlock()
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// familiarName is how Docker writes a reference: with its tag, without the
// name of the default registry.
func familiarName(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", err
	}
	return reference.FamiliarString(reference.TagNameOnly(named)), nil
}

// mustName is for names that a test wrote down: a wrong one is a mistake in it.
func mustName(ref string) string {
	name, err := familiarName(ref)
	if err != nil {
		panic(fmt.Sprintf("agenttest: image %q: %v", ref, err))
	}
	return name
}

// refusal is the engine's answer to an operation that it did not do.
type refusal struct {
	text string
	kind error
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.kind }

func refuse(format string, args ...any) error {
	return &refusal{text: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &refusal{text: fmt.Sprintf(format, args...), kind: runtime.ErrNotFound}
}

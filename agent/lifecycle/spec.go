package lifecycle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/longshore/longshore/proto/ecs"

	"github.com/longshore/longshore/agent/runtime"
)

// minCPUShares is the least that the kernel takes; ECS gives it to containers
// that ask for 0 or 1 CPU units.
const minCPUShares = 2

const mebibyte = 1 << 20

// builder turns the containers of one definition into units.
type builder struct {
	Input
	index   map[string]int // of containers by name
	volumes map[string]volume
	mounted []Volume
	subnet  string // of a task in awsvpc mode
	network string // the engine's, of that subnet
	size    size
}

func (b *builder) prepare() error {
	d := b.Definition
	for i, c := range d.ContainerDefinitions {
		b.index[c.Name] = i
	}
	for i := range d.Volumes {
		v, err := b.volume(&d.Volumes[i])
		if err != nil {
			return fmt.Errorf("volume %q: %w", d.Volumes[i].Name, err)
		}
		b.volumes[d.Volumes[i].Name] = v
	}
	if err := b.prepareNetwork(); err != nil {
		return err
	}
	return b.prepareSize()
}

func (b *builder) labels() map[string]string {
	return map[string]string{
		LabelCluster:  b.Cluster,
		LabelTask:     b.ARN,
		LabelFamily:   b.Definition.Family,
		LabelRevision: strconv.Itoa(int(b.Definition.Revision)),
		LabelInstance: b.Instance,
	}
}

func (b *builder) containerName(name string) string {
	return engineName(b.ARN, b.Definition.Family, b.Definition.Revision, "container", name)
}

func (b *builder) unit(c *ecs.ContainerDefinition) (Unit, error) {
	u := Unit{
		Name:          c.Name,
		Essential:     c.Essential == nil || *c.Essential,
		StopTimeout:   b.StopTimeout,
		HealthChecked: c.HealthCheck != nil,
		Restart:       restartPolicy(c.RestartPolicy),
		Spec:          b.plainSpec(c),
	}
	if c.StopTimeout != nil {
		u.StopTimeout = time.Duration(*c.StopTimeout) * time.Second
	}
	if c.StartTimeout != nil {
		u.StartTimeout = time.Duration(*c.StartTimeout) * time.Second
	}
	override := b.override(c.Name)
	b.resources(&u.Spec, c, override)
	process(&u.Spec, c, override)
	u.names(c, override)
	b.assigned(&u.Spec, c)
	b.log(&u.Spec, c)
	for _, step := range []func(*Unit, *ecs.ContainerDefinition) error{b.mounts, b.ports, b.order} {
		if err := step(&u, c); err != nil {
			return Unit{}, err
		}
	}
	hash, err := hashOf(c, override)
	if err != nil {
		return Unit{}, err
	}
	u.Spec.Hash = hash
	return u, nil
}

// hashOf identifies a container's definition with its overrides. It is not
// taken from the finished Spec, so that an agent of another version recognises
// the containers of this one.
func hashOf(c *ecs.ContainerDefinition, override *ecs.ContainerOverride) (string, error) {
	text, err := json.Marshal([]any{c, override})
	if err != nil {
		return "", fmt.Errorf("hash the definition: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}

func (b *builder) override(container string) *ecs.ContainerOverride {
	if b.Overrides == nil {
		return nil
	}
	for i := range b.Overrides.ContainerOverrides {
		if o := &b.Overrides.ContainerOverrides[i]; o.Name == container {
			return o
		}
	}
	return nil
}

// plainSpec copies the members that mean the same to ECS and to an engine.
func (b *builder) plainSpec(c *ecs.ContainerDefinition) runtime.Spec {
	s := runtime.Spec{
		Name:            b.containerName(c.Name),
		Image:           c.Image,
		Labels:          maps.Clone(c.DockerLabels),
		EntryPoint:      c.EntryPoint,
		User:            c.User,
		WorkingDir:      c.WorkingDirectory,
		Hostname:        c.Hostname,
		DNSServers:      c.DnsServers,
		DNSSearch:       c.DnsSearchDomains,
		Privileged:      is(c.Privileged),
		ReadonlyRootFS:  is(c.ReadonlyRootFilesystem),
		SecurityOptions: c.DockerSecurityOptions,
		OpenStdin:       is(c.Interactive),
		TTY:             is(c.PseudoTerminal),
		HealthCheck:     healthCheck(c.HealthCheck),
	}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	maps.Copy(s.Labels, b.labels())
	s.Labels[LabelContainer] = c.Name
	for _, h := range c.ExtraHosts {
		s.ExtraHosts = append(s.ExtraHosts, h.Hostname+":"+h.IpAddress)
	}
	linux(&s, c.LinuxParameters)
	s.NetworkDisabled = is(c.DisableNetworking)
	s.Sysctls = sysctls(c.SystemControls)
	for _, u := range c.Ulimits {
		s.Ulimits = append(s.Ulimits, runtime.Ulimit{Name: string(u.Name), Soft: int64(u.SoftLimit), Hard: int64(u.HardLimit)})
	}
	return s
}

func healthCheck(h *ecs.HealthCheck) *runtime.HealthCheck {
	if h == nil {
		return nil
	}
	seconds := func(n *int32) time.Duration { return time.Duration(value(n)) * time.Second }
	return &runtime.HealthCheck{
		Test:        h.Command,
		Interval:    seconds(h.Interval),
		Timeout:     seconds(h.Timeout),
		StartPeriod: seconds(h.StartPeriod),
		Retries:     int(value(h.Retries)),
	}
}

// resources sets CPU and memory of the container alone; the task's as a whole are
// those of its group.
func (b *builder) resources(s *runtime.Spec, c *ecs.ContainerDefinition, o *ecs.ContainerOverride) {
	cpu, memory, reservation := int64(c.Cpu), value(c.Memory), value(c.MemoryReservation)
	if o != nil {
		cpu = override(cpu, o.Cpu)
		memory = override(memory, o.Memory)
		reservation = override(reservation, o.MemoryReservation)
	}
	s.CPUShares = max(cpu, minCPUShares)
	s.MemoryBytes = memory * mebibyte
	s.MemoryReservation = reservation * mebibyte
	swap(s, c.LinuxParameters)
}

// process sets what is run: the command and environment, overridden.
func process(s *runtime.Spec, c *ecs.ContainerDefinition, o *ecs.ContainerOverride) {
	s.Command = c.Command
	var environment []ecs.KeyValuePair
	environment = append(environment, c.Environment...)
	if o != nil {
		if len(o.Command) > 0 {
			s.Command = o.Command
		}
		environment = append(environment, o.Environment...)
	}
	at := make(map[string]int, len(environment)) // the last of a name counts
	for _, kv := range environment {
		entry := kv.Name + "="
		if kv.Value != nil {
			entry += *kv.Value
		}
		if i, ok := at[kv.Name]; ok {
			s.Env[i] = entry
			continue
		}
		at[kv.Name] = len(s.Env)
		s.Env = append(s.Env, entry)
	}
}

func (b *builder) mounts(u *Unit, c *ecs.ContainerDefinition) error {
	for _, m := range c.MountPoints {
		v, ok := b.volumes[m.SourceVolume]
		if !ok {
			return fmt.Errorf("mount point names the volume %q, which the definition does not have", m.SourceVolume)
		}
		u.Spec.Mounts = append(u.Spec.Mounts, runtime.Mount{Source: v.source, Target: m.ContainerPath, ReadOnly: is(m.ReadOnly)})
		if v.made != nil {
			u.NeedsSetup = true
			b.mount(*v.made)
		}
	}
	return nil
}

// order collects what must come first: dependsOn as it says; the targets of links and
// volumesFrom must exist when the container is created, and be started before it.
func (b *builder) order(u *Unit, c *ecs.ContainerDefinition) error {
	sibling := func(name string) (int, error) {
		i, ok := b.index[name]
		if !ok {
			return 0, fmt.Errorf("it refers to the container %q, which the definition does not have", name)
		}
		return i, nil
	}
	need := func(name string) error {
		i, err := sibling(name)
		if err != nil {
			return err
		}
		u.Needs = append(u.Needs, i)
		u.After = append(u.After, Dependency{Unit: i, Condition: ecs.ContainerConditionSTART})
		return nil
	}
	for _, link := range c.Links {
		name, alias, found := strings.Cut(link, ":")
		if !found {
			alias = name
		}
		if err := need(name); err != nil {
			return err
		}
		u.Spec.Links = append(u.Spec.Links, b.containerName(name)+":"+alias)
	}
	for _, v := range c.VolumesFrom {
		if err := need(v.SourceContainer); err != nil {
			return err
		}
		from := b.containerName(v.SourceContainer)
		if is(v.ReadOnly) {
			from += ":ro"
		}
		u.Spec.VolumesFrom = append(u.Spec.VolumesFrom, from)
	}
	for _, d := range c.DependsOn {
		i, err := sibling(d.ContainerName)
		if err != nil {
			return err
		}
		if !d.Condition.Known() {
			return errors.New("a dependency has the unknown condition " + string(d.Condition))
		}
		u.After = append(u.After, Dependency{Unit: i, Condition: d.Condition})
	}
	return nil
}

func is(b *bool) bool { return b != nil && *b }

func isPort(n int64) bool { return 0 <= n && n <= 65535 }

func value(n *int32) int64 {
	if n == nil {
		return 0
	}
	return int64(*n)
}

func override(n int64, by *int32) int64 {
	if by == nil {
		return n
	}
	return int64(*by)
}

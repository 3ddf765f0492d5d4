package docker

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/agent/runtime"
)

// inspectsAtOnce bounds how many containers List looks at side by side.
const inspectsAtOnce = 8

// Inspect returns what is true of a container now.
func (r *Runtime) Inspect(ctx context.Context, id string) (runtime.Container, error) {
	engine := r.client()
	found, err := engine.ContainerInspect(ctx, id)
	if err != nil {
		err = r.fail(ctx, engine, "inspect container "+id, err)
		if errors.Is(err, runtime.ErrNotFound) {
			r.fresh.Delete(id)
		}
		return runtime.Container{}, err
	}
	return observed(found), nil
}

// List returns every container, in any state, that carries all the given
// labels. Docker's own list comes from a snapshot without exit codes and
// errors, so each container is inspected; those that go away meanwhile are
// left out.
func (r *Runtime) List(ctx context.Context, labels map[string]string) ([]runtime.Container, error) {
	engine := r.client()
	summaries, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: labelFilter(labels)})
	if err != nil {
		return nil, r.fail(ctx, engine, "list containers", err)
	}
	found := make([]runtime.Container, len(summaries))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(inspectsAtOnce)
	for i, summary := range summaries {
		group.Go(func() error {
			one, err := r.Inspect(groupCtx, summary.ID)
			if errors.Is(err, runtime.ErrNotFound) {
				return nil
			}
			found[i] = one
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(c runtime.Container) bool { return c.ID == "" }), nil
}

// observed turns Docker's description of a container into the contract's.
func observed(found container.InspectResponse) runtime.Container {
	c := runtime.Container{
		ID:        found.ID,
		Name:      strings.TrimPrefix(found.Name, "/"),
		Image:     found.Config.Image,
		ImageID:   found.Image,
		Labels:    found.Config.Labels,
		State:     observedState(found.State),
		Error:     strings.TrimSpace(found.State.Error),
		CreatedAt: observedTime(found.Created),
		StartedAt: observedTime(found.State.StartedAt),
		Health:    observedHealth(found.State.Health),
	}
	if own := ownNetwork(found); own != nil {
		c.IPAddress, c.MACAddress = own.IPAddress, own.MacAddress
		c.PrefixLength, c.Gateway = own.IPPrefixLen, own.Gateway
	}
	if found.NetworkSettings != nil {
		c.Ports = observedPorts(found.NetworkSettings.Ports)
	}
	if c.State == runtime.Exited {
		c.ExitCode = found.State.ExitCode
		c.OOMKilled = found.State.OOMKilled
		c.FinishedAt = observedTime(found.State.FinishedAt)
		if c.FinishedAt.Before(c.StartedAt) {
			// Docker notes the start of a program a little late, and one that
			// ends at once may have ended by then.
			c.FinishedAt = c.StartedAt
		}
	}
	return c
}

// observedState follows Docker's own fields rather than its one word for them:
// after a start that failed that word is still "created", although Docker
// would never get further, and a start must not be tried twice.
func observedState(s *container.State) runtime.State {
	switch {
	case s.Running:
		return runtime.Running
	case s.Error != "", s.Dead, !observedTime(s.StartedAt).IsZero():
		return runtime.Exited
	}
	return runtime.Created
}

// observedTime reads a time as Docker writes it; the year 1 is its "not yet".
func observedTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}

func observedHealth(h *container.Health) string {
	if h == nil || h.Status == container.NoHealthcheck {
		return ""
	}
	return h.Status
}

// ownNetwork is the network that the container was created in, or else the
// first by name that gave it an address; nil if it has no address of its own.
func ownNetwork(found container.InspectResponse) *network.EndpointSettings {
	if found.NetworkSettings == nil {
		return nil
	}
	networks := found.NetworkSettings.Networks
	if found.HostConfig != nil {
		if own := networks[found.HostConfig.NetworkMode.NetworkName()]; own != nil && own.IPAddress != "" {
			return own
		}
	}
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		if networks[name].IPAddress != "" {
			return networks[name]
		}
	}
	return nil
}

// observedPorts flattens Docker's map into one binding per published port.
// Docker shows a port that is open on every address twice, for IPv4 and for
// IPv6; the second says nothing new and is left out.
func observedPorts(published nat.PortMap) []runtime.PortBinding {
	var bindings []runtime.PortBinding
	for port, hosts := range published {
		hasIPv4 := slices.ContainsFunc(hosts, func(b nat.PortBinding) bool { return !isIPv6(b.HostIP) })
		for _, host := range hosts {
			number, err := strconv.ParseUint(host.HostPort, 10, 16)
			if err != nil || hasIPv4 && isIPv6(host.HostIP) {
				continue
			}
			bindings = append(bindings, runtime.PortBinding{
				BindIP:        host.HostIP,
				ContainerPort: uint16(port.Int()),
				HostPort:      uint16(number),
				Protocol:      port.Proto(),
			})
		}
	}
	slices.SortFunc(bindings, func(a, b runtime.PortBinding) int {
		return cmp.Or(
			cmp.Compare(a.ContainerPort, b.ContainerPort),
			cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.HostPort, b.HostPort),
			cmp.Compare(a.BindIP, b.BindIP),
		)
	})
	return bindings
}

func isIPv6(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.Is6()
}

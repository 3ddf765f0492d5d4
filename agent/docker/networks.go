package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/longshore/longshore/agent/runtime"
)

// Network looks a network up by its name. Docker would also take the beginning
// of an id for one.
func (r *Runtime) Network(ctx context.Context, name string) (runtime.Network, error) {
	engine := r.client()
	named, err := r.networksNamed(ctx, engine, name)
	if err != nil {
		return runtime.Network{}, err
	}
	if len(named) == 0 {
		return runtime.Network{}, &refusal{text: fmt.Sprintf("network %s not found", name), kind: runtime.ErrNotFound}
	}
	return runtime.Network{Name: name, Driver: named[0].Driver, Labels: named[0].Labels}, nil
}

// networksNamed lists the networks of exactly that name, the oldest first.
// Docker allows several, and its own filter finds parts of names, too.
func (r *Runtime) networksNamed(ctx context.Context, engine *client.Client, name string) ([]network.Summary, error) {
	all, err := engine.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", name))})
	if err != nil {
		return nil, r.fail(ctx, engine, "look up network "+name, err)
	}
	all = slices.DeleteFunc(all, func(n network.Summary) bool { return n.Name != name })
	slices.SortFunc(all, func(a, b network.Summary) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// EnsureNetwork makes a bridge network unless there is one of that name. Docker
// looks for one before it makes one, but not in one step: of two that were made
// at once, whoever made the younger one removes it again.
func (r *Runtime) EnsureNetwork(ctx context.Context, wanted runtime.Network) error {
	doing := "create network " + wanted.Name
	if _, err := r.Network(ctx, wanted.Name); !errors.Is(err, runtime.ErrNotFound) {
		return err
	}
	engine := r.client()
	options := network.CreateOptions{Driver: network.NetworkBridge, Labels: wanted.Labels}
	if wanted.Subnet != "" {
		options.IPAM = &network.IPAM{Config: []network.IPAMConfig{{Subnet: wanted.Subnet}}}
	}
	made, err := engine.NetworkCreate(ctx, wanted.Name, options)
	if err != nil {
		if _, other := r.Network(ctx, wanted.Name); other == nil {
			return nil // somebody else was faster
		}
		return r.fail(ctx, engine, doing, err)
	}
	named, err := r.networksNamed(ctx, engine, wanted.Name)
	if err != nil || len(named) < 2 || named[0].ID == made.ID {
		return err
	}
	return r.fail(ctx, engine, "remove a second network "+wanted.Name, engine.NetworkRemove(ctx, made.ID))
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/longshore/longshore/agent/cgroup"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/pauseimage"
	"github.com/longshore/longshore/agent/runtime"
)

// offer is what the host offers to tasks besides containers. It is found out at
// each registration: what cannot be had is not registered, so that no task that
// needs it comes here.
type offer struct {
	lifecycle.Host
	groups       cgroup.Groups // nil: tasks can have no group of their own
	pauses       bool          // there is a pause program for the host
	architecture string
	logDrivers   []string // of the engine
}

// defaultNetwork is the engine's network that the default subnet stands for, unless
// the operator names another. All agents of an engine share it.
const (
	defaultNetwork = "longshore-default"
	labelNetwork   = "longshore.network"
)

// Names of what is asked of a host by attributes of Longshore's own.
const (
	attributeSubnet     = "longshore.subnet."
	attributeFileSystem = "longshore.efs."
	attributeAnySubnet  = "longshore.any-subnet"
	attributeFargate    = "longshore.fargate"
)

// look finds out what the host offers. Only an engine that is out of reach is an
// error: it has to be asked again.
func (a *Agent) look(ctx context.Context, info runtime.Info) (offer, error) {
	o := offer{
		Host: lifecycle.Host{
			PauseImage: pauseimage.Ref, Networks: map[string]string{}, AnySubnet: a.config.AnySubnet, FileSystems: a.config.FileSystems,
		},
		architecture: info.Architecture, logDrivers: info.LogDrivers,
	}
	if _, err := pauseimage.Layer(info.Architecture); err != nil {
		a.log.Warn("tasks can not share namespaces here", "error", err)
	} else {
		o.pauses = true
		if err := a.lookForNetworks(ctx, o.Networks); err != nil {
			return offer{}, err
		}
	}
	if a.config.CgroupRoot == "" {
		return o, nil
	}
	groups, err := cgroup.Open(cgroup.Config{
		Root: a.config.CgroupRoot, Units: cgroup.DefaultUnits, Version: info.CgroupVersion, Driver: info.CgroupDriver,
	})
	if err != nil {
		a.log.Warn("tasks with a cpu or memory of their own can not run here", "error", err)
		return o, nil
	}
	o.groups, o.GroupParent = groups, groups.Parent
	return o, nil
}

// lookForNetworks makes the default network, and adds the networks that there are.
func (a *Agent) lookForNetworks(ctx context.Context, found map[string]string) error {
	networks := maps.Clone(a.config.Subnets)
	if networks == nil {
		networks = map[string]string{}
	}
	if _, given := networks[lifecycle.DefaultSubnet]; !given {
		err := a.config.Runtime.EnsureNetwork(ctx, runtime.Network{
			Name: defaultNetwork, Subnet: a.config.DefaultSubnetRange, Labels: map[string]string{labelNetwork: lifecycle.DefaultSubnet},
		})
		a.metrics.called("ensure_network", err)
		switch {
		case unreachable(ctx, err):
			return fmt.Errorf("make the default network: %w", err)
		case err != nil:
			a.log.Warn("the default subnet can not be offered", "network", defaultNetwork, "error", err)
		default:
			found[lifecycle.DefaultSubnet] = defaultNetwork
		}
	}
	for _, subnet := range slices.Sorted(maps.Keys(networks)) {
		_, err := a.config.Runtime.Network(ctx, networks[subnet])
		a.metrics.called("network", err)
		switch {
		case unreachable(ctx, err):
			return fmt.Errorf("look for the network of %s: %w", subnet, err)
		case err != nil:
			a.log.Warn("a subnet can not be offered", "subnet", subnet, "network", networks[subnet], "error", err)
		default:
			found[subnet] = networks[subnet]
		}
	}
	return nil
}

func unreachable(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, runtime.ErrUnavailable))
}

// attributes are what placement can ask for of it.
func (o *offer) attributes(fargate bool) map[string]string {
	all := map[string]string{}
	if o.pauses {
		all["ecs.capability.pid-ipc-namespace-sharing"] = ""
	}
	if _, offered := o.Networks[lifecycle.DefaultSubnet]; offered && o.AnySubnet {
		all[attributeAnySubnet] = ""
	}
	for subnet := range o.Networks {
		all["ecs.capability.task-eni"] = ""
		all[attributeSubnet+subnet] = ""
	}
	if o.groups != nil {
		all["ecs.capability.task-cpu-mem-limit"] = ""
	}
	if fargate && o.groups != nil && len(o.Networks) > 0 {
		all[attributeFargate] = ""
	}
	for id := range o.FileSystems {
		all["ecs.capability.efs"] = ""
		all[attributeFileSystem+id] = ""
	}
	return all
}

// groupsOf lists the groups that earlier lives of this agent have made.
func (a *Agent) groupsOf(groups cgroup.Groups, instances []string) []string {
	if groups == nil {
		return nil
	}
	var all []string
	for _, instance := range instances {
		names, err := groups.List(lifecycle.GroupOwner(instance))
		if err != nil {
			a.log.Warn("control groups of earlier tasks may be left", "instance", instance, "error", err)
		}
		all = append(all, names...)
	}
	return all
}

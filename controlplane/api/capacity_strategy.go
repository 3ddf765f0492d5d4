package api

import (
	"slices"

	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

const (
	maxStrategyItems     = 20
	maxClusterProviders  = 20
	maxWeight, maxBase   = 1000, 100000
	reasonNoSuchProvider = "The specified capacity provider %s was not found. Specify a valid capacity provider and try again."
)

// capacity is where new tasks come from: a launch type or, in its place, a
// capacity provider strategy.
type capacity struct {
	launchType ecs.LaunchType
	strategy   []ecs.CapacityProviderStrategyItem
}

// launchTypeOfTasks is the launch type that the tasks themselves have.
func (c capacity) launchTypeOfTasks() ecs.LaunchType {
	if len(c.strategy) > 0 {
		return launch.LaunchTypeOf(c.strategy)
	}
	return c.launchType
}

// checkCapacity refuses to be told both.
func checkCapacity(strategy []ecs.CapacityProviderStrategyItem, l ecs.LaunchType) error {
	if len(strategy) > 0 && l != "" {
		return invalid("Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.")
	}
	return nil
}

// capacityOf is where the tasks of a request come from: what it says and, if it
// says nothing, the cluster's default strategy, and else the hosts at large.
func (h *Handler) capacityOf(c *model.Cluster, asked ecs.LaunchType, strategy []ecs.CapacityProviderStrategyItem, d *ecs.TaskDefinition) (capacity, error) {
	if asked == "" && len(strategy) == 0 {
		strategy = c.DefaultStrategy
	}
	if len(strategy) == 0 {
		l, err := checkLaunchType(asked, d)
		return capacity{launchType: l}, err
	}
	strategy, err := h.strategyFor(c.CapacityProviders, strategy)
	if err != nil {
		return capacity{}, err
	}
	if err := usable(strategy); err != nil {
		return capacity{}, err
	}
	_, err = checkLaunchType(launch.LaunchTypeOf(strategy), d)
	return capacity{strategy: strategy}, err
}

// strategyFor checks a strategy for a cluster with the given providers, and
// returns it with their short names.
func (h *Handler) strategyFor(associated []model.ProviderName, in []ecs.CapacityProviderStrategyItem) ([]ecs.CapacityProviderStrategyItem, error) {
	if len(in) > maxStrategyItems {
		return nil, invalid("A capacity provider strategy has at most %d capacity providers, not %d.", maxStrategyItems, len(in))
	}
	var out []ecs.CapacityProviderStrategyItem
	seen := map[model.ProviderName]bool{}
	bases, reserved := 0, 0
	for _, item := range in {
		name, err := h.providerName(item.CapacityProvider)
		switch {
		case err != nil:
			return nil, err
		case seen[name]:
			return nil, invalid("The capacity provider %s is in the capacity provider strategy twice.", name)
		case !slices.Contains(associated, name):
			return nil, invalid("The capacity provider %s is not associated with the cluster. Associate it and try again.", name)
		case item.Weight < 0 || item.Weight > maxWeight:
			return nil, invalid("The weight of the capacity provider %s must be between 0 and %d, not %d.", name, maxWeight, item.Weight)
		case item.Base < 0 || item.Base > maxBase:
			return nil, invalid("The base of the capacity provider %s must be between 0 and %d, not %d.", name, maxBase, item.Base)
		}
		seen[name] = true
		if item.Base > 0 {
			bases++
		}
		if name.Reserved() {
			reserved++
		}
		item.CapacityProvider = string(name)
		out = append(out, item)
	}
	switch {
	case bases > 1:
		return nil, invalid("Only one capacity provider in a capacity provider strategy can have a base defined.")
	case reserved > 0 && reserved < len(in):
		return nil, invalid("The provided capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and Fargate providers. Specify one or the other and try again.")
	}
	return out, nil
}

// usable refuses strategies that a cluster may have but nothing can be run with.
func usable(strategy []ecs.CapacityProviderStrategyItem) error {
	weighed := func(i ecs.CapacityProviderStrategyItem) bool { return i.Weight > 0 }
	if len(strategy) > 1 && !slices.ContainsFunc(strategy, weighed) {
		return invalid("At least one of the capacity providers of a capacity provider strategy must have a weight above 0.")
	}
	return nil
}

// associable checks the capacity providers that a cluster is to have, and returns
// their short names.
func (h *Handler) associable(t *store.Tables, c model.ClusterName, in []string) ([]model.ProviderName, error) {
	if len(in) > maxClusterProviders {
		return nil, invalid("A cluster has at most %d capacity providers, not %d.", maxClusterProviders, len(in))
	}
	var out []model.ProviderName
	for _, s := range in {
		name, err := h.providerName(s)
		if err != nil {
			return nil, err
		}
		p, ok := t.CapacityProvider(name)
		switch {
		case !ok || p.Status != ecs.CapacityProviderStatusACTIVE:
			return nil, invalid(reasonNoSuchProvider, name)
		case slices.Contains(out, name):
			return nil, invalid("The capacity provider %s is given twice.", name)
		}
		if !name.Reserved() {
			for other := range t.ClustersOfProvider(name) {
				if other != c {
					return nil, invalid("The capacity provider %s is already associated with the cluster %s.", name, other)
				}
			}
		}
		out = append(out, name)
	}
	return out, nil
}

// providerOf is the capacity provider of a cluster that an instance belongs to;
// empty for none.
func providerOf(t *store.Tables, i *model.Instance) model.ProviderName {
	p, ok := t.ProviderOfPool(i.Pool())
	if !ok {
		return ""
	}
	if c, ok := t.Cluster(i.Cluster); !ok || !slices.Contains(c.CapacityProviders, p.Name) {
		return ""
	}
	return p.Name
}

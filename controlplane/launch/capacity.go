package launch

import (
	"math/rand/v2"
	"slices"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/placement"
	"github.com/longshore/longshore/proto/ecs"
)

// Split says of each of count new tasks which capacity provider takes it. have
// is how many tasks of the same kind each provider has already; it is not changed.
//
// Bases are filled first, in the order of the strategy. Each further task goes
// where, in proportion to the weights, it is most lacking, and of equals to the
// first of the strategy. So it makes no difference whether tasks come at once or
// one by one, and a number of tasks that the weights divide is divided exactly. A
// strategy of one provider gives it everything, whatever its weight
// (CapacityProviderStrategyItem, seed 000). A strategy that can take no more tasks
// makes the answer shorter than count.
func Split(strategy []ecs.CapacityProviderStrategyItem, count int, have map[string]int) []string {
	if len(strategy) == 1 {
		strategy = []ecs.CapacityProviderStrategyItem{{CapacityProvider: strategy[0].CapacityProvider, Weight: 1}}
	}
	taken := make([]int64, len(strategy))
	for i, item := range strategy {
		taken[i] = int64(have[item.CapacityProvider])
	}
	var out []string
	for range count {
		i := next(strategy, taken)
		if i < 0 {
			break
		}
		taken[i]++
		out = append(out, strategy[i].CapacityProvider)
	}
	return out
}

// next is the number of the item that takes the next task; -1 if none does.
func next(strategy []ecs.CapacityProviderStrategyItem, taken []int64) int {
	best, bestShare := -1, int64(0) // the tasks that it would have beyond its base
	for i, item := range strategy {
		share := taken[i] + 1 - int64(item.Base)
		if share <= 0 {
			return i
		}
		if item.Weight <= 0 {
			continue
		}
		// share/weight < bestShare/bestWeight, without fractions
		if best < 0 || share*int64(strategy[best].Weight) < bestShare*int64(item.Weight) {
			best, bestShare = i, share
		}
	}
	return best
}

// Portion is as many tasks of an order as one capacity provider takes.
type Portion struct {
	*Order
	Count int
}

// Portions divides count tasks of the order among the capacity providers of its
// strategy; have is as for Split, pool finds the pool of hosts of a provider. An
// order without a strategy is one portion.
func (o *Order) Portions(count int, have map[string]int, pool func(model.ProviderName) string) []Portion {
	if len(o.CapacityStrategy) == 0 {
		return []Portion{{o, count}}
	}
	counts := map[string]int{}
	for _, name := range Split(o.CapacityStrategy, count, have) {
		counts[name]++
	}
	var out []Portion
	for _, item := range o.CapacityStrategy {
		if n := counts[item.CapacityProvider]; n > 0 {
			part := *o
			part.CapacityProvider = model.ProviderName(item.CapacityProvider)
			part.pool = pool(part.CapacityProvider)
			out = append(out, Portion{&part, n})
		}
	}
	return out
}

// Place finds instances for the tasks of the portion. What it says of tasks that
// did not fit is about the instances of the portion's capacity provider alone:
// NoInstances, then, is that the provider has none.
func (p Portion) Place(fleet *placement.Fleet, source *rand.Rand) placement.Result {
	return p.PlaceOn(fleet, nil, source)
}

// PlaceOn is Place with one task on each of the given instances, unless they are nil.
func (p Portion) PlaceOn(fleet *placement.Fleet, instances []model.InstanceID, source *rand.Rand) placement.Result {
	request := p.Request(p.Count, source)
	for _, id := range instances {
		request.Candidates = append(request.Candidates, string(id))
		request.DistinctInstance = true
	}
	result := placement.Place(fleet, request)
	if len(result.Assignments) == p.Count || p.anywhere() {
		return result
	}
	result.Failures = slices.DeleteFunc(result.Failures, func(f placement.Failure) bool {
		view, ok := fleet.Instance(f.InstanceID)
		return !ok || !p.Concerns(view)
	})
	result.Closest = placement.Closest(result.Failures)
	result.NoInstances = len(result.Assignments) == 0 && len(result.Failures) == 0
	return result
}

// anywhere tells whether the tasks of the portion may be on any instance of the cluster,
// whatever its pool.
func (p Portion) anywhere() bool { return p.CapacityProvider == "" || p.CapacityProvider.Reserved() }

// Concerns tells whether an instance is one of those that the portion's capacity provider
// has; with none, all are.
func (p Portion) Concerns(v placement.View) bool {
	pool, _ := v.Attribute(model.PoolAttribute)
	return p.anywhere() || p.pool != "" && pool == p.pool
}

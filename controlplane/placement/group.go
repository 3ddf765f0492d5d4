package placement

import (
	"math/bits"
	"slices"
	"sync/atomic"
)

// group is how many tasks of a group each slot has, as binary digits: the set at j has
// the slots whose number has the digit of worth 2^j. So a task that comes or goes
// changes two sets on average, sums over a set of slots and the slots with the fewest
// tasks take one step per digit, and even a group with a hundred tasks on an instance
// has but seven. No set above the highest digit in use is kept.
type group struct {
	owner  mark
	digits []*bitset
	// leaving are the slots that have tasks of which none is to go on.
	leaving *bitset
	// censuses are what was counted so far, each kept up to date by whoever changes the
	// group. Readers of a shared fleet add to them.
	censuses atomic.Pointer[[]*census]
}

// census is how many tasks of a group the instances with each value of an attribute
// have. Instances that are draining or inactive do not count.
type census struct {
	owner     mark
	version   mark // of the hosts that it holds for
	attribute string
	values    []valueSlots // in order
	tasks     []int        // by value, and of the instances without the attribute at the end
}

// mostCensuses bounds those of a group; a chain of strategies has at most five.
const mostCensuses = 5

// writable is the group itself if the owner made it, else a copy of the owner's.
func (g *group) writable(owner mark) *group {
	switch {
	case g == nil:
		return &group{owner: owner}
	case g.owner == owner:
		return g
	}
	c := &group{owner: owner, leaving: g.leaving, digits: append(make([]*bitset, 0, len(g.digits)+1), g.digits...)}
	c.censuses.Store(g.censuses.Load())
	return c
}

// change makes the number of tasks of a slot another.
func (g *group) change(h *hosts, slot int, in *Instance, from, to groupCount) {
	if to.tasks > 0 && to.staying() == 0 {
		g.leaving = g.leaving.with(g.owner, slot)
	} else {
		g.leaving = g.leaving.without(g.owner, slot)
	}
	if from.tasks == to.tasks {
		return
	}
	g.changeDigits(slot, int(from.tasks), int(to.tasks))
	if has(h.active, slot) {
		g.recount(h, in, int(to.tasks-from.tasks))
	}
}

func (g *group) changeDigits(slot, from, to int) {
	for j := range bits.Len(uint(from | to)) {
		if j == len(g.digits) {
			g.digits = append(g.digits, nil)
		}
		switch was, is := from>>j&1, to>>j&1; {
		case was < is:
			g.digits[j] = g.digits[j].with(g.owner, slot)
		case was > is:
			g.digits[j] = g.digits[j].without(g.owner, slot)
		}
	}
	for n := len(g.digits); n > 0 && g.digits[n-1] == nil; n-- {
		g.digits = g.digits[:n-1]
	}
}

// recount adds to the number of tasks on an instance in what was counted.
func (g *group) recount(h *hosts, in *Instance, tasks int) {
	counted := g.censuses.Load()
	if counted == nil {
		return
	}
	shared := true // the list, for all that is known
	for i, c := range *counted {
		if c.version != h.version {
			g.censuses.Store(nil)
			return
		}
		if c.owner != g.owner {
			own := *c
			own.owner, own.tasks = g.owner, slices.Clone(c.tasks)
			if shared {
				list := slices.Clone(*counted)
				counted, shared = &list, false
				g.censuses.Store(counted)
			}
			c = &own
			(*counted)[i] = c
		}
		c.tasks[c.of(in)] += tasks
	}
}

// of is the position of an instance's value.
func (c *census) of(in *Instance) int {
	value, ok := in.Attributes[c.attribute]
	if !ok {
		return len(c.values)
	}
	i, _ := slices.BinarySearchFunc(c.values, value, func(v valueSlots, value string) int {
		switch {
		case v.value < value:
			return -1
		case v.value > value:
			return 1
		}
		return 0
	})
	return i
}

// censusOf counts the tasks of a group, which may be nil, by an attribute. What has few
// values is counted once and then kept up to date.
func (f *Fleet) censusOf(g *group, attribute string) *census {
	var counted []*census
	if g != nil {
		if known := g.censuses.Load(); known != nil {
			counted = *known
		}
	}
	for _, c := range counted {
		if c.attribute == attribute && c.version == f.hosts.version {
			return c
		}
	}
	c := f.count(g, attribute)
	if g == nil || len(c.values) > fewValues {
		return c
	}
	list := make([]*census, 0, mostCensuses)
	for _, other := range counted {
		if other.version == f.hosts.version && len(list) < mostCensuses-1 {
			list = append(list, other)
		}
	}
	list = append(list, c)
	g.censuses.Store(&list)
	return c
}

func (f *Fleet) count(g *group, attribute string) *census {
	h := f.hosts
	c := &census{version: h.version, attribute: attribute, values: h.valuesOf(attribute)}
	c.tasks = make([]int, len(c.values)+1)
	if g == nil {
		return c
	}
	for j, digit := range g.digits {
		rest := digit.count(h.active) << j
		for i, v := range c.values {
			tasks := digit.countShared(v.slots, h.active) << j
			c.tasks[i] += tasks
			rest -= tasks
		}
		c.tasks[len(c.values)] += rest
	}
	return c
}

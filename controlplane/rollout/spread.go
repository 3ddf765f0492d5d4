package rollout

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"

	"github.com/longshore/longshore/controlplane/model"
)

// spread is how the live tasks of a service are spread over zones and instances.
type spread struct {
	zones     map[string]int
	instances map[model.InstanceID]int
}

func countSpread(members []*member) spread {
	s := spread{zones: map[string]int{}, instances: map[model.InstanceID]int{}}
	for _, m := range members {
		if m.live() {
			s.zones[m.zone]++
			s.instances[m.task.Instance]++
		}
	}
	return s
}

func (s spread) remove(m *member) {
	if m.live() {
		s.zones[m.zone]--
		s.instances[m.task.Instance]--
	}
}

// byRank sorts the candidates into groups, the lowest rank first.
func byRank(candidates []*member, rank func(*member) int) [][]*member {
	groups := map[int][]*member{}
	var ranks []int
	for _, m := range candidates {
		r := rank(m)
		if groups[r] == nil {
			ranks = append(ranks, r)
		}
		groups[r] = append(groups[r], m)
	}
	slices.Sort(ranks)
	sorted := make([][]*member, len(ranks))
	for i, r := range ranks {
		sorted[i] = groups[r]
	}
	return sorted
}

// order says in which order to take tasks away so that what stays is spread
// evenly: each time from the zone with the most tasks of the service, there from
// the instance with the most, and there the newest.
func (s spread) order(candidates []*member) iter.Seq[*member] {
	return func(yield func(*member) bool) {
		zones := s.stacks(candidates)
		for len(zones) > 0 {
			z := zones[0]
			i := z.inner[0]
			m := i.members[0]
			i.members = i.members[1:]
			i.tasks--
			z.tasks--
			z.inner.settle(len(i.members) == 0)
			zones.settle(len(z.inner) == 0)
			if !yield(m) {
				return
			}
		}
	}
}

// stacks arranges candidates by zone, instance and age.
func (s spread) stacks(candidates []*member) stackHeap {
	sorted := slices.Clone(candidates)
	slices.SortFunc(sorted, func(a, b *member) int {
		return cmp.Or(b.task.CreatedAt.Compare(a.task.CreatedAt), cmp.Compare(a.task.ID, b.task.ID))
	})
	type place struct {
		zone     string
		instance model.InstanceID
	}
	var zones stackHeap
	byZone, byPlace := map[string]*stack{}, map[place]*stack{}
	for _, m := range sorted {
		z := byZone[m.zone]
		if z == nil {
			z = &stack{name: m.zone, tasks: s.zones[m.zone]}
			byZone[m.zone] = z
			zones = append(zones, z)
		}
		at := place{m.zone, m.task.Instance}
		i := byPlace[at]
		if i == nil {
			i = &stack{name: string(at.instance), tasks: s.instances[at.instance]}
			byPlace[at] = i
			z.inner = append(z.inner, i)
		}
		i.members = append(i.members, m)
	}
	for _, z := range zones {
		heap.Init(&z.inner)
	}
	heap.Init(&zones)
	return zones
}

// stack is a zone with its instances, or an instance with its candidates.
type stack struct {
	name    string
	tasks   int // of the service, candidates or not
	inner   stackHeap
	members []*member
}

// stackHeap is a heap of stacks, the fullest first.
type stackHeap []*stack

// settle puts the first stack, which has lost a task, where it now belongs, or
// drops it if it has no candidates left.
func (h *stackHeap) settle(empty bool) {
	if empty {
		heap.Pop(h)
	} else {
		heap.Fix(h, 0)
	}
}

func (h stackHeap) Len() int      { return len(h) }
func (h stackHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h stackHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[j].tasks, h[i].tasks), cmp.Compare(h[i].name, h[j].name)) < 0
}
func (h *stackHeap) Push(x any) { *h = append(*h, x.(*stack)) }
func (h *stackHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

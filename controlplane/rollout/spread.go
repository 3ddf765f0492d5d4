package rollout

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"
)

// spread is how the live tasks of a service are spread over zones and instances. It is
// counted when it is first asked for; the number of an instance is kept with its host.
type spread struct {
	members []*member
	counted bool
	zones   map[string]int
}

func newSpread(members []*member) *spread { return &spread{members: members} }

func (s *spread) count() {
	if s.counted {
		return
	}
	s.counted, s.zones = true, map[string]int{}
	for _, m := range s.members {
		m.host.tasks = 0
	}
	for _, m := range s.members {
		if m.live() {
			s.zones[m.zone]++
			m.host.tasks++
		}
	}
}

// remove takes away a task that is about to be not live any more.
func (s *spread) remove(m *member) {
	if s.counted && m.live() {
		s.zones[m.zone]--
		m.host.tasks--
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
func (s *spread) order(candidates []*member) iter.Seq[*member] {
	return func(yield func(*member) bool) {
		s.count()
		zones := s.stacks(candidates)
		for len(zones) > 0 {
			z := zones[0]
			i := z.inner[0]
			m := i.newest()
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

// stacks arranges candidates by zone and instance.
func (s *spread) stacks(candidates []*member) stackHeap {
	var zones stackHeap
	byZone := map[string]*stack{}
	var hosts []*host
	for _, m := range candidates {
		i := m.host.stack
		if i == nil {
			z := byZone[m.zone]
			if z == nil {
				z = &stack{name: m.zone, tasks: s.zones[m.zone]}
				byZone[m.zone] = z
				zones = append(zones, z)
			}
			i = &stack{name: string(m.host.id), tasks: m.host.tasks}
			m.host.stack = i
			hosts = append(hosts, m.host)
			z.inner = append(z.inner, i)
		}
		i.members = append(i.members, m)
	}
	for _, h := range hosts {
		h.stack = nil
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
	sorted  bool // the members, the newest first
}

// newest takes the newest member off the stack of an instance.
func (s *stack) newest() *member {
	if !s.sorted {
		s.sorted = true
		slices.SortFunc(s.members, func(a, b *member) int {
			return cmp.Or(b.task.CreatedAt.Compare(a.task.CreatedAt), compareMembers(a, b))
		})
	}
	m := s.members[0]
	s.members = s.members[1:]
	return m
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

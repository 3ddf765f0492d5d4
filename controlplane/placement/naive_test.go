package placement

import (
	"maps"
	"slices"
	"strings"
)

// naive is a fleet as a list of instances and tasks, which works everything out anew
// each time it is asked: what Fleet and Place are compared with.
type naive struct {
	instances map[string]Instance
	tasks     map[string][]Use
}

func newNaive() *naive {
	return &naive{instances: map[string]Instance{}, tasks: map[string][]Use{}}
}

func (m *naive) clone() *naive {
	c := newNaive()
	maps.Copy(c.instances, m.instances)
	for id, tasks := range m.tasks {
		c.tasks[id] = slices.Clone(tasks)
	}
	return c
}

func (m *naive) fleet() *Fleet {
	f := NewFleet()
	for _, id := range m.ids() {
		f.PutInstance(m.instances[id])
		for _, u := range m.tasks[id] {
			f.AddTask(id, u)
		}
	}
	return f
}

func (m *naive) ids() []string { return slices.Sorted(maps.Keys(m.instances)) }

func (m *naive) put(in Instance) { m.instances[in.ID] = in }

func (m *naive) remove(id string) {
	delete(m.instances, id)
	delete(m.tasks, id)
}

func (m *naive) add(id string, u Use) { m.tasks[id] = append(m.tasks[id], u) }

func (m *naive) free(id string) (cpus, mem int64) {
	cpus, mem = m.instances[id].CPU, m.instances[id].MemoryMiB
	for _, u := range m.tasks[id] {
		cpus, mem = cpus-u.CPU, mem-u.MemoryMiB
	}
	return cpus, mem
}

// staying is the number of tasks of a group that are to go on.
func (m *naive) staying(id, group string) int {
	n := 0
	for _, u := range m.tasks[id] {
		if u.Group == group && !u.Stopping {
			n++
		}
	}
	return n
}

func (m *naive) groupTasks(id, group string) int64 {
	var n int64
	for _, u := range m.tasks[id] {
		if u.Group == group {
			n++
		}
	}
	return n
}

func (m *naive) freeGPUs(id string) []string {
	var free []string
	for _, gpu := range m.instances[id].GPUs {
		if !slices.ContainsFunc(m.tasks[id], func(u Use) bool { return slices.Contains(u.GPUs, gpu) }) {
			free = append(free, gpu)
		}
	}
	return free
}

func (m *naive) portTaken(id string, port uint16, isUDP bool) bool {
	in := m.instances[id]
	taken := in.ReservedTCP
	if isUDP {
		taken = in.ReservedUDP
	}
	if slices.Contains(taken, port) {
		return true
	}
	for _, u := range m.tasks[id] {
		if isUDP && slices.Contains(u.UDP, port) || !isUDP && slices.Contains(u.TCP, port) {
			return true
		}
	}
	return false
}

// memberOf are the expressions that requests of property tests choose from, and what they
// mean on the naive fleet.
var memberOf = map[string]func(m *naive, id string) bool{
	"attribute:rack exists":  func(m *naive, id string) bool { return m.has(id, "rack") },
	"attribute:rack !exists": func(m *naive, id string) bool { return !m.has(id, "rack") },
	"attribute:zone == a":    func(m *naive, id string) bool { return m.value(id, "zone") == "a" },
	"attribute:zone != b":    func(m *naive, id string) bool { return m.value(id, "zone") != "b" },
	"attribute:zone =~ [ab] && attribute:rack in [1, 2, 3]": func(m *naive, id string) bool {
		return strings.Contains("ab", m.value(id, "zone")) && m.has(id, "zone") && strings.Contains("123", m.value(id, "rack")) && m.value(id, "rack") != ""
	},
	"attribute:rack > 2 or task:group == g1": func(m *naive, id string) bool {
		return m.value(id, "rack") > "2" || m.groupTasks(id, "g1") > 0
	},
	"not (attribute:zone == a or attribute:rack == 3) and task:group !~ 'g[01]'": func(m *naive, id string) bool {
		return m.value(id, "zone") != "a" && m.value(id, "rack") != "3" && m.groupTasks(id, "g0")+m.groupTasks(id, "g1") == 0
	},
	"ec2InstanceId =~ .*[02468]": func(m *naive, id string) bool { return (id[len(id)-1]-'0')%2 == 0 },
	"runningTasksCount < 3":      func(m *naive, id string) bool { return len(m.tasks[id]) < 3 },
	"task:group != g0":           func(m *naive, id string) bool { return m.groupTasks(id, "g0") == 0 },
}

func (m *naive) has(id, attribute string) bool {
	_, ok := m.instances[id].Attributes[attribute]
	return ok
}

func (m *naive) value(id, attribute string) string { return m.instances[id].Attributes[attribute] }

// reason is the first check that the instance fails, or "".
func (m *naive) reason(id string, r *Request) Reason {
	in, ok := m.instances[id]
	cpus, mem := m.free(id)
	hasAll := !slices.ContainsFunc(r.RequiredAttributes, func(a Attribute) bool {
		v, ok := in.Attributes[a.Name]
		return !ok || !a.AnyValue && v != a.Value
	})
	matchesAll := !slices.ContainsFunc(r.MemberOf, func(p Predicate) bool { return !memberOf[p.Text](m, id) })
	ports := slices.ContainsFunc(r.TCP, func(p uint16) bool { return m.portTaken(id, p, false) }) ||
		slices.ContainsFunc(r.UDP, func(p uint16) bool { return m.portTaken(id, p, true) })
	switch {
	case !ok || r.Candidates != nil && !slices.Contains(r.Candidates, id):
		return ReasonMissing
	case in.Status != Active:
		return ReasonInactive
	case !in.Connected:
		return ReasonAgent
	case !hasAll:
		return ReasonAttribute
	case !matchesAll:
		return ReasonMemberOf
	case r.DistinctInstance && m.staying(id, r.Group) > 0:
		return ReasonDistinctInstance
	case cpus < r.CPU:
		return ReasonCPU
	case mem < r.MemoryMiB:
		return ReasonMemory
	case ports:
		return ReasonPorts
	case len(m.freeGPUs(id)) < r.GPUCount:
		return ReasonGPU
	}
	return ""
}

// fitting lists the instances that pass every check.
func (m *naive) fitting(r *Request) []string {
	var fit []string
	for _, id := range m.ids() {
		if m.reason(id, r) == "" {
			fit = append(fit, id)
		}
	}
	return fit
}

// score is what the chain of strategies wants as small as possible, first things first.
func (m *naive) score(id string, r *Request) []int64 { return m.scores(r)(id) }

func (m *naive) scores(r *Request) func(id string) []int64 {
	tallies := map[Strategy]map[string]int64{}
	for _, s := range r.Strategies {
		if s.kind == spreadAttribute {
			tallies[s] = m.tally(s.attribute, r.Group)
		}
	}
	return func(id string) []int64 {
		var score []int64
		cpus, mem := m.free(id)
		for _, s := range r.Strategies {
			switch s {
			case Random():
				return score
			case BinpackCPU():
				score = append(score, cpus)
			case BinpackMemory():
				score = append(score, mem)
			case SpreadInstances():
				score = append(score, m.groupTasks(id, r.Group))
			default:
				score = append(score, tallies[s][m.labelled(id, s.attribute)])
			}
		}
		return score
	}
}

// tally counts the group's tasks on active instances with each value of the attribute, and
// on those without it.
func (m *naive) tally(attribute, group string) map[string]int64 {
	tasks := map[string]int64{}
	for id, in := range m.instances {
		if in.Status == Active {
			tasks[m.labelled(id, attribute)] += m.groupTasks(id, group)
		}
	}
	return tasks
}

// labelled is the value of an instance's attribute, told from the lack of one.
func (m *naive) labelled(id, attribute string) string {
	if value, ok := m.instances[id].Attributes[attribute]; ok {
		return "=" + value
	}
	return ""
}

// best is the least score of any fitting instance.
func (m *naive) best(r *Request) []int64 {
	var best []int64
	score := m.scores(r)
	for i, id := range m.fitting(r) {
		if s := score(id); i == 0 || slices.Compare(s, best) < 0 {
			best = s
		}
	}
	return best
}

package rollout

import (
	"cmp"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

// A service whose tasks are not spread evenly over zones is mended in rounds, if it
// asks for that (availabilityZoneRebalancing; ECS guide, balancing a service across
// Availability Zones): while the service is steady, tasks are started in the zones that
// have too few, as far as maximumPercent allows; when those serve, as many are stopped in
// the zones that have too many. Service.Rebalancing tells a plan in between that what is
// beyond the desired count is no mistake; anything that changes the service ends it.

// Move asks for tasks of the PRIMARY deployment in one zone, where there are too few.
type Move struct {
	Zone  string
	Count int
}

// rebalances tells whether the service is to be kept even over zones.
func (p *planner) rebalances() bool {
	return p.svc.AvailabilityZoneRebalancing == ecs.AvailabilityZoneRebalancingENABLED && p.Zones != nil &&
		!p.daemon() && !p.closing() && !p.frozen()
}

// zoneCount is how many tasks a zone has and is to have.
type zoneCount struct {
	zone    string
	tasks   int
	target  int
	movable int // that could be stopped in favour of another zone
}

// excess is how many tasks the zone has too many, below zero if it has too few.
func (z zoneCount) excess() int { return z.tasks - z.target }

// balance counts the tasks that are worth keeping in the zones that could take one, in
// order of zone, and how many each is to have when surplus of them are gone. Zones that
// have more keep more, so that as few as possible must move.
func (p *planner) balance(surplus int) []zoneCount {
	zones := make([]zoneCount, 0, 4)
	for _, zone := range p.Zones() {
		zones = append(zones, zoneCount{zone: zone})
	}
	total := -surplus
	for _, m := range p.members {
		i := slices.IndexFunc(zones, func(z zoneCount) bool { return z.zone == m.zone })
		if i < 0 || !m.live() || m.unwanted {
			continue
		}
		zones[i].tasks++
		total++
		if m.standing == healthy && !m.shielded {
			zones[i].movable++
		}
	}
	byTasks := make([]*zoneCount, len(zones))
	for i := range zones {
		byTasks[i] = &zones[i]
	}
	slices.SortStableFunc(byTasks, func(a, b *zoneCount) int { return cmp.Compare(b.tasks, a.tasks) })
	for i, z := range byTasks {
		z.target = max(0, total) / len(zones)
		if i < max(0, total)%len(zones) {
			z.target++
		}
	}
	return zones
}

// stopMoved stops, in the zones that have too many tasks, as many as now serve beyond the
// desired count. It gives up, and returns false, if none of those can be stopped: then
// what is too many is an ordinary surplus.
func (p *planner) stopMoved() bool {
	c := p.census()
	surplus := c.wanted - p.limits.desired
	if surplus <= 0 {
		return true
	}
	over := map[string]bool{}
	for _, z := range p.balance(surplus) {
		over[z.zone] = z.excess() > 0 && z.movable > 0
	}
	var candidates []*member
	for _, m := range p.members {
		if over[m.zone] && m.standing == healthy && !m.unwanted {
			candidates = append(candidates, m)
		}
	}
	if len(candidates) == 0 {
		p.svc.Rebalancing = false
		return false
	}
	before := len(p.order)
	p.stopSome(candidates, min(surplus, c.serving-p.limits.desired), false, func(*member) int { return 0 })
	p.reportMoved(p.order[before:])
	return true
}

// reportMoved writes the events of tasks that were stopped in favour of other zones.
func (p *planner) reportMoved(tasks []*model.Task) {
	byZone := map[string][]model.TaskID{}
	for _, t := range tasks {
		p.moved[t.ID] = true
		zone := p.roster.hosts[t.Instance].zone
		byZone[zone] = append(byZone[zone], t.ID)
	}
	for _, zone := range sortedKeys(byZone) {
		p.event(hasStoppedInZone(p.svc.Name, zone, byZone[zone]))
	}
}

// rebalance starts tasks in the zones that have too few, if the service is steady but for
// that.
func (p *planner) rebalance() {
	if !p.rebalances() {
		return
	}
	c := p.census()
	steady := c.occupied == p.limits.desired && c.serving == p.limits.desired && !p.cut && p.stops == 0 && p.begin.Count == 0
	completed := p.svc.Primary().RolloutState == ecs.DeploymentRolloutStateCOMPLETED
	if !steady || !completed {
		return
	}
	if p.Now.Before(p.svc.PauseUntil) {
		p.wakeAt(p.svc.PauseUntil)
		return
	}
	zones := p.balance(0)
	even, movable := true, 0
	for _, z := range zones {
		even = even && z.excess() <= 0
		movable += min(max(0, z.excess()), z.movable)
	}
	room := min(movable, p.limits.most-c.occupied, p.left)
	if even || room <= 0 {
		if even && p.svc.Rebalancing && len(zones) > 0 {
			p.event(zonesBalanced(p.svc.Name, zones))
		}
		p.svc.Rebalancing = false
		return
	}
	if !p.svc.Rebalancing {
		p.svc.Rebalancing = true
		p.event(zonesUnbalanced(p.svc.Name, zones))
	}
	slices.SortStableFunc(zones, func(a, b zoneCount) int { return cmp.Compare(a.tasks, b.tasks) })
	for _, z := range zones {
		if n := min(-z.excess(), room); n > 0 {
			room -= n
			p.left -= n
			p.moves = append(p.moves, Move{z.zone, n})
		}
	}
}

// MoveResult is what became of a Move.
type MoveResult struct {
	Zone    string
	Started []model.TaskID
	Miss    *Miss // why the next one found no place, if there are fewer than asked for
}

// PlacedMoves is Placed for a plan's Moves.
func PlacedMoves(s *model.Service, results []MoveResult) (*model.Service, []string) {
	var events, missed []string
	for _, r := range results {
		if len(r.Started) > 0 {
			events = append(events, hasStartedInZone(s.Name, r.Zone, r.Started))
		}
		if r.Miss != nil {
			missed = append(missed, unplacedInZone(s, r.Zone, *r.Miss))
		}
	}
	last := strings.Join(missed, "\n")
	if last == s.LastPlacement {
		return s, events
	}
	next := *s
	next.LastPlacement = last
	return &next, append(events, missed...)
}

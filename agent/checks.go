package agent

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/longshore/longshore/agent/healthcheck"
	agentv1 "github.com/longshore/longshore/proto/agent/v1"
)

// targetKey names one of a task's places in target groups.
type targetKey struct {
	group, container string
	port             uint32
}

// checks are the checks of one worker's task that are under way.
type checks struct {
	wanted  []*agentv1.TargetCheck // as they are to be; of the worker's own
	running map[targetKey]running
	health  map[targetKey]*agentv1.TargetState // what they have found
}

type running struct {
	check healthcheck.Check
	stop  context.CancelFunc
}

func keyOf(c *agentv1.TargetCheck) targetKey {
	return targetKey{c.GetGroup(), c.GetContainer(), c.GetContainerPort()}
}

// follow starts the checks that are wanted and ends the others. found is told what
// they find, from goroutines that group waits for.
func (s *checks) follow(ctx context.Context, group *sync.WaitGroup, found func(targetKey, *agentv1.TargetState)) {
	if s.running == nil {
		s.running, s.health = map[targetKey]running{}, map[targetKey]*agentv1.TargetState{}
	}
	keep := map[targetKey]bool{}
	for _, c := range s.wanted {
		key, check := keyOf(c), checkOf(c)
		keep[key] = true
		if old, ok := s.running[key]; ok {
			if old.check == check {
				continue
			}
			old.stop()
		}
		known := healthcheck.Health(c.GetHealth())
		if h := s.health[key]; h != nil {
			known = healthcheck.Health(h.Health)
		}
		ctx, stop := context.WithCancel(ctx)
		s.running[key] = running{check, stop}
		group.Go(func() {
			healthcheck.Run(ctx, check, known, func(v healthcheck.Verdict) {
				found(key, &agentv1.TargetState{
					Group: key.group, Container: key.container, ContainerPort: key.port,
					Health: string(v.Health), Reason: v.Failure.Reason, Description: v.Failure.Description,
				})
			})
		})
	}
	for key, r := range s.running {
		if !keep[key] {
			r.stop()
			delete(s.running, key)
			delete(s.health, key)
		}
	}
}

// take keeps what a check has found, unless it has ended since.
func (s *checks) take(key targetKey, state *agentv1.TargetState) {
	if _, ok := s.running[key]; ok {
		s.health[key] = state
	}
}

// states are what is known of the targets, in the order of their names.
func (s *checks) states() []*agentv1.TargetState {
	keys := slices.SortedFunc(maps.Keys(s.health), func(a, b targetKey) int {
		if c := strings.Compare(a.group+" "+a.container, b.group+" "+b.container); c != 0 {
			return c
		}
		return int(a.port) - int(b.port)
	})
	out := make([]*agentv1.TargetState, 0, len(keys))
	for _, key := range keys {
		out = append(out, s.health[key])
	}
	return out
}

func checkOf(c *agentv1.TargetCheck) healthcheck.Check {
	return healthcheck.Check{
		Address: c.GetAddress(), Port: uint16(c.GetPort()), Protocol: c.GetProtocol(), TLS: c.GetTls(), Path: c.GetPath(), Matcher: c.GetMatcher(),
		Interval:     max(time.Duration(c.GetIntervalMs())*time.Millisecond, time.Second),
		Timeout:      max(time.Duration(c.GetTimeoutMs())*time.Millisecond, time.Second),
		HealthyAfter: int(max(1, c.GetHealthyAfter())), UnhealthyAfter: int(max(1, c.GetUnhealthyAfter())),
	}
}

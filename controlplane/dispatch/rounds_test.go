package dispatch

import (
	"context"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// speaker is who has turns: it says how often it was marked, which takes it a while.
type speaker struct {
	rounds *rounds
	turn   *turn
	takes  time.Duration

	mu     sync.Mutex
	marks  int
	spoken []spoken
}

// spoken is what was said in one turn.
type spoken struct {
	at    time.Time
	marks int
}

func newSpeaker(r *rounds, takes time.Duration) *speaker {
	s := &speaker{rounds: r, turn: newTurn(), takes: takes}
	<-s.turn.granted
	r.done(s.turn) // with the turn that it begins with
	return s
}

func (s *speaker) mark() {
	s.mu.Lock()
	s.marks++
	s.mu.Unlock()
	s.rounds.want(s.turn, false)
}

func (s *speaker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.turn.granted:
		}
		s.mu.Lock()
		s.spoken = append(s.spoken, spoken{time.Now(), s.marks})
		s.marks = 0
		s.mu.Unlock()
		time.Sleep(s.takes)
		s.rounds.done(s.turn)
	}
}

// heard is what was said so far.
func (s *speaker) heard() []spoken {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spoken
}

// inBubble runs a test with rounds and speakers each of which takes so long for a turn.
func inBubble(t *testing.T, takes []time.Duration, test func(r *rounds, all []*speaker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rounds{busy: func() bool { return true }}
		ctx, cancel := context.WithCancel(context.Background())
		var group sync.WaitGroup
		var all []*speaker
		for _, d := range takes {
			s := newSpeaker(r, d)
			all = append(all, s)
			group.Go(func() { s.run(ctx) })
		}
		test(r, all)
		cancel()
		r.close()
		group.Wait()
	})
}

func same(n int, d time.Duration) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = d
	}
	return out
}

func TestRounds_WhoComesAtAQuietTimeSpeaksAtOnce(t *testing.T) {
	inBubble(t, same(2, 10*time.Millisecond), func(_ *rounds, all []*speaker) {
		for _, s := range all {
			began := time.Now()
			s.mark()
			if got := s.heard(); len(got) != 1 || !got[0].at.Equal(began) {
				t.Fatalf("said %v, want something at %v", got, began)
			}
			time.Sleep((1 + busyRest) * 10 * time.Millisecond) // the turn and its rest
		}
	})
}

func TestRounds_NobodySpeaksInAPause(t *testing.T) {
	inBubble(t, same(2, 10*time.Millisecond), func(r *rounds, all []*speaker) {
		began := time.Now()
		all[0].mark() // its turn goes on
		synctest.Wait()
		r.pause(true)
		all[0].mark()
		all[1].mark()
		time.Sleep(3 * time.Second)
		if got := all[1].heard(); len(got) > 0 || len(all[0].heard()) != 1 {
			t.Errorf("said %v in the pause", got)
		}
		r.pause(false)
		for i, s := range all {
			got := s.heard()
			if len(got) == 0 || got[len(got)-1].at.Sub(began) != 3*time.Second {
				t.Errorf("speaker %d said %v, want its last at the end of the pause", i, got)
			}
		}
	})
}

func TestRounds_WhatComesInARestIsSaidTogetherAfterIt(t *testing.T) {
	inBubble(t, same(2, 10*time.Millisecond), func(_ *rounds, all []*speaker) {
		began := time.Now()
		all[0].mark()
		synctest.Wait()
		for range 9 { // from the middle of the turn until the middle of the rest
			time.Sleep(3 * time.Millisecond)
			all[0].mark()
			all[1].mark()
		}
		time.Sleep(time.Second)
		for i, want := range [][]int{{1, 9}, {9}} {
			got := all[i].heard()
			if len(got) != len(want) {
				t.Fatalf("speaker %d said %v, want %v", i, got, want)
			}
			for j := range want {
				if got[j].marks != want[j] {
					t.Errorf("speaker %d said %v, want %v", i, got, want)
				}
			}
			if at := got[len(got)-1].at.Sub(began); at != (1+busyRest)*10*time.Millisecond {
				t.Errorf("speaker %d had its last turn after %v, want that of a turn and a rest", i, at)
			}
		}
	})
}

func TestRounds_RestLessWhileNoRequestsAreUnderWay(t *testing.T) {
	const takes = 10 * time.Millisecond
	inBubble(t, same(1+abreast, takes), func(r *rounds, all []*speaker) {
		r.busy = func() bool { return false }
		began := time.Now()
		for _, s := range all { // the first speaks, and the others gather
			s.mark()
		}
		time.Sleep(time.Second)
		for i, s := range all[1:] {
			if got := s.heard(); len(got) != 1 || got[0].at.Sub(began) != (1+quietRest)*takes {
				t.Errorf("speaker %d said %v, want something %v after %v", i+1, got, (1+quietRest)*takes, began)
			}
		}
	})
}

func TestRounds_AreOfAFewEachWhoHaveWaitedLongest(t *testing.T) {
	const takes, many = 75 * time.Millisecond / (1 + busyRest), 30 // rounds
	inBubble(t, same(1+many*abreast, takes), func(_ *rounds, all []*speaker) {
		all[0].mark() // while it speaks, and rests, the others gather
		synctest.Wait()
		for _, s := range all[1:] {
			s.mark()
		}
		time.Sleep(time.Minute)
		began := all[0].heard()[0].at
		for i, s := range all[1:] {
			want := time.Duration(1+i/abreast) * (1 + busyRest) * takes
			if want > maxRest {
				break // there is no time for more rests
			}
			if got := s.heard(); len(got) != 1 || got[0].at.Sub(began) != want {
				t.Fatalf("speaker %d, %v after: said %v, want something after %v", i, began, got, want)
			}
		}
	})
}

func TestRounds_NobodyWaitsForLongBecauseOfRests(t *testing.T) {
	const takes = 205 * time.Millisecond / (1 + busyRest)
	inBubble(t, same(1+5*abreast, takes), func(_ *rounds, all []*speaker) {
		began := time.Now()
		for _, s := range all {
			s.mark()
		}
		time.Sleep(time.Minute)
		const each = takes + busyRest*takes // the last round does not wait for all of that
		want := map[time.Duration]int{0: 1, each: abreast, 2 * each: abreast, 3 * each: abreast, 4 * each: abreast, maxRest: abreast}
		at := map[time.Duration]int{}
		for _, s := range all {
			at[s.heard()[0].at.Sub(began)]++
		}
		if !maps.Equal(at, want) {
			t.Errorf("turns at %v, want %v", at, want)
		}
	})
}

func TestRounds_WhoIsStuckHoldsNobodyUp(t *testing.T) {
	takes := same(2*abreast, 0)
	takes[1] = time.Hour
	inBubble(t, takes, func(_ *rounds, all []*speaker) {
		all[0].takes = time.Millisecond
		all[0].mark()
		synctest.Wait()
		for _, s := range all[1:] {
			s.mark()
		}
		time.Sleep((1+busyRest)*time.Millisecond + maxStall)
		for i, s := range all {
			if len(s.heard()) != 1 {
				t.Fatalf("speaker %d of %d has had no turn", i, len(all))
			}
		}
		all[1].mark() // and is heard when it is not stuck any more
		all[2].mark()
		if len(all[2].heard()) != 2 || len(all[1].heard()) != 1 {
			t.Error("one that is not stuck has to wait for one that is")
		}
		time.Sleep(2 * time.Hour)
		if len(all[1].heard()) != 2 {
			t.Error("what came while it was stuck was not said")
		}
		all[2].mark()
		if len(all[2].heard()) != 3 {
			t.Error("the one that was stuck is still waited for")
		}
	})
}

// A host that takes nothing while nobody else has anything to say, and then somebody has.
func TestRounds_WhoIsStuckAloneHoldsNobodyUp(t *testing.T) {
	inBubble(t, []time.Duration{time.Hour, 0}, func(_ *rounds, all []*speaker) {
		all[0].mark()
		time.Sleep(time.Minute)
		all[1].mark()
		if len(all[1].heard()) != 1 {
			t.Error("it has to wait")
		}
		all[0].mark()
		time.Sleep(2*time.Hour - time.Minute) // no rest follows
		all[1].mark()
		if len(all[1].heard()) != 2 {
			t.Error("it has to wait when that is over")
		}
	})
}

func TestRounds_WhoLeavesIsNotWaitedFor(t *testing.T) {
	inBubble(t, same(3, time.Hour), func(r *rounds, all []*speaker) {
		all[0].mark()
		synctest.Wait()
		all[1].mark()
		all[2].takes = 0
		all[2].mark()
		time.Sleep(time.Millisecond)
		r.leave(all[1].turn) // while it waits
		r.leave(all[0].turn) // while it speaks
		time.Sleep(busyRest * time.Millisecond)
		if len(all[2].heard()) != 1 || len(all[1].heard()) != 0 {
			t.Errorf("said %v and %v, want that only the last had a turn", all[1].heard(), all[2].heard())
		}
		r.leave(all[0].turn)
		all[0].mark()
		time.Sleep(time.Minute)
		if len(all[0].heard()) != 1 {
			t.Error("one that had left had a turn")
		}
	})
}

func TestRounds_WhatIsLateWaitsForCompanyOnlyInACrowd(t *testing.T) {
	const takes = crowded/busyRest + 1
	inBubble(t, []time.Duration{takes, 0, takes / 2}, func(r *rounds, all []*speaker) {
		late := func(s *speaker) {
			s.mu.Lock()
			s.marks++
			s.mu.Unlock()
			r.want(s.turn, true)
		}
		late(all[2])
		if len(all[2].heard()) != 1 {
			t.Fatal("it waits at a quiet time")
		}
		time.Sleep(takes) // the turn, and a part of the rest
		late(all[2])
		time.Sleep(crowded)
		if len(all[2].heard()) != 2 {
			t.Fatal("it waits for more than a short rest")
		}
		late(all[0])
		time.Sleep(2 * takes) // within the rest
		late(all[1])
		time.Sleep(time.Minute)
		if len(all[1].heard()) != 0 {
			t.Fatal("it had a turn of its own in a crowd")
		}
		all[1].mark()
		if got := all[1].heard(); len(got) != 1 || got[0].marks != 2 {
			t.Errorf("said %v, want both together", got)
		}
	})
}

// Whatever happens, all that was marked is said, once.
func TestRounds_EveryMarkIsSaidOnceAndInTime(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		takes := rapid.SliceOfN(rapid.SampledFrom([]time.Duration{0, 0, time.Microsecond, time.Millisecond, 20 * time.Millisecond, time.Second}), 1, 80).Draw(t, "takes")
		type step struct {
			who   int
			pause time.Duration
		}
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				rapid.IntRange(0, len(takes)-1).Draw(t, "who"),
				rapid.SampledFrom([]time.Duration{0, 0, 0, time.Microsecond, time.Millisecond, 100 * time.Millisecond, 3 * time.Second}).Draw(t, "pause"),
			}
		}), 0, 200).Draw(t, "steps")
		inBubble(outer, takes, func(_ *rounds, all []*speaker) {
			marked := map[*speaker]int{}
			for _, s := range steps {
				time.Sleep(s.pause)
				all[s.who].mark()
				marked[all[s.who]]++
			}
			time.Sleep(10 * time.Second)
			for i, s := range all {
				said := 0
				for _, x := range s.heard() {
					said += x.marks
				}
				if said != marked[s] || len(s.heard()) > marked[s] {
					t.Errorf("speaker %d said %d of %d marks in %d turns", i, said, marked[s], len(s.heard()))
				}
			}
		})
	})
}

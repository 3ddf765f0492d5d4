package docker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/docker/docker/api/types/events"
)

func TestTurns_OneAtATimePerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		doneA, err := all.take(t.Context(), "a")
		if err != nil {
			t.Fatalf("take(a) = %v", err)
		}
		doneB, err := all.take(t.Context(), "b") // another key does not wait
		if err != nil {
			t.Fatalf("take(b) = %v", err)
		}
		doneB()

		acting, most := 0, 0
		var mu sync.Mutex
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() {
				done, err := all.take(t.Context(), "a")
				if err != nil {
					t.Errorf("take(a) = %v", err)
					return
				}
				mu.Lock()
				acting++
				most = max(most, acting)
				mu.Unlock()
				mu.Lock()
				acting--
				mu.Unlock()
				done()
			})
		}
		synctest.Wait()
		if most != 0 {
			t.Errorf("%d had their turn before the first was done", most)
		}
		doneA()
		waiting.Wait()
		if most != 1 {
			t.Errorf("%d had their turn at once, want 1", most)
		}
		if len(all.busy) != 0 {
			t.Errorf("left over: %v", all.busy)
		}
	})
}

func TestTurns_WaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		done, err := all.take(t.Context(), "a")
		if err != nil {
			t.Fatalf("take() = %v", err)
		}
		defer done()
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := all.take(ctx, "a")
			result <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("take() = %v, want the error of its context", err)
		}
	})
}

func TestNews_TellsAContainerOnceHoweverOftenItChangedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNews()
		goOn := make(chan struct{})
		var told []string
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- n.deliver(ctx, func(id string, labels map[string]string) {
				told = append(told, id+labels["l"])
				<-goOn
			})
		}()
		n.add("first", nil)
		synctest.Wait() // changed has been called with it, and waits
		for i := range 10_000 {
			n.add(fmt.Sprintf("c%d", i%3), map[string]string{"l": "x"})
		}
		close(goOn)
		synctest.Wait()
		if want := "[first c0x c1x c2x]"; fmt.Sprint(told) != want {
			t.Errorf("told of %v, want %v", told, want)
		}
		n.add("c0", nil)
		synctest.Wait()
		if len(told) != 5 || told[4] != "c0" {
			t.Errorf("told of %v, want c0 once more", told)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("deliver() = %v, want the error of its context", err)
		}
	})
}

func TestEventLabels_AreOnlyTheContainersOwn(t *testing.T) {
	attributes := map[string]string{"image": "web", "name": "c", "exitCode": "3", "execDuration": "1", "a": "b"}
	got := eventLabels(events.Message{Actor: events.Actor{Attributes: attributes}})
	if len(got) != 1 || got["a"] != "b" {
		t.Errorf("eventLabels() = %v, want a=b alone", got)
	}
	if len(attributes) != 5 {
		t.Errorf("the event itself was changed: %v", attributes)
	}
}

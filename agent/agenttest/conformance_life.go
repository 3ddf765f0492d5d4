package agenttest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

// grace is longer than any program of the suite needs to end by itself.
const grace = time.Minute

// atOnce calls f n times side by side, and returns what they return.
func atOnce[T any](n int, f func(i int) T) []T {
	results := make([]T, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { results[i] = f(i) })
	}
	group.Wait()
	return results
}

func createMissingImage(c *conformance) {
	_, err := c.Runtime.Create(c.ctx, c.spec("a", c.Images.Missing))
	c.wantRefusal("Create()", err)
	if !errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Create() = %v, want ErrNotFound", err)
	}
}

func createAgain(c *conformance) {
	spec := c.spec("a", c.Images.Serve)
	first := c.create(spec)
	if second := c.create(spec); second != first {
		c.Errorf("second Create() = %s, want %s", second, first)
	}
	c.start(first)
	if third := c.create(spec); third != first {
		c.Errorf("Create() while it runs = %s, want %s", third, first)
	}
	if seen := c.inspect(first); seen.State != runtime.Running {
		c.Errorf("state after Create() again = %v, want Running", seen.State)
	}
}

func createAgainAfterEnd(c *conformance) {
	spec := c.spec("a", c.Images.Exit3)
	id := c.run(spec)
	c.awaitExited(id)
	if again := c.create(spec); again != id {
		c.Errorf("Create() = %s, want %s", again, id)
	}
	if seen := c.inspect(id); seen.State != runtime.Exited || seen.ExitCode != 3 {
		c.Errorf("Create() again changed the container to %+v", seen)
	}
}

func createConflict(c *conformance) {
	spec := c.spec("a", c.Images.Serve)
	id := c.create(spec)
	spec.Hash = "another"
	_, err := c.Runtime.Create(c.ctx, spec)
	c.wantRefusal("Create()", err)
	if !errors.Is(err, runtime.ErrConflict) {
		c.Errorf("Create() = %v, want ErrConflict", err)
	}
	if seen := c.inspect(id); seen.Labels[runtime.LabelSpecHash] != "hash of a" {
		c.Errorf("the container of that name changed: %+v", seen)
	}
}

func createAtOnce(c *conformance) {
	spec := c.spec("a", c.Images.Serve)
	type result struct {
		id  string
		err error
	}
	results := atOnce(8, func(int) result {
		id, err := c.Runtime.Create(c.ctx, spec)
		return result{id, err}
	})
	for _, r := range results {
		if r.err != nil || r.id != results[0].id {
			c.Errorf("Create() = %q, %v; want %q like the first", r.id, r.err, results[0].id)
		}
	}
	list, err := c.Runtime.List(c.ctx, c.labels)
	if err != nil || len(list) != 1 {
		c.Errorf("List() = %d containers, %v; want 1", len(list), err)
	}
}

func createInMissingNetwork(c *conformance) {
	spec := c.spec("a", c.Images.Serve)
	spec.NetworkMode = "container:" + c.prefix + "missing"
	id, err := c.Runtime.Create(c.ctx, spec)
	if err == nil {
		// Some engines look only when they start it.
		err = c.Runtime.Start(c.ctx, id)
	}
	c.wantRefusal("Create() and Start()", err)
}

func startRuns(c *conformance) {
	id := c.create(c.spec("a", c.Images.Serve))
	if seen := c.inspect(id); seen.State != runtime.Created || !seen.StartedAt.IsZero() || seen.CreatedAt.IsZero() {
		c.Errorf("created container = %+v", seen)
	}
	c.start(id)
	seen := c.inspect(id)
	if seen.State != runtime.Running || seen.Error != "" || seen.ExitCode != 0 {
		c.Errorf("started container = %+v, want it running", seen)
	}
	if seen.StartedAt.Before(seen.CreatedAt) || !seen.FinishedAt.IsZero() {
		c.Errorf("times of a started container: created %v, started %v, finished %v", seen.CreatedAt, seen.StartedAt, seen.FinishedAt)
	}
}

func startRunning(c *conformance) {
	id := c.run(c.spec("a", c.Images.Serve))
	before := c.inspect(id)
	c.start(id)
	if after := c.inspect(id); !after.StartedAt.Equal(before.StartedAt) || after.State != runtime.Running {
		c.Errorf("second Start() changed %+v to %+v", before, after)
	}
}

func startExited(c *conformance) {
	id := c.run(c.spec("a", c.Images.Exit3))
	before := c.awaitExited(id)
	for range 2 {
		c.start(id)
		after := c.inspect(id)
		if after.State != runtime.Exited || !after.StartedAt.Equal(before.StartedAt) || !after.FinishedAt.Equal(before.FinishedAt) {
			c.Fatalf("Start() of an ended container changed %+v to %+v", before, after)
		}
	}
}

func startAtOnce(c *conformance) {
	id := c.create(c.spec("a", c.Images.Exit0))
	for _, err := range atOnce(8, func(int) error { return c.Runtime.Start(c.ctx, id) }) {
		if err != nil {
			c.Errorf("Start() = %v", err)
		}
	}
	before := c.awaitExited(id)
	c.start(id)
	if after := c.inspect(id); !after.StartedAt.Equal(before.StartedAt) || after.State != runtime.Exited {
		c.Errorf("it was started again: %+v, then %+v", before, after)
	}
}

func startFailure(c *conformance) {
	id := c.create(c.spec("a", c.Images.NoCommand))
	err := c.Runtime.Start(c.ctx, id)
	c.wantRefusal("Start()", err)
	if errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Start() = %v, want no ErrNotFound: the container is there", err)
	}
	before := c.inspect(id)
	if before.State != runtime.Exited || before.Error == "" || before.ExitCode == 0 || !before.StartedAt.IsZero() {
		c.Fatalf("container that could not be started = %+v; want Exited, with an error and a code, never started", before)
	}
	if err := c.Runtime.Start(c.ctx, id); err != nil {
		c.Errorf("second Start() = %v, want it to do nothing", err)
	}
	if after := c.inspect(id); after.State != runtime.Exited || after.Error != before.Error {
		c.Errorf("second Start() changed %+v to %+v", before, after)
	}
}

func startUnknown(c *conformance) {
	id := c.create(c.spec("a", c.Images.Serve))
	c.remove(id)
	if err := c.Runtime.Start(c.ctx, id); !errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Start() = %v, want ErrNotFound", err)
	}
}

func exitCodes(c *conformance) {
	for image, want := range map[string]int{c.Images.Exit0: 0, c.Images.Exit3: 3} {
		seen := c.awaitExited(c.run(c.spec("a"+string(rune('0'+want)), image)))
		if seen.ExitCode != want || seen.OOMKilled || seen.Error != "" {
			c.Errorf("container of %s ended as %+v, want code %d", image, seen, want)
		}
		if seen.StartedAt.IsZero() || seen.FinishedAt.Before(seen.StartedAt) {
			c.Errorf("times of an ended container: started %v, finished %v", seen.StartedAt, seen.FinishedAt)
		}
	}
}

func (c *conformance) stop(id string, grace time.Duration) time.Duration {
	c.Helper()
	began := time.Now()
	if err := c.Runtime.Stop(c.ctx, id, grace); err != nil {
		c.Fatalf("Stop() = %v", err)
	}
	return time.Since(began)
}

func (c *conformance) wantExit(id string, code int) {
	c.Helper()
	// No waiting: a stop that has returned has stopped it.
	if seen := c.inspect(id); seen.State != runtime.Exited || seen.ExitCode != code {
		c.Errorf("after Stop() the container is %+v, want it exited with %d", seen, code)
	}
}

func stopGraceful(c *conformance) {
	id := c.runReady(c.spec("a", c.Images.Serve))
	if took := c.stop(id, grace); took >= grace {
		c.Errorf("Stop() took %v", took)
	}
	c.wantExit(id, 0)
}

func stopKills(c *conformance) {
	const short = 1500 * time.Millisecond
	id := c.runReady(c.spec("a", c.Images.IgnoreStop))
	if took := c.stop(id, short); took < short {
		c.Errorf("Stop() took %v, less than its grace of %v", took, short)
	}
	c.wantExit(id, killed)
}

func stopWithoutGrace(c *conformance) {
	id := c.runReady(c.spec("a", c.Images.IgnoreStop))
	c.stop(id, 0)
	c.wantExit(id, killed)
}

func stopNotRunning(c *conformance) {
	id := c.create(c.spec("a", c.Images.Exit3))
	c.stop(id, grace)
	if seen := c.inspect(id); seen.State != runtime.Created {
		c.Errorf("Stop() of a created container made it %+v", seen)
	}
	c.start(id)
	c.awaitExited(id)
	c.stop(id, grace)
	c.wantExit(id, 3)
	c.remove(id)
	c.stop(id, grace)
}

func stopAtOnce(c *conformance) {
	id := c.runReady(c.spec("a", c.Images.Serve))
	for _, err := range atOnce(4, func(int) error { return c.Runtime.Stop(c.ctx, id, grace) }) {
		if err != nil {
			c.Errorf("Stop() = %v", err)
		}
	}
	c.wantExit(id, 0)
}

func stopAbandoned(c *conformance) {
	id := c.runReady(c.spec("a", c.Images.IgnoreStop))
	ctx, cancel := context.WithTimeout(c.ctx, 100*time.Millisecond)
	defer cancel()
	if err := c.Runtime.Stop(ctx, id, time.Second); !errors.Is(err, context.DeadlineExceeded) {
		c.Fatalf("Stop() = %v, want the error of its context", err)
	}
	if seen := c.awaitExited(id); seen.ExitCode != killed {
		c.Errorf("container ended as %+v, want it killed", seen)
	}
}

func removeAny(c *conformance) {
	created := c.create(c.spec("created", c.Images.Serve))
	running := c.run(c.spec("running", c.Images.IgnoreStop))
	exited := c.run(c.spec("exited", c.Images.Exit0))
	c.awaitExited(exited)
	for _, id := range []string{created, running, exited} {
		c.remove(id)
		if _, err := c.Runtime.Inspect(c.ctx, id); !errors.Is(err, runtime.ErrNotFound) {
			c.Errorf("Inspect() after Remove() = %v, want ErrNotFound", err)
		}
		c.remove(id)
	}
}

func removeAtOnce(c *conformance) {
	id := c.run(c.spec("a", c.Images.IgnoreStop))
	for _, err := range atOnce(6, func(int) error { return c.Runtime.Remove(c.ctx, id) }) {
		if err != nil {
			c.Errorf("Remove() = %v", err)
		}
	}
	if _, err := c.Runtime.Inspect(c.ctx, id); !errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Inspect() after Remove() = %v, want ErrNotFound", err)
	}
}

func removeFreesName(c *conformance) {
	spec := c.spec("a", c.Images.Serve)
	first := c.run(spec)
	c.remove(first)
	spec.Hash = "another"
	if second := c.create(spec); second == first {
		c.Errorf("Create() = %s, the id of the removed container", second)
	}
}

func contextEnded(c *conformance) {
	id := c.create(c.spec("a", c.Images.Serve))
	ctx, cancel := context.WithCancel(c.ctx)
	cancel()
	rt := c.Runtime
	_, errInfo := rt.Info(ctx)
	_, errImage := rt.Image(ctx, c.Images.Serve)
	_, errCreate := rt.Create(ctx, c.spec("b", c.Images.Serve))
	_, errInspect := rt.Inspect(ctx, id)
	_, errList := rt.List(ctx, c.labels)
	_, errVolumes := rt.ListVolumes(ctx, c.labels)
	for method, err := range map[string]error{
		"Info": errInfo, "Image": errImage, "Create": errCreate, "Inspect": errInspect, "List": errList,
		"Pull":         rt.Pull(ctx, c.Images.Missing, nil, nil),
		"Start":        rt.Start(ctx, id),
		"Restart":      rt.Restart(ctx, id, time.Now()),
		"Stop":         rt.Stop(ctx, id, grace),
		"Remove":       rt.Remove(ctx, id),
		"Watch":        rt.Watch(ctx, c.labels, func() {}, func(string, map[string]string) {}),
		"CreateVolume": rt.CreateVolume(ctx, runtime.Volume{Name: c.prefix + "v", Labels: c.labels}),
		"RemoveVolume": rt.RemoveVolume(ctx, c.prefix+"v"),
		"ListVolumes":  errVolumes,
	} {
		if !errors.Is(err, context.Canceled) || errors.Is(err, runtime.ErrUnavailable) {
			c.Errorf("%s() = %v, want the error of its context", method, err)
		}
	}
	if seen := c.inspect(id); seen.State != runtime.Created {
		c.Errorf("the container is %+v, want it untouched", seen)
	}
}

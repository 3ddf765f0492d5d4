package agenttest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/longshore/longshore/agent/runtime"
)

func infoDescribesHost(c *conformance) {
	info, err := c.Runtime.Info(c.ctx)
	if err != nil {
		c.Fatalf("Info() = %v", err)
	}
	if info.EngineVersion == "" || info.APIVersion == "" || info.Hostname == "" || info.OSType == "" ||
		info.CPUs < 1 || info.MemoryBytes < 1<<20 || len(info.LogDrivers) == 0 {
		c.Errorf("Info() = %+v, with something missing", info)
	}
	if strings.Contains(info.Architecture, "_") || info.Architecture == "" {
		c.Errorf("architecture = %q, want Go's name of it", info.Architecture)
	}
	for _, option := range info.SecurityOpts {
		if strings.ContainsAny(option, "=,") {
			c.Errorf("security option %q, want its name alone", option)
		}
	}
}

func imageFound(c *conformance) {
	image, err := c.Runtime.Image(c.ctx, c.Images.Serve)
	if err != nil || !strings.HasPrefix(image.ID, "sha256:") {
		c.Fatalf("Image() = %+v, %v", image, err)
	}
	if image.Digest != "" && !strings.HasPrefix(image.Digest, "sha256:") {
		c.Errorf("digest = %q", image.Digest)
	}
	if same, err := c.Runtime.Image(c.ctx, image.ID); err != nil || same.ID != image.ID {
		c.Errorf("Image(%s) = %+v, %v", image.ID, same, err)
	}
}

func imageMissing(c *conformance) {
	_, err := c.Runtime.Image(c.ctx, c.Images.Missing)
	c.wantRefusal("Image()", err)
	if !errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Image() = %v, want ErrNotFound", err)
	}
}

func pullMissing(c *conformance) {
	err := c.Runtime.Pull(c.ctx, c.Images.Missing, nil, nil)
	c.wantRefusal("Pull()", err)
	if host, _, _ := strings.Cut(c.Images.Missing, "/"); !strings.Contains(err.Error(), host) {
		c.Errorf("Pull() = %q, which does not say what %s is", err, host)
	}
}

func inspectUnknown(c *conformance) {
	id := c.create(c.spec("a", c.Images.Serve))
	c.remove(id)
	_, err := c.Runtime.Inspect(c.ctx, id)
	c.wantRefusal("Inspect()", err)
	if !errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Inspect() = %v, want ErrNotFound", err)
	}
}

func inspectShowsSpec(c *conformance) {
	spec := c.spec("a", c.Images.Serve)
	spec.Labels["longshore.test.more"] = "a=b, c"
	id := c.run(spec)
	image, err := c.Runtime.Image(c.ctx, spec.Image)
	if err != nil {
		c.Fatalf("Image() = %v", err)
	}
	seen := c.inspect(id)
	if seen.ID != id || seen.Name != spec.Name || seen.Image != spec.Image || seen.ImageID != image.ID {
		c.Errorf("Inspect() = %+v, want id %s, image id %s and what is in %+v", seen, id, image.ID, spec)
	}
	if !carries(seen.Labels, spec.Labels) || seen.Labels[runtime.LabelSpecHash] != spec.Hash {
		c.Errorf("labels = %v, want those of %+v and its hash", seen.Labels, spec)
	}
	if seen.IPAddress == "" || seen.Health != "" || len(seen.Ports) != 0 {
		c.Errorf("Inspect() = %+v, want an address, no health and no ports", seen)
	}
}

func inspectHealth(c *conformance) {
	spec := c.spec("a", c.Images.Serve)
	spec.HealthCheck = &c.HealthCheck
	id := c.create(spec)
	if seen := c.inspect(id); seen.Health == "healthy" || seen.Health == "unhealthy" {
		c.Errorf("health before the start = %q", seen.Health)
	}
	c.start(id)
	c.await(id, "healthy", func(seen runtime.Container) bool { return seen.Health == "healthy" })

	spec = c.spec("b", c.Images.Serve)
	spec.HealthCheck = &runtime.HealthCheck{Test: []string{"NONE"}}
	if seen := c.inspect(c.run(spec)); seen.Health != "" {
		c.Errorf("health without a check = %q, want none", seen.Health)
	}
}

// menagerie makes a container in each state, and returns them by id.
func (c *conformance) menagerie() map[string]runtime.State {
	c.Helper()
	exited := c.run(c.spec("exited", c.Images.Exit3))
	failed := c.create(c.spec("failed", c.Images.NoCommand))
	if err := c.Runtime.Start(c.ctx, failed); err == nil {
		c.Fatal("Start() = nil, want an error")
	}
	c.awaitExited(exited)
	return map[string]runtime.State{
		c.create(c.spec("created", c.Images.Serve)): runtime.Created,
		c.run(c.spec("running", c.Images.Serve)):    runtime.Running,
		exited:                                      runtime.Exited,
		failed:                                      runtime.Exited,
	}
}

func listByLabels(c *conformance) {
	want := c.menagerie()
	marked := c.spec("marked", c.Images.Serve)
	marked.Labels["longshore.test.mark"] = "yes"
	markedID := c.create(marked)
	want[markedID] = runtime.Created

	list, err := c.Runtime.List(c.ctx, c.labels)
	if err != nil {
		c.Fatalf("List() = %v", err)
	}
	got := make(map[string]runtime.State)
	for _, container := range list {
		got[container.ID] = container.State
	}
	if !maps.Equal(got, want) {
		c.Errorf("List() = %v, want %v", got, want)
	}
	for value, ids := range map[string][]string{"yes": {markedID}, "no": nil, "": nil} {
		labels := maps.Clone(c.labels)
		labels["longshore.test.mark"] = value
		list, err := c.Runtime.List(c.ctx, labels)
		var got []string
		for _, container := range list {
			got = append(got, container.ID)
		}
		if err != nil || !slices.Equal(got, ids) {
			c.Errorf("List(%v) = %v, %v; want %v", labels, got, err, ids)
		}
	}
}

func listLikeInspect(c *conformance) {
	states := c.menagerie()
	list, err := c.Runtime.List(c.ctx, c.labels)
	if err != nil || len(list) != len(states) {
		c.Fatalf("List() = %d containers, %v; want %d", len(list), err, len(states))
	}
	for _, listed := range list {
		seen := c.inspect(listed.ID)
		if listed.State != seen.State || listed.ExitCode != seen.ExitCode || listed.Error != seen.Error ||
			listed.Name != seen.Name || !maps.Equal(listed.Labels, seen.Labels) ||
			!listed.StartedAt.Equal(seen.StartedAt) || !listed.FinishedAt.Equal(seen.FinishedAt) {
			c.Errorf("List() has %+v, Inspect() %+v", listed, seen)
		}
	}
}

// watch follows the test's containers until the test ends. Each change comes
// from the channel, and there is room for many.
func (c *conformance) watch(labels map[string]string) <-chan string {
	c.Helper()
	ctx, cancel := context.WithCancel(c.ctx)
	changes := make(chan string, 1024)
	ready := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- c.Runtime.Watch(ctx, labels, func() { close(ready) }, func(id string, got map[string]string) {
			if !carries(got, labels) {
				c.Errorf("Watch tells of labels %v, want %v", got, labels)
			}
			changes <- id
		})
	}()
	c.Cleanup(func() {
		cancel()
		<-ended
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		c.Fatalf("Watch() = %v", err)
	}
	return changes
}

// told waits for a change of one container.
func (c *conformance) told(changes <-chan string, id, after string) {
	c.Helper()
	for {
		select {
		case changed := <-changes:
			if changed == id {
				return
			}
		case <-c.ctx.Done():
			c.Fatalf("Watch does not tell of a container's %s", after)
		}
	}
}

func watchTells(c *conformance) {
	changes := c.watch(c.labels)
	spec := c.spec("a", c.Images.Serve)
	spec.Labels["longshore.test.more"] = "x"
	id := c.create(spec)
	c.start(id)
	c.told(changes, id, "start")
	c.stop(id, grace)
	c.told(changes, id, "end")
	c.remove(id)
	c.told(changes, id, "removal")
	c.awaitGone(id)
}

func watchMissesNothing(c *conformance) {
	const containers = 12
	ids := make(map[string]bool)
	for i := range containers {
		ids[c.create(c.spec("a"+string(rune('a'+i)), c.Images.Exit0))] = true
	}
	ctx, enough := context.WithCancel(c.ctx)
	defer enough()
	var starts sync.WaitGroup
	err := c.Runtime.Watch(ctx, c.labels,
		func() {
			for id := range ids {
				starts.Go(func() {
					if err := c.Runtime.Start(c.ctx, id); err != nil {
						c.Errorf("Start() = %v", err)
						enough()
					}
				})
			}
		},
		func(id string, _ map[string]string) {
			seen, err := c.Runtime.Inspect(c.ctx, id)
			if err != nil {
				c.Errorf("Inspect() = %v", err)
			}
			if seen.State == runtime.Exited {
				delete(ids, id)
			}
			if len(ids) == 0 {
				enough()
			}
		})
	starts.Wait()
	if !errors.Is(err, context.Canceled) || len(ids) > 0 {
		c.Errorf("Watch() = %v, and did not tell of the end of %d containers", err, len(ids))
	}
}

func watchOtherLabels(c *conformance) {
	labels := maps.Clone(c.labels)
	labels["longshore.test.mark"] = "yes"
	changes := c.watch(labels)
	c.awaitExited(c.run(c.spec("other", c.Images.Exit0)))
	spec := c.spec("own", c.Images.Serve)
	spec.Labels = labels
	id := c.run(spec)
	// Changes come in their order: one of the other would be here before.
	if changed := <-changes; changed != id {
		c.Errorf("Watch tells of %s, want only %s", changed, id)
	}
}

func watchEnds(c *conformance) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	err := c.Runtime.Watch(ctx, c.labels, cancel, func(string, map[string]string) {})
	if !errors.Is(err, context.Canceled) {
		c.Errorf("Watch() = %v, want the error of its context", err)
	}
}

func watchSlowCaller(c *conformance) {
	first := c.create(c.spec("first", c.Images.Serve))
	others := make(map[string]bool)
	for i := range 4 {
		others[c.create(c.spec("a"+string(rune('a'+i)), c.Images.Exit0))] = true
	}
	ctx, enough := context.WithCancel(c.ctx)
	defer enough()
	blocked := false
	err := c.Runtime.Watch(ctx, c.labels, func() { c.start(first) }, func(id string, _ map[string]string) {
		if !blocked {
			blocked = true
			// All of this happens while changed does not return.
			for other := range others {
				c.start(other)
				c.awaitExited(other)
			}
		}
		if delete(others, id); len(others) == 0 {
			enough()
		}
	})
	if !errors.Is(err, context.Canceled) || len(others) > 0 {
		c.Errorf("Watch() = %v, and did not tell of %d containers", err, len(others))
	}
}

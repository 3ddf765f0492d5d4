package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
)

// newsDelay is how long Start waits for the engine to say that the container
// was started before it looks at it. The news comes within moments; were it to
// come after the look, the look would be repeated for each container.
const newsDelay = 20 * time.Millisecond

// job is one action of a worker, under way.
type job struct {
	lifecycle.Action
	table  *table
	worker *worker
	unit   *lifecycle.Unit // nil for what is the whole task's
	spec   runtime.Spec    // of Create, with its secrets in it
	hidden []string        // of spec, what no error may show
	auth   *runtime.Auth   // of Pull; may be nil
	id     string          // the engine's, if there is one
}

// perform does it. Its time is bounded from when its turn has come.
func (j *job) perform(ctx context.Context) lifecycle.Result {
	switch j.Op {
	case lifecycle.Pull:
		image, err := j.table.images.ensure(ctx, j.unit.Spec.Image, j.auth)
		return lifecycle.Result{Err: err, Digest: image.Digest}
	case lifecycle.Create, lifecycle.Start, lifecycle.RestartContainer:
		if err := j.table.starts.Acquire(ctx, 1); err != nil {
			return lifecycle.Result{Err: err}
		}
		defer j.table.starts.Release(1)
	}
	ctx, cancel := context.WithTimeout(ctx, j.Deadline())
	defer cancel()
	switch j.Op {
	case lifecycle.Resolve:
		return j.resolve(ctx)
	case lifecycle.Create:
		return j.create(ctx)
	case lifecycle.Start:
		return j.start(ctx, j.table.runtime.Start(ctx, j.id))
	case lifecycle.RestartContainer:
		return j.start(ctx, j.table.runtime.Restart(ctx, j.id, j.Began))
	case lifecycle.Inspect:
		return j.look(ctx)
	case lifecycle.Stop:
		err := j.table.runtime.Stop(ctx, j.id, j.Grace)
		j.called(err)
		if err != nil {
			return lifecycle.Result{Err: err}
		}
		return j.look(ctx)
	case lifecycle.Remove:
		err := j.table.runtime.Remove(ctx, j.id)
		j.called(err)
		return j.logged(lifecycle.Result{Err: err})
	}
	return j.logged(lifecycle.Result{Err: j.setUp(ctx)})
}

func (j *job) called(err error) { j.table.metrics.called(j.Op.String(), err) }

// logged notes failures that no report shows, because they happen after the
// task has ended or are tried again.
func (j *job) logged(r lifecycle.Result) lifecycle.Result {
	if r.Err != nil && !errors.Is(r.Err, runtime.ErrUnavailable) && !errors.Is(r.Err, context.Canceled) {
		j.table.log.Warn("engine refuses", "task", j.worker.arn, "op", j.Op.String(), "id", j.id, "error", r.Err)
	}
	return r
}

func (j *job) create(ctx context.Context) lifecycle.Result {
	id, err := j.table.runtime.Create(ctx, j.spec)
	j.called(err)
	if errors.Is(err, runtime.ErrNotFound) { // the image, most likely
		j.table.images.forget(j.unit.Spec.Image)
	}
	return lifecycle.Result{Err: conceal(err, j.hidden), RuntimeID: id}
}

// concealed is an error whose words are not to be shown as they are.
type concealed struct {
	error
	text string
}

func (e concealed) Error() string { return e.text }
func (e concealed) Unwrap() error { return e.error }

// conceal takes values out of the words of an error: they become the task's reason.
func conceal(err error, values []string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	// The longest first: one may be part of another.
	for _, v := range slices.SortedFunc(slices.Values(values), func(a, b string) int { return len(b) - len(a) }) {
		if v != "" {
			text = strings.ReplaceAll(text, v, "***")
		}
	}
	if text == err.Error() {
		return err
	}
	return concealed{err, text}
}

// start ends a start of the container, of which it has the outcome: it looks at
// the container once.
func (j *job) start(ctx context.Context, err error) lifecycle.Result {
	j.called(err)
	if err != nil {
		return lifecycle.Result{Err: err}
	}
	timer := time.NewTimer(newsDelay)
	defer timer.Stop()
	if err := await(ctx, j.worker.news[j.Unit], timer.C); err != nil {
		return lifecycle.Result{} // started, and not looked at: that can be done later
	}
	r := j.look(ctx)
	r.Err = nil // of the look; the start went well
	return r
}

// look inspects the container. What was noticed up to now is covered by it.
func (j *job) look(ctx context.Context) lifecycle.Result {
	id := j.id
	if id == "" {
		return j.find(ctx)
	}
	j.worker.mu.Lock()
	j.worker.inbox.noticed[j.Unit] = false
	j.worker.mu.Unlock()
	c, err := j.table.runtime.Inspect(ctx, id)
	j.table.metrics.called("inspect", err)
	if err != nil {
		return lifecycle.Result{Err: err}
	}
	return lifecycle.Result{Container: &c}
}

// find looks for a container of which no id is known, because the answer to
// its creation was lost.
func (j *job) find(ctx context.Context) lifecycle.Result {
	all, err := j.table.runtime.List(ctx, map[string]string{
		lifecycle.LabelTask: j.worker.arn, lifecycle.LabelContainer: j.unit.Name,
	})
	j.table.metrics.called("list", err)
	switch {
	case err != nil:
		return lifecycle.Result{Err: err}
	case len(all) == 0:
		return lifecycle.Result{Err: runtime.ErrNotFound}
	}
	return lifecycle.Result{Container: &all[0]}
}

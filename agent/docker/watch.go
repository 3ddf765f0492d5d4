package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/agent/runtime"
)

// Watch follows the engine's events.
//
// Nothing that happens after ready is missed, for this reason: Docker sends
// the head of its answer, for which the client waits, just before it
// subscribes to the events; in between, and before, it keeps the last 256 of
// them. The request asks for all events since a moment of the engine's own
// clock that lies before it, so what fell into that gap comes first. If the
// request fails after all, ready may have been called, and the error follows
// at once.
//
// Docker drops events for a reader that is slow. So they are read as they
// come, and told to changed beside that, a container that changed several
// times meanwhile once.
func (r *Runtime) Watch(ctx context.Context, labels map[string]string, ready func(), changed func(id string, labels map[string]string)) error {
	engine := r.client()
	before, err := engine.Info(ctx)
	if err != nil {
		return r.fail(ctx, engine, "ask Docker for its time", err)
	}
	group, streamCtx := errgroup.WithContext(ctx)
	messages, failed := engine.Events(streamCtx, events.ListOptions{
		Since:   before.SystemTime,
		Filters: changesOf(labels),
	})
	ready()
	news := newNews()
	group.Go(func() error { return news.deliver(streamCtx, changed) })
	group.Go(func() error {
		for {
			select {
			case message := <-messages:
				news.add(message.Actor.ID, eventLabels(message))
			case err := <-failed:
				return err
			}
		}
	})
	err = group.Wait()
	for range failed {
		// The client closes it when its reader is done.
	}
	return r.watchEnd(ctx, engine, err)
}

// changesOf asks for the events after which the state of a container with the
// given labels is another. Docker takes the name of health_status for all of
// "health_status: healthy" and its like.
func changesOf(labels map[string]string) filters.Args {
	args := labelFilter(labels)
	args.Add("type", string(events.ContainerEventType))
	for _, action := range []events.Action{
		events.ActionStart, events.ActionDie, events.ActionHealthStatus, events.ActionDestroy,
	} {
		args.Add("event", string(action))
	}
	return args
}

// watchEnd says why a stream of events is over. A stream that ends without
// having been asked to is one that broke, however orderly.
func (r *Runtime) watchEnd(ctx context.Context, engine *client.Client, err error) error {
	const doing = "watch containers"
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	err = r.fail(ctx, engine, doing, err)
	if errors.Is(err, runtime.ErrUnavailable) {
		return err
	}
	return unavailable(doing, err)
}

// eventLabels are the labels of the container that an event is about. Docker
// puts its own remarks among them.
func eventLabels(message events.Message) map[string]string {
	labels := maps.Clone(message.Actor.Attributes)
	for _, remark := range []string{"image", "name", "exitCode", "execDuration"} {
		delete(labels, remark)
	}
	return labels
}

// news holds the containers whose change was seen and not yet told.
type news struct {
	wake chan struct{} // has an element if there may be some

	mu     sync.Mutex
	order  []string
	labels map[string]map[string]string // by the ids in order
}

func newNews() *news {
	return &news{wake: make(chan struct{}, 1), labels: make(map[string]map[string]string)}
}

func (n *news) add(id string, labels map[string]string) {
	n.mu.Lock()
	if _, known := n.labels[id]; !known {
		n.order = append(n.order, id)
		n.labels[id] = labels
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *news) take() (order []string, labels map[string]map[string]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	order, labels = n.order, n.labels
	n.order, n.labels = nil, make(map[string]map[string]string)
	return order, labels
}

// deliver tells of changes until ctx ends, and returns its error.
func (n *news) deliver(ctx context.Context, changed func(id string, labels map[string]string)) error {
	for {
		select {
		case <-n.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		order, labels := n.take()
		for _, id := range order {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			changed(id, labels[id])
		}
	}
}

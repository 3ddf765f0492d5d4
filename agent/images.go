package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"golang.org/x/sync/semaphore"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/pauseimage"
	"github.com/longshore/longshore/agent/runtime"
)

// images sees to it that images are on the host. What several tasks ask for at
// the same time is looked up and pulled once, and for as long as one of them
// still wants it.
type images struct {
	runtime    runtime.Runtime
	behavior   PullBehavior
	inactivity time.Duration       // of a pull, before it is given up
	turns      *semaphore.Weighted // pulls at a time
	notes      *imageNotes
	log        *slog.Logger
	metrics    *metrics

	mu           sync.Mutex
	architecture string // of the host
	flights      map[wanted]*flight
	local        map[string]runtime.Image // on the host, and good to be used without asking
	held         map[string]int           // by tasks, as they write it
	removal      *removal                 // under way
}

// wanted is an image and who asks for it: nobody gets what was pulled with the
// credentials of another task before the registry has agreed.
type wanted struct {
	ref  string
	auth runtime.Auth // zero: none
}

func (w wanted) credentials() *runtime.Auth {
	if w.auth == (runtime.Auth{}) {
		return nil
	}
	return &w.auth
}

// removal is one image being removed. Who wants it waits for the end of that.
type removal struct {
	names []string
	done  chan struct{}
}

// flight is one image being seen to for everybody who wants it.
type flight struct {
	cancel  context.CancelFunc
	waiters int
	done    chan struct{}
	image   runtime.Image // after done
	err     error
}

func newImages(c Config, m *metrics) *images {
	notes, err := readImageNotes(c.DataDir)
	if err != nil {
		c.Logger.Error("the notes of images are lost: none of them will be removed", "error", err)
	}
	return &images{
		runtime: c.Runtime, behavior: c.PullBehavior, inactivity: c.PullInactivity, turns: semaphore.NewWeighted(int64(c.MaxPulls)),
		notes: notes, log: c.Logger, metrics: m,
		flights: map[wanted]*flight{}, local: map[string]runtime.Image{}, held: map[string]int{},
	}
}

// ensure returns when the image is on the host. (x/sync's singleflight would
// do, but for this: a pull that nobody waits for any more is cancelled.) auth may
// be nil.
func (im *images) ensure(ctx context.Context, ref string, auth *runtime.Auth) (runtime.Image, error) {
	want := wanted{ref: ref}
	if auth != nil {
		want.auth = *auth
	}
	if err := im.lockFor(ctx, ref); err != nil {
		return runtime.Image{}, err
	}
	if image, ok := im.local[ref]; ok {
		im.mu.Unlock()
		im.notes.used(image.ID, time.Now())
		return image, nil
	}
	f := im.flights[want]
	if f == nil {
		f = im.take(ctx, want)
	}
	f.waiters++
	im.mu.Unlock()

	select {
	case <-f.done:
		return f.image, f.err
	case <-ctx.Done():
		im.leave(want, f)
		return runtime.Image{}, ctx.Err()
	}
}

// lockFor locks im.mu when the image is not being removed.
func (im *images) lockFor(ctx context.Context, ref string) error {
	for {
		im.mu.Lock()
		r := im.removal
		if r == nil || named(ref) && !slices.Contains(r.names, fullName(ref)) {
			return nil
		}
		im.mu.Unlock()
		if err := await(ctx, r.done, nil); err != nil {
			return err
		}
	}
}

// hold says that a task will need the images until it calls release.
func (im *images) hold(refs []string) (release func()) {
	im.mu.Lock()
	defer im.mu.Unlock()
	for _, ref := range refs {
		im.held[ref]++
	}
	return func() {
		im.mu.Lock()
		defer im.mu.Unlock()
		for _, ref := range refs {
			if im.held[ref]--; im.held[ref] == 0 {
				delete(im.held, ref)
			}
		}
	}
}

// needs tells whether a task needs the image of that id and these full names.
func (im *images) needs(id string, names []string) bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.isNeeded(id, names)
}

func (im *images) isNeeded(id string, names []string) bool {
	for ref := range im.held {
		if im.local[ref].ID == id || slices.Contains(names, fullName(ref)) {
			return true
		}
	}
	for want := range im.flights {
		ref := want.ref
		// A digest or an id may turn out to be any image; and what has lost its
		// names may get one back by any pull.
		if len(names) == 0 || !named(ref) || slices.Contains(names, fullName(ref)) {
			return true
		}
	}
	return false
}

// reserve keeps everybody from an image while it is removed, which ends with
// done. It is refused if a task needs the image. It has one caller at a time.
func (im *images) reserve(id string, names []string) (done func(), ok bool) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if im.isNeeded(id, names) {
		return nil, false
	}
	maps.DeleteFunc(im.local, func(_ string, image runtime.Image) bool { return image.ID == id })
	r := &removal{names: names, done: make(chan struct{})}
	im.removal = r
	return func() {
		im.mu.Lock()
		im.removal = nil
		im.mu.Unlock()
		close(r.done)
	}, true
}

// fullName writes a reference with everything that it leaves out; what is not a
// name stays as it is.
func fullName(ref string) string {
	name, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return reference.TagNameOnly(name).String()
}

func fullNames(refs []string) []string {
	all := make([]string, 0, len(refs))
	for _, ref := range refs {
		all = append(all, fullName(ref))
	}
	return all
}

// named tells whether a reference is a name with or without a tag, rather than
// a digest or an id.
func named(ref string) bool {
	name, err := reference.ParseAnyReference(ref)
	if err != nil {
		return false
	}
	_, isName := name.(reference.Named)
	_, isDigest := name.(reference.Digested)
	return isName && !isDigest
}

// take starts a flight. It is not the caller's alone, so it does not end with
// the caller's context, but with the last waiter.
func (im *images) take(ctx context.Context, want wanted) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{cancel: cancel, done: make(chan struct{})}
	im.flights[want] = f
	go func() {
		defer close(f.done)
		defer cancel()
		f.image, f.err = im.fetch(ctx, want)
		im.mu.Lock()
		defer im.mu.Unlock()
		if im.flights[want] == f {
			delete(im.flights, want)
		}
	}()
	return f
}

// leave ends the flight with its last waiter, who waits for its end.
func (im *images) leave(want wanted, f *flight) {
	im.mu.Lock()
	f.waiters--
	last := f.waiters == 0
	if last && im.flights[want] == f {
		delete(im.flights, want) // who comes now needs a new one
	}
	im.mu.Unlock()
	if last {
		f.cancel()
		<-f.done
	}
}

// forget takes an image for gone from the host; flush takes all for that.
func (im *images) forget(ref string) {
	im.mu.Lock()
	defer im.mu.Unlock()
	delete(im.local, ref)
}

func (im *images) flush() {
	im.mu.Lock()
	defer im.mu.Unlock()
	clear(im.local)
}

// provide says what kind of host images are made for.
func (im *images) provide(architecture string) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.architecture = architecture
}

// make makes the image of pause containers, which no registry has.
func (im *images) make(ctx context.Context) (runtime.Image, error) {
	im.mu.Lock()
	architecture := im.architecture
	im.mu.Unlock()
	layer, err := pauseimage.Layer(architecture)
	if err != nil {
		return runtime.Image{}, err
	}
	err = im.runtime.Import(ctx, pauseimage.Ref, layer, pauseimage.EntryPoint())
	im.metrics.called("import", err)
	if err != nil {
		return runtime.Image{}, err
	}
	return im.lookUp(ctx, pauseimage.Ref)
}

func (im *images) fetch(ctx context.Context, want wanted) (runtime.Image, error) {
	ref := want.ref
	have, err := im.lookUp(ctx, ref)
	found := err == nil
	switch {
	case ref == pauseimage.Ref && found:
		im.keep(ref, have)
		return have, nil
	case ref == pauseimage.Ref && errors.Is(err, runtime.ErrNotFound):
		return im.make(ctx)
	case found && im.suffices(ref, have):
		im.keep(ref, have)
		im.notes.used(have.ID, time.Now())
		return have, nil
	case err != nil && !errors.Is(err, runtime.ErrNotFound):
		return runtime.Image{}, err
	}
	err = im.pull(ctx, want)
	switch {
	case err == nil:
		got, err := im.lookUp(ctx, ref)
		if err == nil {
			im.notes.pulled(fullName(ref), got.ID, found && got.ID == have.ID, time.Now())
		}
		return got, err
	case !found || im.behavior == PullAlways || ctx.Err() != nil || errors.Is(err, runtime.ErrUnavailable):
		return runtime.Image{}, err
	}
	im.log.Warn("image can not be pulled: using what is on the host", "image", ref, "error", err)
	im.notes.used(have.ID, time.Now())
	return have, nil
}

// suffices tells whether an image on the host can be used without a pull.
func (im *images) suffices(ref string, have runtime.Image) bool {
	switch {
	case im.behavior == PullAlways:
		return false
	case have.Digest == "": // it never came from a registry: none knows better
		return true
	case strings.Contains(ref, "@"): // pinned by its digest: it cannot change
		return true
	case im.behavior == PullOnce:
		return im.notes.everPulled(fullName(ref))
	}
	return im.behavior == PullPreferCached
}

func (im *images) keep(ref string, image runtime.Image) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.local[ref] = image
}

func (im *images) lookUp(ctx context.Context, ref string) (runtime.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, lifecycle.Action{Op: lifecycle.Inspect}.Deadline())
	defer cancel()
	image, err := im.runtime.Image(ctx, ref)
	im.metrics.called("image", err)
	if errors.Is(err, context.DeadlineExceeded) {
		// Not a verdict about the image; the engine is too busy to say.
		return image, fmt.Errorf("look up image %s: %w: %v", ref, runtime.ErrUnavailable, err)
	}
	return image, err
}

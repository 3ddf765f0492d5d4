package agenttest

import (
	"context"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

// Hooks stand in for methods of a runtime.Runtime. Each gets the engine that
// it stands before, and so decides what happens before the real call, after
// it, and whether there is one. A nil hook leaves its method alone.
type Hooks struct {
	Info  func(ctx context.Context, next runtime.Runtime) (runtime.Info, error)
	Image func(ctx context.Context, next runtime.Runtime, ref string) (runtime.Image, error)
	Pull  func(ctx context.Context, next runtime.Runtime, ref string, auth *runtime.Auth, progress func(runtime.PullProgress)) error

	ListImages  func(ctx context.Context, next runtime.Runtime) ([]runtime.StoredImage, error)
	RemoveImage func(ctx context.Context, next runtime.Runtime, nameOrID string) error

	Create  func(ctx context.Context, next runtime.Runtime, spec runtime.Spec) (string, error)
	Start   func(ctx context.Context, next runtime.Runtime, id string) error
	Restart func(ctx context.Context, next runtime.Runtime, id string, began time.Time) error
	Stop    func(ctx context.Context, next runtime.Runtime, id string, grace time.Duration) error
	Remove  func(ctx context.Context, next runtime.Runtime, id string) error
	Inspect func(ctx context.Context, next runtime.Runtime, id string) (runtime.Container, error)
	Stats   func(ctx context.Context, next runtime.Runtime, id string) ([]byte, error)
	List    func(ctx context.Context, next runtime.Runtime, labels map[string]string) ([]runtime.Container, error)
	Watch   func(ctx context.Context, next runtime.Runtime, labels map[string]string, ready func(), changed func(string, map[string]string)) error

	CreateVolume func(ctx context.Context, next runtime.Runtime, volume runtime.Volume) error
	RemoveVolume func(ctx context.Context, next runtime.Runtime, name string) error
	ListVolumes  func(ctx context.Context, next runtime.Runtime, labels map[string]string) ([]string, error)
}

// Intercept returns rt with hooks before it: how tests make calls of a real
// engine fail, wait, or lose their answers.
func Intercept(rt runtime.Runtime, hooks Hooks) runtime.Runtime {
	return &intercepted{next: rt, hooks: hooks}
}

type intercepted struct {
	next  runtime.Runtime
	hooks Hooks
}

func (i *intercepted) Info(ctx context.Context) (runtime.Info, error) {
	if i.hooks.Info != nil {
		return i.hooks.Info(ctx, i.next)
	}
	return i.next.Info(ctx)
}

func (i *intercepted) Image(ctx context.Context, ref string) (runtime.Image, error) {
	if i.hooks.Image != nil {
		return i.hooks.Image(ctx, i.next, ref)
	}
	return i.next.Image(ctx, ref)
}

func (i *intercepted) Pull(ctx context.Context, ref string, auth *runtime.Auth, progress func(runtime.PullProgress)) error {
	if i.hooks.Pull != nil {
		return i.hooks.Pull(ctx, i.next, ref, auth, progress)
	}
	return i.next.Pull(ctx, ref, auth, progress)
}

func (i *intercepted) ListImages(ctx context.Context) ([]runtime.StoredImage, error) {
	if i.hooks.ListImages != nil {
		return i.hooks.ListImages(ctx, i.next)
	}
	return i.next.ListImages(ctx)
}

func (i *intercepted) RemoveImage(ctx context.Context, nameOrID string) error {
	if i.hooks.RemoveImage != nil {
		return i.hooks.RemoveImage(ctx, i.next, nameOrID)
	}
	return i.next.RemoveImage(ctx, nameOrID)
}

func (i *intercepted) Create(ctx context.Context, spec runtime.Spec) (string, error) {
	if i.hooks.Create != nil {
		return i.hooks.Create(ctx, i.next, spec)
	}
	return i.next.Create(ctx, spec)
}

func (i *intercepted) Start(ctx context.Context, id string) error {
	if i.hooks.Start != nil {
		return i.hooks.Start(ctx, i.next, id)
	}
	return i.next.Start(ctx, id)
}

func (i *intercepted) Restart(ctx context.Context, id string, began time.Time) error {
	if i.hooks.Restart != nil {
		return i.hooks.Restart(ctx, i.next, id, began)
	}
	return i.next.Restart(ctx, id, began)
}

func (i *intercepted) Stop(ctx context.Context, id string, grace time.Duration) error {
	if i.hooks.Stop != nil {
		return i.hooks.Stop(ctx, i.next, id, grace)
	}
	return i.next.Stop(ctx, id, grace)
}

func (i *intercepted) Remove(ctx context.Context, id string) error {
	if i.hooks.Remove != nil {
		return i.hooks.Remove(ctx, i.next, id)
	}
	return i.next.Remove(ctx, id)
}

func (i *intercepted) Inspect(ctx context.Context, id string) (runtime.Container, error) {
	if i.hooks.Inspect != nil {
		return i.hooks.Inspect(ctx, i.next, id)
	}
	return i.next.Inspect(ctx, id)
}

func (i *intercepted) Stats(ctx context.Context, id string) ([]byte, error) {
	if i.hooks.Stats != nil {
		return i.hooks.Stats(ctx, i.next, id)
	}
	return i.next.Stats(ctx, id)
}

func (i *intercepted) List(ctx context.Context, labels map[string]string) ([]runtime.Container, error) {
	if i.hooks.List != nil {
		return i.hooks.List(ctx, i.next, labels)
	}
	return i.next.List(ctx, labels)
}

func (i *intercepted) Watch(ctx context.Context, labels map[string]string, ready func(), changed func(string, map[string]string)) error {
	if i.hooks.Watch != nil {
		return i.hooks.Watch(ctx, i.next, labels, ready, changed)
	}
	return i.next.Watch(ctx, labels, ready, changed)
}

func (i *intercepted) CreateVolume(ctx context.Context, volume runtime.Volume) error {
	if i.hooks.CreateVolume != nil {
		return i.hooks.CreateVolume(ctx, i.next, volume)
	}
	return i.next.CreateVolume(ctx, volume)
}

// What no test has had to stand before yet has no hook.

func (i *intercepted) Volume(ctx context.Context, name string) (runtime.Volume, error) {
	return i.next.Volume(ctx, name)
}

func (i *intercepted) Import(ctx context.Context, ref string, layer []byte, entryPoint []string) error {
	return i.next.Import(ctx, ref, layer, entryPoint)
}

func (i *intercepted) EnsureNetwork(ctx context.Context, network runtime.Network) error {
	return i.next.EnsureNetwork(ctx, network)
}

func (i *intercepted) Network(ctx context.Context, name string) (runtime.Network, error) {
	return i.next.Network(ctx, name)
}

func (i *intercepted) RemoveVolume(ctx context.Context, name string) error {
	if i.hooks.RemoveVolume != nil {
		return i.hooks.RemoveVolume(ctx, i.next, name)
	}
	return i.next.RemoveVolume(ctx, name)
}

func (i *intercepted) ListVolumes(ctx context.Context, labels map[string]string) ([]string, error) {
	if i.hooks.ListVolumes != nil {
		return i.hooks.ListVolumes(ctx, i.next, labels)
	}
	return i.next.ListVolumes(ctx, labels)
}

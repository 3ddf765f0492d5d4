package agenttest

import (
	"cmp"
	"context"
	"slices"

	"github.com/longshore/longshore/agent/runtime"
)

// ListImages returns every image in the engine's store.
func (m *Memory) ListImages(ctx context.Context) ([]runtime.StoredImage, error) {
	if err := m.enter(ctx, "ListImages"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var all []runtime.StoredImage
	for key, i := range m.images {
		if key == i.ID {
			all = append(all, runtime.StoredImage{ID: i.ID, Names: []string{i.name}, SizeBytes: 1 << 20, CreatedAt: i.created, InUse: m.uses(i.ID)})
		}
	}
	slices.SortFunc(all, func(a, b runtime.StoredImage) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

func (m *Memory) uses(imageID string) bool {
	for _, b := range m.containers {
		if b.seen.ImageID == imageID {
			return true
		}
	}
	return false
}

// RemoveImage deletes an image, by its name or id.
func (m *Memory) RemoveImage(ctx context.Context, nameOrID string) error {
	if err := m.enter(ctx, "RemoveImage"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	found, err := m.image(nameOrID)
	switch {
	case err != nil:
		return nil
	case m.uses(found.ID):
		return &refusal{kind: runtime.ErrInUse, text: "conflict: unable to remove " + nameOrID + ": a container is using its referenced image"}
	}
	delete(m.images, found.ID)
	delete(m.images, found.name)
	return nil
}

package agenttest

import (
	"errors"
	"slices"

	"github.com/longshore/longshore/agent/runtime"
)

// stored finds an image in the engine's list of all.
func (c *conformance) stored(ref string) (runtime.StoredImage, bool) {
	c.Helper()
	all, err := c.Runtime.ListImages(c.ctx)
	if err != nil {
		c.Fatalf("ListImages() = %v", err)
	}
	i := slices.IndexFunc(all, func(s runtime.StoredImage) bool {
		return slices.Contains(s.Names, ref) || slices.Contains(s.Names, ref+":latest")
	})
	if i < 0 {
		return runtime.StoredImage{}, false
	}
	return all[i], true
}

func imagesListed(c *conformance) {
	image, err := c.Runtime.Image(c.ctx, c.Images.Serve)
	if err != nil {
		c.Fatalf("Image() = %v", err)
	}
	id := c.create(c.spec("a", c.Images.Serve))
	if listed, ok := c.stored(c.Images.Serve); !ok || listed.ID != image.ID || !listed.InUse || listed.SizeBytes <= 0 {
		c.Errorf("ListImages() has %+v, %v; want %s in use by a container that was never started", listed, ok, image.ID)
	}
	c.remove(id)
}

// Those of an image that is used say so, whatever state the container is in.
func imagesInUse(c *conformance) {
	for _, id := range []string{c.run(c.spec("running", c.Images.Serve)), c.run(c.spec("exited", c.Images.Exit3))} {
		seen := c.inspect(id)
		err := c.Runtime.RemoveImage(c.ctx, seen.Image)
		c.wantRefusal("RemoveImage()", err)
		if !errors.Is(err, runtime.ErrInUse) {
			c.Errorf("RemoveImage(%s) = %v, want ErrInUse", seen.Image, err)
		}
		if listed, ok := c.stored(seen.Image); !ok || !listed.InUse {
			c.Errorf("image after the refusal = %+v, %v; want it as it was", listed, ok)
		}
	}
}

func imagesRemoved(c *conformance) {
	ref := c.Images.Spare(c.T)
	if listed, ok := c.stored(ref); !ok || listed.InUse {
		c.Errorf("ListImages() has %+v, %v; want %s, not in use", listed, ok, ref)
	}
	for range 2 { // one that is not there is no error
		if err := c.Runtime.RemoveImage(c.ctx, ref); err != nil {
			c.Errorf("RemoveImage() = %v", err)
		}
	}
	if _, err := c.Runtime.Image(c.ctx, ref); !errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Image() after its removal = %v, want ErrNotFound", err)
	}
	_, err := c.Runtime.Create(c.ctx, c.spec("a", ref))
	if !errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Create() after its removal = %v, want ErrNotFound", err)
	}
}

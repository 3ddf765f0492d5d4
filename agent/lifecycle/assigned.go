package lifecycle

import (
	"strings"

	"github.com/longshore/longshore/proto/ecs"

	"github.com/longshore/longshore/agent/runtime"
)

// visibleDevices tells programs, and NVIDIA's older runtime, which GPUs they have.
const visibleDevices = "NVIDIA_VISIBLE_DEVICES"

// assigned gives a container what the control plane has chosen for it.
func (b *builder) assigned(s *runtime.Spec, c *ecs.ContainerDefinition) {
	a := b.Assigned[c.Name]
	if a.ImageDigest != "" {
		s.Image = pinned(s.Image, a.ImageDigest)
	}
	if len(a.GPUs) > 0 {
		s.GPUs = a.GPUs
		setVariable(s, visibleDevices, strings.Join(a.GPUs, ","))
	}
}

// pinned is an image by its digest in place of its tag. One that is given by a
// digest is that already.
func pinned(image, digest string) string {
	if strings.Contains(image, "@") {
		return image
	}
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	return image + "@" + digest
}

// setVariable sets an environment variable, whatever the definition says of it.
func setVariable(s *runtime.Spec, name, value string) {
	for i, entry := range s.Env {
		if strings.HasPrefix(entry, name+"=") {
			s.Env[i] = name + "=" + value
			return
		}
	}
	s.Env = append(s.Env, name+"="+value)
}

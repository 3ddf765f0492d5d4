package rollout

import (
	"maps"

	"github.com/longshore/longshore/controlplane/model"
)

// pinImages notes which images the first task of the PRIMARY deployment, or of a task set, runs: the later
// ones are to run the same (ECS guide, container image resolution). What has been
// noted stays for as long as the deployment does.
func (p *planner) pinImages() {
	primary := p.svc.Primary()
	first := map[string]*model.Task{}
	found := map[string]string{}
	look := func(t *model.Task) (news bool) {
		for i := range t.Containers {
			c := &t.Containers[i]
			if c.ImageDigest == "" || primary.Images[c.Name] != "" {
				continue
			}
			news = true
			if f := first[c.Name]; f == nil || earlier(t, f) {
				first[c.Name], found[c.Name] = t, c.ImageDigest
			}
		}
		return news
	}
	for _, m := range p.members {
		if m.digests && m.deployment == primary.ID {
			m.digests = look(m.task)
		}
	}
	for _, t := range p.ended {
		if t.Deployment == primary.ID {
			look(t)
		}
	}
	if len(found) == 0 {
		return
	}
	maps.Copy(found, primary.Images)
	primary.Images = found
}

func earlier(a, b *model.Task) bool {
	if !a.CreatedAt.Equal(b.CreatedAt) {
		return a.CreatedAt.Before(b.CreatedAt)
	}
	return a.ID < b.ID
}

// runsImagesOf tells whether a deployment runs the images that another has noted. A
// tag may have come to mean another one in between: that is worth going back for.
func runsImagesOf(d, other *model.Deployment) bool {
	for container, digest := range other.Images {
		if d.Images[container] != digest {
			return false
		}
	}
	return true
}

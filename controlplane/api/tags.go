package api

import (
	"github.com/longshore/longshore/controlplane/launch"
	"github.com/longshore/longshore/proto/ecs"
)

// checkTags checks what the shape of tags does not say: each has a key, no key is
// there twice, and none is of those that belong to ECS.
func checkTags(tags []ecs.Tag) error {
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		if t.Key == "" {
			return invalid("A tag must have a key of 1 to 128 characters.")
		}
		if seen[t.Key] {
			return invalid("Duplicate tag keys found: %s.", clip(t.Key))
		}
		seen[t.Key] = true
		if launch.ReservedTag(t.Key) || t.Value != nil && launch.ReservedTag(*t.Value) {
			return invalid("Tag keys and values must not begin with 'aws:': %s.", clip(t.Key))
		}
	}
	return nil
}

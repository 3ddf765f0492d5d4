package lifecycle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Labels that every container and volume of a task carries. They are the
// agent's memory: after a restart it finds its tasks by them. The first five
// are ECS's own.
const (
	LabelCluster   = "com.amazonaws.ecs.cluster"
	LabelTask      = "com.amazonaws.ecs.task-arn"
	LabelContainer = "com.amazonaws.ecs.container-name"
	LabelFamily    = "com.amazonaws.ecs.task-definition-family"
	LabelRevision  = "com.amazonaws.ecs.task-definition-version"
	// LabelInstance holds the ARN of the container instance, so that several
	// agents can share an engine without touching one another's containers.
	LabelInstance = "longshore.instance"
)

// The engine keeps names in directories of at most 255 bytes, so the readable
// parts are clipped; the last part makes the whole unique all the same.
const maxNamePart = 80

// engineName is the name on the engine of the container or volume called name:
// the same whenever it is asked for, and different for every task.
func engineName(taskARN, family string, revision int32, kind, name string) string {
	sum := sha256.Sum256([]byte(taskARN + "\n" + kind + "\n" + name))
	return fmt.Sprintf("ecs-%s-%d-%s-%s", clip(family), revision, clip(name), hex.EncodeToString(sum[:])[:20])
}

func clip(s string) string {
	if len(s) <= maxNamePart {
		return s
	}
	return strings.TrimRight(s[:maxNamePart], "-_")
}

package secrets

import (
	"slices"

	"github.com/longshore/longshore/controlplane/model"
)

// MaxStages is how many stages a secret may have (Secrets Manager quotas).
const MaxStages = 20

// AddVersion puts a version with its stages in front. A stage is that of one
// version only; the one that AWSCURRENT is taken from becomes AWSPREVIOUS; a
// version that has lost its last stage is forgotten. The list given is not changed.
func AddVersion(versions []model.SecretVersion, added model.SecretVersion) []model.SecretVersion {
	current := slices.Contains(added.Stages, StageCurrent)
	out := []model.SecretVersion{added}
	for _, v := range versions {
		stages := slices.DeleteFunc(slices.Clone(v.Stages), func(stage string) bool {
			return slices.Contains(added.Stages, stage) || current && stage == StagePrevious
		})
		if current && slices.Contains(v.Stages, StageCurrent) && !slices.Contains(added.Stages, StagePrevious) {
			stages = append(stages, StagePrevious)
		}
		if len(stages) == 0 {
			continue
		}
		v.Stages = stages
		out = append(out, v)
	}
	return out
}

// CountStages returns how many stages the versions have together.
func CountStages(versions []model.SecretVersion) int {
	n := 0
	for _, v := range versions {
		n += len(v.Stages)
	}
	return n
}

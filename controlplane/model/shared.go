package model

import "unique"

// Shared returns a string that is equal to s and has its memory in common with all others
// that Shared returned for it: records are kept in memory by the hundred thousand, and
// most of what their fields say is said by all of them.
func Shared(s string) string {
	if s == "" {
		return ""
	}
	return unique.Make(s).Value()
}

func share[S ~string](all ...*S) {
	for _, s := range all {
		*s = S(Shared(string(*s)))
	}
}

// Share makes the strings that a task has in common with others Shared: those of a task
// that was read from storage are all its own.
func (t *Task) Share() {
	share(&t.Cluster)
	share(&t.Instance)
	share(&t.Definition.Family)
	share(&t.LaunchType)
	share(&t.CapacityProvider)
	share(&t.Group, &t.StartedBy, &t.StoppedReason, &t.PlatformVersion)
	share(&t.Service)
	share(&t.Deployment)
	share(&t.DesiredStatus, &t.LastStatus)
	share(&t.StopCode)
	share(&t.HealthStatus)
	for i := range t.Containers {
		c := &t.Containers[i]
		share(&c.Name, &c.Image, &c.ImageDigest, &c.PinnedDigest, &c.Reason)
		share(&c.LastStatus)
		share(&c.HealthStatus)
	}
}

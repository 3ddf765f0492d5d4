package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

// Values are what the definition of a container only names: the content of its
// secrets and environment files. They are found out before the image is pulled,
// are kept in memory until the last container has been created, and go nowhere
// but to the engine. A container's hash and labels say nothing of them.
type Values struct {
	Files      []Variable        // of environment files, each name once
	Secrets    map[string]string // environment variables
	LogOptions map[string]string // of the log driver's secretOptions
	Auth       *runtime.Auth     // of the image's registry; nil: it needs none
}

// Variable is an environment variable.
type Variable struct{ Name, Value string }

// String keeps values out of whatever prints them.
func (v *Values) String() string { return "values of a container" }

// GoString does the same for %#v.
func (v *Values) GoString() string { return v.String() }

// complete returns a spec with the values in it. What the definition and its
// overrides set comes before the files (ECS guide, environment files); a secret
// shares its name with no variable of the definition.
func (v *Values) complete(spec runtime.Spec) runtime.Spec {
	if v == nil {
		return spec
	}
	spec.Env = slices.Clone(spec.Env)
	taken := make(map[string]int, len(spec.Env))
	for i, entry := range spec.Env {
		name, _, _ := strings.Cut(entry, "=")
		taken[name] = i
	}
	for _, variable := range v.Files {
		if _, set := taken[variable.Name]; !set {
			taken[variable.Name] = len(spec.Env)
			spec.Env = append(spec.Env, variable.Name+"="+variable.Value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Secrets)) {
		entry := name + "=" + v.Secrets[name]
		if i, set := taken[name]; set {
			spec.Env[i] = entry // an override's, or a file's
			continue
		}
		spec.Env = append(spec.Env, entry)
	}
	if len(v.LogOptions) > 0 {
		options := maps.Clone(spec.LogOptions)
		if options == nil {
			options = map[string]string{}
		}
		maps.Copy(options, v.LogOptions)
		spec.LogOptions = options
	}
	return spec
}

// names fills in what the unit's definition names.
func (u *Unit) names(c *ecs.ContainerDefinition, o *ecs.ContainerOverride) {
	u.Secret = len(c.Secrets) > 0 || c.RepositoryCredentials != nil || c.LogConfiguration != nil && len(c.LogConfiguration.SecretOptions) > 0
	files := c.EnvironmentFiles
	if o != nil && len(o.EnvironmentFiles) > 0 {
		files = o.EnvironmentFiles // instead of those of the definition (ContainerOverride, seed 000)
	}
	for _, f := range files {
		u.EnvironmentFiles = append(u.EnvironmentFiles, f.Value)
	}
}

// Unresolved tells whether the unit's definition names values.
func (u *Unit) Unresolved() bool { return u.Secret || len(u.EnvironmentFiles) > 0 }

// valuesOf returns the values of a unit; nil if it needs none or has them no more.
func (s *State) valuesOf(unit int) *Values {
	if unit >= len(s.values) {
		return nil
	}
	return s.values[unit]
}

// AuthOf returns what the registry of a unit's image asks for; nil: nothing.
func (s *State) AuthOf(unit int) *runtime.Auth {
	if v := s.valuesOf(unit); v != nil {
		return v.Auth
	}
	return nil
}

// SpecOf returns everything that the engine is told of a unit, its values included.
func (s *State) SpecOf(t Task, unit int) runtime.Spec {
	return s.valuesOf(unit).complete(t.Units[unit].Spec)
}

// SecretsOf returns the values that nobody is to be shown among what the engine is
// told of a unit: it may repeat them in its refusals.
func (s *State) SecretsOf(unit int) []string {
	v := s.valuesOf(unit)
	if v == nil {
		return nil
	}
	return slices.Concat(slices.Collect(maps.Values(v.Secrets)), slices.Collect(maps.Values(v.LogOptions)))
}

// uncreated tells whether there is a container that still needs its values.
func (s *State) uncreated(t Task) bool {
	for i := range s.Containers {
		if t.Units[i].Unresolved() && s.Containers[i].Phase < Created {
			return true
		}
	}
	return false
}

// resolved tells whether a unit has all the values that it needs.
func (n *next) resolved(unit int) bool { return n.ValuesReady || !n.Units[unit].Unresolved() }

func (s *State) endResolve(r Result, now time.Time) {
	switch {
	case lost(r.Err):
		s.Resolving.putOff(now, lastRetry)
	case errors.Is(r.Err, context.DeadlineExceeded):
		s.Fault = FaultInitialize(fmt.Errorf("unable to pull secrets or registry auth: timed out after waiting %s", Action{Op: Resolve}.Deadline()))
	case r.Err != nil:
		s.Fault = FaultInitialize(r.Err)
	default:
		s.values, s.ValuesReady, s.Resolving.Attempts = r.Values, true, 0
	}
}

// forgetValues drops the values once nothing needs them any more.
func (s *State) forgetValues(t Task) {
	if s.values != nil && (s.Status == Stopped || !s.uncreated(t)) {
		s.values = nil
	}
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/longshore/longshore/agent/envfile"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/agent/session"
)

// secretCapabilities are what an agent can do with secrets, whatever its host is.
var secretCapabilities = [...]string{
	"ecs.capability.secrets.asm.environment-variables",
	"ecs.capability.secrets.ssm.environment-variables",
	"ecs.capability.secrets.asm.bootstrap.log-driver",
	"ecs.capability.secrets.ssm.bootstrap.log-driver",
	"ecs.capability.private-registry-authentication.secretsmanager",
}

// resolve finds out the values that the task's definition names. Its errors are
// worded as the ECS agent does; they hold no value.
func (j *job) resolve(ctx context.Context) lifecycle.Result {
	units := j.worker.task.Units // never change; the rest of the task is the worker's own
	values := make([]*lifecycle.Values, len(units))
	for i := range units {
		if units[i].Unresolved() {
			values[i] = &lifecycle.Values{}
		}
	}
	for _, step := range []func(context.Context, []lifecycle.Unit, []*lifecycle.Values) error{j.secrets, j.environmentFiles} {
		if err := step(ctx, units, values); err != nil {
			return j.logged(lifecycle.Result{Err: err})
		}
	}
	return lifecycle.Result{Values: values}
}

// secrets asks the control plane, if it has anything for the task.
func (j *job) secrets(ctx context.Context, units []lifecycle.Unit, values []*lifecycle.Values) error {
	if !slices.ContainsFunc(units, func(u lifecycle.Unit) bool { return u.Secret }) {
		return nil
	}
	found, err := j.table.session.ResolveSecrets(ctx, j.worker.arn)
	switch {
	case errors.Is(err, session.ErrTryAgain):
		return fmt.Errorf("%w: %w", runtime.ErrUnavailable, err)
	case err != nil:
		return fmt.Errorf("unable to pull secrets or registry auth: %w", err)
	}
	for _, c := range found {
		unit := slices.IndexFunc(units, func(u lifecycle.Unit) bool { return u.Name == c.Name })
		if unit < 0 || values[unit] == nil {
			return fmt.Errorf("unable to pull secrets or registry auth: the control plane answers for container %q, which has none", c.Name)
		}
		v := values[unit]
		v.Secrets, v.LogOptions = c.Environment, c.LogOptions
		if c.Registry != nil {
			v.Auth = &runtime.Auth{Username: c.Registry.Username, Password: c.Registry.Password}
		}
	}
	return nil
}

// environmentFiles reads the files of each unit; of a name that is in several
// the first file counts (ECS guide, environment files).
func (j *job) environmentFiles(ctx context.Context, units []lifecycle.Unit, values []*lifecycle.Values) error {
	read := map[string][]envfile.Variable{}
	for i := range units {
		taken := map[string]bool{}
		for _, arn := range units[i].EnvironmentFiles {
			variables, again := read[arn]
			if !again {
				var err error
				if variables, err = envfile.Fetch(ctx, j.table.config.EnvironmentFiles, arn); err != nil {
					return fmt.Errorf("failed to download env files: %w", err)
				}
				read[arn] = variables
			}
			for _, v := range variables {
				if !taken[v.Name] {
					taken[v.Name] = true
					values[i].Files = append(values[i].Files, lifecycle.Variable(v))
				}
			}
		}
	}
	return nil
}

package api

import (
	"regexp"
	"slices"
	"strings"

	"github.com/longshore/longshore/controlplane/secrets"
	"github.com/longshore/longshore/proto/ecs"
)

const maxEnvironmentFiles = 10 // of a container

// environmentFileForm is the ARN of an object in S3 whose name ends as it must.
var environmentFileForm = regexp.MustCompile(`^arn:aws[a-z-]*:s3:::[^/\s]+/.*\.env$`)

func checkEnvironmentFiles(c *ecs.ContainerDefinition) error {
	if len(c.EnvironmentFiles) > maxEnvironmentFiles {
		return wrong(c, "There are at most %d environment files, not %d.", maxEnvironmentFiles, len(c.EnvironmentFiles))
	}
	for _, f := range c.EnvironmentFiles {
		if !environmentFileForm.MatchString(f.Value) {
			return wrong(c, "An environment file is the ARN of an S3 object whose name ends in .env, not %q.", clip(f.Value))
		}
	}
	return nil
}

// checkSecrets: a secret becomes an environment variable, so that its name may be
// given only once among both, and somebody must be allowed to read it.
func checkSecrets(c *ecs.ContainerDefinition, d *ecs.RegisterTaskDefinitionRequest) error {
	taken := map[string]bool{}
	for _, e := range c.Environment {
		taken[e.Name] = true
	}
	for _, s := range c.Secrets {
		switch {
		case !variableName(s.Name) || s.ValueFrom == "":
			return wrong(c, "A secret needs a name without '=' and a valueFrom.")
		case !reference(s.ValueFrom):
			return wrong(c, "A secret's valueFrom is the ARN of a secret or the ARN or name of a parameter, not %q.", clip(s.ValueFrom))
		case taken[s.Name]:
			return refused("The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '%s'.", clip(s.Name))
		}
		taken[s.Name] = true
	}
	if d.ExecutionRoleArn == "" && (len(c.Secrets) > 0 || c.LogConfiguration != nil && len(c.LogConfiguration.SecretOptions) > 0) {
		return refused("When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.")
	}
	return nil
}

// reference tells whether a valueFrom can be one. That there is such a secret is
// found out when a task starts.
func reference(valueFrom string) bool {
	_, err := secrets.ParseReference(valueFrom)
	return err == nil
}

func credentialsReference(s string) bool {
	_, err := secrets.ParseCredentialsParameter(s)
	return err == nil
}

// logOptions are the options without which a log driver does not work.
var logOptions = map[ecs.LogDriver][]string{
	ecs.LogDriverAwslogs: {"awslogs-group", "awslogs-region"},
	ecs.LogDriverSplunk:  {"splunk-token", "splunk-url"},
}

func checkLog(c *ecs.ContainerDefinition) error {
	l := c.LogConfiguration
	if l == nil {
		return nil
	}
	given := map[string]bool{}
	for name, value := range l.Options {
		if name == "" {
			return wrong(c, "An option of the log driver needs a name.")
		}
		given[name] = value != ""
	}
	for _, s := range l.SecretOptions {
		switch _, twice := given[s.Name]; {
		case s.Name == "" || s.ValueFrom == "":
			return wrong(c, "A secret option of the log driver needs a name and a valueFrom.")
		case !reference(s.ValueFrom):
			return wrong(c, "The valueFrom of a secret option is the ARN of a secret or the ARN or name of a parameter, not %q.", clip(s.ValueFrom))
		case twice:
			return wrong(c, "The option %s of the log driver is given twice.", clip(s.Name))
		}
		given[s.Name] = true
	}
	if missing := lacking(logOptions[l.LogDriver], given); len(missing) > 0 {
		return refused("Log driver %s requires options: %s", l.LogDriver, strings.Join(missing, ", "))
	}
	return nil
}

func lacking(needed []string, given map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(needed), func(name string) bool { return given[name] })
}

// Values of the options of FireLens; an empty list: anything but nothing.
var firelensOptions = map[string][]string{
	"enable-ecs-log-metadata": {"true", "false"},
	"config-file-type":        {"s3", "file"},
	"config-file-value":       nil,
}

func checkFirelens(c *ecs.ContainerDefinition) error {
	f := c.FirelensConfiguration
	if f == nil {
		return nil
	}
	for name, value := range f.Options {
		values, known := firelensOptions[name]
		switch {
		case !known:
			return wrong(c, "The firelensConfiguration has no option %q.", clip(name))
		case value == "" || len(values) > 0 && !slices.Contains(values, value):
			return wrong(c, "The option %s of the firelensConfiguration cannot be %q.", name, clip(value))
		}
	}
	if (f.Options["config-file-type"] == "") != (f.Options["config-file-value"] == "") {
		return wrong(c, "The firelensConfiguration needs both of config-file-type and config-file-value, or neither.")
	}
	return nil
}

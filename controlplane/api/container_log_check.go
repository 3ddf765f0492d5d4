package api

import (
	"maps"
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

// awslogsOptions are those that mean something here, or nothing to any log: a
// group needs no making. The others change what becomes of the lines.
var awslogsOptions = []string{"awslogs-group", "awslogs-region", "awslogs-stream-prefix", "awslogs-create-group", "mode", "max-buffer-size"}

func checkAwslogs(c *ecs.ContainerDefinition, options map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(awslogsOptions, name) {
			return wrong(c, "Longshore does not support the option %s of the log driver awslogs.", clip(name))
		}
	}
	switch v := options["awslogs-create-group"]; v {
	case "", "true", "false":
	default:
		return wrong(c, "The option awslogs-create-group is true or false, not %q.", clip(v))
	}
	return checkMode(c, options)
}

// checkMode: a buffer is for the mode non-blocking, which is ECS's default (LogConfiguration, API documentation).
func checkMode(c *ecs.ContainerDefinition, options map[string]string) error {
	switch v := options["mode"]; v {
	case "", "blocking", "non-blocking":
	default:
		return wrong(c, "The option mode of the log driver is blocking or non-blocking, not %q.", clip(v))
	}
	if options["max-buffer-size"] != "" && options["mode"] == "blocking" {
		return wrong(c, "The option max-buffer-size of the log driver is not for the mode blocking.")
	}
	return nil
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
	if l.LogDriver == ecs.LogDriverAwslogs && len(l.SecretOptions) > 0 {
		return wrong(c, "Longshore does not support secretOptions of the log driver awslogs.")
	}
	if l.LogDriver == ecs.LogDriverAwslogs {
		return checkAwslogs(c, l.Options)
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

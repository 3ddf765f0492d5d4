package api

import (
	"reflect"
	"slices"
	"strings"

	"github.com/longshore/longshore/proto/ecs"
)

// unsupportedYet is what a task definition can ask of ECS and not yet of
// Longshore: members by their path, or a single value of a member. To support one
// is to delete its row here and to change its row in docs/compatibility.md.
var unsupportedYet = []string{
	"requiresCompatibilities=MANAGED_INSTANCES",
	"proxyConfiguration",
	"inferenceAccelerators",
	"ephemeralStorage",
	"enableFaultInjection",

	"volumes.efsVolumeConfiguration.transitEncryption=ENABLED",
	"volumes.efsVolumeConfiguration.transitEncryptionPort",
	"volumes.efsVolumeConfiguration.authorizationConfig",
	"volumes.s3filesVolumeConfiguration",
	"volumes.fsxWindowsFileServerVolumeConfiguration",
	"volumes.configuredAtLaunch",

	"containerDefinitions.logConfiguration.logDriver=awsfirelens",
	"containerDefinitions.resourceRequirements.type=InferenceAccelerator",
	"containerDefinitions.firelensConfiguration",
	"containerDefinitions.credentialSpecs",
}

// checkUnsupported refuses a definition that uses any of unsupportedYet, by name.
func checkUnsupported(in *ecs.RegisterTaskDefinitionRequest) error {
	if onWindows(in.RuntimePlatform) {
		return refused("Longshore runs tasks on LINUX only, not on %s.", in.RuntimePlatform.OperatingSystemFamily)
	}
	var used []string
	for _, row := range unsupportedYet {
		path, value, _ := strings.Cut(row, "=")
		usesOf(reflect.ValueOf(in).Elem(), "a task definition", "", strings.Split(path, "."), value, func(use string) {
			if !slices.Contains(used, use) {
				used = append(used, use)
			}
		})
	}
	if len(used) > 0 {
		return refused("Longshore does not support %s yet.", strings.Join(used, ", "))
	}
	return nil
}

// usesOf reports each use of the member at a path below a structure, or of its one
// value, as "member of owner". The owner is what has a name of its own: a
// container or a volume.
func usesOf(v reflect.Value, owner, member string, path []string, value string, report func(use string)) {
	field := memberOf(v, path[0])
	member = strings.TrimPrefix(member+"."+path[0], ".")
	if len(path) > 1 {
		for _, below := range structures(field) {
			o, m := owner, member
			switch b := below.Addr().Interface().(type) {
			case *ecs.ContainerDefinition:
				o, m = "container '"+b.Name+"'", ""
			case *ecs.Volume:
				o, m = "volume '"+b.Name+"'", ""
			}
			usesOf(below, o, m, path[1:], value, report)
		}
		return
	}
	switch {
	case value == "" && asksForSomething(field):
		report(member + " of " + owner)
	case value != "" && holds(field, value):
		report(member + " " + value + " of " + owner)
	}
}

// memberOf finds a member by its name on the wire.
func memberOf(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); tag == name {
			return v.Field(i)
		}
	}
	return reflect.Value{} // a test holds every row against the model
}

// structures lists the structures of a list, or the one that a pointer leads to.
func structures(v reflect.Value) []reflect.Value {
	var out []reflect.Value
	switch {
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			out = append(out, v.Index(i))
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		out = append(out, v.Elem())
	}
	return out
}

// asksForSomething tells whether a member is set. A number that is there asks for
// something even if it is 0: maxSwap 0 forbids to swap.
func asksForSomething(v reflect.Value) bool {
	if v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Int32 {
		return !v.IsNil()
	}
	return !saysNothing(v)
}

func holds(v reflect.Value, value string) bool {
	if v.Kind() != reflect.Slice {
		return v.String() == value
	}
	for i := range v.Len() {
		if v.Index(i).String() == value {
			return true
		}
	}
	return false
}

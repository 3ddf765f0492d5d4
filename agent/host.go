package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/ecs"
)

const capability = "com.amazonaws.ecs.capability."

// info asks the engine about itself and its host.
func (a *Agent) info(ctx context.Context) (runtime.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, lifecycle.Action{Op: lifecycle.Inspect}.Deadline())
	defer cancel()
	info, err := a.config.Runtime.Info(ctx)
	a.metrics.called("info", err)
	if err != nil {
		return runtime.Info{}, fmt.Errorf("ask the container engine about the host: %w", err)
	}
	return info, nil
}

// registration describes the host as it is now.
func (a *Agent) registration(info runtime.Info, offer *offer) (*ecs.RegisterContainerInstanceRequest, error) {
	// What a cloud would say of the machine; here the agent vouches for itself.
	document, err := json.Marshal(map[string]string{
		"instanceId": a.config.InstanceName, "availabilityZone": a.config.AvailabilityZone, "architecture": architecture(info),
	})
	if err != nil {
		return nil, fmt.Errorf("encode the instance identity: %w", err)
	}
	return &ecs.RegisterContainerInstanceRequest{
		InstanceIdentityDocument: string(document),
		TotalResources:           a.resources(info),
		Attributes:               a.attributes(info, offer),
		PlatformDevices:          a.devices(),
		VersionInfo:              &ecs.VersionInfo{AgentVersion: a.config.Version, DockerVersion: "DockerVersion: " + info.EngineVersion},
	}, nil
}

func (a *Agent) resources(info runtime.Info) []ecs.Resource {
	cpu, memory := a.config.CPUUnits, a.config.MemoryMiB
	if cpu == 0 {
		cpu = 1024 * info.CPUs
	}
	if memory == 0 {
		memory = max(int(info.MemoryBytes>>20)-a.config.ReservedMemoryMiB, 0)
	}
	ports := []string{}
	for _, p := range a.config.ReservedPorts {
		ports = append(ports, strconv.Itoa(int(p)))
	}
	return []ecs.Resource{
		{Name: "CPU", Type: "INTEGER", IntegerValue: int32(cpu)},
		{Name: "MEMORY", Type: "INTEGER", IntegerValue: int32(memory)},
		{Name: "PORTS", Type: "STRINGSET", StringSetValue: ports},
		{Name: "PORTS_UDP", Type: "STRINGSET", StringSetValue: []string{}},
	}
}

// devices are the GPUs that tasks can be given.
func (a *Agent) devices() []ecs.PlatformDevice {
	var all []ecs.PlatformDevice
	for _, id := range a.config.GPUs {
		all = append(all, ecs.PlatformDevice{Id: id, Type: ecs.PlatformDeviceTypeGPU})
	}
	return all
}

// attributes are what placement can ask for: the host's properties, and the
// capabilities that it really has.
func (a *Agent) attributes(info runtime.Info, o *offer) []ecs.Attribute {
	all := map[string]string{
		"ecs.availability-zone":                 a.config.AvailabilityZone,
		"ecs.os-type":                           info.OSType,
		"ecs.cpu-architecture":                  architecture(info),
		capability + "privileged-container":     "",
		"ecs.capability.container-ordering":     "",
		"ecs.capability.container-health-check": "",

		"ecs.capability.container-restart-policy":     "",
		"ecs.capability.network.container-port-range": "",
	}
	for _, name := range secretCapabilities {
		all[name] = ""
	}
	if len(a.config.EnvironmentFiles) > 0 {
		all["ecs.capability.env-files.s3"] = ""
	}
	for _, version := range apiVersions(info.APIVersion) {
		all[capability+"docker-remote-api."+version] = ""
	}
	for _, driver := range info.LogDrivers {
		all[capability+"logging-driver."+driver] = ""
	}
	// What a container logs to awslogs stays on the host, so that it takes no role
	// and no driver of that name.
	delete(all, capability+"logging-driver."+string(ecs.LogDriverAwslogs))
	if lifecycle.KeepsLogs(info.LogDrivers) {
		all[capability+"logging-driver."+string(ecs.LogDriverAwslogs)] = ""
		all["ecs.capability.execution-role-awslogs"] = ""
	}
	for _, option := range info.SecurityOpts {
		if option == "apparmor" || option == "selinux" {
			all[capability+option] = ""
		}
	}
	for _, driver := range info.VolumeDrivers {
		all["ecs.capability.docker-plugin."+driver] = ""
	}
	maps.Copy(all, o.attributes(!a.config.NoFargate))
	if address, err := a.address(); err != nil {
		a.log.Warn("load balancers can not reach the ports of this host", "error", err)
	} else {
		all[attributeAddress] = address
	}
	for _, name := range a.endpoint.attributes() {
		all[name] = ""
	}
	maps.Copy(all, a.config.Attributes)
	var attributes []ecs.Attribute
	for _, name := range slices.Sorted(maps.Keys(all)) {
		attribute := ecs.Attribute{Name: name}
		if value := all[name]; value != "" {
			attribute.Value = &value
		}
		attributes = append(attributes, attribute)
	}
	return attributes
}

// apiVersions lists what an engine whose newest API is the given one speaks, from 1.17 as ECS has it.
func apiVersions(newest string) []string {
	major, minor, _ := strings.Cut(newest, ".")
	last, err := strconv.Atoi(minor)
	if major != "1" || err != nil {
		return nil // an engine of another kind
	}
	var all []string
	for v := 17; v <= last; v++ {
		all = append(all, "1."+strconv.Itoa(v))
	}
	return all
}

// architecture returns ECS's name of the host's architecture.
func architecture(info runtime.Info) string {
	if info.Architecture == "amd64" {
		return "x86_64"
	}
	return info.Architecture
}

package docker

import (
	"github.com/docker/docker/api/types/container"

	"github.com/longshore/longshore/agent/runtime"
)

// devices are the host's devices that a container may use.
func devices(all []runtime.Device) []container.DeviceMapping {
	var mappings []container.DeviceMapping
	for _, d := range all {
		mappings = append(mappings, container.DeviceMapping{
			PathOnHost: d.HostPath, PathInContainer: d.ContainerPath, CgroupPermissions: d.Permissions,
		})
	}
	return mappings
}

// gpuRequests asks for NVIDIA's devices as docker run --gpus does, which needs
// nothing of the daemon's settings but that NVIDIA's toolkit is installed.
func gpuRequests(ids []string) []container.DeviceRequest {
	if len(ids) == 0 {
		return nil
	}
	return []container.DeviceRequest{{Driver: "nvidia", DeviceIDs: ids, Capabilities: [][]string{{"gpu"}}}}
}

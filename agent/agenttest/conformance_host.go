package agenttest

import (
	"errors"
	"slices"
	"strings"

	"github.com/longshore/longshore/agent/runtime"
)

func (c *conformance) withPorts(name string, ports ...runtime.PortMapping) runtime.Spec {
	spec := c.spec(name, c.Images.Serve)
	spec.NetworkMode = "bridge"
	spec.Ports = ports
	return spec
}

func portsDynamic(c *conformance) {
	taken := make(map[uint16]bool)
	for _, name := range []string{"a", "b"} {
		id := c.run(c.withPorts(name,
			runtime.PortMapping{ContainerPort: 8080, Protocol: "tcp"},
			runtime.PortMapping{ContainerPort: 8081, Protocol: "tcp"},
		))
		ports := c.inspect(id).Ports
		if len(ports) != 2 || ports[0].ContainerPort != 8080 || ports[1].ContainerPort != 8081 {
			c.Fatalf("ports = %+v, want one binding each of 8080 and 8081", ports)
		}
		for _, port := range ports {
			if port.HostPort == 0 || taken[port.HostPort] || port.BindIP != "0.0.0.0" || port.Protocol != "tcp" {
				c.Errorf("binding %+v, want a host port of its own on 0.0.0.0", port)
			}
			taken[port.HostPort] = true
		}
	}
}

// somePort returns a host port that was free a moment ago.
func (c *conformance) somePort() uint16 {
	c.Helper()
	id := c.run(c.withPorts("probe", runtime.PortMapping{ContainerPort: 1, Protocol: "tcp"}))
	ports := c.inspect(id).Ports
	if len(ports) != 1 {
		c.Fatalf("ports = %+v, want one", ports)
	}
	c.remove(id)
	return ports[0].HostPort
}

func portsFixed(c *conformance) {
	port := c.somePort()
	for _, name := range []string{"a", "b"} {
		id := c.run(c.withPorts(name, runtime.PortMapping{ContainerPort: 8080, HostPort: port, Protocol: "tcp"}))
		want := []runtime.PortBinding{{BindIP: "0.0.0.0", ContainerPort: 8080, HostPort: port, Protocol: "tcp"}}
		if ports := c.inspect(id).Ports; !slices.Equal(ports, want) {
			c.Errorf("ports = %+v, want %+v", ports, want)
		}
		c.stop(id, grace) // and the next can have it
	}
}

func portsTaken(c *conformance) {
	holder := c.run(c.withPorts("a", runtime.PortMapping{ContainerPort: 8080, Protocol: "tcp"}))
	taken := c.inspect(holder).Ports[0].HostPort

	id := c.create(c.withPorts("b",
		runtime.PortMapping{ContainerPort: 8081, Protocol: "tcp"},
		runtime.PortMapping{ContainerPort: 8080, HostPort: taken, Protocol: "tcp"},
	))
	err := c.Runtime.Start(c.ctx, id)
	c.wantRefusal("Start()", err)
	if !strings.Contains(err.Error(), "port is already allocated") {
		c.Errorf("Start() = %q, want the reason", err)
	}
	seen := c.inspect(id)
	if seen.State != runtime.Exited || !strings.Contains(seen.Error, "port is already allocated") || seen.ExitCode == 0 {
		c.Errorf("container = %+v, want it exited with the reason", seen)
	}
	if len(seen.Ports) != 0 {
		c.Errorf("ports = %+v of a container that never ran", seen.Ports)
	}
}

func portsProtocols(c *conformance) {
	ports := c.inspect(c.run(c.withPorts("a",
		runtime.PortMapping{ContainerPort: 53, Protocol: "udp"},
		runtime.PortMapping{ContainerPort: 53, Protocol: "tcp"},
	))).Ports
	if len(ports) != 2 || ports[0].Protocol != "tcp" || ports[1].Protocol != "udp" {
		c.Errorf("ports = %+v, want tcp and udp", ports)
	}
}

func networkShared(c *conformance) {
	owner := c.run(c.spec("owner", c.Images.Serve))
	spec := c.spec("guest", c.Images.IgnoreStop)
	spec.NetworkMode = "container:" + owner
	if seen := c.inspect(c.run(spec)); seen.State != runtime.Running || seen.IPAddress != "" {
		c.Errorf("guest = %+v, want it running without an address", seen)
	}
}

func networkNotRunning(c *conformance) {
	owner := c.run(c.spec("owner", c.Images.Exit0))
	c.awaitExited(owner)
	spec := c.spec("guest", c.Images.Serve)
	spec.NetworkMode = "container:" + owner
	id := c.create(spec)
	err := c.Runtime.Start(c.ctx, id)
	c.wantRefusal("Start()", err)
	if errors.Is(err, runtime.ErrNotFound) {
		c.Errorf("Start() = %v, want no ErrNotFound: the container is there", err)
	}
	if seen := c.inspect(id); seen.State != runtime.Exited || seen.Error == "" {
		c.Errorf("guest = %+v, want it exited with the reason", seen)
	}
}

func (c *conformance) volumes() []string {
	c.Helper()
	names, err := c.Runtime.ListVolumes(c.ctx, c.labels)
	if err != nil {
		c.Fatalf("ListVolumes() = %v", err)
	}
	slices.Sort(names)
	return names
}

func (c *conformance) createVolume(name string, labels map[string]string) {
	c.Helper()
	if err := c.Runtime.CreateVolume(c.ctx, runtime.Volume{Name: name, Labels: labels}); err != nil {
		c.Fatalf("CreateVolume() = %v", err)
	}
}

func volumesLife(c *conformance) {
	a, b := c.prefix+"a", c.prefix+"b"
	c.createVolume(a, c.labels)
	c.createVolume(b, c.labels)
	c.createVolume(a, nil) // left as it is, with its labels
	if names := c.volumes(); !slices.Equal(names, []string{a, b}) {
		c.Errorf("ListVolumes() = %v, want %v", names, []string{a, b})
	}
	for range 2 { // one that is not there is no error
		if err := c.Runtime.RemoveVolume(c.ctx, a); err != nil {
			c.Errorf("RemoveVolume() = %v", err)
		}
	}
	if names := c.volumes(); !slices.Equal(names, []string{b}) {
		c.Errorf("ListVolumes() = %v, want %v", names, []string{b})
	}
}

func volumesInUse(c *conformance) {
	name := c.prefix + "v"
	c.createVolume(name, c.labels)
	spec := c.spec("a", c.Images.Serve)
	spec.Mounts = []runtime.Mount{{Source: name, Target: "/data"}}
	id := c.run(spec)
	c.wantRefusal("RemoveVolume()", c.Runtime.RemoveVolume(c.ctx, name))
	c.remove(id)
	if names := c.volumes(); !slices.Equal(names, []string{name}) {
		c.Errorf("ListVolumes() after its container is gone = %v, want it kept", names)
	}
	if err := c.Runtime.RemoveVolume(c.ctx, name); err != nil {
		c.Errorf("RemoveVolume() = %v", err)
	}
}

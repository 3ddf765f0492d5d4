package agenttest

import (
	"github.com/longshore/longshore/agent/runtime"
)

// createEveryField: an engine takes all that can be asked of it at once.
func createEveryField(c *conformance) {
	swappiness := int64(20)
	for name, change := range map[string]func(*runtime.Spec){
		"caps": func(s *runtime.Spec) { s.CapAdd, s.CapDrop = []string{"SYS_PTRACE"}, []string{"ALL"} },
		"device": func(s *runtime.Spec) {
			s.Devices = []runtime.Device{{HostPath: "/dev/null", ContainerPath: "/dev/nothing", Permissions: "r"}}
		},
		"shm":   func(s *runtime.Spec) { s.ShmSizeBytes = 8 << 20 },
		"tmpfs": func(s *runtime.Spec) { s.Tmpfs = map[string]string{"/scratch": "rw,noexec,size=4m"} },
		"sysctl": func(s *runtime.Spec) {
			s.Sysctls = map[string]string{"net.core.somaxconn": "300", "kernel.msgmax": "9000"}
		},
		"swap":    func(s *runtime.Spec) { s.MemoryBytes, s.MemorySwapBytes, s.Swappiness = 32<<20, 40<<20, &swappiness },
		"no-swap": func(s *runtime.Spec) { s.MemoryBytes, s.MemorySwapBytes = 32<<20, 32<<20 },
		"log":     func(s *runtime.Spec) { s.LogDriver, s.LogOptions = "json-file", map[string]string{"max-size": "1m"} },
		"local":   func(s *runtime.Spec) { s.LogDriver = "local" },
		"rest": func(s *runtime.Spec) {
			s.ReadonlyRootFS, s.OpenStdin, s.TTY = true, true, true
		},
		"security": func(s *runtime.Spec) { s.SecurityOptions = []string{"no-new-privileges"} },
		"ulimit":   func(s *runtime.Spec) { s.Ulimits = []runtime.Ulimit{{Name: "nofile", Soft: 100, Hard: 200}} },
	} {
		spec := c.spec(name, c.Images.Serve)
		change(&spec)
		if seen := c.inspect(c.run(spec)); seen.State != runtime.Running {
			c.Errorf("%s: %+v, want it running", name, seen)
		}
	}
}

func createRefused(c *conformance) {
	for name, change := range map[string]func(*runtime.Spec){
		"log driver":          func(s *runtime.Spec) { s.LogDriver = "no-such-driver" },
		"little memory":       func(s *runtime.Spec) { s.MemoryBytes = 5 << 20 },
		"swap without memory": func(s *runtime.Spec) { s.MemorySwapBytes = 32 << 20 },
		"swap below memory":   func(s *runtime.Spec) { s.MemoryBytes, s.MemorySwapBytes = 32<<20, 16<<20 },
	} {
		spec := c.spec("refused", c.Images.Serve)
		change(&spec)
		id, err := c.Runtime.Create(c.ctx, spec)
		if err == nil {
			c.remove(id)
			c.Errorf("%s: Create() = nil, want an error", name)
			continue
		}
		c.wantRefusal("Create() with "+name, err)
	}
}

func startSysctlRefused(c *conformance) {
	for name, change := range map[string]func(*runtime.Spec){
		"not-of-a-namespace": func(s *runtime.Spec) { s.Sysctls = map[string]string{"kernel.panic": "1"} },
		"of-the-host": func(s *runtime.Spec) {
			s.NetworkMode, s.Sysctls = "host", map[string]string{"net.core.somaxconn": "300"}
		},
	} {
		spec := c.spec(name, c.Images.Serve)
		change(&spec)
		id := c.create(spec)
		c.wantRefusal("Start() with a kernel parameter "+name, c.Runtime.Start(c.ctx, id))
		if seen := c.inspect(id); seen.State != runtime.Exited || seen.Error == "" {
			c.Errorf("%s: %+v, want it ended with an error", name, seen)
		}
	}
}

func networkDisabled(c *conformance) {
	spec := c.spec("a", c.Images.Serve)
	spec.NetworkDisabled = true
	if seen := c.inspect(c.run(spec)); seen.State != runtime.Running || seen.IPAddress != "" {
		c.Errorf("without a network: %+v, want it running without an address", seen)
	}
}

func portRanges(c *conformance) {
	taken := map[uint16]bool{}
	for _, name := range []string{"a", "b"} {
		spec := c.spec(name, c.Images.Serve)
		spec.Ports = []runtime.PortMapping{{ContainerPort: 80, Protocol: "tcp"}}
		spec.PortRanges = []runtime.PortRange{{From: 8000, To: 8004, Protocol: "tcp"}, {From: 9000, To: 9001, Protocol: "udp"}}
		seen := c.inspect(c.run(spec))
		if len(seen.Ports) != 8 {
			c.Fatalf("ports %v, want 8", seen.Ports)
		}
		last := map[string]runtime.PortBinding{}
		for _, p := range seen.Ports[1:] {
			if before, ok := last[p.Protocol]; ok && (p.ContainerPort != before.ContainerPort+1 || p.HostPort != before.HostPort+1) {
				c.Errorf("ports %v are not consecutive", seen.Ports)
			}
			last[p.Protocol] = p
			if p.Protocol == "tcp" && taken[p.HostPort] {
				c.Errorf("port %d was given twice", p.HostPort)
			}
			taken[p.HostPort] = taken[p.HostPort] || p.Protocol == "tcp"
		}
	}
}

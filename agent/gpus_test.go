package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/lifecycle"
	"github.com/longshore/longshore/agent/runtime"
)

func TestFindGPUs_AsksNVIDIAsToolForUUIDs(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\n[ \"$*\" = '--query-gpu=uuid --format=csv,noheader' ] && printf 'GPU-1\\nGPU-2\\n'\n"
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	got, err := agent.FindGPUs(t.Context(), t.TempDir())
	if err != nil || !slices.Equal(got, []string{"GPU-1", "GPU-2"}) {
		t.Errorf("FindGPUs() = %v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\nexit 9\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := agent.FindGPUs(t.Context(), t.TempDir()); err == nil {
		t.Errorf("with a tool that fails: %v, want an error", got)
	}
}

func TestFindGPUs_CountsDeviceFilesWithoutTheTool(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	root := t.TempDir()
	if got, err := agent.FindGPUs(t.Context(), root); err != nil || len(got) != 0 {
		t.Errorf("without any: %v, %v", got, err)
	}
	if err := os.Mkdir(filepath.Join(root, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nvidia10", "nvidia2", "nvidia0", "nvidiactl", "nvidia-uvm", "nvidia0x"} {
		if err := os.WriteFile(filepath.Join(root, "dev", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := agent.FindGPUs(t.Context(), root); err != nil || !slices.Equal(got, []string{"0", "2", "10"}) {
		t.Errorf("FindGPUs() = %v, %v", got, err)
	}
}

func TestRegistration_SaysWhatTheHostCanDo(t *testing.T) {
	for name, c := range map[string]struct {
		drivers     []string
		has, hasNot []string
	}{
		"an engine that keeps logs": {
			[]string{"awslogs", "local", "syslog"},
			[]string{
				"com.amazonaws.ecs.capability.logging-driver.awslogs", "com.amazonaws.ecs.capability.logging-driver.syslog",
				"ecs.capability.execution-role-awslogs", "ecs.capability.container-restart-policy", "ecs.capability.network.container-port-range",
			},
			[]string{"com.amazonaws.ecs.capability.logging-driver.splunk"},
		},
		"an engine that keeps none": {
			[]string{"awslogs", "syslog"},
			[]string{"com.amazonaws.ecs.capability.logging-driver.syslog"},
			[]string{"com.amazonaws.ecs.capability.logging-driver.awslogs", "ecs.capability.execution-role-awslogs"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, cp *controlPlane, _ *agenttest.Memory) {
				newHost(t, cp, agenttest.NewMemory(runtime.Info{LogDrivers: c.drivers}), func(config *agent.Config) { config.GPUs = []string{"GPU-1"} })
				said := map[string]bool{}
				r := cp.registrations[0]
				for _, a := range r.Attributes {
					said[a.Name] = true
				}
				for _, name := range c.has {
					if !said[name] {
						t.Errorf("%s is missing", name)
					}
				}
				for _, name := range c.hasNot {
					if said[name] {
						t.Errorf("%s is said", name)
					}
				}
				if len(r.PlatformDevices) != 1 || r.PlatformDevices[0].Id != "GPU-1" || r.PlatformDevices[0].Type != "GPU" {
					t.Errorf("devices %+v", r.PlatformDevices)
				}
			})
		})
	}
}

func TestKeepsLogs_NeedsADriverThatCanBeReadBack(t *testing.T) {
	for driver, want := range map[string]bool{"local": true, "json-file": true, "awslogs": false, "journald": false} {
		if lifecycle.KeepsLogs([]string{driver}) != want {
			t.Errorf("KeepsLogs(%s) = %t", driver, !want)
		}
	}
}

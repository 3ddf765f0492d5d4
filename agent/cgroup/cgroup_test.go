package cgroup_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/longshore/longshore/agent/cgroup"
)

// tree makes a file system of empty files and directories (which end in /).
func tree(t *testing.T, paths ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, p := range paths {
		path := filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(p, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// files reads all files below a directory that are not empty.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if len(text) > 0 {
			found[path] = string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func open(t *testing.T, c cgroup.Config) cgroup.Groups {
	t.Helper()
	g, err := cgroup.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var limits = cgroup.Limits{CPU: 512, Shares: 512, MemoryBytes: 64 << 20}

func v1Root(t *testing.T) string {
	return tree(t, "cpu/longshore/cpu.cfs_quota_us", "memory/longshore/memory.limit_in_bytes", "pids/", "systemd/")
}

func v2Root(t *testing.T) string {
	root := tree(t, "cgroup.subtree_control", "longshore/cgroup.subtree_control")
	if err := os.WriteFile(filepath.Join(root, "cgroup.controllers"), []byte("cpuset cpu io memory pids\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestMake_SetsTheLimits(t *testing.T) {
	for name, c := range map[string]struct {
		config cgroup.Config
		parent string
		want   map[string]string // below the root, or below the units
	}{
		"version 1": {
			cgroup.Config{Root: v1Root(t), Version: "1", Driver: "cgroupfs"}, "/longshore/i_t",
			map[string]string{
				"cpu/longshore/i_t/cpu.shares": "512", "cpu/longshore/i_t/cpu.cfs_period_us": "100000", "cpu/longshore/i_t/cpu.cfs_quota_us": "50000",
				"memory/longshore/i_t/memory.limit_in_bytes": "67108864",
			},
		},
		"version 2": {
			cgroup.Config{Root: v2Root(t), Version: "2", Driver: "cgroupfs"}, "/longshore/i_t",
			map[string]string{
				"cgroup.controllers": "cpuset cpu io memory pids\n", "cgroup.subtree_control": "+cpu +memory", "longshore/cgroup.subtree_control": "+cpu +memory",
				"longshore/i_t/cpu.weight": "20", "longshore/i_t/cpu.max": "50000 100000", "longshore/i_t/memory.max": "67108864",
			},
		},
		"systemd": {
			cgroup.Config{Units: t.TempDir(), Version: "2", Driver: "systemd"}, "longshore-i_t.slice",
			map[string]string{
				"longshore.slice": "[Unit]\nDescription=Tasks of Longshore\n",
				"longshore-i_t.slice": "[Unit]\nDescription=Longshore task i_t\nStopWhenUnneeded=yes\n\n[Slice]\nCPUAccounting=yes\nMemoryAccounting=yes\n" +
					"CPUWeight=20\nCPUQuotaPeriodSec=100ms\nCPUQuota=50.00%\nMemoryMax=67108864\n",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, c.config)
			if got := g.Parent("i_t"); got != c.parent {
				t.Errorf("parent %s, want %s", got, c.parent)
			}
			for range 2 { // a second time, as after a restart
				if err := g.Make("i_t", limits); err != nil {
					t.Fatal(err)
				}
			}
			if got := files(t, c.config.Root+c.config.Units); !maps.Equal(got, c.want) {
				t.Errorf("files %q, want %q", got, c.want)
			}
		})
	}
}

func TestMake_WithoutABoundLeavesItToTheKernel(t *testing.T) {
	root := v2Root(t)
	if err := open(t, cgroup.Config{Root: root, Version: "2", Driver: "cgroupfs"}).Make("x", cgroup.Limits{Shares: 2}); err != nil {
		t.Fatal(err)
	}
	got := files(t, filepath.Join(root, "longshore", "x"))
	if !maps.Equal(got, map[string]string{"cpu.weight": "1"}) {
		t.Errorf("files %q", got)
	}
}

func TestListAndRemove_KnowOneOwnersGroups(t *testing.T) {
	for name, config := range map[string]cgroup.Config{
		"version 1": {Root: v1Root(t), Version: "1", Driver: "cgroupfs"},
		"version 2": {Root: v2Root(t), Version: "2", Driver: "cgroupfs"},
		"systemd":   {Units: t.TempDir(), Driver: "systemd"},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, config)
			for _, group := range []string{"i_b", "i_a", "other_c"} {
				if err := g.Make(group, limits); err != nil {
					t.Fatal(err)
				}
			}
			expect := func(want ...string) {
				t.Helper()
				if got, err := g.List("i_"); err != nil || !slices.Equal(got, want) {
					t.Errorf("List() = %v, %v; want %v", got, err, want)
				}
			}
			expect("i_a", "i_b")
			if config.Root != "" {
				empty(t, config.Root)
			}
			for range 2 {
				if err := g.Remove("i_a"); err != nil {
					t.Errorf("Remove() = %v", err)
				}
			}
			expect("i_b")
		})
	}
}

// empty deletes the files of groups, which a kernel does by itself with a group.
func empty(t *testing.T, root string) {
	t.Helper()
	for path := range files(t, root) {
		if strings.Contains(path, "i_a/") {
			if err := os.Remove(filepath.Join(root, path)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRemove_OfAGroupWithContainersFails(t *testing.T) {
	root := v1Root(t)
	g := open(t, cgroup.Config{Root: root, Version: "1", Driver: "cgroupfs"})
	if err := os.MkdirAll(filepath.Join(root, "pids", "longshore", "x", "container"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove("x"); err == nil {
		t.Error("removed, want an error")
	}
}

func TestOpen_SaysWhyThereCanBeNoGroups(t *testing.T) {
	for name, c := range map[string]struct {
		config cgroup.Config
		want   string
	}{
		"no controllers":   {cgroup.Config{Root: t.TempDir(), Version: "1", Driver: "cgroupfs"}, "no such file"},
		"no version 2":     {cgroup.Config{Root: t.TempDir(), Version: "2", Driver: "cgroupfs"}, "cgroup.controllers"},
		"no memory":        {cgroup.Config{Root: tree(t, "cgroup.controllers"), Version: "2", Driver: "cgroupfs"}, "no controller cpu"},
		"no systemd":       {cgroup.Config{Units: filepath.Join(t.TempDir(), "none"), Driver: "systemd"}, "systemd does not run"},
		"another driver":   {cgroup.Config{Driver: "none"}, `"none"`},
		"another version":  {cgroup.Config{Driver: "cgroupfs", Version: "3"}, `"3"`},
		"nothing is there": {cgroup.Config{Root: filepath.Join(t.TempDir(), "x\x00"), Version: "1", Driver: "cgroupfs"}, "invalid"},
	} {
		if _, err := cgroup.Open(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

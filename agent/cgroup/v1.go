package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// hierarchies are control groups of version 1, one tree for each controller.
type hierarchies struct{ root string }

// The controllers that limit a task.
const (
	cpuController    = "cpu"
	memoryController = "memory"
)

func (h hierarchies) dir(controller, name string) string {
	return filepath.Join(h.root, controller, parent, name)
}

func (h hierarchies) Parent(name string) string { return "/" + parent + "/" + name }

// probe makes the parent and looks whether its limits can be set.
func (h hierarchies) probe() error {
	for controller, file := range map[string]string{cpuController: "cpu.cfs_quota_us", memoryController: "memory.limit_in_bytes"} {
		dir := h.dir(controller, "")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := writable(dir, file); err != nil {
			return err
		}
	}
	return h.accountBelow()
}

// accountBelow makes the parent count the memory of what is in it. Newer kernels
// always do, and may not have the file.
func (h hierarchies) accountBelow() error {
	file := filepath.Join(h.dir(memoryController, ""), "memory.use_hierarchy")
	text, err := os.ReadFile(file)
	if err != nil || strings.TrimSpace(string(text)) == "1" {
		return nil
	}
	if err := os.WriteFile(file, []byte("1"), 0o644); err != nil {
		return fmt.Errorf("let control group %s account for those in it: %w", parent, err)
	}
	return nil
}

func (h hierarchies) Make(name string, l Limits) error {
	cpu := []setting{{"cpu.shares", decimal(max(l.Shares, minShares))}}
	if l.CPU > 0 {
		cpu = append(cpu, setting{"cpu.cfs_period_us", decimal(period)}, setting{"cpu.cfs_quota_us", decimal(quota(l.CPU))})
	}
	var memory []setting
	if l.MemoryBytes > 0 {
		memory = append(memory, setting{"memory.limit_in_bytes", decimal(l.MemoryBytes)})
	}
	for _, c := range []struct {
		controller string
		settings   []setting
	}{{memoryController, memory}, {cpuController, cpu}} {
		dir := h.dir(c.controller, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make control group: %w", err)
		}
		if err := write(dir, c.settings); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes the group from every hierarchy, because the engine makes it in
// all of them. Memory is the last: as long as it is there, List has the group.
func (h hierarchies) Remove(name string) error {
	entries, err := os.ReadDir(h.root)
	if err != nil {
		return fmt.Errorf("list control group hierarchies: %w", err)
	}
	var controllers []string
	for _, e := range entries {
		if e.Name() != memoryController {
			controllers = append(controllers, e.Name())
		}
	}
	for _, c := range slices.Concat(controllers, []string{memoryController}) {
		if err := remove(h.dir(c, name)); err != nil {
			return err
		}
	}
	return nil
}

func (h hierarchies) List(prefix string) ([]string, error) {
	return list(h.dir(memoryController, ""), prefix, "")
}

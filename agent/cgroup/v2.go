package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// unified are control groups of version 2, which are one tree.
type unified struct{ root string }

func (u unified) dir(name string) string { return filepath.Join(u.root, parent, name) }

func (u unified) Parent(name string) string { return "/" + parent + "/" + name }

// probe makes the parent and gives it the controllers, as far as the kernel has them.
func (u unified) probe() error {
	text, err := os.ReadFile(filepath.Join(u.root, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, wanted := range []string{cpuController, memoryController} {
		if !slices.Contains(strings.Fields(string(text)), wanted) {
			return fmt.Errorf("the host has no controller %s", wanted)
		}
	}
	if err := os.MkdirAll(u.dir(""), 0o755); err != nil {
		return err
	}
	for _, dir := range []string{u.root, u.dir("")} {
		if err := write(dir, []setting{{"cgroup.subtree_control", "+cpu +memory"}}); err != nil {
			return err
		}
	}
	return nil
}

func (u unified) Make(name string, l Limits) error {
	dir := u.dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make control group: %w", err)
	}
	settings := []setting{{"cpu.weight", decimal(weight(l.Shares))}}
	if l.CPU > 0 {
		settings = append(settings, setting{"cpu.max", decimal(quota(l.CPU)) + " " + decimal(period)})
	}
	if l.MemoryBytes > 0 {
		settings = append(settings, setting{"memory.max", decimal(l.MemoryBytes)})
	}
	return write(dir, settings)
}

func (u unified) Remove(name string) error { return remove(u.dir(name)) }

func (u unified) List(prefix string) ([]string, error) { return list(u.dir(""), prefix, "") }

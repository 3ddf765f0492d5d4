// Package cgroup makes the control groups that limit tasks as a whole: one for
// each task, in which the engine makes those of its containers. It knows the two
// versions of control groups and the two ways in which engines manage them, and
// neither tasks nor an engine. All groups are in one called longshore, which stays.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// DefaultRoot and DefaultUnits are where hosts have their control groups, and
// where systemd looks for units that last until the next boot.
const (
	DefaultRoot  = "/sys/fs/cgroup"
	DefaultUnits = "/run/systemd/system"
)

// Limits bound a group. Zero is no bound.
type Limits struct {
	CPU         int64 // the most it gets, in units of 1/1024 processor
	Shares      int64 // its weight against other groups, as Docker counts CPU shares
	MemoryBytes int64
}

// Config says how the engine manages control groups.
type Config struct {
	Root    string // where they are mounted
	Units   string // of systemd
	Version string // "1" or "2"
	Driver  string // "cgroupfs" or "systemd"
}

// Groups makes and removes groups on one host. Names are letters, digits and
// underscores.
type Groups interface {
	// Parent is how the engine is told to make a container's group in this one.
	Parent(name string) string
	// Make makes a group with limits, or gives them to the one that is there.
	Make(name string, limits Limits) error
	// Remove removes a group that has no containers. One that is not there is no error.
	Remove(name string) error
	// List returns the names of the groups that begin with prefix.
	List(prefix string) ([]string, error)
}

// Open finds out whether groups can be made on this host; the error says why not.
func Open(c Config) (Groups, error) {
	var g interface {
		Groups
		probe() error
	}
	switch {
	case c.Driver == "systemd":
		g = slicesOf{units: c.Units}
	case c.Driver != "cgroupfs":
		return nil, fmt.Errorf("the engine manages control groups with %q, which is unknown", c.Driver)
	case c.Version == "1":
		g = hierarchies{root: c.Root}
	case c.Version == "2":
		g = unified{root: c.Root}
	default:
		return nil, fmt.Errorf("control groups of version %q are unknown", c.Version)
	}
	if err := g.probe(); err != nil {
		return nil, fmt.Errorf("make control groups: %w", err)
	}
	return g, nil
}

// parent is the group of all groups.
const parent = "longshore"

const (
	period    = 100_000 // microseconds over which the kernel accounts processor time
	minQuota  = 1_000   // the least that it takes
	minShares = 2
	maxShares = 262_144
)

func quota(cpu int64) int64 { return max(cpu*period/1024, minQuota) }

// weight turns Docker's shares into the weight of version 2, as runc does.
func weight(shares int64) int64 {
	shares = min(max(shares, minShares), maxShares)
	return 1 + (shares-minShares)*9999/(maxShares-minShares)
}

// setting is a file of a group and what is written to it.
type setting struct {
	file, value string
}

func write(dir string, settings []setting) error {
	for _, s := range settings {
		if err := os.WriteFile(filepath.Join(dir, s.file), []byte(s.value), 0o644); err != nil {
			return fmt.Errorf("set %s of control group %s: %w", s.file, dir, err)
		}
	}
	return nil
}

// writable tells whether a file of a group can be written to.
func writable(dir, file string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func remove(dir string) error {
	// Groups are removed by rmdir alone, whatever files they show.
	err := os.Remove(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove control group: %w", err)
	}
	return nil
}

// list returns the entries of a directory that begin with prefix and end with
// suffix, without the suffix. A directory that is not there has none.
func list(dir, prefix, suffix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list control groups: %w", err)
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if ok && strings.HasPrefix(name, prefix) && (suffix != "" || e.IsDir()) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

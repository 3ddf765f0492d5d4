package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// slicesOf are the slices of systemd, which owns the control groups where it is the
// engine's driver. A slice is described in a unit file; systemd reads that when the
// engine puts the first container into the slice, and makes the group then. Its
// settings hold in both versions.
type slicesOf struct{ units string }

const sliceSuffix = ".slice"

func (s slicesOf) Parent(name string) string { return parent + "-" + name + sliceSuffix }

func (s slicesOf) path(name string) string { return filepath.Join(s.units, s.Parent(name)) }

// probe writes the unit of the parent.
func (s slicesOf) probe() error {
	if _, err := os.Stat(s.units); err != nil {
		return fmt.Errorf("systemd does not run here: %w", err)
	}
	return s.replace(filepath.Join(s.units, parent+sliceSuffix), "[Unit]\nDescription=Tasks of Longshore\n")
}

func (s slicesOf) Make(name string, l Limits) error {
	var unit strings.Builder
	// The group goes when the last container has; a unit that is needed no more is forgotten.
	fmt.Fprintf(&unit, "[Unit]\nDescription=Longshore task %s\nStopWhenUnneeded=yes\n\n[Slice]\n", name)
	fmt.Fprintf(&unit, "CPUAccounting=yes\nMemoryAccounting=yes\nCPUWeight=%d\n", weight(l.Shares))
	if l.CPU > 0 {
		// In percent of a processor, with what is left over as a fraction.
		fmt.Fprintf(&unit, "CPUQuotaPeriodSec=%dms\nCPUQuota=%s%%\n", period/1000, percent(quota(l.CPU)))
	}
	if l.MemoryBytes > 0 {
		fmt.Fprintf(&unit, "MemoryMax=%d\n", l.MemoryBytes)
	}
	return s.replace(s.path(name), unit.String())
}

// percent is a quota in hundredths of the period, with two digits after the point,
// which is what systemd reads.
func percent(quota int64) string {
	hundredths := quota * 10_000 / period
	return fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
}

// replace writes a unit file unless it is there as it should be: systemd warns of
// files that changed under it.
func (s slicesOf) replace(path, text string) error {
	have, err := os.ReadFile(path)
	if err == nil && string(have) == text {
		return nil
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("describe a slice: %w", err)
	}
	return nil
}

func (s slicesOf) Remove(name string) error {
	if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the description of a slice: %w", err)
	}
	return nil
}

func (s slicesOf) List(prefix string) ([]string, error) {
	full, err := list(s.units, parent+"-"+prefix, sliceSuffix)
	for i := range full {
		full[i] = strings.TrimPrefix(full[i], parent+"-")
	}
	return full, err
}

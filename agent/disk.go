package agent

import (
	"fmt"
	"syscall"
)

// freePercent is how much of a file system a daemon without privileges could
// still fill.
func freePercent(path string) (float64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return 0, fmt.Errorf("measure the file system of %s: %w", path, err)
	}
	if stat.Blocks == 0 {
		return 100, nil // one without blocks has no limit
	}
	return 100 * float64(stat.Bavail) / float64(stat.Blocks), nil
}

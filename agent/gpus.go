package agent

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// gpuTool is NVIDIA's own; it comes with the driver.
const gpuTool = "nvidia-smi"

// FindGPUs lists the NVIDIA devices of this machine, as NVIDIA's container
// toolkit takes them: by their UUIDs where nvidia-smi is there to tell them, else
// by the numbers of their device files below root, which is "/" but for tests. A
// machine that has none is no error.
func FindGPUs(ctx context.Context, root string) ([]string, error) {
	tool, err := exec.LookPath(gpuTool)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return gpuFiles(root)
	case err != nil:
		return nil, fmt.Errorf("look for %s: %w", gpuTool, err)
	}
	out, err := exec.CommandContext(ctx, tool, "--query-gpu=uuid", "--format=csv,noheader").Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s for the GPUs: %w", tool, err)
	}
	return strings.Fields(string(out)), nil
}

// gpuFiles lists the numbers of /dev/nvidia0 and so on, in their order.
func gpuFiles(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, "dev", "nvidia[0-9]*"))
	if err != nil {
		return nil, fmt.Errorf("look for the device files of GPUs: %w", err)
	}
	var numbers []int
	for _, f := range files {
		if n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(f), "nvidia")); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	var ids []string
	for _, n := range numbers {
		ids = append(ids, strconv.Itoa(n))
	}
	return ids, nil
}

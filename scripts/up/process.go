package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pollEvery is how often the state of a process that is not a child, which
// nobody announces, is looked at.
const pollEvery = 50 * time.Millisecond

// birth tells a process from a later one with the same id. It is "" if there
// is none, or if it has ended and only waits for its parent to take notice.
func birth(pid int) (string, error) {
	if runtime.GOOS == "linux" {
		return linuxBirth(pid)
	}
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	var exited *exec.ExitError
	switch {
	case errors.As(err, &exited): // how ps says that there is no such process
		return "", nil
	case err != nil:
		return "", fmt.Errorf("ask ps about process %d: %w", pid, err)
	}
	state, started, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if strings.HasPrefix(state, "Z") {
		return "", nil
	}
	return strings.TrimSpace(started), nil
}

func linuxBirth(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("look at process %d: %w", pid, err)
	}
	// The second field is the program's name in parentheses, which may contain
	// anything; behind it, the state is the first and the start time the 20th.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("look at process %d: unknown form of its stat file: %q", pid, stat)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", nil
	}
	return fields[19], nil
}

// lock takes the lock on a file, so that of two who start or stop at the same
// time one waits. It returns the way to give it back; the end of this program
// gives it back too.
func lock(ctx context.Context, path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	retry := time.NewTicker(pollEvery)
	defer retry.Stop()
	for told := false; ; {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		if !told {
			fmt.Println("Another make run or make stop is at work here; waiting for it to end.")
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for the other to end: %w", ctx.Err()), file.Close())
		case <-retry.C:
		}
	}
}

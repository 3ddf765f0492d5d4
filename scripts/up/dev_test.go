package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// checkout makes a run directory and a bin/longshore that runs a shell script.
func checkout(t *testing.T, script string) config {
	t.Helper()
	root := t.TempDir()
	c := config{root: root, runDir: filepath.Join(root, ".run"), dataDir: filepath.Join(root, ".run", "dev"), apiAddr: "127.0.0.1:1"}
	for _, dir := range []string{c.runDir, filepath.Join(root, "bin")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "bin", "longshore"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stopDev(context.Background(), c); err != nil {
			t.Error(err)
		}
	})
	return c
}

// wellBehaved is ready at once, and ends when it is told to.
const wellBehaved = `trap 'exit 0' TERM
echo "$@" >args
echo 'longshore dev is ready' 
while :; do sleep 0.05; done
`

func TestEnsureDev_StartsOneThatOutlivesTheCallAndIsFoundAgain(t *testing.T) {
	c := checkout(t, wellBehaved)
	ctx := context.Background()
	if err := ensureDev(ctx, c, io.Discard); err != nil {
		t.Fatal(err)
	}
	first, err := c.dev().running()
	if err != nil || first == nil {
		t.Fatalf("running = %v, %v; want the process just started", first, err)
	}
	args, err := os.ReadFile(filepath.Join(c.root, "args"))
	if err != nil || !strings.Contains(string(args), "dev --data-dir "+c.dataDir+" --api-addr 127.0.0.1:1") {
		t.Errorf("longshore got %q, %v", args, err)
	}

	var said strings.Builder
	other := c
	other.apiAddr = "127.0.0.1:2"
	if err := ensureDev(ctx, other, &said); err != nil {
		t.Fatal(err)
	}
	second, err := c.dev().running()
	if err != nil || second == nil || *second != *first {
		t.Errorf("after the second call %v, %v runs; want still %v", second, err, first)
	}
	if !strings.Contains(said.String(), fmt.Sprintf("process %d", first.PID)) || !strings.Contains(said.String(), "after make stop") {
		t.Errorf("the second call said %q; want the process, and that the other address has no effect", said.String())
	}

	if err := stopDev(ctx, c); err != nil {
		t.Fatal(err)
	}
	if after, err := c.dev().running(); err != nil || after != nil {
		t.Errorf("after stopDev %v, %v runs; want nothing", after, err)
	}
}

func TestEnsureDev_ShowsTheEndOfTheLogsWhenItDiesBeforeItIsReady(t *testing.T) {
	c := checkout(t, "echo starting; echo 'address already in use' >&2; exit 1")
	var said strings.Builder
	err := ensureDev(context.Background(), c, &said)
	if err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("ensureDev = %v; want that it ended", err)
	}
	for _, want := range []string{"starting\n", "address already in use\n"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("shown %q; want %q", said.String(), want)
		}
	}
}

func TestEnsureDev_TakesReadyOnlyFromStandardOutputAsAWholeWord(t *testing.T) {
	c := checkout(t, "trap 'exit 0' TERM; echo already unready; echo agent ready >&2; while :; do sleep 0.05; done")
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := ensureDev(ctx, c, io.Discard); err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("ensureDev = %v; want that it is not ready", err)
	}
}

func TestRunning_IsNotFooledByAnotherProcessWithTheSameID(t *testing.T) {
	c := checkout(t, "")
	if err := c.dev().write(record{PID: os.Getpid(), Birth: "1", APIAddr: "x"}); err != nil {
		t.Fatal(err)
	}
	if r, err := c.dev().running(); err != nil || r != nil {
		t.Errorf("running = %v, %v; want nothing", r, err)
	}
}

func TestReadyLine_WaitsForTheWholeLine(t *testing.T) {
	for text, want := range map[string]bool{
		"longshore dev is ready\n":    true,
		"x\nready: http://a\ny\n":     true,
		"longshore dev is ready":      false,
		"already\nunready\nreadyz\n":  false,
		"":                            false,
		"msg=ready api=127.0.0.1:1\n": true,
	} {
		if got := readyLine.MatchString(text); got != want {
			t.Errorf("%q: %t; want %t", text, got, want)
		}
	}
}

func TestLastLines(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""}, {"\n\n", ""}, {"a", "a\n"}, {"a\nb\n", "a\nb\n"}, {"a\nb\nc\n\n", "b\nc\n"}, {"a\nb\nc", "b\nc\n"},
	} {
		if got := string(lastLines([]byte(test.text), 2)); got != test.want {
			t.Errorf("lastLines(%q, 2) = %q; want %q", test.text, got, test.want)
		}
	}
}

func TestLock_MakesTheSecondWaitForTheFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, path); err == nil {
		t.Fatal("the second lock was given while the first was held")
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = lock(context.Background(), path)
	if err != nil {
		t.Fatalf("lock after unlock: %v", err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

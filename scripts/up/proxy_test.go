package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/longshore/longshore/scripts/testbed"
)

// withProxy adds to a checkout what HAProxy is started with, and a longshore dev that
// is said to have been started. HAProxy itself is the real one.
func withProxy(t *testing.T) config {
	t.Helper()
	testbed.Need(t, haproxyProgram)
	c := checkout(t, "")
	t.Cleanup(func() {
		if err := stopProxy(context.Background(), c); err != nil {
			t.Error(err)
		}
	})
	c.proxyAddr = testbed.FreeAddress(t)
	for _, path := range []string{"deploy/proxies/haproxy.cfg", "scripts/setup-programs.sh"} {
		text, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(c.root, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.root, path), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.dev().write(record{PID: os.Getpid(), Birth: "1", Endpoints: testbed.FreeAddress(t)}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEnsureProxy_StartsOneThatIsFoundAgainAndEnded(t *testing.T) {
	c := withProxy(t)
	ctx := context.Background()
	if err := ensureProxy(ctx, c, io.Discard); err != nil {
		t.Fatal(err)
	}
	if url, err := front(c); err != nil || url != "http://"+c.proxyAddr+"/" {
		t.Errorf("front = %q, %v", url, err)
	}
	first, err := c.proxy().running()
	if err != nil || first == nil {
		t.Fatalf("running = %v, %v; want the process just started", first, err)
	}
	var said strings.Builder
	if err := ensureProxy(ctx, c, &said); err != nil {
		t.Fatal(err)
	}
	if again, err := c.proxy().running(); err != nil || again == nil || *again != *first || !strings.Contains(said.String(), fmt.Sprintf("process %d", first.PID)) {
		t.Errorf("the second time %v, %v runs, and %q is said; want still %v", again, err, said.String(), first)
	}

	// longshore dev is started anew with another address.
	if err := c.dev().write(record{PID: os.Getpid(), Birth: "1", Endpoints: testbed.FreeAddress(t)}); err != nil {
		t.Fatal(err)
	}
	if err := ensureProxy(ctx, c, io.Discard); err != nil {
		t.Fatal(err)
	}
	if other, err := c.proxy().running(); err != nil || other == nil || other.PID == first.PID {
		t.Errorf("with another address to ask at %v, %v runs; want another process than %v", other, err, first)
	}
	if err := stopProxy(ctx, c); err != nil {
		t.Fatal(err)
	}
	if url, err := front(c); err != nil || url != "" {
		t.Errorf("after the end front = %q, %v", url, err)
	}
}

func TestEnsureProxy_SaysWhichSettingNamesAnAddressThatIsTaken(t *testing.T) {
	c := withProxy(t)
	taken, err := net.Listen("tcp", c.proxyAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := ensureProxy(context.Background(), c, io.Discard); err == nil || !strings.Contains(err.Error(), "LONGSHORE_PROXY_ADDR") {
		t.Errorf("ensureProxy = %v; want the name of the setting", err)
	}
}

func TestEnsureProxy_GoesOnWithoutWhatCannotBeInstalled(t *testing.T) {
	c := withProxy(t)
	if err := os.WriteFile(filepath.Join(c.root, "scripts", "setup-programs.sh"), []byte("#!/bin/sh\necho not installed: haproxy\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	if err := ensureProxy(context.Background(), c, &said); err != nil || !strings.Contains(said.String(), "Without HAProxy") {
		t.Errorf("ensureProxy = %v, and says %q", err, said.String())
	}
}

// What make run starts HAProxy with is the example, as it is.
func TestExample_IsOneThatHAProxyTakes(t *testing.T) {
	path := testbed.Need(t, haproxyProgram)
	if out, err := exec.Command(path, "-c", "-f", "../../deploy/proxies/haproxy.cfg").CombinedOutput(); err != nil || strings.Contains(string(out), "WARNING") {
		t.Errorf("haproxy -c: %v\n%s", err, out)
	}
}

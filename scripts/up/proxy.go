package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	// proxied is the target group that the proxy stands in front of; the sample has
	// its service in it.
	proxied        = "web"
	proxyLimit     = 10 * time.Second // to listen
	proxyStopLimit = 10 * time.Second
	haproxyProgram = "haproxy"
)

// proxy is the HAProxy that is started here.
func (c config) proxy() program { return program{name: "proxy", dir: c.runDir} }

// ensureProxy starts HAProxy with the example in deploy/, unless the one of an
// earlier run is there, and waits until it listens. Where HAProxy cannot be had, it
// says so, and the sample goes on without.
func ensureProxy(ctx context.Context, c config, out io.Writer) error {
	r, err := c.proxy().running()
	if err != nil {
		return err
	}
	dev, err := c.dev().read()
	if err != nil {
		return err
	}
	if r != nil && r.Endpoints != dev.Endpoints {
		fmt.Fprintf(out, "It asks at %s, where longshore dev was before; it is started again.\n", r.Endpoints)
		if err := c.proxy().stop(ctx, *r, proxyStopLimit); err != nil {
			return err
		}
		r = nil
	}
	if r != nil {
		fmt.Fprintf(out, "It runs already (process %d, at http://%s/) and is used as it is.\n", r.PID, r.Listen)
		if r.Listen != c.proxyAddr {
			fmt.Fprintf(out, "LONGSHORE_PROXY_ADDR=%s takes effect after make stop.\n", c.proxyAddr)
		}
		return nil
	}
	path, err := findProxy(ctx, c, out)
	if err != nil {
		fmt.Fprintf(out, "Without HAProxy (%v) the tasks are reached at their own ports only.\n", err)
		return nil
	}
	return startProxy(ctx, c, out, path, dev.Endpoints)
}

// findProxy returns the path of HAProxy, which is installed if need be and possible.
func findProxy(ctx context.Context, c config, out io.Writer) (string, error) {
	if err := command(ctx, c, out, "scripts/setup-programs.sh", haproxyProgram); err != nil {
		return "", err
	}
	path, err := exec.LookPath(haproxyProgram)
	if err != nil {
		// Debian keeps it where the PATH of users does not lead.
		path, err = exec.LookPath(filepath.Join("/usr/sbin", haproxyProgram))
	}
	return path, err
}

func startProxy(ctx context.Context, c config, out io.Writer, path, endpoints string) error {
	// Somebody else who listens there would be taken for the proxy.
	free, err := net.Listen("tcp", c.proxyAddr)
	if err != nil {
		return fmt.Errorf("listen where LONGSHORE_PROXY_ADDR says: %w", err)
	}
	if err := free.Close(); err != nil {
		return fmt.Errorf("listen where LONGSHORE_PROXY_ADDR says: %w", err)
	}
	cmd := exec.Command(path, "-db", "-f", filepath.Join(c.root, "deploy", "proxies", "haproxy.cfg"))
	cmd.Dir = c.root
	cmd.Env = append(cmd.Environ(), "LONGSHORE_ENDPOINTS="+endpoints, "LISTEN="+c.proxyAddr, "GROUP="+proxied)
	r, err := c.proxy().start(cmd, record{Listen: c.proxyAddr, Endpoints: endpoints})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, proxyLimit)
	defer cancel()
	if err := awaitListening(ctx, *r); err != nil {
		return errors.Join(err, showTail(out, c.proxy().outPath()), showTail(out, c.proxy().logPath()))
	}
	return nil
}

func awaitListening(ctx context.Context, r record) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	var dialer net.Dialer
	for {
		alive, err := r.alive()
		if err != nil {
			return err
		}
		if !alive {
			return errors.New("HAProxy ended; the last lines of its output are above")
		}
		if conn, err := dialer.DialContext(ctx, "tcp", r.Listen); err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("HAProxy (process %d) does not listen at %s: %w", r.PID, r.Listen, context.Cause(ctx))
		case <-poll.C:
		}
	}
}

// front is the URL of the proxy that runs; "" if none does.
func front(c config) (string, error) {
	r, err := c.proxy().running()
	if err != nil || r == nil {
		return "", err
	}
	return "http://" + r.Listen + "/", nil
}

// stopProxy ends the HAProxy that was started here, if it runs.
func stopProxy(ctx context.Context, c config) error {
	r, err := c.proxy().running()
	if err != nil || r == nil {
		return err
	}
	fmt.Printf("Stopping HAProxy (process %d).\n", r.PID)
	if err := c.proxy().stop(ctx, *r, proxyStopLimit); err != nil {
		return fmt.Errorf("%w; see %s", err, c.short(c.proxy().logPath()))
	}
	return nil
}

// Command web is the sample that `make run` deploys: a static web server that
// says which container answered, so that one can see several tasks of a service
// at work. It stands alone: the standard library, and nothing of Longshore.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// drainTime is what requests that are being answered get after SIGTERM. It is
// well below the 30 s after which ECS kills a container that was told to stop.
const drainTime = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, slog.New(slog.NewTextHandler(os.Stdout, nil))); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

// run listens on $PORT (80 when unset) until ctx ends.
func run(ctx context.Context, log *slog.Logger) error {
	port := os.Getenv("PORT")
	if port == "" {
		port = "80"
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find out the host name: %w", err)
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", net.JoinHostPort("", port))
	if err != nil {
		return fmt.Errorf("listen for requests: %w", err)
	}
	log.Info("listening", "address", listener.Addr().String(), "host", host)
	return serve(ctx, listener, handler(host, os.Environ()), log)
}

// serve answers requests until ctx ends, then lets those under way finish.
func serve(ctx context.Context, listener net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	log.Info("told to stop, finishing the requests under way")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return fmt.Errorf("finish requests within %s: %w", drainTime, err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// handler answers / with who this is and how often it was asked, and /healthz
// with 200 and no effect on the count.
func handler(host string, environ []string) http.Handler {
	var answered atomic.Int64
	shown := strings.Join(taskEnvironment(environ), "\n")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "Hello from container %s, request %d.\n\n%s\n", host, answered.Add(1), shown)
	})
	return mux
}

// taskEnvironment picks what an orchestrator tells a task about itself. The
// address of the task's credentials is left out: whoever asks is a stranger.
func taskEnvironment(environ []string) []string {
	var shown []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case strings.HasPrefix(name, "ECS_"), strings.HasPrefix(name, "SAMPLE_"),
			name == "AWS_REGION", name == "AWS_EXECUTION_ENV":
			shown = append(shown, entry)
		}
	}
	slices.Sort(shown)
	return shown
}

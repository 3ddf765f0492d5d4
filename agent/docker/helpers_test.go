package docker

import (
	"context"
	cryptorand "crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

// cleanUpTime bounds what is removed at the end of a test, when its own
// context has ended.
const cleanUpTime = time.Minute

// rand returns part of a name that nothing else has.
func rand() string { return strings.ToLower(cryptorand.Text()) }

// newRuntime returns a Runtime that is closed when the test ends.
func newRuntime(t *testing.T, host string) *Runtime {
	t.Helper()
	rt, err := New(Config{Host: host})
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return rt
}

// testSpec describes a container with a name that nothing else has, labelled
// as a test's.
func testSpec(image string) runtime.Spec {
	name := "docker-test-" + rand()
	return runtime.Spec{Name: name, Image: image, Labels: map[string]string{"longshore.test": name}}
}

func removeContainer(t *testing.T, rt *Runtime, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTime)
	defer cancel()
	if err := rt.Remove(ctx, id); err != nil {
		t.Errorf("remove container %s: %v", id, err)
	}
}

func removeVolume(t *testing.T, rt *Runtime, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTime)
	defer cancel()
	if err := rt.RemoveVolume(ctx, name); err != nil {
		t.Errorf("remove volume %s: %v", name, err)
	}
}

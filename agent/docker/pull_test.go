package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
)

// The one user of the tests' registry, whose password is sesame.
const (
	registryUser     = "ali"
	registryPassword = "sesame"
	registryUsers    = registryUser + ":$2y$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O\n"
)

// newRegistry starts a registry for registryUser. It returns its address, and
// where it keeps what is pushed.
func newRegistry(t *testing.T) (address, files string) {
	t.Helper()
	needBinaries(t, "docker-registry")
	dir := t.TempDir()
	files = filepath.Join(dir, "files")
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "config.json")
	text, err := json.Marshal(map[string]any{
		"version": 0.1,
		"storage": map[string]any{"filesystem": map[string]any{"rootdirectory": files}},
		"http":    map[string]any{"addr": "127.0.0.1:0"},
		"auth":    map[string]any{"htpasswd": map[string]any{"realm": "tests", "path": users}},
	})
	if err := errors.Join(err, os.WriteFile(config, text, 0o600), os.WriteFile(users, []byte(registryUsers), 0o600)); err != nil {
		t.Fatal(err)
	}
	registry, line := startDaemon(t, "listening on", exec.Command("docker-registry", "serve", config))
	t.Cleanup(func() { registry.stop(t) })
	found := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`).FindStringSubmatch(line)
	if found == nil {
		t.Fatalf("no address in %q", line)
	}
	return found[1], files
}

// push puts an image that the engine has into the registry, and takes its new
// name away from the engine.
func push(t *testing.T, rt *Runtime, local, ref string) {
	t.Helper()
	credentials, err := registryAuth(ref, &runtime.Auth{Username: registryUser, Password: registryPassword})
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.client().ImageTag(t.Context(), local, ref); err != nil {
		t.Fatalf("tag %s: %v", ref, err)
	}
	defer removeImage(t, rt, ref)
	progress, err := rt.client().ImagePush(t.Context(), ref, image.PushOptions{RegistryAuth: credentials})
	if err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
	if err := errors.Join(pullResult(progress, nil), progress.Close()); err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
}

func removeImage(t *testing.T, rt *Runtime, ref string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTime)
	defer cancel()
	if _, err := rt.client().ImageRemove(ctx, ref, image.RemoveOptions{Force: true}); err != nil {
		t.Errorf("remove image %s: %v", ref, err)
	}
}

func TestPull_FromAPrivateRegistry(t *testing.T) {
	host := agenttest.DockerHost(t)
	address, _ := newRegistry(t)
	rt := newRuntime(t, host)
	ref := address + "/team/serve:1"
	push(t, rt, agenttest.ImportImages(t, host).Serve, ref)
	right := &runtime.Auth{Username: registryUser, Password: registryPassword}

	for name, test := range map[string]struct {
		ref  string
		auth *runtime.Auth
		want string // in the error
	}{
		"without credentials":   {ref, nil, "no basic auth credentials"},
		"with wrong ones":       {ref, &runtime.Auth{Username: registryUser, Password: "guess"}, "unauthorized"},
		"unknown tag":           {address + "/team/serve:2", right, "manifest for " + address + "/team/serve:2 not found"},
		"unknown image":         {address + "/team/other:1", right, "other"},
		"malformed":             {"Team/Serve", nil, "invalid reference format"},
		"malformed with secret": {"Team/Serve", right, "invalid reference format"},
	} {
		t.Run(name, func(t *testing.T) {
			err := rt.Pull(t.Context(), test.ref, test.auth, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("Pull() = %v, want %q", err, test.want)
			}
			if errors.Is(err, runtime.ErrUnavailable) || strings.Contains(err.Error(), "Error response") {
				t.Errorf("Pull() = %q, want the engine's refusal", err)
			}
		})
	}

	if err := rt.Pull(t.Context(), ref, right, nil); err != nil {
		t.Fatalf("Pull() = %v", err)
	}
	defer removeImage(t, rt, ref)
	if found, err := rt.Image(t.Context(), ref); err != nil || !strings.HasPrefix(found.Digest, "sha256:") {
		t.Errorf("Image() = %+v, %v; want a digest", found, err)
	}
	if err := rt.Pull(t.Context(), ref, right, nil); err != nil {
		t.Errorf("Pull() of what is there = %v", err)
	}
}

// A layer that arrives damaged is noticed when the engine has long answered 200.
func TestPull_ErrorAfterItBeganIsAnError(t *testing.T) {
	host := agenttest.DockerHost(t)
	address, files := newRegistry(t)
	rt := newRuntime(t, host)
	ref := address + "/team/damaged:1"
	pushUnique(t, rt, ref)
	damageLayers(t, files)
	err := rt.Pull(t.Context(), ref, &runtime.Auth{Username: registryUser, Password: registryPassword}, nil)
	if err == nil || !strings.Contains(err.Error(), "verification failed") || errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("Pull() of a damaged image = %v, want that it could not be verified", err)
	}
	if _, err := rt.Image(t.Context(), ref); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("Image() = %v, want ErrNotFound", err)
	}
}

// pushUnique pushes an image with a layer that no other image has, so that it
// must be fetched by who pulls it.
func pushUnique(t *testing.T, rt *Runtime, ref string) {
	t.Helper()
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	content := []byte(rand())
	err := writer.WriteHeader(&tar.Header{Name: "unique", Mode: 0o644, Size: int64(len(content))})
	if err == nil {
		_, err = writer.Write(content)
	}
	if err := errors.Join(err, writer.Close()); err != nil {
		t.Fatal(err)
	}
	local := "longshore-test/unique:" + rand()
	source := image.ImportSource{Source: &archive, SourceName: "-"}
	progress, err := rt.client().ImageImport(t.Context(), source, local, image.ImportOptions{})
	if err != nil {
		t.Fatalf("import %s: %v", local, err)
	}
	if err := errors.Join(pullResult(progress, nil), progress.Close()); err != nil {
		t.Fatalf("import %s: %v", local, err)
	}
	defer removeImage(t, rt, local)
	push(t, rt, local, ref)
}

// damageLayers changes the last byte of every layer that a registry has.
func damageLayers(t *testing.T, files string) {
	t.Helper()
	gzip := []byte{0x1f, 0x8b}
	damaged := 0
	err := filepath.WalkDir(files, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "data" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(content, gzip) {
			return err // a manifest or a configuration
		}
		damaged++
		content[len(content)-1]++
		return os.WriteFile(path, content, 0o600)
	})
	if err != nil || damaged != 1 {
		t.Fatalf("damaged %d layers, %v; want 1", damaged, err)
	}
}

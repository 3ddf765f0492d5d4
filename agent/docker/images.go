package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"github.com/longshore/longshore/agent/runtime"
)

// Image looks an image up in the engine's own store.
func (r *Runtime) Image(ctx context.Context, ref string) (runtime.Image, error) {
	engine := r.client()
	found, err := engine.ImageInspect(ctx, ref)
	if err != nil {
		return runtime.Image{}, r.fail(ctx, engine, "look up image "+ref, err)
	}
	return runtime.Image{ID: found.ID, Digest: manifestDigest(ref, found.RepoDigests)}, nil
}

// manifestDigest picks the digest under which the repository of ref has the
// image: one image may have been pulled from several. By another's digest ref's
// repository may not have it. An image that is asked for by its id has no
// repository, and then any will do.
func manifestDigest(ref string, repoDigests []string) string {
	byID := strings.HasPrefix(ref, "sha256:")
	wanted, err := reference.ParseNormalizedNamed(ref)
	fallback := ""
	for _, entry := range repoDigests {
		repository, digest, ok := strings.Cut(entry, "@")
		if !ok {
			continue
		}
		have, errHave := reference.ParseNormalizedNamed(repository)
		if err == nil && errHave == nil && have.Name() == wanted.Name() {
			return digest
		}
		if fallback == "" && byID {
			fallback = digest
		}
	}
	return fallback
}

// Pull fetches an image from its registry and returns when the engine has it.
func (r *Runtime) Pull(ctx context.Context, ref string, auth *runtime.Auth, progress func(runtime.PullProgress)) error {
	credentials, err := registryAuth(ref, auth)
	if err != nil {
		return err
	}
	engine := r.client()
	doing := "pull image " + ref
	messages, err := engine.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: credentials})
	if err != nil {
		return r.fail(ctx, engine, doing, err)
	}
	defer func() {
		// Read to its end or broken: closing has nothing left to tell.
		_ = messages.Close()
	}()
	return r.fail(ctx, engine, doing, pullResult(messages, progress))
}

// Import makes an image of one layer that runs entryPoint.
func (r *Runtime) Import(ctx context.Context, ref string, layer []byte, entryPoint []string) error {
	doing := "import image " + ref
	words, err := json.Marshal(entryPoint)
	if err != nil {
		return fmt.Errorf("%s: encode its entry point: %w", doing, err)
	}
	engine := r.client()
	progress, err := engine.ImageImport(ctx, image.ImportSource{Source: bytes.NewReader(layer), SourceName: "-"}, ref,
		image.ImportOptions{Changes: []string{"ENTRYPOINT " + string(words)}})
	if err != nil {
		return r.fail(ctx, engine, doing, err)
	}
	defer func() {
		// Read to its end or broken: closing has nothing left to tell.
		_ = progress.Close()
	}()
	return r.fail(ctx, engine, doing, pullResult(progress, nil))
}

// registryAuth encodes credentials as the engine takes them.
func registryAuth(ref string, auth *runtime.Auth) (string, error) {
	if auth == nil {
		return "", nil
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fmt.Errorf("pull image %s: %w", ref, err)
	}
	encoded, err := registry.EncodeAuthConfig(registry.AuthConfig{
		Username:      auth.Username,
		Password:      auth.Password,
		ServerAddress: reference.Domain(named),
	})
	if err != nil {
		return "", fmt.Errorf("pull image %s: encode credentials: %w", ref, err)
	}
	return encoded, nil
}

// pullResult reads the progress of a pull to its end. The engine answers 200
// as soon as there is progress to show: a pull that fails after that says so
// only in here.
func pullResult(messages io.Reader, progress func(runtime.PullProgress)) error {
	decoder := json.NewDecoder(messages)
	for {
		var message struct {
			ID       string `json:"id"`
			Status   string `json:"status"`
			Progress struct {
				Current int64 `json:"current"`
				Total   int64 `json:"total"`
			} `json:"progressDetail"`
			Error       string `json:"error"`
			ErrorDetail struct {
				Message string `json:"message"`
			} `json:"errorDetail"`
		}
		err := decoder.Decode(&message)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the progress of the pull: %w", err)
		case message.ErrorDetail.Message != "":
			return errors.New(message.ErrorDetail.Message)
		case message.Error != "":
			return errors.New(message.Error)
		case progress != nil:
			progress(runtime.PullProgress{
				Layer: message.ID, Status: message.Status, Current: message.Progress.Current, Total: message.Progress.Total,
			})
		}
	}
}

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/longshore/longshore/scripts/internal/engineapi"
)

// file is one program in the root of the image.
type file struct {
	name    string
	content []byte
}

// collect reads the program files and builds the Go packages among the inputs.
func collect(ctx context.Context, client *engineapi.Client, inputs []string) ([]file, error) {
	files := make([]file, 0, len(inputs))
	taken := map[string]string{}
	for _, input := range inputs {
		absolute, err := filepath.Abs(input)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", input, err)
		}
		name := filepath.Base(absolute)
		if other, double := taken[name]; double {
			return nil, fmt.Errorf("%s and %s would both be /%s in the image", other, input, name)
		}
		taken[name] = input
		content, err := load(ctx, client, absolute)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, content})
	}
	return files, nil
}

// load returns the program at path, built first if it is a package's directory.
func load(ctx context.Context, client *engineapi.Client, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return os.ReadFile(path)
	}
	platform, err := client.Version(ctx)
	if err != nil {
		return nil, fmt.Errorf("find out the engine's platform: %w", err)
	}
	return build(ctx, path, platform)
}

// build compiles the Go package in dir to a static program for a platform. The
// same source gives the same bytes, so that an unchanged image can be told.
func build(ctx context.Context, dir string, platform engineapi.Version) (program []byte, err error) {
	scratch, err := os.MkdirTemp("", "mkimage-")
	if err != nil {
		return nil, fmt.Errorf("make a directory to build in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	out := filepath.Join(scratch, "program")
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, ".")
	compile.Dir = dir
	compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Arch)
	compile.Stderr = os.Stderr
	if err := compile.Run(); err != nil {
		return nil, fmt.Errorf("build %s for %s/%s: %w", dir, platform.OS, platform.Arch, err)
	}
	return os.ReadFile(out)
}

// makeImage imports the files, unless the engine has the very same image.
func makeImage(ctx context.Context, client *engineapi.Client, s spec, files []file) error {
	layer, err := archive(files)
	if err != nil {
		return err
	}
	changes, err := s.changes()
	if err != nil {
		return err
	}
	name, digest := s.repo+":"+s.tag, contentDigest(layer, changes)
	labels, err := client.ImageLabels(ctx, name)
	switch {
	case err == nil && labels[labelContent] == digest:
		fmt.Println(name, "is up to date")
		return nil
	case err != nil && !errors.Is(err, engineapi.ErrNotFound):
		return fmt.Errorf("look for image %s: %w", name, err)
	}
	changes = append(changes, fmt.Sprintf("LABEL %s=%s", labelContent, digest))
	id, err := client.Import(ctx, s.repo, s.tag, changes, bytes.NewReader(layer))
	if err != nil {
		return fmt.Errorf("import image %s: %w", name, err)
	}
	fmt.Println(name, "is", id)
	return nil
}

// changes are the image's settings as lines of a Dockerfile. Words are written
// as JSON, which Docker takes literally: no shell ever sees them.
func (s spec) changes() ([]string, error) {
	var lines []string
	for _, setting := range []struct {
		instruction string
		words       []string
	}{{"ENTRYPOINT", s.entrypoint}, {"CMD", s.cmd}} {
		if len(setting.words) == 0 {
			continue
		}
		words, err := json.Marshal(setting.words)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting.instruction, err)
		}
		lines = append(lines, setting.instruction+" "+string(words))
	}
	for _, entry := range s.env {
		lines = append(lines, "ENV "+entry)
	}
	return lines, nil
}

// archive packs the files as a file system: owned by root, executable, and with
// no trace of when or where they were made.
func archive(files []file) ([]byte, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, f := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.name, Mode: 0o755, Size: int64(len(f.content)),
			ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("finish the archive: %w", err)
	}
	return packed.Bytes(), nil
}

// contentDigest tells images apart by what went into them.
func contentDigest(layer []byte, changes []string) string {
	hash := sha256.New()
	for _, line := range changes {
		fmt.Fprintf(hash, "%d:%s", len(line), line)
	}
	hash.Write(layer)
	return fmt.Sprintf("%x", hash.Sum(nil))
}

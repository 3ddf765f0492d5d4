package envfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Dir is a folder with a folder for each bucket.
type Dir struct{ root *os.Root }

// OpenDir opens the folder. Nothing outside of it is ever read, whatever the
// links in it lead to.
func OpenDir(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the folder of environment files: %w", err)
	}
	return &Dir{root}, nil
}

// Close gives the folder back.
func (d *Dir) Close() error { return d.root.Close() }

// Open opens the file BUCKET/KEY.
func (d *Dir) Open(_ context.Context, bucket, key string) (io.ReadCloser, error) {
	name := filepath.Join(bucket, key)
	if bucket == "." || bucket == ".." || !filepath.IsLocal(key) {
		return nil, errors.New("its name leads out of the folder of environment files")
	}
	// Not blocking: opening a pipe would wait for somebody to write to it.
	file, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in the folder of environment files", ErrNoObject)
	}
	if err != nil {
		return nil, fmt.Errorf("open in the folder of environment files: %w", err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

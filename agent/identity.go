package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// identity is what an agent keeps between its lives: which container instance
// it is. A lock makes sure that no two agents take themselves for the same one.
type identity struct {
	dir   string
	lock  *os.File
	saved savedIdentity
}

type savedIdentity struct {
	Cluster  string `json:"cluster"`
	Instance string `json:"containerInstanceArn"`
	// Former ARNs, which the control plane no longer knew: containers of theirs
	// that are still on the engine are nobody's, and are removed.
	Former []string `json:"formerContainerInstanceArns,omitempty"`
}

// maxFormer bounds the former ARNs; those before have long been cleaned up.
const maxFormer = 8

// openIdentity locks the directory and reads the identity in it, which may be none yet.
func openIdentity(dir, cluster string) (*identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the agent's data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "agent.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the agent's data directory: %w", err)
	}
	id := &identity{dir: dir, lock: lock}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		id.close()
		return nil, fmt.Errorf("another agent uses the data directory %s: %w", dir, err)
	}
	if err := id.read(cluster); err != nil {
		id.close()
		return nil, err
	}
	return id, nil
}

func (id *identity) read(cluster string) error {
	id.saved.Cluster = cluster
	text, err := os.ReadFile(id.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the agent's identity: %w", err)
	}
	if err := json.Unmarshal(text, &id.saved); err != nil {
		return fmt.Errorf("read the agent's identity in %s: %w", id.path(), err)
	}
	if id.saved.Cluster != cluster {
		return fmt.Errorf("the agent in %s belongs to cluster %q, not %q: give each its own data directory", id.dir, id.saved.Cluster, cluster)
	}
	return nil
}

// close gives the lock back; closing the file does that.
func (id *identity) close() { id.lock.Close() }

func (id *identity) path() string { return filepath.Join(id.dir, "instance.json") }

// instances returns the ARN and the former ones, or nil before the first registration.
func (id *identity) instances() []string {
	if id.saved.Instance == "" {
		return nil
	}
	return append([]string{id.saved.Instance}, id.saved.Former...)
}

// adopt keeps the ARN of a registration durably.
func (id *identity) adopt(instance string) error {
	if instance == id.saved.Instance {
		return nil
	}
	next := savedIdentity{Cluster: id.saved.Cluster, Instance: instance}
	if id.saved.Instance != "" {
		next.Former = slices.Concat([]string{id.saved.Instance}, id.saved.Former)
		next.Former = next.Former[:min(len(next.Former), maxFormer)]
	}
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the agent's identity: %w", err)
	}
	if err := replaceFile(id.path(), text); err != nil {
		return fmt.Errorf("write the agent's identity: %w", err)
	}
	id.saved = next
	return nil
}

// replaceFile writes a file so that after a crash at any moment either the old
// or the new content is there, whole.
func replaceFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already if all went well
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

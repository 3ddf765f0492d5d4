package metadata

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/time/rate"
)

// How often a task may ask: ECS's default of ECS_TASK_METADATA_RPS_LIMIT.
const (
	steadyRate = 40 // requests a second
	burst      = 60
)

// key makes the ids. It is kept with the agent, so that the ids which running
// containers were given hold when the agent starts again.
type key struct {
	secret []byte
	// tag begins all ids of this agent, by which another agent of the host knows
	// whose they are.
	tag string
}

const keySize = 32

// openKey reads the key in the agent's data directory, or makes one. The agent's
// lock on the directory keeps others from making one meanwhile.
func openKey(dir string) (key, error) {
	path := filepath.Join(dir, "metadata.key")
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret = make([]byte, keySize)
		rand.Read(secret)
		err = writeKey(path, secret)
	}
	if err != nil {
		return key{}, fmt.Errorf("open the key of the task metadata endpoint: %w", err)
	}
	if len(secret) != keySize {
		return key{}, fmt.Errorf("open the key of the task metadata endpoint: %s has %d bytes, not %d", path, len(secret), keySize)
	}
	k := key{secret: secret}
	k.tag = hex.EncodeToString(k.sum("tag"))[:tagSize]
	return k, nil
}

// writeKey writes it so that there is never a part of one.
func writeKey(path string, secret []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "metadata.key.*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already if all went well
	_, err = file.Write(secret)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func (k key) sum(parts ...string) []byte {
	mac := hmac.New(sha256.New, k.secret)
	for _, p := range parts {
		fmt.Fprintf(mac, "%d:%s", len(p), p)
	}
	return mac.Sum(nil)
}

const tagSize = 8

// id is the tag and 96 bits that nobody can guess, in the form of a UUID.
func (k key) id(kind, task, container string) string {
	h := hex.EncodeToString(k.sum(kind, task, container))
	return fmt.Sprintf("%s-%s-%s-%s-%s", k.tag, h[:4], h[4:8], h[8:12], h[12:24])
}

// tagOf returns the tag of an id, or nothing if it is none.
func tagOf(id string) string {
	if len(id) != 36 || id[tagSize] != '-' {
		return ""
	}
	if _, err := hex.DecodeString(id[:tagSize]); err != nil {
		return ""
	}
	return id[:tagSize]
}

// registry knows which id stands for what.
type registry struct {
	mu        sync.Mutex
	complete  bool // the agent knows its tasks: what is not here does not exist
	ids       map[string]*name
	tasks     map[string][]string // ids by task ARN
	strangers *rate.Limiter       // of all requests with unknown ids together
}

// name is what an id stands for.
type name struct {
	task  string // ARN
	unit  int    // index of the container; credentials are the task's: noUnit
	role  string // ARN, of credentials
	limit *rate.Limiter
}

const noUnit = -1

func newLimiter() *rate.Limiter { return rate.NewLimiter(steadyRate, burst) }

func (r *registry) init() {
	r.ids, r.tasks, r.strangers = map[string]*name{}, map[string][]string{}, newLimiter()
}

func (r *registry) add(task string, names map[string]*name) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, n := range names {
		r.ids[id] = n
		r.tasks[task] = append(r.tasks[task], id)
	}
}

func (r *registry) find(id string) (n *name, complete bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[id], r.complete
}

// Equip makes the ids of a task known and returns what to add to the environment
// of each of its containers. The role is an ARN, or empty.
func (s *Server) Equip(task string, containers []string, role string) []map[string]string {
	names, limit := map[string]*name{}, newLimiter()
	var credentials string
	if role != "" {
		id := s.key.id("role", task, role)
		names[id] = &name{task: task, unit: noUnit, role: role, limit: limit}
		credentials = "/v2/credentials/" + id
	}
	var all []map[string]string
	for i, container := range containers {
		id := s.key.id("container", task, container)
		names[id] = &name{task: task, unit: i, limit: limit}
		env := map[string]string{
			"ECS_CONTAINER_METADATA_URI":    s.Base() + "/v3/" + id,
			"ECS_CONTAINER_METADATA_URI_V4": s.Base() + "/v4/" + id,
			"ECS_AGENT_URI":                 s.Base() + "/api/" + id,
		}
		if credentials != "" {
			env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = credentials
		}
		all = append(all, env)
	}
	s.names.add(task, names)
	return all
}

// Forget is told that nothing of a task is left on the host.
func (s *Server) Forget(task string) {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	for _, id := range s.names.tasks[task] {
		delete(s.names.ids, id)
	}
	delete(s.names.tasks, task)
}

// Complete is told that all tasks of the host have been named. Before that, an
// unknown id may be one of a task that runs: the answer is to try again.
func (s *Server) Complete() {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	s.names.complete = true
}

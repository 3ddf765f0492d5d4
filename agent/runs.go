package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/longshore/longshore/agent/lifecycle"
)

// runNotes are how often containers were restarted by their policies, by the
// engine's ids: what no engine counts, because to it each restart is a start like
// the first. They are kept in the data directory, for the next life of the agent. A
// crash before a note is kept costs nothing as long as it is one run that is
// missing, which the next life sees from the engine.
type runNotes struct {
	path string
	log  *slog.Logger
	wake chan struct{} // one slot: something worth keeping has changed

	mu   sync.Mutex
	byID map[string]lifecycle.Runs
}

// readRunNotes reads what a former life has kept. Notes that cannot be read are
// lost: the counts of the containers that are there are not known then.
func readRunNotes(dir string, log *slog.Logger) *runNotes {
	n := &runNotes{path: filepath.Join(dir, "restarts.json"), log: log, wake: make(chan struct{}, 1), byID: map[string]lifecycle.Runs{}}
	text, err := os.ReadFile(n.path)
	if err == nil {
		err = json.Unmarshal(text, &n.byID)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.log.Error("the notes of restarts are lost: those of running containers are not shown", "path", n.path, "error", err)
		n.byID = map[string]lifecycle.Runs{}
	}
	return n
}

// run keeps the notes until ctx ends, and a last time then.
func (n *runNotes) run(ctx context.Context) error {
	for {
		err := await(ctx, n.wake, nil)
		if failed := n.save(); failed != nil {
			n.log.Error("the notes of restarts are not kept", "error", failed)
		}
		if err != nil {
			return err
		}
	}
}

func (n *runNotes) save() error {
	n.mu.Lock()
	text, err := json.Marshal(n.byID)
	n.mu.Unlock()
	if err == nil {
		err = replaceFile(n.path, text)
	}
	if err != nil {
		return fmt.Errorf("keep the notes of restarts in %s: %w", n.path, err)
	}
	return nil
}

// of returns what is noted of a container.
func (n *runNotes) of(id string) (lifecycle.Runs, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	runs, ok := n.byID[id]
	return runs, ok
}

// note notes what became of the containers of a task that have a restart policy.
func (n *runNotes) note(task *lifecycle.Task, state *lifecycle.State) {
	for i := range task.Units {
		c := &state.Containers[i]
		if task.Units[i].Restart.Period == 0 || c.RuntimeID == "" {
			continue
		}
		n.put(c.RuntimeID, c.Runs, c.Removed)
	}
}

func (n *runNotes) put(id string, runs lifecycle.Runs, removed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	have, noted := n.byID[id]
	switch {
	case removed && noted:
		delete(n.byID, id)
	case !removed && runs.Known() && (!noted || !have.Latest.Equal(runs.Latest)):
		n.byID[id] = runs
	default:
		return
	}
	poke(n.wake)
}

// prune forgets the containers that are not on the host any more.
func (n *runNotes) prune(there map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range n.byID {
		if !there[id] {
			delete(n.byID, id)
			poke(n.wake)
		}
	}
}

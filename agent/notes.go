package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// imageNotes are what the agent remembers of images from one life to the next:
// which it has pulled, and when they were used. An engine knows neither. They
// are kept in the data directory; losing them costs a pull (PullOnce), or an
// image that is never removed.
type imageNotes struct {
	path string
	wake chan struct{} // one slot: something worth keeping has changed

	mu   sync.Mutex
	byID map[string]*imageNote
}

type imageNote struct {
	ID     string    `json:"id"`
	Names  []string  `json:"references"` // that it was pulled by, in full
	Pulled time.Time `json:"pulledAt"`
	Used   time.Time `json:"lastUsedAt"`
	// Found: it was on the host before this agent pulled it, so it is not the
	// agent's to remove.
	Found bool `json:"found,omitempty"`
}

// readImageNotes reads what a former life has kept. An unreadable file is an
// error and leaves the notes empty: they can be used all the same.
func readImageNotes(dir string) (*imageNotes, error) {
	n := &imageNotes{path: filepath.Join(dir, "images.json"), wake: make(chan struct{}, 1), byID: map[string]*imageNote{}}
	text, err := os.ReadFile(n.path)
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err != nil {
		return n, fmt.Errorf("read the notes of images: %w", err)
	}
	var all []*imageNote
	if err := json.Unmarshal(text, &all); err != nil {
		return n, fmt.Errorf("read the notes of images in %s: %w", n.path, err)
	}
	for _, note := range all {
		n.byID[note.ID] = note
	}
	return n, nil
}

// save writes the notes. It has one caller at a time.
func (n *imageNotes) save() error {
	text, err := n.encode()
	if err == nil {
		err = replaceFile(n.path, text)
	}
	if err != nil {
		return fmt.Errorf("keep the notes of images: %w", err)
	}
	return nil
}

func (n *imageNotes) encode() ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*imageNote, 0, len(n.byID))
	for _, note := range n.byID {
		all = append(all, note)
	}
	slices.SortFunc(all, func(a, b *imageNote) int { return a.Pulled.Compare(b.Pulled) })
	return json.Marshal(all)
}

// pulled notes that name was pulled, and is the image of that id; found says
// that the host had the image already.
func (n *imageNotes) pulled(name, id string, found bool, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	note := n.byID[id]
	if note == nil {
		note = &imageNote{ID: id, Pulled: now, Found: found}
		n.byID[id] = note
	}
	note.Used = now
	if !slices.Contains(note.Names, name) {
		note.Names = append(note.Names, name)
		poke(n.wake)
	}
}

// used notes that a task asked for the image.
func (n *imageNotes) used(id string, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if note := n.byID[id]; note != nil {
		note.Used = now
	}
}

// everPulled tells whether name was pulled, in this life or a former one.
func (n *imageNotes) everPulled(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, note := range n.byID {
		if slices.Contains(note.Names, name) {
			return true
		}
	}
	return false
}

// of returns the note of an image, or the zero one.
func (n *imageNotes) of(id string) imageNote {
	n.mu.Lock()
	defer n.mu.Unlock()
	if note := n.byID[id]; note != nil {
		return *note
	}
	return imageNote{}
}

// prune forgets the images that are not on the host any more.
func (n *imageNotes) prune(there map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range n.byID {
		if !there[id] {
			delete(n.byID, id)
			poke(n.wake)
		}
	}
}

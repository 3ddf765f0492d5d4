package runtime

import (
	"errors"
	"time"
)

// ErrInUse: the image cannot be removed, because a container was made from it
// or another image is built on it.
var ErrInUse = errors.New("in use")

// StoredImage is an image in the engine's store, as ListImages shows it.
type StoredImage struct {
	ID string // as Image.ID
	// Names are its tags in the engine's spelling, or, of an image without tags,
	// the repositories with digests that it was pulled by. There may be none.
	Names     []string
	SizeBytes int64     // with the layers that it shares with others
	CreatedAt time.Time // when it was built
	InUse     bool      // by a container in any state, whoever made it
}

// PullProgress is one sign of life of a pull.
type PullProgress struct {
	Layer          string // the engine's name of a part; empty: the whole image
	Status         string // the engine's words, like "Downloading"
	Current, Total int64  // bytes of the step; 0: not known
}

package catalog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// beat is how often a stream says that it is alive.
	beat = 3 * time.Second
	// silence is how long a follower waits for anything before it tries again.
	silence = 10 * time.Second
	// maxLine bounds one change: all groups at once, at the beginning.
	maxLine = 256 << 20
)

// Handler streams the catalog to a follower: a line of JSON for each Change, the
// first of them full, and an empty line now and then. It is meant for control
// planes of one cluster among themselves.
func (c *Catalog) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-c.loaded:
		default:
			http.Error(w, "this control plane does not know the targets yet", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		s := c.Subscribe()
		defer s.Close()
		ticker := time.NewTicker(beat)
		defer ticker.Stop()
		answer := http.NewResponseController(w)
		encoder := json.NewEncoder(w)
		for {
			var err error
			select {
			case <-s.Wake():
				err = encoder.Encode(s.Take())
			case <-ticker.C:
				_, err = w.Write([]byte("\n"))
			case <-r.Context().Done():
				return
			}
			if err == nil {
				err = answer.Flush()
			}
			if err != nil {
				return // the follower is gone, and comes back if it wants to
			}
		}
	})
}

// Follow applies what the catalog behind url says, until ctx or the stream ends.
// It always returns an error; what has been applied stays.
func (c *Catalog) Follow(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("following the targets: %w", err)
	}
	watchdog := time.AfterFunc(silence, func() { cancel(errors.New("nothing was heard from the leader")) })
	defer watchdog.Stop()
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("following the targets: %w", errors.Join(err, context.Cause(ctx)))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("following the targets: %s answers %s", url, answer.Status)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for lines.Scan() {
		watchdog.Reset(silence)
		if len(lines.Bytes()) == 0 {
			continue
		}
		var change Change
		if err := json.Unmarshal(lines.Bytes(), &change); err != nil {
			return fmt.Errorf("following the targets: a line of %s: %w", url, err)
		}
		c.Apply(change)
	}
	if err := errors.Join(lines.Err(), context.Cause(ctx)); err != nil {
		return fmt.Errorf("following the targets: %w", err)
	}
	return errors.New("following the targets: the leader ended the stream")
}

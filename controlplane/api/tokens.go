package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/proto/ecs"
)

// maxToken is what the present API allows; SDKs send UUIDs of 36.
const maxToken = 64

// checkToken checks a client token: printable ASCII.
func checkToken(token string) error {
	if len(token) > maxToken {
		return invalid("clientToken is longer than %d characters.", maxToken)
	}
	for i := range len(token) {
		if token[i] < 33 || token[i] > 126 {
			return invalid("clientToken must be of printable ASCII characters.")
		}
	}
	return nil
}

// requestHash names a request, for telling a repetition from another request
// with the same token. strip takes out of the copy what does not count.
func requestHash[T any](in *T, strip func(*T)) (string, error) {
	stripped := *in
	strip(&stripped)
	encoded, err := encode(nil, &stripped)
	if err != nil {
		return "", fmt.Errorf("hashing a request: %w", err)
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:]), nil
}

// startedBefore returns the tasks that the same RunTask has started before, as
// they are now; nil if there are none.
func (h *Handler) startedBefore(tx *store.Tx, c model.ClusterName, token, hash string, now time.Time) ([]*model.Task, error) {
	if token == "" {
		return nil, nil
	}
	known, ok := tx.RunToken(c, token)
	if !ok || !known.Valid(now) {
		return nil, nil
	}
	if known.RequestHash != hash {
		e := &ecs.Error{Code: ecs.CodeConflict, Message: "The client token was used before, for another request."}
		for i := range known.Tasks {
			e.ResourceIDs = append(e.ResourceIDs, h.Owner.TaskARN(c, known.Tasks[i].ID))
		}
		return nil, e
	}
	tasks := make([]*model.Task, len(known.Tasks))
	for i := range known.Tasks {
		if t, there := tx.Task(c, known.Tasks[i].ID); there {
			tasks[i] = t
		} else {
			tasks[i] = known.Tasks[i].Task()
		}
	}
	return tasks, nil
}

// remember records what a RunTask with a client token started. One that started
// nothing may be tried again.
func remember(tx *store.Tx, c model.ClusterName, token, hash string, tasks []*model.Task, now time.Time) {
	if token == "" || len(tasks) == 0 {
		return
	}
	r := &model.RunToken{Cluster: c, Token: token, RequestHash: hash, CreatedAt: now, Tasks: make([]model.Forgotten, len(tasks))}
	for i, t := range tasks {
		r.Tasks[i] = t.Forgotten()
	}
	tx.PutRunToken(r)
}

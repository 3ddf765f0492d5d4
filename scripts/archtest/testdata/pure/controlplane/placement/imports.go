// Package placement chooses.
package placement

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"os/exec"

	"github.com/google/uuid"
	"github.com/tidwall/btree"

	"github.com/longshore/longshore/controlplane/placement/internal/score"
	"github.com/longshore/longshore/controlplane/store"
)

var _, _, _, _, _, _, _, _ = rand.Read, slog.Info, http.Get, exec.Command, uuid.New, btree.New, score.Of, store.X

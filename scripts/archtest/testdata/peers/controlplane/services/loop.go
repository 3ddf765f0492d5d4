// Package services loops.
package services

import (
	"github.com/longshore/longshore/controlplane/api/wire"
	"github.com/longshore/longshore/controlplane/services/queue"
	"github.com/longshore/longshore/controlplane/store"
)

var _, _, _ = wire.X, queue.X, store.X

// Package api answers.
package api

import (
	"github.com/longshore/longshore/controlplane/store"
)

var _ store.Store

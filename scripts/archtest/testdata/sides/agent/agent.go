// Package agent runs tasks.
package agent

import "github.com/longshore/longshore/controlplane/model"

var _ model.TaskID

// Package lifecycle says what to do next.
package lifecycle

import "github.com/longshore/longshore/agent/runtime"

var _ runtime.Spec

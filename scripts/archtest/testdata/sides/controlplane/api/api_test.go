// Package api_test tests.
package api_test

import (
	_ "github.com/longshore/longshore/agent"
	_ "github.com/longshore/longshore/agentless"
)

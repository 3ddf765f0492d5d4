// Package test_test looks at the whole.
package test_test

import (
	_ "github.com/docker/docker/client"

	_ "github.com/longshore/longshore/agent"
	_ "github.com/longshore/longshore/controlplane"
)

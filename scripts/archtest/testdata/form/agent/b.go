// Package agent is documented here, too.
package agent

// Package agent is documented here.
package agent

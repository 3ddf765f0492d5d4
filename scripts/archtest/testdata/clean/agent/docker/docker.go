// Package docker runs containers.
package docker

import "github.com/docker/docker/client"

var _ client.Client

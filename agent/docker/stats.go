package docker

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/container"
)

// Stats returns the resources that a running container has used so far. Engines
// before API 1.41 do not know how to look once: they look twice, and take more
// than a second for it.
func (r *Runtime) Stats(ctx context.Context, id string) ([]byte, error) {
	doing := "ask for the statistics of container " + id
	engine := r.client()
	answer, err := engine.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return nil, r.fail(ctx, engine, doing, err)
	}
	text, err := readStats(answer)
	if err != nil {
		return nil, r.fail(ctx, engine, doing, err)
	}
	return text, nil
}

func readStats(answer container.StatsResponseReader) ([]byte, error) {
	text, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return text, nil
}

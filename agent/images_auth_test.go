package agent

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/runtime"
)

func TestImages_ARegistryIsShownTheCredentialsOfEachContainer(t *testing.T) {
	m := agenttest.NewMemory(runtime.Info{})
	right := &runtime.Auth{Username: "u", Password: "p"}
	m.PublishImage("private:1", agenttest.Program{}, right)
	im := newImages(Config{Runtime: m, PullBehavior: PullAlways, PullInactivity: time.Minute, MaxPulls: 1, Logger: slog.New(slog.DiscardHandler)}, newMetrics(prometheus.NewRegistry()))
	for name, auth := range map[string]*runtime.Auth{"none": nil, "wrong ones": {Username: "u", Password: "x"}} {
		if _, err := im.ensure(t.Context(), "private:1", auth); !errors.Is(err, runtime.ErrNotFound) {
			t.Errorf("with %s: %v, want a refusal", name, err)
		}
	}
	if _, err := im.ensure(t.Context(), "private:1", right); err != nil {
		t.Errorf("with the right ones: %v", err)
	}
	if _, err := im.ensure(t.Context(), "private:1", nil); err == nil {
		t.Error("without any, after somebody else has pulled it: want a refusal, as images are always pulled")
	}
}

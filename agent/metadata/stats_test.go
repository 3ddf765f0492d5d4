package metadata

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/longshore/longshore/agent/runtime"
)

// TestStats_MeasureFromTheLookBefore: the engine counts 100 bytes received a
// second and 10 sent.
func TestStats_MeasureFromTheLookBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, looks := time.Now(), 0
		s := closed(t, func(c *Config) {
			c.Stats = func(_ context.Context, id string) ([]byte, error) {
				looks++
				n := int(time.Since(began).Seconds())
				return fmt.Appendf(nil, `{"id":%q,"read":"%d","preread":"never","cpu_stats":{"n":%d},"precpu_stats":{},"networks":{"eth0":{"rx_bytes":%d,"tx_bytes":%d}}}`,
					id, n, n, 100*n, 10*n), nil
			}
		})
		env := s.Equip(taskARN, []string{"main"}, "")[0]
		expect := func(uri, want string, wantLooks int) {
			t.Helper()
			if w := ask(s, "GET", path(uri), ""); w.Code != 200 || w.Body.String() != want || looks != wantLooks {
				t.Errorf("%d looks, want %d; %d %s\nwant %s", looks, wantLooks, w.Code, w.Body, want)
			}
		}
		answer := func(before, now int, rate string) string {
			return fmt.Sprintf(`{"cpu_stats":{"n":%d},"id":"c0ffee",%s"networks":{"eth0":{"rx_bytes":%d,"tx_bytes":%d}},"precpu_stats":{"n":%d},"preread":"%d","read":"%d"}`,
				now, rate, 100*now, 10*now, before, before, now)
		}
		const rate = `"network_rate_stats":{"rx_bytes_per_sec":100,"tx_bytes_per_sec":10},`
		four, three := env["ECS_CONTAINER_METADATA_URI_V4"]+"/stats", env["ECS_CONTAINER_METADATA_URI"]+"/stats"
		expect(four, answer(0, 1, rate), 2) // nothing to measure from: two looks
		expect(three, answer(0, 1, ""), 2)  // asked again at once: no look
		time.Sleep(10 * time.Second)
		expect(four, answer(1, 11, rate), 3)
		expect(env["ECS_CONTAINER_METADATA_URI_V4"]+"/task/stats", `{"c0ffee":`+answer(1, 11, rate)+`}`, 3)
		time.Sleep(statsMemory + time.Second) // too long ago to measure from
		expect(four, answer(312, 313, rate), 5)
	})
}

func TestStats_OfTaskAreNullForWhatDoesNotRun(t *testing.T) {
	task := someTask(t)
	task.State.Containers[0].Phase++ // Ended
	s := closed(t, func(c *Config) {
		c.Lookup = func(context.Context, string, int) (Task, error) { return task, nil }
	})
	env := s.Equip(taskARN, []string{"main"}, "")[0]
	if w := ask(s, "GET", path(env["ECS_CONTAINER_METADATA_URI_V4"])+"/task/stats", ""); w.Body.String() != `{"c0ffee":null}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestStats_FailureOfTheEngineIs500(t *testing.T) {
	s := closed(t, func(c *Config) {
		c.Stats = func(context.Context, string) ([]byte, error) { return nil, errors.Join(runtime.ErrUnavailable) }
	})
	env := s.Equip(taskARN, []string{"main"}, "")[0]
	for _, path := range []string{path(env["ECS_CONTAINER_METADATA_URI_V4"]) + "/stats", path(env["ECS_CONTAINER_METADATA_URI_V4"]) + "/task/stats"} {
		if w := ask(s, "GET", path, ""); w.Code != 500 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

package testbed

import (
	"os"
	"os/exec"
	"testing"
)

// RequirePrograms is the variable that, set to 1, makes a test fail for want of a
// program that it would be skipped for.
const RequirePrograms = "LONGSHORE_REQUIRE_PROGRAMS"

// Run starts a program of somebody else's, with more variables in its environment,
// until the test ends. What it printed is logged if the test has failed. The test
// [Need]s the program.
func Run(tb testing.TB, environment []string, name string, args ...string) {
	tb.Helper()
	var log Buffer
	cmd := exec.Command(Need(tb, name), args...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			tb.Errorf("ending %s: %v", name, err)
		}
		_ = cmd.Wait() // it was killed
		if tb.Failed() {
			tb.Logf("%s said:\n%s", name, log.String())
		}
	})
}

// Need returns the path of a program. Where it is not installed the test is skipped,
// or fails if [RequirePrograms] says so.
func Need(tb testing.TB, name string) string {
	tb.Helper()
	// Debian keeps daemons where the PATH of users does not lead.
	for _, place := range []string{name, "/usr/local/sbin/" + name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(place); err == nil {
			return path
		}
	}
	if os.Getenv(RequirePrograms) == "1" {
		tb.Fatalf("%s is not installed", name)
	}
	tb.Skipf("%s is not installed (set %s=1 to make this a failure)", name, RequirePrograms)
	return ""
}

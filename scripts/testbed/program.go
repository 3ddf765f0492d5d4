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
// until the test ends. What it printed is logged if the test has failed. Where the
// program is not installed the test is skipped, or fails if [RequirePrograms] says so.
func Run(tb testing.TB, environment []string, name string, args ...string) {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path = inSbin(name); path == "" {
			missing(tb, name)
		}
	}
	var log Buffer
	cmd := exec.Command(path, args...)
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

func missing(tb testing.TB, name string) {
	tb.Helper()
	if os.Getenv(RequirePrograms) == "1" {
		tb.Fatalf("%s is not installed", name)
	}
	tb.Skipf("%s is not installed (set %s=1 to make this a failure)", name, RequirePrograms)
}

// inSbin finds a daemon where Debian puts it; "" if it is not there.
func inSbin(name string) string {
	for _, folder := range []string{"/usr/local/sbin/", "/usr/sbin/", "/sbin/"} {
		if info, err := os.Stat(folder + name); err == nil && info.Mode()&0o111 != 0 {
			return folder + name
		}
	}
	return ""
}

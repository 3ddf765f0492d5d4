package docker

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// daemon is a program that a test started and ends.
type daemon struct {
	cmd *exec.Cmd
	log chan []string // has the last lines of the log when it has ended
}

// needBinaries skips a test whose programs are not on this machine.
func needBinaries(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: %v", name, err)
		}
	}
}

// startDaemon returns when the program writes, to its standard error, a line
// with ready in it, and gives that line.
func startDaemon(t *testing.T, ready string, cmd *exec.Cmd) (d *daemon, line string) {
	t.Helper()
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	d = &daemon{cmd: cmd, log: make(chan []string, 1)}
	found := make(chan string, 1)
	go func() { d.log <- readLog(output, ready, found) }()
	select {
	case line = <-found:
		return d, line
	case last := <-d.log:
		t.Fatalf("%s ended before it was ready: %v\n%s", cmd.Path, cmd.Wait(), strings.Join(last, "\n"))
		return nil, ""
	}
}

// readLog reads a log to its end, and returns its last lines. The first line
// with ready in it is found.
func readLog(output io.Reader, ready string, found chan<- string) []string {
	var last []string
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), ready) {
			select {
			case found <- lines.Text():
			default:
			}
		}
		last = append(last, lines.Text())
		last = last[max(0, len(last)-20):]
	}
	if err := lines.Err(); err != nil {
		last = append(last, err.Error())
	}
	return last
}

func (d *daemon) stop(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop %s: %v", d.cmd.Path, err)
	}
	last := <-d.log
	if err := d.cmd.Wait(); err != nil && !isSignalled(err) {
		t.Errorf("%s: %v\n%s", d.cmd.Path, err, strings.Join(last, "\n"))
	}
}

// isSignalled tells whether a program ended because of SIGTERM itself.
func isSignalled(err error) bool {
	exit, ok := err.(*exec.ExitError)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && (status.Signaled() || status.ExitStatus() == 128+int(syscall.SIGTERM))
}

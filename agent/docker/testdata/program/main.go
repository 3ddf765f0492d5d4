// Command program is what the containers of the tests run: it does what its
// first argument says, and needs nothing but the kernel.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Where the programs listen: not at the same port, because some of the tests
// have both in one network namespace.
const (
	serving  = ":8080"
	ignoring = ":8081"
)

func main() {
	if len(os.Args) < 2 {
		fail("what to do is missing")
	}
	switch os.Args[1] {
	case "serve": // answers on port 8080, with a file on /read/PATH and what the service NAME answers on /find/NAME; ends with 0 on SIGTERM, with CODE on /exit/CODE
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		serve(stop, serving)
	case "ignore-term": // serves until it is killed
		signal.Ignore(syscall.SIGTERM)
		serve(nil, ignoring)
	case "ask": // ends with 0 if serve answers beside it
		ask()
	case "fetch": // asks for all that a task can ask for, into files of a folder, and ends with 0
		fetch()
	case "exit": // ends at once with the given code
		exit()
	default:
		fail("cannot do " + os.Args[1])
	}
}

// find asks the service of a name, which it looks up by SRV and A records.
func find(w http.ResponseWriter, name string) {
	_, found, err := net.LookupSRV("", "", name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answer, err := http.Get(fmt.Sprintf("http://%s:%d/", strings.TrimSuffix(found[0].Target, "."), found[0].Port))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	fmt.Fprintln(w, "found", found[0].Target, answer.StatusCode)
}

// serve answers: who gets an answer knows that signals are dealt with as well.
func serve(stop <-chan os.Signal, address string) {
	failed := make(chan error, 1)
	go func() {
		failed <- http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if code, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/exit/")); err == nil {
				os.Exit(code)
			}
			if name, ok := strings.CutPrefix(r.URL.Path, "/find/"); ok {
				find(w, name)
				return
			}
			if path, ok := strings.CutPrefix(r.URL.Path, "/read/"); ok {
				http.ServeContent(w, r, path, time.Time{}, contentOf("/"+path))
				return
			}
			// A client that is gone is no concern of a test's server.
			_, _ = fmt.Fprintln(w, reply(r))
		}))
	}()
	select {
	case <-stop:
	case err := <-failed:
		fail(err.Error())
	}
}

// reply does what a request asks of the server, for tests of what is around it.
func reply(r *http.Request) string {
	q := r.URL.Query()
	switch r.URL.Path {
	case "/get": // what another server says
		response, err := http.Get(q.Get("url"))
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return said(string(text), err)
	case "/processes": // the first words of all that run, as far as they are seen here
		return processes()
	case "/eat": // memory
		mebibytes, err := strconv.Atoi(q.Get("mib"))
		for range mebibytes {
			eaten = append(eaten, bytes.Repeat([]byte{1}, 1<<20))
		}
		return said("eaten", err)
	case "/write":
		return said("written", os.WriteFile(q.Get("path"), []byte(q.Get("text")), 0o644))
	case "/read":
		text, err := os.ReadFile(q.Get("path"))
		return said(string(text), err)
	}
	return "served"
}

var eaten [][]byte

func said(text string, err error) string {
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(text)
}

func processes() string {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err == nil { // else it has ended
			names = append(names, strings.ReplaceAll(strings.TrimRight(string(text), "\x00"), "\x00", " "))
		}
	}
	return strings.Join(names, ", ")
}

// contentOf is what a file of this container says, or why that is not to be known.
func contentOf(path string) *strings.Reader {
	content, err := os.ReadFile(path)
	if err != nil {
		return strings.NewReader("error: " + err.Error())
	}
	return strings.NewReader(string(content))
}

func ask() {
	response, err := http.Get("http://127.0.0.1" + serving)
	if err != nil {
		response, err = http.Get("http://127.0.0.1" + ignoring)
	}
	if err != nil {
		fail(err.Error())
	}
	if err := response.Body.Close(); err != nil {
		fail(err.Error())
	}
}

func exit() {
	if len(os.Args) < 3 {
		fail("the exit code is missing")
	}
	code, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail(err.Error())
	}
	os.Exit(code)
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(2)
}

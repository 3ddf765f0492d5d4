// Command program is what the containers of the tests run: it does what its
// first argument says, and needs nothing but the kernel.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
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
	case "serve": // answers on port 8080, and ends with 0 on SIGTERM, with CODE on /exit/CODE
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

// serve answers: who gets an answer knows that signals are dealt with as well.
func serve(stop <-chan os.Signal, address string) {
	failed := make(chan error, 1)
	go func() {
		failed <- http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if code, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/exit/")); err == nil {
				os.Exit(code)
			}
			// A client that is gone is no concern of a test's server.
			_, _ = fmt.Fprintln(w, "served")
		}))
	}()
	select {
	case <-stop:
	case err := <-failed:
		fail(err.Error())
	}
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

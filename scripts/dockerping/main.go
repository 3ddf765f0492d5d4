// Command dockerping tells a shell script whether a Docker engine answers at
// DOCKER_HOST: exit status 0 and a line about the engine when it does, 3 when
// this user may not ask it, 1 when nobody answers within -wait. It needs no
// docker command and no curl.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/longshore/longshore/scripts/internal/engineapi"
)

const (
	exitSilent    = 1
	exitForbidden = 3
)

func main() {
	wait := flag.Duration("wait", 0, "how long to go on asking; 0 asks once")
	flag.Parse()
	line, err := ask(*wait)
	switch {
	case errors.Is(err, fs.ErrPermission):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitForbidden)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitSilent)
	}
	fmt.Println(line)
}

func ask(wait time.Duration) (string, error) {
	client, err := engineapi.New(os.Getenv("DOCKER_HOST"))
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait+5*time.Second)
	defer cancel()
	if wait > 0 {
		err = client.WaitUntilUp(ctx)
	} else {
		err = client.Ping(ctx)
	}
	if err != nil {
		return "", err
	}
	version, err := client.Version(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Docker Engine %s (%s/%s) answers at %s", version.Version, version.OS, version.Arch, client.Host()), nil
}

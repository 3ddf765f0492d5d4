// Command mkimage makes a Docker image out of static programs, without a
// registry, a Dockerfile or a base image: a tar with the programs in its root
// goes to the engine at DOCKER_HOST as an import.
//
//	go run ./scripts/mkimage -tag longshore-sample:latest -entrypoint /web ./deploy/sample/web
//	go run ./scripts/mkimage -tag tool:1 -entrypoint /busybox -cmd sleep -cmd 60 /bin/busybox
//
// An argument that is a directory is a Go package of this module: it is built
// without cgo for the engine's platform. An image of that name that was made of
// the same files with the same settings is left as it is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/longshore/longshore/scripts/internal/engineapi"
)

// labelContent carries a digest of all that went into an image.
const labelContent = "longshore.content"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "mkimage:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	spec, inputs, err := parse(args)
	if err != nil {
		return err
	}
	client, err := engineapi.New(os.Getenv("DOCKER_HOST"))
	if err != nil {
		return err
	}
	files, err := collect(ctx, client, inputs)
	if err != nil {
		return err
	}
	return makeImage(ctx, client, spec, files)
}

// spec is what an image is called and how it runs.
type spec struct {
	repo, tag  string
	entrypoint []string
	cmd        []string
	env        []string
}

// parse reads the command line: the image to make, and what to make it of.
func parse(args []string) (spec, []string, error) {
	var s spec
	var name string
	flags := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	flags.StringVar(&name, "tag", "", "NAME:TAG of the image (required)")
	repeated(flags, &s.entrypoint, "entrypoint", "a word of the image's ENTRYPOINT, such as /web; repeat for more words (required)")
	repeated(flags, &s.cmd, "cmd", "a word of the image's CMD; repeat for more words")
	repeated(flags, &s.env, "env", "NAME=VALUE in the image's environment; may be repeated")
	if err := flags.Parse(args); err != nil {
		return spec{}, nil, err
	}
	// A colon before the last slash belongs to a registry's port, not to a tag.
	colon := strings.LastIndex(name, ":")
	if colon <= strings.LastIndex(name, "/") {
		return spec{}, nil, fmt.Errorf("-tag %q: want NAME:TAG", name)
	}
	s.repo, s.tag = name[:colon], name[colon+1:]
	if s.repo == "" || s.tag == "" {
		return spec{}, nil, fmt.Errorf("-tag %q: want NAME:TAG", name)
	}
	if len(s.entrypoint) == 0 {
		return spec{}, nil, errors.New("-entrypoint is missing")
	}
	if flags.NArg() == 0 {
		return spec{}, nil, errors.New("name at least one program file or Go package directory")
	}
	return s, flags.Args(), nil
}

func repeated(flags *flag.FlagSet, into *[]string, name, usage string) {
	flags.Func(name, usage, func(value string) error {
		*into = append(*into, value)
		return nil
	})
}

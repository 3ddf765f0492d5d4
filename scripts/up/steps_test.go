package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

func TestTake_PrintsALinePerStepWithWhatItSaidBelow(t *testing.T) {
	var out strings.Builder
	err := take(context.Background(), &out, []step{
		{"Quiet", func(context.Context, io.Writer) error { return nil }},
		{"Talkative", func(_ context.Context, w io.Writer) error {
			for _, text := range []string{"one\ntwo\nth", "ree\n", "\nfour"} {
				if n, err := io.WriteString(w, text); n != len(text) || err != nil {
					return fmt.Errorf("wrote %d of %d: %w", n, len(text), err)
				}
			}
			return nil
		}},
		{"Broken", func(context.Context, io.Writer) error { return errors.New("no luck") }},
		{"Never reached", func(context.Context, io.Writer) error { panic("a step after a failed one") }},
	})
	if err == nil || err.Error() != "step 3, Broken: no luck" {
		t.Errorf("take = %v", err)
	}
	got := regexp.MustCompile(`\d+\.\d s`).ReplaceAllString(out.String(), "N s")
	want := `[1/4] Quiet … N s
[2/4] Talkative …
      one
      two
      three
      
      four
      … N s
[3/4] Broken … failed after N s
`
	if got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

func TestCommand_PassesOnWhatTheProgramPrintsAndThatItFailed(t *testing.T) {
	var out strings.Builder
	err := command(context.Background(), config{root: t.TempDir()}, &out, "sh", "-c", "echo out; echo err >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("command = %v; want exit status 3", err)
	}
	if out.String() != "out\nerr\n" {
		t.Errorf("printed %q", out.String())
	}
}

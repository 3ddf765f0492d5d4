package main

import (
	"os/exec"
	"strings"
	"testing"
)

// What a program imports is initialised in every process that runs it, called or not.
func TestProgram_HasNothingOfAControlPlane(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(out)) {
		for _, heavy := range []string{"github.com/longshore/longshore/controlplane", "go.etcd.io/", "github.com/envoyproxy/"} {
			if strings.HasPrefix(path, heavy) {
				t.Errorf("longshore-agent contains %s", strings.TrimSpace(path))
			}
		}
	}
}

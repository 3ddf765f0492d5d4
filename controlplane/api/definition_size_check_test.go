package api

import (
	"fmt"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/proto/ecs"
)

func TestNormaliseSize_ReadsTheFormsThatECSTakes(t *testing.T) {
	for _, c := range []struct{ cpu, memory, wantCPU, wantMemory string }{
		{"", "", "", ""},
		{"1024", "512", "1024", "512"},
		{"1 vCPU", "2 GB", "1024", "2048"},
		{".5 vcpu", "0.5GB", "512", "512"},
		{"0.25vCPU", "30 gb", "256", "30720"},
	} {
		in := &ecs.RegisterTaskDefinitionRequest{Cpu: c.cpu, Memory: c.memory}
		if err := normaliseSize(in); err != nil || in.Cpu != c.wantCPU || in.Memory != c.wantMemory {
			t.Errorf("%q, %q: got %q, %q, %v", c.cpu, c.memory, in.Cpu, in.Memory, err)
		}
	}
	for _, wrong := range []string{"0", "-1", "1.5", "1 GHz", "vCPU", "1e3", "99999999999", "1..5 vCPU", "9999999 vCPU", "0.1 vCPU 2"} {
		if err := normaliseSize(&ecs.RegisterTaskDefinitionRequest{Cpu: wrong}); err == nil {
			t.Errorf("%q is no size", wrong)
		}
	}
}

func TestParseSize_UnitsAndBaseUnitsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quarters := rapid.Int64Range(1, 4096).Draw(t, "quarters")
		text := strconv.FormatFloat(float64(quarters)/4, 'f', -1, 64) + rapid.StringMatching(` {0,2}(vcpu|vCPU|VCPU)`).Draw(t, "unit")
		n, ok := parseSize(text, "vcpu", cpuPerCore)
		if !ok || n != quarters*cpuPerCore/4 {
			t.Fatalf("%q: got %d, %t", text, n, ok)
		}
		if again, ok := parseSize(strconv.FormatInt(n, 10), "vcpu", cpuPerCore); !ok || again != n {
			t.Fatalf("%d does not stay what it is: %d", n, again)
		}
	})
}

// Every pair of a task on Fargate, as RegisterTaskDefinition lists them.
func TestFargateOffers_ExactlyTheDocumentedPairs(t *testing.T) {
	offered := map[string]bool{"256/512": true}
	add := func(cpu, from, to, step int64) {
		for gb := from; gb <= to; gb += step {
			offered[fmt.Sprintf("%d/%d", cpu, gb*1024)] = true
		}
	}
	add(256, 1, 2, 1)
	add(512, 1, 4, 1)
	add(1024, 2, 8, 1)
	add(2048, 4, 16, 1)
	add(4096, 8, 30, 1)
	add(8192, 16, 60, 4)
	add(16384, 32, 120, 8)
	for _, cpu := range []int64{128, 256, 512, 1024, 2048, 3072, 4096, 8192, 16384, 32768} {
		for memory := int64(256); memory <= 128*1024; memory += 256 {
			if got, want := fargateOffers(cpu, memory), offered[fmt.Sprintf("%d/%d", cpu, memory)]; got != want {
				t.Errorf("%d CPU units with %d MiB: got %t", cpu, memory, got)
			}
		}
	}
}

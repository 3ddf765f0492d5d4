package api

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/longshore/longshore/proto/ecs"
)

const (
	cpuPerCore = 1024 // CPU units of a vCPU
	mibPerGB   = 1024

	// Of a task on instances (RegisterTaskDefinition, seed 000).
	minTaskCPU = 128
	maxTaskCPU = 10240
)

// normaliseSize rewrites the task's cpu and memory to plain CPU units and MiB,
// which is how ECS answers "1 vCPU" and "0.5 GB".
func normaliseSize(in *ecs.RegisterTaskDefinitionRequest) error {
	for _, s := range []struct {
		name, form string
		value      *string
		unit       string
		factor     float64
	}{
		{"cpu", "CPU units like 1024 or vCPUs like '1 vCPU'", &in.Cpu, "vcpu", cpuPerCore},
		{"memory", "MiB like 1024 or GB like '1 GB'", &in.Memory, "gb", mibPerGB},
	} {
		if *s.value == "" {
			continue
		}
		n, ok := parseSize(*s.value, s.unit, s.factor)
		if !ok {
			return refused("Invalid '%s' setting for task: it is given in %s, not %q.", s.name, s.form, clip(*s.value))
		}
		*s.value = strconv.FormatInt(n, 10)
	}
	return nil
}

var sizeForm = regexp.MustCompile(`^([0-9]*\.?[0-9]+)\s*([a-z]*)$`)

// parseSize reads a number of the base unit, or a decimal number of the unit that
// is factor times as large; the result is whole and above zero.
func parseSize(s, unit string, factor float64) (int64, bool) {
	parts := sizeForm.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if parts == nil {
		return 0, false
	}
	if parts[2] == "" {
		n, err := strconv.ParseInt(parts[1], 10, 32)
		return n, err == nil && n > 0
	}
	n, err := strconv.ParseFloat(parts[1], 64)
	if err != nil || parts[2] != unit {
		return 0, false
	}
	n *= factor
	if n < 1 || n > math.MaxInt32 || n != math.Trunc(n) {
		return 0, false
	}
	return int64(n), true
}

// sizeOf returns the task's cpu and memory, which normaliseSize has rewritten; 0
// for what is not given.
func sizeOf(in *ecs.RegisterTaskDefinitionRequest) (cpu, memory int64) {
	return number(in.Cpu), number(in.Memory)
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0 // the empty string: normaliseSize leaves no other
	}
	return n
}

// fargateSize is one size of a Fargate task: its memory goes from least to most in
// steps, all in GB; the smallest size has half a GB besides.
type fargateSize struct {
	cpu               int64
	least, most, step int64
}

// fargateSizes are the pairs of cpu and memory that Fargate offers (seed 000; the
// two largest are from the present API documentation).
var fargateSizes = []fargateSize{
	{256, 1, 2, 1},
	{512, 1, 4, 1},
	{1024, 2, 8, 1},
	{2048, 4, 16, 1},
	{4096, 8, 30, 1},
	{8192, 16, 60, 4},
	{16384, 32, 120, 8},
}

func fargateOffers(cpu, memory int64) bool {
	if cpu == 256 && memory == mibPerGB/2 {
		return true
	}
	for _, s := range fargateSizes {
		gb := memory / mibPerGB
		if s.cpu == cpu {
			return memory%mibPerGB == 0 && gb >= s.least && gb <= s.most && (gb-s.least)%s.step == 0
		}
	}
	return false
}

// checkSums holds the containers against the task: together they can reserve no
// more than it has, and none may be allowed more memory than all of it.
func checkSums(in *ecs.RegisterTaskDefinitionRequest) error {
	taskCPU, taskMemory := sizeOf(in)
	var cpu, memory int64
	for i := range in.ContainerDefinitions {
		c := &in.ContainerDefinitions[i]
		cpu += int64(c.Cpu)
		switch {
		case c.MemoryReservation != nil:
			memory += int64(*c.MemoryReservation)
		case c.Memory != nil:
			memory += int64(*c.Memory)
		}
		if taskMemory > 0 && c.Memory != nil && int64(*c.Memory) > taskMemory {
			return wrong(c, "'memory' is %d MiB, and the task has only %d.", *c.Memory, taskMemory)
		}
	}
	for _, s := range []struct {
		name      string
		sum, task int64
	}{{"CPU units", cpu, taskCPU}, {"MiB of memory", memory, taskMemory}} {
		if s.task > 0 && s.sum > s.task {
			return refused("The containers reserve %d %s together, and the task has only %d.", s.sum, s.name, s.task)
		}
	}
	return nil
}

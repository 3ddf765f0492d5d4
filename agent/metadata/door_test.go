package metadata

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/longshore/longshore/agent/agenttest"
	"github.com/longshore/longshore/agent/docker"
	"github.com/longshore/longshore/agent/runtime"
)

// ownAddress is one that no other test has.
func ownAddress(t *testing.T) netip.Addr {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can set up an address")
	}
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skip("there is no iptables: ", err)
	}
	return netip.AddrFrom4([4]byte{169, 254, byte(180 + rand.IntN(60)), byte(1 + rand.IntN(250))})
}

// traces counts what of an address is on the host: addresses and rules.
func traces(t *testing.T, address netip.Addr) string {
	t.Helper()
	addresses, err := exec.Command("ip", "-4", "-o", "addr", "show").Output()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := exec.Command("iptables", "-w", "-t", "nat", "-S").Output()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d addresses, %d rules", strings.Count(string(addresses), address.String()+"/32"), strings.Count(string(rules), "-d "+address.String()+"/32"))
}

func expectTraces(t *testing.T, address netip.Addr, when, want string) {
	t.Helper()
	if got := traces(t, address); got != want {
		t.Errorf("%s: %s, want %s", when, got, want)
	}
}

const (
	setUp     = "1 addresses, 2 rules"
	takenDown = "0 addresses, 0 rules"
)

func TestDoor_LastAgentTakesTheAddressDown(t *testing.T) {
	address, dir := ownAddress(t), filepath.Join(t.TempDir(), "run")
	var doors []*door
	for i := range 3 {
		d, err := openShared(dir, address, fmt.Sprintf("0000000%d", i))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.close() })
		doors = append(doors, d)
		expectTraces(t, address, fmt.Sprintf("%d agents", i+1), setUp)
	}
	for i, d := range doors {
		if err := d.close(); err != nil {
			t.Fatal(err)
		}
		if i < len(doors)-1 {
			expectTraces(t, address, fmt.Sprintf("%d agents left", len(doors)-1-i), setUp)
		}
	}
	expectTraces(t, address, "no agent left", takenDown)
	if err := doors[0].close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestDoor_AgentsThatComeAndGoAtOnceLeaveNothing(t *testing.T) {
	address, dir := ownAddress(t), filepath.Join(t.TempDir(), "run")
	ended := make(chan error)
	const agents, rounds = 4, 3
	for i := range agents {
		go func() {
			for range rounds {
				d, err := openShared(dir, address, fmt.Sprintf("0000000%d", i))
				if err == nil {
					err = d.close()
				}
				ended <- err
			}
		}()
	}
	for range agents * rounds {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	expectTraces(t, address, "after all", takenDown)
}

func TestDoor_TakesOverWhatAKilledAgentLeft(t *testing.T) {
	address, dir := ownAddress(t), filepath.Join(t.TempDir(), "run")
	killed, err := openShared(dir, address, "00000001")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killed.close() })
	// What the kernel does for a process that is killed.
	killed.tcp.Close()
	killed.claim.users.Close()
	expectTraces(t, address, "after the kill", setUp)

	next, err := openShared(dir, address, "00000001") // its socket is still there
	if err != nil {
		t.Fatal(err)
	}
	expectTraces(t, address, "after the next start", setUp)
	if err := next.close(); err != nil {
		t.Fatal(err)
	}
	expectTraces(t, address, "after the end", takenDown)
}

func TestDoor_RepairsWhatOthersRemoved(t *testing.T) {
	address := ownAddress(t)
	d, err := openShared(filepath.Join(t.TempDir(), "run"), address, "00000001")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.close() })
	if err := iptables(t.Context(), "-D", d.claim.rules()[0]); err != nil {
		t.Fatal(err)
	}
	expectTraces(t, address, "after the removal", "1 addresses, 1 rules")
	if err := d.repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectTraces(t, address, "after the repair", setUp)
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if err := d.repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectTraces(t, address, "after the end", takenDown)
}

func TestDoor_LeavesAnAddressOfTheOperatorsAlone(t *testing.T) {
	address := ownAddress(t)
	ip := func(verb string) {
		t.Helper()
		if out, err := exec.Command("ip", "addr", verb, address.String()+"/32", "dev", "lo").CombinedOutput(); err != nil {
			t.Fatalf("ip addr %s: %v: %s", verb, err, out)
		}
	}
	ip("add")
	t.Cleanup(func() { ip("del") })
	d, err := openShared(filepath.Join(t.TempDir(), "run"), address, "00000001")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	expectTraces(t, address, "after the end", "1 addresses, 0 rules")
}

func TestDoor_RefusesAddressesThatAreNotLinkLocal(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "10.0.0.1", "fe80::1"} {
		if _, err := openDoor(Config{Address: netip.MustParseAddr(address)}, "00000001"); err == nil {
			t.Errorf("%s is taken", address)
		}
	}
}

// TestDoor_IsReachedFromANetworkOfItsOwn asks as a container of an awsvpc task
// would: it has the network of another container, on a network that is not
// Docker's first.
func TestDoor_IsReachedFromANetworkOfItsOwn(t *testing.T) {
	host := agenttest.DockerHost(t)
	address := ownAddress(t)
	images := agenttest.ImportImages(t, host)
	engine, err := docker.New(docker.Config{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	subnet := newNetwork(t, host)

	s, err := Open(Config{
		DataDir: t.TempDir(), Address: address, RunDir: filepath.Join(t.TempDir(), "run"), Logger: slog.New(slog.DiscardHandler), ControlPlane: &plane{},
		Lookup: func(context.Context, string, int) (Task, error) { return someTask(t), nil },
		Stats:  engine.Stats,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended; expectTraces(t, address, "after the end", takenDown) })

	dir := t.TempDir()
	run := func(spec runtime.Spec) string {
		t.Helper()
		id, err := engine.Create(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := engine.Remove(context.Background(), id); err != nil {
				t.Error(err)
			}
		})
		if err := engine.Start(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	pause := run(runtime.Spec{Name: subnet + "-pause", Hash: "h", Image: images.Serve, NetworkMode: subnet})
	env := []string{}
	for name, value := range s.Equip(taskARN, []string{"main"}, "")[0] {
		env = append(env, name+"="+value)
	}
	asking := run(runtime.Spec{
		Name: subnet + "-ask", Hash: "h", Image: images.Serve, NetworkMode: "container:" + pause, Command: []string{"fetch", "/out"},
		Env: env, Mounts: []runtime.Mount{{Source: dir, Target: "/out"}},
	})
	docker, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	patience, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	over, failed := docker.ContainerWait(patience, asking, "not-running")
	select {
	case <-over:
	case err := <-failed:
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "container"))
	if err != nil {
		t.Fatal(err)
	}
	status, body, _ := strings.Cut(string(text), "\n")
	var container struct{ Name string }
	if status != "200" || json.Unmarshal([]byte(body), &container) != nil || container.Name != "main" {
		t.Errorf("answer %s", text)
	}
}

// newNetwork makes a Docker network and returns its name.
func newNetwork(t *testing.T, host string) string {
	t.Helper()
	docker, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("longshore-test-%d-%d", os.Getpid(), rand.IntN(1<<30))
	made, err := docker.NetworkCreate(t.Context(), name, network.CreateOptions{Labels: map[string]string{"longshore.test": name}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := docker.NetworkRemove(context.Background(), made.ID); err != nil {
			t.Error(err)
		}
		docker.Close()
	})
	return name
}

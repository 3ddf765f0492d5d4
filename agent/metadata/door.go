package metadata

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// DefaultRunDir is where the agents of a host find one another.
const DefaultRunDir = "/run/longshore/metadata"

// ErrNoAddress: the host does not let the agent set up an address for the endpoint.
var ErrNoAddress = errors.New("no address for the task metadata endpoint")

// listenPort is ECS's. Containers ask port 80, and a rule of the host leads
// them here: were port 80 taken itself, no service could listen at port 80 of
// all addresses, and Docker would lead requests to whoever publishes it.
const listenPort = 51679

// dockerBridge is the interface whose address serves where no other can be had.
const dockerBridge = "docker0"

// door is where requests come in.
type door struct {
	base   string
	claim  *claim // nil: the address was there before
	tcp    net.Listener
	peers  net.Listener // requests that other agents of the host hand over; may be nil
	closed sync.Once
	err    error
}

// openDoor takes the link-local address that is asked for, or if none is, the
// best that the host gives.
func openDoor(c Config, tag string) (*door, error) {
	address := c.Address
	if !address.IsValid() {
		address = WellKnown
	}
	if !address.Is4() || !address.IsLinkLocalUnicast() {
		return nil, fmt.Errorf("%w: %s is not an IPv4 link-local address", ErrNoAddress, address)
	}
	d, err := openShared(c.RunDir, address, tag)
	if err == nil || c.Address.IsValid() {
		return d, err
	}
	fallback, failed := openOnBridge(c.DataDir)
	if failed != nil {
		return nil, errors.Join(err, failed)
	}
	c.Logger.Warn("the task metadata endpoint is at the address of Docker's bridge, and there are no task roles: the address that SDKs ask can not be set up",
		"address", fallback.base, "wanted", address.String(), "error", err)
	return fallback, nil
}

// openShared takes an address that all agents of the host listen at. Whichever
// of them gets a request hands it to the one whose id is asked for.
func openShared(dir string, address netip.Addr, tag string) (*door, error) {
	held, err := claimAddress(dir, address)
	if err != nil {
		return nil, err
	}
	d := &door{base: "http://" + address.String(), claim: held}
	if d.tcp, err = listenShared(netip.AddrPortFrom(address, listenPort)); err == nil {
		d.peers, err = listenToPeers(socketPath(dir, tag))
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// listenShared lets several processes of one user listen; the kernel deals the
// connections out among those that are alive.
func listenShared(address netip.AddrPort) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var set error
		if err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); err != nil {
			return err
		}
		return set
	}}
	l, err := config.Listen(context.Background(), "tcp4", address.String())
	if err != nil {
		return nil, fmt.Errorf("%w: listen for task metadata: %w", ErrNoAddress, err)
	}
	return l, nil
}

func socketPath(dir, tag string) string { return filepath.Join(dir, tag+".sock") }

// listenToPeers takes the socket over from an agent that was killed: the tag is
// that of a data directory, and only one agent can be at work in it.
func listenToPeers(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen for other agents: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for other agents: %w", err)
	}
	return l, nil
}

// openOnBridge listens at Docker's bridge, at a port that stays the same as long
// as it is free: running containers have been told of it.
func openOnBridge(dataDir string) (*door, error) {
	device, err := net.InterfaceByName(dockerBridge)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoAddress, dockerBridge, err)
	}
	address, err := ipv4Of(device)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dataDir, "metadata.port")
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the port of the task metadata endpoint: %w", err)
	}
	port, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16)
	if err != nil {
		port = 0 // none was kept, or it is of no use: any will do
	}
	l, err := net.Listen("tcp4", netip.AddrPortFrom(address, uint16(port)).String())
	if err != nil && port != 0 {
		l, err = net.Listen("tcp4", netip.AddrPortFrom(address, 0).String())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: listen at %s: %w", ErrNoAddress, dockerBridge, err)
	}
	taken := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(path, []byte(taken+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the port of the task metadata endpoint: %w", err), l.Close())
	}
	return &door{base: "http://" + l.Addr().String(), tcp: l}, nil
}

func ipv4Of(device *net.Interface) (netip.Addr, error) {
	addresses, err := device.Addrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%w: addresses of %s: %w", ErrNoAddress, device.Name, err)
	}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() {
			return prefix.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%w: %s has no IPv4 address", ErrNoAddress, device.Name)
}

func (d *door) wellKnown() bool { return d.base == "http://"+WellKnown.String() }

func (d *door) listeners() []net.Listener {
	if d.peers == nil {
		return []net.Listener{d.tcp}
	}
	return []net.Listener{d.tcp, d.peers}
}

func (d *door) repair(ctx context.Context) error {
	if d.claim == nil {
		return nil
	}
	return d.claim.repair(ctx)
}

func (d *door) close() error {
	d.closed.Do(func() {
		for _, l := range []net.Listener{d.tcp, d.peers} {
			if l == nil {
				continue
			}
			if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				d.err = errors.Join(d.err, err)
			}
		}
		if d.claim != nil {
			d.err = errors.Join(d.err, d.claim.release())
		}
	})
	return d.err
}

package metadata

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// claim is this agent's part in an address of the host, which lasts as long as
// any agent has one. Two locks, which the kernel takes back from an agent that
// is killed, tell who that is: "users" is shared by all who use the address, and
// "change" is held by the one who sets it up or takes it down.
type claim struct {
	address netip.Addr
	change  string // path
	users   *os.File

	released atomic.Bool // changed under the lock "change"
}

// What this package sets up is marked, so that nothing else is ever removed.
const (
	addressLabel = "lo:longshore"
	ruleComment  = "longshore task metadata"
)

// ruleDeadline bounds one call of iptables, which waits for others that use it.
const ruleDeadline = 10 * time.Second

func claimAddress(dir string, address netip.Addr) (*claim, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAddress, err)
	}
	// Processes in other network namespaces may share the folder.
	namespace, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("%w: find the network namespace: %w", ErrNoAddress, err)
	}
	base := filepath.Join(dir, address.String()+"-"+strings.Trim(strings.TrimPrefix(namespace, "net:"), "[]"))
	c := &claim{address: address, change: base + ".change"}
	if c.users, err = os.OpenFile(base+".users", os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAddress, err)
	}
	err = c.changing(func() error {
		if err := flock(c.users, unix.LOCK_SH); err != nil {
			return err
		}
		return c.setUp(context.Background())
	})
	if err != nil {
		return nil, errors.Join(err, c.release())
	}
	return c, nil
}

// changing runs change while no other agent sets the address up or takes it down.
func (c *claim) changing(change func() error) error {
	lock, err := os.OpenFile(c.change, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoAddress, err)
	}
	defer lock.Close() // gives the lock back
	if err := flock(lock, unix.LOCK_EX); err != nil {
		return err
	}
	return change()
}

func flock(file *os.File, how int) error {
	for {
		err := unix.Flock(int(file.Fd()), how)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		return nil
	}
}

// setUp puts the address on the loopback interface: a packet for it that comes
// from a container, by way of its gateway, which is this host, is then the
// host's own. It takes what it finds as done.
func (c *claim) setUp(ctx context.Context) error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("%w: find the loopback interface: %w", ErrNoAddress, err)
	}
	here, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("%w: list the host's addresses: %w", ErrNoAddress, err)
	}
	found := false
	for _, a := range here {
		found = found || a.IP.Equal(c.address.AsSlice())
	}
	if !found {
		if err := netlink.AddrAdd(loopback, c.onLoopback()); err != nil && !errors.Is(err, syscall.EEXIST) {
			return fmt.Errorf("%w: add %s to the loopback interface: %w", ErrNoAddress, c.address, err)
		}
	}
	for _, rule := range c.rules() {
		if iptables(ctx, "-C", rule) == nil {
			continue
		}
		if err := iptables(ctx, "-I", rule); err != nil {
			return fmt.Errorf("%w: %w", ErrNoAddress, err)
		}
	}
	return nil
}

func (c *claim) onLoopback() *netlink.Addr {
	return &netlink.Addr{IPNet: netlink.NewIPNet(c.address.AsSlice()), Label: addressLabel, Scope: unix.RT_SCOPE_HOST}
}

// rules lead port 80 of the address to where agents listen: the first for what
// comes from containers in networks of their own, the second for those in the
// host's. They go before Docker's, which would lead requests to a container that
// publishes port 80.
func (c *claim) rules() [][]string {
	var all [][]string
	for _, chain := range []string{"PREROUTING", "OUTPUT"} {
		all = append(all, []string{chain, "-d", c.address.String() + "/32", "-p", "tcp", "--dport", "80",
			"-m", "comment", "--comment", ruleComment,
			"-j", "DNAT", "--to-destination", fmt.Sprintf("%s:%d", c.address, listenPort)})
	}
	return all
}

// iptables is also what Docker and the ECS agent make their rules with.
func iptables(ctx context.Context, command string, rule []string) error {
	ctx, cancel := context.WithTimeout(ctx, ruleDeadline)
	defer cancel()
	args := append([]string{"-w", "5", "-t", "nat", command}, rule...)
	output, err := exec.CommandContext(ctx, "iptables", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("iptables %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// repair sets up what is missing, unless the claim has been given back.
func (c *claim) repair(ctx context.Context) error {
	return c.changing(func() error {
		if c.released.Load() {
			return nil
		}
		return c.setUp(ctx)
	})
}

// release takes the address down if nobody else uses it.
func (c *claim) release() error {
	return c.changing(func() error {
		if c.released.Swap(true) {
			return nil
		}
		defer c.users.Close()
		err := flock(c.users, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil // others go on
		}
		if err != nil {
			return err
		}
		return c.takeDown()
	})
}

func (c *claim) takeDown() error {
	var errs []error
	for _, rule := range c.rules() {
		if iptables(context.Background(), "-C", rule) == nil {
			errs = append(errs, iptables(context.Background(), "-D", rule))
		}
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("find the loopback interface: %w", err))...)
	}
	here, err := netlink.AddrList(loopback, netlink.FAMILY_V4)
	errs = append(errs, err)
	for _, a := range here {
		if a.IP.Equal(c.address.AsSlice()) && a.Label == addressLabel {
			errs = append(errs, netlink.AddrDel(loopback, &a))
		}
	}
	return errors.Join(errs...)
}

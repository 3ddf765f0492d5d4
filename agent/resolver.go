package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/agent/runtime"
	"github.com/longshore/longshore/proto/discovery"
	"github.com/longshore/longshore/proto/discovery/nameserver"
)

// DNSConfig says how the containers of the host find services by name.
type DNSConfig struct {
	// Address is where containers ask, without the port. Empty: that of Docker's own
	// bridge, and if that cannot be had, containers have the host's resolvers. An
	// address that is given must be had, and is given to all containers; otherwise
	// they get it only while there are namespaces.
	Address string
	// ResolvConf names the resolvers for all other names; /etc/resolv.conf.
	ResolvConf string
}

const (
	dnsPort       = "53" // a resolv.conf can name no other
	defaultBridge = "docker0"
	namesFile     = "names.json"
	// restPerSave is for how many times as long as it took to write what is known it
	// is not written again, however often it changes. What an agent that is killed has
	// not written yet is missing where no control plane can be asked: as little as
	// that may be. Members come one after the other when a service starts.
	restPerSave = 20
)

// resolver answers the containers of the host, with what the control plane said last.
type resolver struct {
	names   *discovery.Names
	path    string
	log     *slog.Logger
	changed chan struct{}
	server  *nameserver.Server // nil: containers have the host's resolvers
	address string
	always  bool // also while there are no namespaces
}

// openResolver begins with what was known when the agent ended.
func (a *Agent) openResolver() (*resolver, error) {
	if a.config.DNS == nil {
		return nil, nil
	}
	r := &resolver{names: discovery.New(), path: filepath.Join(a.config.DataDir, namesFile), log: a.log, changed: make(chan struct{}, 1)}
	if err := r.recall(); err != nil {
		return nil, err
	}
	err := r.listen(*a.config.DNS)
	if err != nil && a.config.DNS.Address != "" {
		return nil, fmt.Errorf("answer DNS at %s: %w", a.config.DNS.Address, err)
	}
	if err != nil {
		a.log.Info("containers do not find services by name: no address to answer at", "error", err)
	}
	return r, nil
}

func (r *resolver) listen(c DNSConfig) error {
	address := c.Address
	if address == "" {
		var err error
		if address, err = bridgeAddress(); err != nil {
			return err
		}
	}
	udp, tcp, err := nameserver.Listen(net.JoinHostPort(address, dnsPort))
	if err != nil {
		return err
	}
	file := c.ResolvConf
	if file == "" {
		file = "/etc/resolv.conf"
	}
	r.address, r.always = address, c.Address != ""
	r.server = nameserver.New(nameserver.Config{
		Names: r.names, Forward: nameserver.NewForwarder(file, address), UDP: udp, TCP: tcp, Logger: r.log,
	})
	return nil
}

// bridgeAddress is the host's address on Docker's own bridge, which the containers
// in all bridge networks reach.
func bridgeAddress() (string, error) {
	bridge, err := net.InterfaceByName(defaultBridge)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", defaultBridge, err)
	}
	addresses, err := bridge.Addrs()
	if err != nil {
		return "", fmt.Errorf("find the address of %s: %w", defaultBridge, err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return n.IP.String(), nil
		}
	}
	return "", fmt.Errorf("%s has no IPv4 address", defaultBridge)
}

// apply takes in what the control plane says.
func (r *resolver) apply(u discovery.Update) {
	if r == nil {
		return
	}
	r.names.Apply(u)
	poke(r.changed)
}

// equip makes a container ask this agent, unless it has resolvers of its own or none
// that could be set: in the host's network, or in another container's.
func (r *resolver) equip(spec *runtime.Spec) {
	switch {
	case r == nil || r.server == nil || !r.always && r.names.Empty():
	case len(spec.DNSServers) > 0, spec.NetworkMode == "host", spec.NetworkMode == "none", strings.HasPrefix(spec.NetworkMode, "container:"):
	default:
		spec.DNSServers = []string{r.address}
	}
}

// run answers, and keeps what is known on disk, until ctx ends.
func (r *resolver) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	if r.server != nil {
		group.Go(func() error { return r.server.Run(ctx) })
	}
	group.Go(func() error { return r.keep(ctx) })
	return group.Wait()
}

// keep writes what is known whenever that has changed, and at the end.
func (r *resolver) keep(ctx context.Context) error {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		if err := await(ctx, nil, rest.C); err != nil {
			r.saveLast()
			return err
		}
		if err := await(ctx, r.changed, nil); err != nil {
			r.saveLast()
			return err
		}
		begun := time.Now()
		r.trySave()
		rest.Reset(restPerSave * time.Since(begun))
	}
}

// saveLast writes what has changed and was not written yet.
func (r *resolver) saveLast() {
	select {
	case <-r.changed:
		r.trySave()
	default:
	}
}

// trySave writes what is known. What is served is not touched if that fails, and the
// next change tries again.
func (r *resolver) trySave() {
	if err := r.save(); err != nil {
		r.log.Warn("names not kept on disk", "error", err)
	}
}

func (r *resolver) save() error {
	text, err := json.Marshal(r.names.Snapshot())
	if err != nil {
		return fmt.Errorf("encode the names: %w", err)
	}
	if err := replaceFile(r.path, text); err != nil {
		return fmt.Errorf("write the names: %w", err)
	}
	return nil
}

// recall reads what was kept. A file that cannot be read as such is done without:
// the control plane says it all again.
func (r *resolver) recall() error {
	text, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the names that were kept: %w", err)
	}
	var u discovery.Update
	if err := json.Unmarshal(text, &u); err != nil {
		r.log.Warn("names kept on disk are not readable", "file", r.path, "error", err)
		return nil
	}
	r.names.Apply(u)
	return nil
}

package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Forwarder hands questions to the resolvers that a host is set up with.
type Forwarder struct {
	file string
	port string   // where they are asked
	own  []string // addresses that are this server's: asking them would go round in circles
	turn chan struct{}

	mu      sync.Mutex
	changed time.Time // of the file when it was read
	servers []string  // host:port
}

const (
	maxForwarding  = 512             // questions at a time; more have to wait their turn
	forwardTimeout = 2 * time.Second // of one resolver
	forwardBudget  = 4 * time.Second // of a question; clients ask again after 5 s
)

// NewForwarder reads resolvers from a file in the form of resolv.conf, again whenever
// that has changed, leaving out those that are the server itself.
func NewForwarder(file string, own ...string) *Forwarder {
	return &Forwarder{file: file, port: "53", own: own, turn: make(chan struct{}, maxForwarding)}
}

// resolvers are those that the file names now.
func (f *Forwarder) resolvers() ([]string, error) {
	info, err := os.Stat(f.file)
	if err != nil {
		return nil, fmt.Errorf("look for resolvers: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.servers != nil && info.ModTime().Equal(f.changed) {
		return f.servers, nil
	}
	config, err := dns.ClientConfigFromFile(f.file)
	if err != nil {
		return nil, fmt.Errorf("read resolvers: %w", err)
	}
	f.servers, f.changed = nil, info.ModTime()
	for _, server := range config.Servers {
		if !slices.Contains(f.own, server) {
			f.servers = append(f.servers, net.JoinHostPort(server, f.port))
		}
	}
	return f.servers, nil
}

// Exchange asks one resolver after the other, the way the question came.
func (f *Forwarder) Exchange(ctx context.Context, r *dns.Msg, overUDP bool) (*dns.Msg, error) {
	servers, err := f.resolvers()
	if err != nil {
		return nil, err
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("%s names no resolver", f.file)
	}
	ctx, cancel := context.WithTimeout(ctx, forwardBudget)
	defer cancel()
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	client := &dns.Client{Net: "tcp", Timeout: forwardTimeout}
	if overUDP {
		client.Net, client.UDPSize = "udp", dns.MaxMsgSize
	}
	var errs []error
	for _, server := range servers {
		answer, _, err := client.ExchangeContext(ctx, r, server)
		if err == nil {
			return answer, nil
		}
		errs = append(errs, fmt.Errorf("ask %s: %w", server, err))
	}
	return nil, errors.Join(errs...)
}

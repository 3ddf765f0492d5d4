// Package nameserver answers DNS over UDP and TCP from what package discovery knows,
// and forwards other names if it is given somewhere to forward them to. It keeps no
// answers, and decides nothing about who is behind a name.
package nameserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/longshore/longshore/proto/discovery"
)

// Config is what a server depends on.
type Config struct {
	Names *discovery.Names
	// Forward answers names that are in no zone; nil: they are refused.
	Forward *Forwarder
	// UDP and TCP are where questions come from; the server closes them.
	UDP    net.PacketConn
	TCP    net.Listener
	Logger *slog.Logger // default: discard
}

const (
	// maxAddresses is how many A or SRV records one answer has (Cloud Map, MULTIVALUE).
	maxAddresses = 8
	// maxUDP is how large an answer over UDP may be, whatever the client offers: what
	// passes the usual networks in one piece.
	maxUDP           = 1232
	shutdownPatience = 2 * time.Second
)

// Server answers questions.
type Server struct{ cfg Config }

// New returns a server that Run starts.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg}
}

// Listen opens the two sockets of an address. With port 0 both get the same free one.
func Listen(address string) (net.PacketConn, net.Listener, error) {
	const tries = 10 // of a port that is free for the one and not for the other
	var err error
	for range tries {
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", address); err != nil {
			return nil, nil, err
		}
		var tcp net.Listener
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			return udp, tcp, nil
		}
		err = errors.Join(err, udp.Close())
	}
	return nil, nil, err
}

// Run answers until ctx ends, and returns its error.
func (s *Server) Run(ctx context.Context) error {
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) { s.serve(ctx, w, r) })
	servers := []*dns.Server{
		{PacketConn: s.cfg.UDP, Net: "udp", Handler: handler, UDPSize: dns.MinMsgSize * 2},
		{Listener: s.cfg.TCP, Net: "tcp", Handler: handler},
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, server := range servers {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		ended := make(chan error, 1)
		group.Go(func() error {
			err := server.ActivateAndServe()
			ended <- err
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("answer DNS over %s: %w", server.Net, err)
		})
		group.Go(func() error {
			select {
			case <-started:
			case <-ended:
				return nil
			}
			<-ctx.Done()
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
			defer cancel()
			if err := server.ShutdownContext(closing); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("end DNS over %s: %w", server.Net, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (s *Server) serve(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) {
	_, overUDP := w.RemoteAddr().(*net.UDPAddr)
	answer := s.answer(ctx, r, overUDP)
	if overUDP {
		answer.Truncate(udpSize(r))
	}
	if err := w.WriteMsg(answer); err != nil {
		s.cfg.Logger.Debug("answer to a DNS question not delivered", "client", w.RemoteAddr().String(), "error", err)
	}
}

// udpSize is how large an answer over UDP the client takes.
func udpSize(r *dns.Msg) int {
	if opt := r.IsEdns0(); opt != nil {
		return max(dns.MinMsgSize, min(int(opt.UDPSize()), maxUDP))
	}
	return dns.MinMsgSize
}

func (s *Server) answer(ctx context.Context, r *dns.Msg, overUDP bool) *dns.Msg {
	opt := r.IsEdns0()
	switch {
	case opt != nil && opt.Version() != 0:
		return refuse(r, dns.RcodeBadVers)
	case r.Opcode != dns.OpcodeQuery:
		return refuse(r, dns.RcodeNotImplemented)
	case len(r.Question) != 1:
		return refuse(r, dns.RcodeFormatError)
	}
	q := r.Question[0]
	found, ours := s.cfg.Names.Look(strings.ToLower(strings.TrimSuffix(q.Name, ".")), maxAddresses, rand.IntN)
	switch {
	case ours && q.Qclass == dns.ClassINET:
		return withEDNS(r, reply(r, q, found))
	case s.cfg.Forward == nil:
		return refuse(r, dns.RcodeRefused)
	}
	forwarded, err := s.cfg.Forward.Exchange(ctx, r, overUDP)
	if err != nil {
		s.cfg.Logger.Warn("DNS question not answered by the host's resolvers", "name", q.Name, "error", err)
		return refuse(r, dns.RcodeServerFailure)
	}
	return forwarded
}

func refuse(r *dns.Msg, rcode int) *dns.Msg {
	m := new(dns.Msg)
	m.SetRcode(r, rcode)
	return withEDNS(r, m)
}

// withEDNS answers EDNS with EDNS.
func withEDNS(r, m *dns.Msg) *dns.Msg {
	if r.IsEdns0() != nil && m.IsEdns0() == nil {
		m.SetEdns0(maxUDP, false)
	}
	return m
}

// reply puts what is known into the form of an answer.
func reply(r *dns.Msg, q dns.Question, found discovery.Answer) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(r)
	m.Authoritative = true
	m.Compress = true
	zone := dns.Fqdn(found.Zone.Name)
	switch {
	case !found.Exists:
		m.Rcode = dns.RcodeNameError
	case found.Service != nil:
		addMembers(m, q, found)
	case strings.EqualFold(q.Name, zone) && q.Qtype == dns.TypeSOA:
		m.Answer = append(m.Answer, soa(found))
	case strings.EqualFold(q.Name, zone) && q.Qtype == dns.TypeNS:
		m.Answer = append(m.Answer, &dns.NS{Hdr: header(zone, dns.TypeNS, found.Zone.NegativeTTL), Ns: "ns." + zone})
	}
	if len(m.Answer) == 0 {
		m.Ns = append(m.Ns, soa(found)) // for how long to remember that there is nothing
	}
	return m
}

func addMembers(m *dns.Msg, q dns.Question, found discovery.Answer) {
	service := found.Service
	switch {
	case q.Qtype == dns.TypeA && (service.A != nil || found.One && service.SRV != nil):
		for _, member := range found.Members {
			m.Answer = append(m.Answer, address(q.Name, addressTTL(service), member))
		}
	case q.Qtype == dns.TypeSRV && service.SRV != nil:
		suffix := dns.Fqdn(service.Name + "." + found.Zone.Name)
		for _, member := range found.Members {
			target := member.ID + "." + suffix
			m.Answer = append(m.Answer, &dns.SRV{
				Hdr: header(q.Name, dns.TypeSRV, *service.SRV), Priority: 1, Weight: 1, Port: member.Port, Target: target,
			})
			m.Extra = append(m.Extra, address(target, addressTTL(service), member))
		}
	}
}

// addressTTL is that of the service's A records, or, where it has none, of the SRV
// records that lead to the address.
func addressTTL(s *discovery.Service) uint32 {
	if s.A != nil {
		return *s.A
	}
	return *s.SRV
}

func address(name string, ttl uint32, m discovery.Member) dns.RR {
	return &dns.A{Hdr: header(name, dns.TypeA, ttl), A: m.Address.AsSlice()}
}

// Times of the SOA record, in seconds; nobody copies these zones.
const (
	soaRefresh = 3600
	soaRetry   = 600
	soaExpire  = 86400
)

func soa(found discovery.Answer) dns.RR {
	zone, ttl := dns.Fqdn(found.Zone.Name), found.Zone.NegativeTTL
	return &dns.SOA{
		Hdr: header(zone, dns.TypeSOA, ttl), Ns: "ns." + zone, Mbox: "hostmaster." + zone,
		Serial: found.Serial, Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: ttl,
	}
}

func header(name string, rrtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

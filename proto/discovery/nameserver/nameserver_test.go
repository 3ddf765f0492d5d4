package nameserver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/longshore/longshore/proto/discovery"
	"github.com/longshore/longshore/proto/discovery/nameserver"
)

func serve(t *testing.T, names *discovery.Names, forward *nameserver.Forwarder) string {
	t.Helper()
	udp, tcp, err := nameserver.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- nameserver.New(nameserver.Config{Names: names, Forward: forward, UDP: udp, TCP: tcp}).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the server ended with %v", err)
		}
	})
	return udp.LocalAddr().String()
}

func ask(t *testing.T, network, server, name string, kind uint16, edit ...func(*dns.Msg)) *dns.Msg {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), kind)
	for _, e := range edit {
		e(q)
	}
	answer, _, err := (&dns.Client{Net: network}).Exchange(q, server)
	if err != nil {
		t.Fatalf("%s over %s: %v", name, network, err)
	}
	return answer
}

func seconds(n uint32) *uint32 { return &n }

// known has api.prod.local with that many members.
func known(members int) *discovery.Names {
	names := discovery.New()
	u := discovery.Update{
		Full:  true,
		Zones: []discovery.Zone{{ID: "ns", Name: "prod.local", NegativeTTL: 15}},
		Services: []discovery.Service{
			{ID: "api", Zone: "ns", Name: "api", A: seconds(7), SRV: seconds(9)},
			{ID: "one", Zone: "ns", Name: "one", A: seconds(7), Weighted: true},
			{ID: "deep", Zone: "ns", Name: "a.b", A: seconds(7)},
			{ID: "none", Zone: "ns", Name: "none", A: seconds(7)},
		},
	}
	for i := range members {
		for _, service := range []string{"api", "one"} {
			u.Members = append(u.Members, discovery.Member{Service: service, ID: fmt.Sprintf("t%d", i), Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), Port: uint16(8000 + i)})
		}
	}
	names.Apply(u)
	return names
}

func addresses(rrs []dns.RR) (out []string) {
	for _, rr := range rrs {
		if a, ok := rr.(*dns.A); ok {
			out = append(out, a.A.String())
		}
	}
	return out
}

func TestServer_AnswersAddressesAndPortsOverUDPAndTCP(t *testing.T) {
	server := serve(t, known(3), nil)
	for _, network := range []string{"udp", "tcp"} {
		a := ask(t, network, server, "API.prod.LOCAL", dns.TypeA)
		got := addresses(a.Answer)
		slices.Sort(got)
		if !slices.Equal(got, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}) || !a.Authoritative || a.Answer[0].Header().Ttl != 7 {
			t.Errorf("%s: %v", network, a)
		}
		srv := ask(t, network, server, "api.prod.local", dns.TypeSRV)
		if len(srv.Answer) != 3 || len(srv.Extra) != 3 {
			t.Fatalf("%s: %v", network, srv)
		}
		target := srv.Answer[0].(*dns.SRV)
		one := ask(t, network, server, target.Target, dns.TypeA)
		if want := fmt.Sprintf("10.0.0.%d", target.Port-7999); len(one.Answer) != 1 || addresses(one.Answer)[0] != want {
			t.Errorf("%s: the target %s with port %d has %v, want %s", network, target.Target, target.Port, one.Answer, want)
		}
	}
}

func TestServer_TellsAbsentNamesFromAbsentRecords(t *testing.T) {
	server := serve(t, known(1), nil)
	for _, c := range []struct {
		name  string
		kind  uint16
		rcode int
	}{
		{"api.prod.local", dns.TypeAAAA, dns.RcodeSuccess},
		{"api.prod.local", dns.TypeTXT, dns.RcodeSuccess},
		{"none.prod.local", dns.TypeA, dns.RcodeSuccess},
		{"one.prod.local", dns.TypeSRV, dns.RcodeSuccess},
		{"b.prod.local", dns.TypeA, dns.RcodeSuccess}, // above a.b
		{"prod.local", dns.TypeA, dns.RcodeSuccess},
		{"web.prod.local", dns.TypeA, dns.RcodeNameError},
		{"t9.api.prod.local", dns.TypeA, dns.RcodeNameError},
	} {
		m := ask(t, "udp", server, c.name, c.kind)
		if m.Rcode != c.rcode || len(m.Answer) != 0 || len(m.Ns) != 1 || m.Ns[0].Header().Rrtype != dns.TypeSOA || m.Ns[0].Header().Ttl != 15 {
			t.Errorf("%s %s: %v", c.name, dns.TypeToString[c.kind], m)
		}
	}
	if m := ask(t, "udp", server, "prod.local", dns.TypeSOA); len(m.Answer) != 1 {
		t.Errorf("SOA: %v", m)
	}
	if m := ask(t, "udp", server, "example.org", dns.TypeA); m.Rcode != dns.RcodeRefused {
		t.Errorf("a name of others: %v", m)
	}
}

func TestServer_AnswersEightOfManyAtRandomAndOneIfWeighted(t *testing.T) {
	server := serve(t, known(40), nil)
	seen := map[string]bool{}
	for range 200 {
		m := ask(t, "udp", server, "api.prod.local", dns.TypeA, func(q *dns.Msg) { q.SetEdns0(4096, false) })
		if len(m.Answer) != 8 || m.Truncated {
			t.Fatalf("got %d records, truncated %t", len(m.Answer), m.Truncated)
		}
		for _, a := range addresses(m.Answer) {
			seen[a] = true
		}
	}
	if len(seen) != 40 {
		t.Errorf("%d of 40 members were answered in 200 answers", len(seen))
	}
	if m := ask(t, "udp", server, "one.prod.local", dns.TypeA); len(m.Answer) != 1 {
		t.Errorf("weighted: %v", m)
	}
}

func TestServer_TruncatesWhatDoesNotFitAndAnswersItOverTCP(t *testing.T) {
	names := known(40)
	long := "a-name-that-is-long-enough-to-fill-an-answer-of-five-hundred-byt"[:63]
	u := discovery.Update{Services: []discovery.Service{{ID: "long", Zone: "ns", Name: long, SRV: seconds(1)}}}
	for i := range 8 {
		u.Members = append(u.Members, discovery.Member{Service: "long", ID: fmt.Sprintf("%s%d", long[:61], i), Address: netip.MustParseAddr("10.0.0.1"), Port: 1})
	}
	names.Apply(u)
	server := serve(t, names, nil)
	m := ask(t, "udp", server, long+".prod.local", dns.TypeSRV)
	m.Compress = true // as it came
	if !m.Truncated || m.Len() > dns.MinMsgSize {
		t.Errorf("truncated %t, %d bytes", m.Truncated, m.Len())
	}
	if m = ask(t, "tcp", server, long+".prod.local", dns.TypeSRV); m.Truncated || len(m.Answer) != 8 {
		t.Errorf("over TCP: truncated %t, %d records", m.Truncated, len(m.Answer))
	}
	bad := ask(t, "udp", server, "api.prod.local", dns.TypeA, func(q *dns.Msg) { q.SetEdns0(1232, false); q.IsEdns0().SetVersion(1) })
	if bad.Rcode != dns.RcodeBadVers {
		t.Errorf("EDNS version 1: %v", bad)
	}
}

func TestServer_ForwardsOtherNamesToTheHostsResolvers(t *testing.T) {
	elsewhere := discovery.New()
	elsewhere.Apply(discovery.Update{Full: true, Zones: []discovery.Zone{{ID: "o", Name: "example.org"}},
		Services: []discovery.Service{{ID: "w", Zone: "o", Name: "www", A: seconds(1)}},
		Members:  []discovery.Member{{Service: "w", ID: "m", Address: netip.MustParseAddr("192.0.2.1")}}})
	upstream := serve(t, elsewhere, nil)
	host, port, err := net.SplitHostPort(upstream)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 203.0.113.1\nnameserver "+host+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	forward := nameserver.NewForwarder(file, "203.0.113.1")
	nameserver.SetPort(forward, port)
	server := serve(t, known(1), forward)
	for _, network := range []string{"udp", "tcp"} {
		if m := ask(t, network, server, "www.example.org", dns.TypeA); !slices.Equal(addresses(m.Answer), []string{"192.0.2.1"}) {
			t.Errorf("%s: %v", network, m)
		}
	}
	if m := ask(t, "udp", server, "api.prod.local", dns.TypeA); len(m.Answer) != 1 {
		t.Errorf("its own: %v", m)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if m := ask(t, "udp", server, "www.example.org", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("without resolvers: %v", m)
	}
}

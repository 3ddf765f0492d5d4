package proxies_test

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"github.com/longshore/longshore/controlplane/proxies/catalog"
)

func ask(t *testing.T, network, address, name string, kind uint16, edns uint16) *dns.Msg {
	t.Helper()
	question := new(dns.Msg)
	question.SetQuestion(dns.Fqdn(name), kind)
	if edns > 0 {
		question.SetEdns0(edns, false)
	}
	client := dns.Client{Net: network, UDPSize: edns}
	answer, _, err := client.ExchangeContext(t.Context(), question, address)
	if err != nil {
		t.Fatalf("asking for %s over %s: %v", name, network, err)
	}
	return answer
}

func many(n int) *catalog.Group {
	g := http1("web")
	for i := range n {
		g.Members = append(g.Members, at(fmt.Sprintf("10.0.%d.%d:%d", i/250, i%250+1, 8000+i), catalog.Healthy))
	}
	return g
}

func TestDNS_SRVNamesTheMembersThatTakeTraffic(t *testing.T) {
	heavy := at("10.0.0.2:81", catalog.Unavailable)
	heavy.Weight = 3
	address := serve(t, loaded(http1("web", at("10.0.0.1:80", catalog.Healthy), heavy,
		at("10.0.0.3:82", catalog.Draining), at("10.0.0.4:83", catalog.Initial), at("10.0.0.5:84", catalog.Unhealthy),
		at("[2001:db8::1]:85", catalog.Healthy))))
	for _, network := range []string{"udp", "tcp"} {
		answer := ask(t, network, address, "_web._tcp."+zone, dns.TypeSRV, 1232)
		got := map[string]string{}
		for _, rr := range answer.Answer {
			srv := rr.(*dns.SRV)
			got[srv.Target] = fmt.Sprint(srv.Port, " ", srv.Weight)
		}
		want := map[string]string{
			"10-0-0-1-80.ip.longshore.internal.":                                "80 256",
			"10-0-0-2-81.ip.longshore.internal.":                                "81 768",
			"2001-0db8-0000-0000-0000-0000-0000-0001-85.ip.longshore.internal.": "85 256",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("over %s: %v, want %v", network, got, want)
		}
		if answer.IsEdns0() == nil || len(answer.Extra) != 4 {
			t.Errorf("over %s: additional section %v, want three addresses and OPT", network, answer.Extra)
		}
	}
	if a := ask(t, "udp", address, "10-0-0-1-80.ip."+zone, dns.TypeA, 0); len(a.Answer) != 1 || a.Answer[0].(*dns.A).A.String() != "10.0.0.1" {
		t.Errorf("the target's address is %v", a.Answer)
	}
}

func TestDNS_CutsAnswersToWhatTheClientTakes(t *testing.T) {
	const members = 500
	address := serve(t, loaded(many(members)))
	name := "_web._tcp." + zone
	for _, edns := range []uint16{0, 1232} {
		answer := ask(t, "udp", address, name, dns.TypeSRV, edns)
		answer.Compress = true // as it came, for Len
		if size := max(int(edns), dns.MinMsgSize); !answer.Truncated || answer.Len() > size || len(answer.Answer) > 0 {
			t.Errorf("EDNS0 %d: truncated %t, %d bytes, %d records; want TC, at most %d and none: a part could be taken for all",
				edns, answer.Truncated, answer.Len(), len(answer.Answer), size)
		}
	}
	if answer := ask(t, "tcp", address, name, dns.TypeSRV, 0); answer.Truncated || len(answer.Answer) != members {
		t.Errorf("over TCP: truncated %t, %d records; want all %d", answer.Truncated, len(answer.Answer), members)
	}
}

func TestDNS_TellsWhatIsNotThere(t *testing.T) {
	c := loaded(http1("web", at("10.0.0.1:80", catalog.Healthy)), http1("idle", at("10.0.0.2:80", catalog.Draining)))
	address, unloaded := serve(t, c), serve(t, catalog.New())
	for _, test := range []struct {
		server, name string
		kind         uint16
		rcode        int
		soa          bool
	}{
		{address, "_WEB._TCP." + zone, dns.TypeSRV, dns.RcodeSuccess, false},
		{address, "_web._tcp." + zone, dns.TypeA, dns.RcodeSuccess, true},
		{address, "_tcp." + zone, dns.TypeSRV, dns.RcodeSuccess, true},
		{address, zone, dns.TypeSOA, dns.RcodeSuccess, false},
		{address, "_idle._tcp." + zone, dns.TypeSRV, dns.RcodeNameError, true},
		{address, "_none._tcp." + zone, dns.TypeSRV, dns.RcodeNameError, true},
		{address, "_web._udp." + zone, dns.TypeSRV, dns.RcodeNameError, true},
		{address, "web." + zone, dns.TypeA, dns.RcodeNameError, true},
		{address, "a.b.c." + zone, dns.TypeA, dns.RcodeNameError, true},
		{address, "10-0-0.ip." + zone, dns.TypeA, dns.RcodeNameError, true},
		{address, "10-0-0-1-80.ip." + zone, dns.TypeAAAA, dns.RcodeSuccess, true},
		{address, "example.com", dns.TypeA, dns.RcodeRefused, false},
		{unloaded, "_web._tcp." + zone, dns.TypeSRV, dns.RcodeServerFailure, false},
	} {
		answer := ask(t, "udp", test.server, test.name, test.kind, 0)
		if soa := len(answer.Ns) == 1; answer.Rcode != test.rcode || soa != test.soa {
			t.Errorf("%s %s: %s, SOA %t; want %s, %t", test.name, dns.TypeToString[test.kind],
				dns.RcodeToString[answer.Rcode], soa, dns.RcodeToString[test.rcode], test.soa)
		}
	}
}

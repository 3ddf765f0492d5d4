// Package srv answers DNS SRV questions for target groups, which is how HAProxy's
// server-template learns of its servers: _GROUP._tcp.ZONE has a record for each
// member that takes traffic, with the addresses in the additional section. It is
// a dns.Handler for one zone, and leaves listening to others.
package srv

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/longshore/longshore/controlplane/proxies/catalog"
)

const (
	// ttl is for how many seconds an answer may be kept, and for how many that
	// there is none.
	ttl = 1
	// maxDatagram bounds an answer over UDP whatever a client would take: more gets
	// lost too often, and there is TCP.
	maxDatagram = 4096
	// addresses is the label below which every endpoint has a name:
	// 10-0-0-1-8080.ip.ZONE. The port is in it because HAProxy takes an address
	// record for one SRV record only: two members on a host need two names.
	addresses = "ip"
	// transport is what all protocols of target groups are spoken over.
	transport = "_tcp"
	// weightUnit is what a member's weight of 1 is in an SRV record. HAProxy maps
	// 0–65535 there to 0–256 of its own, rounding up.
	weightUnit = 256
)

// Handler answers for one zone.
type Handler struct {
	catalog *catalog.Catalog
	zone    string // absolute, lower case
}

// New returns a handler for a zone, for example "longshore.internal".
func New(c *catalog.Catalog, zone string) *Handler {
	return &Handler{catalog: c, zone: dns.CanonicalName(zone)}
}

// Zone is the zone's absolute name.
func (h *Handler) Zone() string { return h.zone }

// ServeDNS implements dns.Handler.
func (h *Handler) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	m := h.Answer(r)
	size := dns.MaxMsgSize
	if w.RemoteAddr().Network() == "udp" {
		size = dns.MinMsgSize
		if opt := r.IsEdns0(); opt != nil {
			size = max(size, min(int(opt.UDPSize()), maxDatagram))
		}
	}
	if m.Truncate(size); m.Truncated {
		// A part of the servers is worse than none: HAProxy might take it for all.
		m.Answer = nil
		m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeOPT })
	}
	// Who asked is gone if this fails, and asks again if it is not.
	_ = w.WriteMsg(m)
}

// Answer is the whole answer to a question; it is for the caller to cut it to size.
func (h *Handler) Answer(r *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(r)
	m.Compress = true
	if opt := r.IsEdns0(); opt != nil {
		m.SetEdns0(dns.DefaultMsgSize, false)
		if opt.Version() != 0 {
			// RFC 6891, 6.1.3; the upper bits of the code are in the OPT record.
			m.IsEdns0().SetExtendedRcode(dns.RcodeBadVers)
			return m
		}
	}
	switch {
	case r.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
	case len(r.Question) != 1:
		m.Rcode = dns.RcodeFormatError
	case r.Question[0].Qclass != dns.ClassINET || !dns.IsSubDomain(h.zone, r.Question[0].Name):
		m.Rcode = dns.RcodeRefused
	case !h.catalog.IsLoaded():
		// Anything else would take the servers from a proxy that has some.
		m.Rcode = dns.RcodeServerFailure
	default:
		m.Authoritative = true
		h.lookUp(m, r.Question[0])
	}
	return m
}

// lookUp answers a question about a name in the zone.
func (h *Handler) lookUp(m *dns.Msg, q dns.Question) {
	name := strings.TrimSuffix(strings.TrimSuffix(q.Name[:len(q.Name)-len(h.zone)], "."), ".")
	exists := true
	switch labels := dns.SplitDomainName(name); {
	case len(labels) == 0:
		h.apex(m, q)
	case len(labels) == 1:
		first := strings.ToLower(labels[0])
		exists = first == transport || first == addresses
	case len(labels) == 2 && strings.EqualFold(labels[1], addresses):
		exists = h.address(m, q, labels[0])
	case len(labels) == 2 && strings.EqualFold(labels[1], transport):
		exists = h.members(m, q, labels[0])
	default:
		exists = false
	}
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
	if len(m.Answer) == 0 {
		m.Ns = append(m.Ns, h.soa())
	}
}

func (h *Handler) apex(m *dns.Msg, q dns.Question) {
	if q.Qtype == dns.TypeSOA || q.Qtype == dns.TypeANY {
		m.Answer = append(m.Answer, h.soa())
	}
	if q.Qtype == dns.TypeNS || q.Qtype == dns.TypeANY {
		m.Answer = append(m.Answer, &dns.NS{Hdr: header(h.zone, dns.TypeNS), Ns: "ns." + h.zone})
	}
}

// members adds the records of _GROUP._tcp. A group none of whose
// members takes traffic has no records, so that its name does not exist: HAProxy
// tells that from a name server that is out of order.
func (h *Handler) members(m *dns.Msg, q dns.Question, label string) (exists bool) {
	group, isService := strings.CutPrefix(label, "_")
	if !isService {
		return false
	}
	g, ok := h.catalog.Fold(group)
	if !ok {
		return false
	}
	serving := g.Serving()
	if q.Qtype != dns.TypeSRV && q.Qtype != dns.TypeANY {
		return len(serving) > 0
	}
	for _, member := range serving {
		target := endpointLabel(member.Endpoint()) + "." + addresses + "." + h.zone
		m.Answer = append(m.Answer, &dns.SRV{
			Hdr:  header(q.Name, dns.TypeSRV),
			Port: member.Port, Weight: uint16(min(int(member.RelativeWeight())*weightUnit, 65535)), Target: target,
		})
		m.Extra = append(m.Extra, addressRecord(target, member.Address))
	}
	return len(serving) > 0
}

// address answers for a name that an SRV record pointed to. The name says it all,
// so that a resolver which asks late gets the same answer.
func (h *Handler) address(m *dns.Msg, q dns.Question, label string) (exists bool) {
	addr, ok := parseEndpointLabel(label)
	if !ok {
		return false
	}
	record := addressRecord(q.Name, addr)
	if q.Qtype == record.Header().Rrtype || q.Qtype == dns.TypeANY {
		m.Answer = append(m.Answer, record)
	}
	return true
}

func (h *Handler) soa() dns.RR {
	return &dns.SOA{
		Hdr: header(h.zone, dns.TypeSOA), Ns: "ns." + h.zone, Mbox: "hostmaster." + h.zone,
		Serial: 1, Refresh: 60, Retry: 60, Expire: 60, Minttl: ttl,
	}
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}

func addressRecord(name string, addr netip.Addr) dns.RR {
	if addr.Is4() {
		return &dns.A{Hdr: header(name, dns.TypeA), A: addr.AsSlice()}
	}
	return &dns.AAAA{Hdr: header(name, dns.TypeAAAA), AAAA: addr.AsSlice()}
}

// endpointLabel writes an endpoint as a label: 10-0-0-1-8080, or with 32 digits of
// IPv6.
func endpointLabel(e netip.AddrPort) string {
	address := strings.ReplaceAll(e.Addr().StringExpanded(), ":", "-")
	return strings.ReplaceAll(address, ".", "-") + "-" + strconv.Itoa(int(e.Port()))
}

func parseEndpointLabel(label string) (netip.Addr, bool) {
	cut := strings.LastIndexByte(label, '-')
	if cut < 0 {
		return netip.Addr{}, false
	}
	port, err := strconv.ParseUint(label[cut+1:], 10, 16)
	if err != nil {
		return netip.Addr{}, false
	}
	for _, separator := range []string{".", ":"} {
		if addr, err := netip.ParseAddr(strings.ReplaceAll(label[:cut], "-", separator)); err == nil {
			return addr, endpointLabel(netip.AddrPortFrom(addr, uint16(port))) == strings.ToLower(label)
		}
	}
	return netip.Addr{}, false
}

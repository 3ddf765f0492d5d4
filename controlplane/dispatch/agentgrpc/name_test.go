package agentgrpc

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"
)

func TestNameIn_PrefersWhatWasMadeForIt(t *testing.T) {
	spiffe := &url.URL{Scheme: "spiffe", Host: "example.org", Path: "/host-1"}
	host := pkix.Name{CommonName: "host-1"}
	for _, c := range []struct {
		certificate x509.Certificate
		want        string
	}{
		{x509.Certificate{URIs: []*url.URL{spiffe}, Subject: host, DNSNames: []string{"a"}}, "spiffe://example.org/host-1"},
		{x509.Certificate{Subject: host, DNSNames: []string{"a"}}, "host-1"},
		{x509.Certificate{DNSNames: []string{"b", "a"}}, "b"},
		{x509.Certificate{}, ""},
	} {
		if got := nameIn(&c.certificate); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

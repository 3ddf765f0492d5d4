package agentcmd

import (
	"fmt"
	"net/netip"

	"github.com/longshore/longshore/agent"
)

// containerDNS reads how containers find services by name: auto, off or an address.
func containerDNS(flag string) (*agent.DNSConfig, error) {
	switch flag {
	case "off":
		return nil, nil
	case "auto":
		return &agent.DNSConfig{}, nil
	}
	address, err := netip.ParseAddr(flag)
	if err != nil || !address.Is4() {
		return nil, fmt.Errorf("--container-dns: %q is not auto, off or an IPv4 address of this host", flag)
	}
	return &agent.DNSConfig{Address: flag}, nil
}

package main

import (
	"fmt"
	"net/netip"

	"github.com/longshore/longshore/agent"
	"github.com/longshore/longshore/controlplane"
	"github.com/longshore/longshore/proto/discovery/nameserver"
)

// listenDNS opens the sockets at which a control plane answers DNS, if it is to.
func listenDNS(cfg *controlplane.Config, address string) error {
	if address == "" {
		return nil
	}
	udp, tcp, err := nameserver.Listen(address)
	if err != nil {
		return fmt.Errorf("--dns-addr: %w", err)
	}
	cfg.DNS, cfg.DNSOverTCP = udp, tcp
	return nil
}

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

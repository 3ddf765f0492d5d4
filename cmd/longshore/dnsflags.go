package main

import (
	"fmt"

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

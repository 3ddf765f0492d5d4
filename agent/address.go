package agent

import (
	"fmt"
	"net"
)

// attributeAddress says at which address the host's ports are reached.
const attributeAddress = "longshore.address"

// address is where others reach the host's ports: what the operator says, or the
// address from which the host reaches the control plane.
func (a *Agent) address() (string, error) {
	if a.config.AdvertiseAddress != "" {
		return a.config.AdvertiseAddress, nil
	}
	var last error
	for _, to := range a.config.ControlPlane {
		// Of UDP, nothing is sent: the system only chooses a route.
		conn, err := net.Dial("udp", to)
		if err != nil {
			last = err
			continue
		}
		local, ok := conn.LocalAddr().(*net.UDPAddr)
		if err := conn.Close(); err != nil {
			last = err
			continue
		}
		if ok && !local.IP.IsUnspecified() {
			return local.IP.String(), nil
		}
	}
	return "", fmt.Errorf("find the address from which the control plane is reached (set --advertise-address): %w", last)
}

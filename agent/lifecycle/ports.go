package lifecycle

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	agentv1 "github.com/longshore/longshore/proto/agent/v1"
	"github.com/longshore/longshore/proto/ecs"

	"github.com/longshore/longshore/agent/runtime"
)

// publishRange publishes a containerPortRange.
func (u *Unit) publishRange(p *ecs.PortMapping) error {
	first, last, _ := strings.Cut(p.ContainerPortRange, "-")
	from, errFrom := strconv.ParseUint(first, 10, 16)
	to, errTo := strconv.ParseUint(last, 10, 16)
	if errFrom != nil || errTo != nil || from == 0 || from > to {
		return fmt.Errorf("%q is not a range of ports", p.ContainerPortRange)
	}
	u.Spec.PortRanges = append(u.Spec.PortRanges, runtime.PortRange{
		From: uint16(from), To: uint16(to), Protocol: string(cmp.Or(p.Protocol, ecs.TransportProtocolTcp)),
	})
	return nil
}

func (u *Unit) inRange(p runtime.PortBinding) bool {
	for _, r := range u.Spec.PortRanges {
		if r.From <= p.ContainerPort && p.ContainerPort <= r.To && r.Protocol == p.Protocol {
			return true
		}
	}
	return false
}

// joinRange adds a binding to the ranges: to the last one if it goes on where
// that ends, on both sides.
func joinRange(ranges []*agentv1.NetworkBinding, p runtime.PortBinding) []*agentv1.NetworkBinding {
	if len(ranges) > 0 {
		last := ranges[len(ranges)-1]
		container, extends := extend(last.ContainerPortRange, p.ContainerPort)
		host, extendsHost := extend(last.HostPortRange, p.HostPort)
		if extends && extendsHost && last.Protocol == p.Protocol && last.BindIp == p.BindIP {
			last.ContainerPortRange, last.HostPortRange = container, host
			return ranges
		}
	}
	return append(ranges, &agentv1.NetworkBinding{
		BindIp: p.BindIP, Protocol: p.Protocol, ContainerPortRange: single(p.ContainerPort), HostPortRange: single(p.HostPort),
	})
}

func single(port uint16) string { return fmt.Sprintf("%d-%d", port, port) }

// extend is a range made one longer, if the port is the one after it.
func extend(ports string, port uint16) (string, bool) {
	first, last, _ := strings.Cut(ports, "-")
	return first + "-" + strconv.Itoa(int(port)), last == strconv.Itoa(int(port)-1)
}

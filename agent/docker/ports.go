package docker

import (
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/longshore/longshore/agent/runtime"
)

// Host ports of ranges come from Linux's own range for dynamic ones.
const (
	firstDynamicPort = 32768
	lastDynamicPort  = 60999
)

// rangeTries bounds how many places are looked at for consecutive free ports.
const rangeTries = 1000

// dynamicPorts hands out places in the range of dynamic ports, going round it: a
// place is not handed out again before a container has had the time to start on
// it. Docker itself finds a port for each mapping, but no consecutive ones.
type dynamicPorts struct {
	mu   sync.Mutex
	next int // offset; 0 before the first time
}

// place is where to look for n ports next. Another process starts elsewhere.
func (d *dynamicPorts) place(n int) int {
	const count = lastDynamicPort - firstDynamicPort + 1
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next == 0 {
		d.next = mathrand.IntN(count)
	}
	if d.next+n > count {
		d.next = 0
	}
	first := firstDynamicPort + d.next
	d.next += n
	return first
}

// placeRanges gives the port ranges of a spec consecutive host ports that are
// free now. Somebody may take one before the container is started; its start then
// fails, as with any port that is asked for.
func (r *Runtime) placeRanges(spec runtime.Spec) (runtime.Spec, error) {
	if len(spec.PortRanges) == 0 {
		return spec, nil
	}
	spec.Ports = slices.Clone(spec.Ports)
	for _, p := range spec.PortRanges {
		n := int(p.To) - int(p.From) + 1
		host, ok := r.ports.find(p.Protocol, n)
		if !ok {
			return runtime.Spec{}, &refusal{text: fmt.Sprintf("there are no %d consecutive free %s ports on the host for the container ports %d-%d", n, p.Protocol, p.From, p.To)}
		}
		for i := range n {
			spec.Ports = append(spec.Ports, runtime.PortMapping{
				ContainerPort: p.From + uint16(i), HostPort: uint16(host + i), Protocol: p.Protocol,
			})
		}
	}
	return spec, nil
}

func (d *dynamicPorts) find(protocol string, n int) (first int, ok bool) {
	if n > lastDynamicPort-firstDynamicPort+1 {
		return 0, false
	}
	for range rangeTries {
		first = d.place(n)
		if allFree(protocol, first, n) {
			return first, true
		}
	}
	return 0, false
}

func allFree(protocol string, first, n int) bool {
	for port := first; port < first+n; port++ {
		if !isFree(protocol, port) {
			return false
		}
	}
	return true
}

// isFree tells whether somebody could listen on a port of this host. Docker
// itself listens on those that it has published.
func isFree(protocol string, port int) bool {
	address := ":" + strconv.Itoa(port)
	if protocol == "udp" {
		l, err := net.ListenPacket("udp", address)
		return err == nil && l.Close() == nil
	}
	l, err := net.Listen("tcp", address)
	return err == nil && l.Close() == nil
}

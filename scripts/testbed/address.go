package testbed

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// The ports that FreeAddress gives out lie below those from which Linux takes the
// source ports of connections and Docker its dynamic host ports (32768 on): one of
// those could be taken at any time between being found free and being listened on.
const firstPort, lastPort = 12000, 29999

// FreeAddress returns an address of the loopback interface on which nobody listens,
// and which no other test gets before this one ends, in whatever process it runs.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		port := strconv.Itoa(firstPort + rand.IntN(lastPort-firstPort+1))
		// A name among the abstract sockets is taken by whoever listens on it.
		claim, err := net.Listen("unix", "@longshore-testbed-port-"+port)
		if err != nil {
			continue
		}
		address := net.JoinHostPort("127.0.0.1", port)
		probe, err := net.Listen("tcp", address)
		if err != nil {
			claim.Close()
			continue
		}
		probe.Close()
		tb.Cleanup(func() { claim.Close() })
		return address
	}
	tb.Fatalf("no port from %d to %d is free on 127.0.0.1", firstPort, lastPort)
	return ""
}

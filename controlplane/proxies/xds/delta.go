package xds

import (
	"log/slog"
	"slices"
	"strconv"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
)

// deltaServer is go-control-plane's delta.Server on a board. Its own compares all
// that a stream follows with all that it has been sent, at each change and again at
// each acknowledgement.
type deltaServer struct {
	board *board
	log   *slog.Logger
}

// DeltaStreamHandler implements delta.Server: it serves one stream until that ends.
// The type is that of the stream, or AnyType for ADS.
func (s *deltaServer) DeltaStreamHandler(str stream.DeltaStream, typeURL string) error {
	return serve(s.board, s.log, str, typeURL, deltas{})
}

// deltas is the dialect in which both sides say what changed.
type deltas struct{}

func (deltas) whole(kind) bool { return false }

func (deltas) hear(b *board, i *interest, r *discovery.DeltaDiscoveryRequest) { b.request(i, r) }

// say answers in an order that leaves no reference dangling.
func (deltas) say(all *[kinds]news, next func() string) []*discovery.DeltaDiscoveryResponse {
	var out []*discovery.DeltaDiscoveryResponse
	answer := func(k kind) *discovery.DeltaDiscoveryResponse {
		a := &discovery.DeltaDiscoveryResponse{TypeUrl: typeURLs[k], SystemVersionInfo: strconv.FormatUint(all[k].revision, 10), Nonce: next()}
		out = append(out, a)
		return a
	}
	for k, n := range all {
		if len(n.set) > 0 || n.owed && len(n.gone) == 0 {
			for _, page := range pages(n.set) {
				answer(kind(k)).Resources = page
			}
		}
	}
	for _, k := range removals {
		if n := &all[k]; len(n.gone) > 0 {
			slices.Sort(n.gone)
			answer(k).RemovedResources = n.gone
		}
	}
	return out
}

package xds

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strconv"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxAnswer bounds the resources of one answer, in bytes: gRPC clients take messages
// of up to 4 MiB unless they are told otherwise. One resource may be larger.
const maxAnswer = 1 << 20

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
	wake, ended, sent := make(chan struct{}, 1), make(chan struct{}), make(chan error, 1)
	var interests [kinds]*interest
	for k := range interests {
		interests[k] = newInterest(kind(k), wake)
		defer s.board.leave(interests[k])
	}
	go func() { sent <- s.send(str, &interests, wake, ended) }()
	err := s.receive(str, typeURL, &interests)
	close(ended)
	return errors.Join(err, <-sent)
}

// receive takes requests in until the proxy ends the stream.
func (s *deltaServer) receive(str stream.DeltaStream, typeURL string, interests *[kinds]*interest) error {
	node := ""
	for {
		r, err := str.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		asked := r.GetTypeUrl()
		if typeURL != resource.AnyType {
			asked = cmp.Or(asked, typeURL)
		}
		k, ok := kindOf(asked)
		if !ok || typeURL != resource.AnyType && asked != typeURL {
			return status.Errorf(codes.InvalidArgument, "there are no resources of the type %q on this stream", asked)
		}
		node = cmp.Or(node, r.GetNode().GetId())
		if refusal := r.GetErrorDetail(); refusal != nil {
			s.log.Warn("a proxy refuses its resources", "node", node, "type", asked, "error", refusal.GetMessage())
		}
		s.board.request(interests[k], r)
	}
}

// send tells the proxy what it does not know yet, until the stream ends. What changes
// while an answer is on its way is told with the next. An answer needs no
// acknowledgement before the next one: it says nothing about the others.
func (s *deltaServer) send(str stream.DeltaStream, interests *[kinds]*interest, wake, ended <-chan struct{}) error {
	nonce := 0
	for {
		select {
		case <-wake:
		case <-ended:
			return nil
		}
		for _, answer := range answers(s.board.take(interests)) {
			nonce++
			answer.Nonce = strconv.Itoa(nonce)
			if err := str.Send(answer); err != nil {
				return err
			}
		}
	}
}

// answers are the news in an order that leaves no reference dangling.
func answers(all [kinds]news) []*discovery.DeltaDiscoveryResponse {
	var out []*discovery.DeltaDiscoveryResponse
	for k, n := range all {
		if len(n.set) > 0 || n.owed && len(n.gone) == 0 {
			out = append(out, updates(kind(k), n)...)
		}
	}
	for _, k := range removals {
		if n := all[k]; len(n.gone) > 0 {
			slices.Sort(n.gone)
			answer := empty(k, n)
			answer.RemovedResources = n.gone
			out = append(out, answer)
		}
	}
	return out
}

// updates are the answers that bring resources: one, or several if they are large.
func updates(k kind, n news) []*discovery.DeltaDiscoveryResponse {
	slices.SortFunc(n.set, func(a, b *discovery.Resource) int { return cmp.Compare(a.Name, b.Name) })
	out := []*discovery.DeltaDiscoveryResponse{empty(k, n)}
	size := 0
	for _, r := range n.set {
		last := out[len(out)-1]
		if size += len(r.Resource.Value); size > maxAnswer && len(last.Resources) > 0 {
			last, size = empty(k, n), len(r.Resource.Value)
			out = append(out, last)
		}
		last.Resources = append(last.Resources, r)
	}
	return out
}

func empty(k kind, n news) *discovery.DeltaDiscoveryResponse {
	return &discovery.DeltaDiscoveryResponse{TypeUrl: typeURLs[k], SystemVersionInfo: strconv.FormatUint(n.revision, 10)}
}

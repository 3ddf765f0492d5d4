package xds

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxAnswer bounds the resources of one answer, in bytes: gRPC clients take messages
// of up to 4 MiB unless they are told otherwise. One resource may be larger.
const maxAnswer = 1 << 20

// request is what both variants of the protocol ask with.
type request interface {
	GetTypeUrl() string
	GetNode() *corev3.Node
	GetErrorDetail() *rpcstatus.Status
}

// channel is a stream of either variant.
type channel[Q request, A any] interface {
	Recv() (Q, error)
	Send(A) error
}

// dialect is what tells the variants apart, for one stream: hear takes a request in,
// and say makes answers of news, each with a nonce from next. The two are called at
// the same time.
type dialect[Q request, A any] interface {
	hear(b *board, i *interest, r Q)
	whole(k kind) bool // an answer has all resources of that kind
	say(news *[kinds]news, next func() string) []A
}

// serve serves one stream until that ends. The type is that of the stream, or AnyType
// for ADS.
func serve[Q request, A any](b *board, log *slog.Logger, c channel[Q, A], typeURL string, d dialect[Q, A]) error {
	wake, ended, sent := make(chan struct{}, 1), make(chan struct{}), make(chan error, 1)
	var interests [kinds]*interest
	for k := range interests {
		interests[k] = newInterest(kind(k), wake)
		interests[k].whole = d.whole(kind(k))
		defer b.leave(interests[k])
	}
	go func() { sent <- send(b, c, d, &interests, wake, ended) }()
	err := receive(b, log, c, typeURL, d, &interests)
	close(ended)
	return errors.Join(err, <-sent)
}

// receive takes requests in until the proxy ends the stream.
func receive[Q request, A any](b *board, log *slog.Logger, c channel[Q, A], typeURL string, d dialect[Q, A], interests *[kinds]*interest) error {
	node := ""
	for {
		r, err := c.Recv()
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
			log.Warn("a proxy refuses its resources", "node", node, "type", asked, "error", refusal.GetMessage())
		}
		d.hear(b, interests[k], r)
	}
}

// send tells the proxy what it does not know yet, until the stream ends. What changes
// while an answer is on its way is told with the next. An answer needs no
// acknowledgement before the next one, which supersedes it or says nothing about it.
func send[Q request, A any](b *board, c channel[Q, A], d dialect[Q, A], interests *[kinds]*interest, wake, ended <-chan struct{}) error {
	nonce := 0
	next := func() string {
		nonce++
		return strconv.Itoa(nonce)
	}
	for {
		select {
		case <-wake:
		case <-ended:
			return nil
		}
		all := b.take(interests)
		for _, answer := range d.say(&all, next) {
			if err := c.Send(answer); err != nil {
				return err
			}
		}
	}
}

// pages cuts resources to what one answer may have, by name. There is always one.
func pages(all []*discovery.Resource) [][]*discovery.Resource {
	byName(all)
	var out [][]*discovery.Resource
	start, size := 0, 0
	for at, r := range all {
		if size += len(r.Resource.Value); size > maxAnswer && at > start {
			out = append(out, all[start:at])
			start, size = at, len(r.Resource.Value)
		}
	}
	return append(out, all[start:])
}

func byName(all []*discovery.Resource) {
	slices.SortFunc(all, func(a, b *discovery.Resource) int { return cmp.Compare(a.Name, b.Name) })
}

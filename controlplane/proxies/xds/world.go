package xds

import (
	"log/slog"
	"slices"
	"strconv"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/stream/v3"
)

// worldServer is go-control-plane's sotw.Server on a board, for the same reason as
// deltaServer.
type worldServer struct {
	board   *board
	version string // begins all versions
	log     *slog.Logger
}

// StreamHandler implements sotw.Server: it serves one stream until that ends. The
// type is that of the stream, or AnyType for ADS.
func (s *worldServer) StreamHandler(str stream.Stream, typeURL string) error {
	return serve(s.board, s.log, str, typeURL, &world{version: s.version})
}

// world is the dialect in which the proxy names all that it follows with every
// request.
type world struct {
	version string
	named   [kinds]bool              // a request has had names: none means none from then on
	asked   [kinds]map[string]uint64 // the names of the newest request, with its number; nil before the first
	round   uint64                   // the number of the newest request
}

// whole says that an answer has every resource of a kind, so that one which is not in
// it is gone. Of other kinds it has what changed, and a proxy learns that a resource
// is gone from those that pointed to it (xDS protocol, "grouping resources into
// responses").
func (*world) whole(k kind) bool { return k == clusters || k == listeners }

// hear takes a request in, whether it acknowledges, refuses, or asks for other names:
// only what is followed counts, as a refused resource is sent again when it has
// changed. It counts in a request with the nonce of an older answer, too: were these
// passed over, a proxy that gives a name up and takes it again while an answer is on
// its way would wait for a resource that it is thought to have.
func (w *world) hear(b *board, i *interest, r *discovery.DiscoveryRequest) {
	names := r.ResourceNames
	if len(names) > 0 {
		w.named[i.kind] = true
	} else if !w.named[i.kind] {
		names = []string{wildcard}
	}
	first := w.asked[i.kind] == nil
	if first {
		w.asked[i.kind] = make(map[string]uint64, len(names))
	}
	added, dropped := w.difference(w.asked[i.kind], names)
	if first || len(added)+len(dropped) > 0 {
		b.follow(i, added, dropped)
	}
}

// difference makes a set that of these names, some of which may be given twice. An
// acknowledgement, which names them all again, costs no more than a look at each.
func (w *world) difference(asked map[string]uint64, names []string) (added, dropped []string) {
	w.round++
	distinct := 0
	for _, name := range names {
		round, had := asked[name]
		if !had {
			added = append(added, name)
		}
		if round != w.round {
			distinct++
			asked[name] = w.round
		}
	}
	if distinct == len(asked) {
		return added, nil
	}
	for name, round := range asked {
		if round != w.round {
			dropped = append(dropped, name)
			delete(asked, name)
		}
	}
	return added, dropped
}

// follow changes what an interest is in. The first time it is answered even if there
// is nothing, so that the proxy need not wait; a name that is new is answered
// whatever the proxy has.
func (b *board) follow(i *interest, added, dropped []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range dropped {
		b.unsubscribe(i, name)
	}
	for _, name := range added {
		b.subscribe(i, name, false)
	}
	if !i.begun || slices.Contains(added, wildcard) {
		i.begun, i.owed = true, true
		i.note(wildcard, false) // no resource has this name: it only wakes
	}
}

// say answers in an order that leaves no reference dangling: where resources come and
// go at once, those that go are first sent along as the proxy has them.
func (w *world) say(all *[kinds]news, next func() string) []*discovery.DiscoveryResponse {
	var out []*discovery.DiscoveryResponse
	answer := func(k kind, suffix string, resources []*discovery.Resource) {
		a := &discovery.DiscoveryResponse{
			TypeUrl: typeURLs[k], Nonce: next(),
			VersionInfo: w.version + "-" + strconv.FormatUint(all[k].revision, 10) + suffix,
		}
		for _, r := range resources {
			a.Resources = append(a.Resources, r.Resource)
		}
		out = append(out, a)
	}
	for k, n := range all {
		switch k := kind(k); {
		case len(n.set) == 0 && (!n.owed || len(n.gone) > 0 && w.whole(k)):
		case !w.whole(k):
			for _, page := range pages(n.set) {
				answer(k, "", page)
			}
		case len(n.leaving) > 0:
			both := slices.Concat(n.all, n.leaving)
			byName(both)
			answer(k, "-before-removal", both)
		default:
			byName(n.all)
			answer(k, "", n.all)
		}
	}
	for _, k := range removals {
		if n := &all[k]; w.whole(k) && len(n.gone) > 0 && (len(n.set) == 0 || len(n.leaving) > 0) {
			byName(n.all)
			answer(k, "", n.all)
		}
	}
	return out
}

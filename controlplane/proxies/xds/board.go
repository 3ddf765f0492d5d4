package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// kind is a type of resource, as an index. Their order is that in which a proxy has
// to hear of new ones: what is pointed to before what points to it (xDS protocol,
// "eventual consistency considerations").
type kind int

const (
	clusters kind = iota
	endpoints
	listeners
	routes
	kinds
)

// removals is the order in which a proxy hears that resources are gone: what points
// to others goes first.
var removals = [kinds]kind{listeners, routes, clusters, endpoints}

var typeURLs = [kinds]string{
	clusters: resource.ClusterType, endpoints: resource.EndpointType,
	listeners: resource.ListenerType, routes: resource.RouteType,
}

func kindOf(typeURL string) (kind, bool) {
	k := slices.Index(typeURLs[:], typeURL)
	return kind(k), k >= 0
}

// board is what streams read from: the resources, each encoded once for all
// proxies, and who has asked for which. A change costs the names in it times the
// streams that follow them; neither the other resources nor what else a stream
// follows makes any difference.
type board struct {
	mu        sync.Mutex
	revision  uint64
	resources [kinds]map[string]*discovery.Resource // immutable
	byName    [kinds]map[string]map[*interest]struct{}
	wildcards [kinds]map[*interest]struct{}
}

func newBoard() *board {
	b := &board{}
	for k := range kinds {
		b.resources[k] = make(map[string]*discovery.Resource)
		b.byName[k] = make(map[string]map[*interest]struct{})
		b.wildcards[k] = make(map[*interest]struct{})
	}
	return b
}

// encode makes a resource as it is sent. Its version follows from what it says, so
// that a proxy which comes back, or from another control plane, is sent only what
// it does not have.
func encode(name string, m types.Resource) (*discovery.Resource, error) {
	out := &anypb.Any{}
	if err := anypb.MarshalFrom(out, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		return nil, fmt.Errorf("encoding the resource %s: %w", name, err)
	}
	sum := sha256.Sum256(out.Value)
	return &discovery.Resource{Name: name, Version: hex.EncodeToString(sum[:8]), Resource: out}, nil
}

// change is what happened to the resources of one kind.
type change struct {
	set  []*discovery.Resource
	gone []string
}

// apply makes the changes of all kinds at once.
func (b *board) apply(changes *[kinds]change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.revision++
	for k := range kinds {
		for _, r := range changes[k].set {
			b.resources[k][r.Name] = r
			b.tell(k, r.Name)
		}
		for _, name := range changes[k].gone {
			delete(b.resources[k], name)
			b.tell(k, name)
		}
	}
}

// tell notes a name for those who follow it, with the lock held.
func (b *board) tell(k kind, name string) {
	for i := range b.byName[k][name] {
		i.note(name, false)
	}
	for i := range b.wildcards[k] {
		i.note(name, false)
	}
}

// interest is what one stream wants of one kind. The board's lock guards it.
type interest struct {
	kind   kind
	wake   chan<- struct{} // the stream's
	begun  bool            // something has been asked for
	legacy bool            // no name was ever given, which means all
	all    bool            // follows every resource, besides the names
	names  map[string]struct{}
	whole  bool // an answer has all that is followed, changed or not
	// known is what the proxy has; only names and versions, if it is the proxy who
	// says so.
	known map[string]*discovery.Resource
	// dirty are names to look at again; true where an answer is owed whatever the
	// proxy has.
	dirty map[string]bool
	owed  bool // an answer is owed even if it is empty
}

func newInterest(k kind, wake chan<- struct{}) *interest {
	return &interest{kind: k, wake: wake, names: map[string]struct{}{}, known: map[string]*discovery.Resource{}, dirty: map[string]bool{}}
}

func (i *interest) note(name string, owed bool) {
	i.dirty[name] = i.dirty[name] || owed
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

const wildcard = "*"

// request changes an interest as a request says.
func (b *board) request(i *interest, r *discovery.DeltaDiscoveryRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := !i.begun
	if first {
		i.begun, i.legacy = true, true
		for name, version := range r.InitialResourceVersions {
			i.known[name] = &discovery.Resource{Name: name, Version: version}
			i.note(name, false)
		}
	}
	for _, name := range r.ResourceNamesSubscribe {
		i.legacy = false
		b.subscribe(i, name, first)
	}
	if first && i.legacy {
		b.subscribe(i, wildcard, first)
	}
	for _, name := range r.ResourceNamesUnsubscribe {
		if b.unsubscribe(i, name) {
			i.note(name, true) // it is told how the resource is now
		}
	}
	if first && i.all {
		i.owed = true
		i.note(wildcard, false) // no resource has this name: it only wakes
	}
}

// subscribe adds a name. The proxy is answered whatever it has, but that it may say
// at first what it has; a resource that is not there is answered as removed, so that
// the proxy need not wait for it.
func (b *board) subscribe(i *interest, name string, first bool) {
	if name == wildcard {
		i.all = true
		b.wildcards[i.kind][i] = struct{}{}
		for name := range b.resources[i.kind] {
			i.note(name, !first)
		}
		return
	}
	i.names[name] = struct{}{}
	if b.byName[i.kind][name] == nil {
		b.byName[i.kind][name] = make(map[*interest]struct{})
	}
	b.byName[i.kind][name][i] = struct{}{}
	_, said := i.known[name]
	i.note(name, !first || !said)
}

// unsubscribe ends the following of a name, or of all but the names. It reports
// whether a name is still followed as one of all.
func (b *board) unsubscribe(i *interest, name string) (still bool) {
	if name == wildcard {
		i.all = false
		delete(b.wildcards[i.kind], i)
		dropped := func(name string) bool { _, kept := i.names[name]; return !kept }
		maps.DeleteFunc(i.known, func(name string, _ *discovery.Resource) bool { return dropped(name) })
		maps.DeleteFunc(i.dirty, func(name string, _ bool) bool { return dropped(name) })
		return false
	}
	_, had := i.names[name]
	b.unname(i, name)
	if !i.all {
		delete(i.known, name)
		delete(i.dirty, name)
	}
	return had && i.all
}

func (b *board) unname(i *interest, name string) {
	delete(i.names, name)
	followers := b.byName[i.kind][name]
	if delete(followers, i); len(followers) == 0 {
		delete(b.byName[i.kind], name)
	}
}

// leave ends an interest.
func (b *board) leave(i *interest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.wildcards[i.kind], i)
	for name := range i.names {
		b.unname(i, name)
	}
}

// news is what a stream has to be told of one kind.
type news struct {
	change
	owed     bool
	revision uint64
	// all is what is followed, and leaving what the proxy has of gone, if answers have
	// to be whole and there is to be one.
	all, leaving []*discovery.Resource
}

// take returns what the stream has not been told yet.
func (b *board) take(interests *[kinds]*interest) (out [kinds]news) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, i := range interests {
		n := &out[k]
		n.revision, n.owed, i.owed = b.revision, i.owed, false
		for name, owed := range i.dirty {
			r, exists := b.resources[k][name]
			has, knows := i.known[name]
			switch {
			case exists && (owed || has.GetVersion() != r.Version):
				n.set = append(n.set, r)
				i.known[name] = r
			case !exists && (owed || knows):
				n.gone = append(n.gone, name)
				if delete(i.known, name); knows && i.whole {
					n.leaving = append(n.leaving, has)
				}
			}
		}
		if len(i.dirty) > 0 {
			i.dirty = map[string]bool{} // a map that once was large costs as if it still were
		}
		if i.whole && (n.owed || len(n.set)+len(n.gone) > 0) {
			// All that is followed and exists has been noted when that began, so that the
			// proxy is taken to have it by now.
			n.all = slices.Collect(maps.Values(i.known))
		}
	}
	return out
}

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

// board is what delta streams read from: the resources, each encoded once for all
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
	known  map[string]string // the version of each resource that the proxy has
	// dirty are names to look at again; true where an answer is owed whatever the
	// proxy has.
	dirty map[string]bool
	owed  bool // an answer is owed even if it is empty
}

func newInterest(k kind, wake chan<- struct{}) *interest {
	return &interest{kind: k, wake: wake, names: map[string]struct{}{}, known: map[string]string{}, dirty: map[string]bool{}}
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
			i.known[name] = version
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
		b.unsubscribe(i, name)
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

func (b *board) unsubscribe(i *interest, name string) {
	if name == wildcard {
		i.all = false
		delete(b.wildcards[i.kind], i)
		dropped := func(name string) bool { _, kept := i.names[name]; return !kept }
		maps.DeleteFunc(i.known, func(name, _ string) bool { return dropped(name) })
		maps.DeleteFunc(i.dirty, func(name string, _ bool) bool { return dropped(name) })
		return
	}
	_, had := i.names[name]
	b.unname(i, name)
	if !i.all {
		delete(i.known, name)
		delete(i.dirty, name)
	} else if had {
		i.note(name, true) // it still follows, and is told how the resource is now
	}
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
}

// take returns what the stream has not been told yet.
func (b *board) take(interests *[kinds]*interest) (out [kinds]news) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, i := range interests {
		n := &out[k]
		n.revision, n.owed, i.owed = b.revision, i.owed, false
		if len(i.dirty) == 0 {
			continue
		}
		for name, owed := range i.dirty {
			r, exists := b.resources[k][name]
			version, knows := i.known[name]
			switch {
			case exists && (owed || version != r.Version):
				n.set = append(n.set, r)
				i.known[name] = r.Version
			case !exists && (owed || knows):
				n.gone = append(n.gone, name)
				delete(i.known, name)
			}
		}
		i.dirty = map[string]bool{} // a map that once was large costs as if it still were
	}
	return out
}

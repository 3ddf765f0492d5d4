package xds

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"
)

// text is a resource whose content says its name, as answers in this variant do not.
func text(t rapid.TB, name, content string) *discovery.Resource {
	return named(t, name, name+"="+content)
}

func parts(a *anypb.Any) (name, content string) {
	m := &wrapperspb.StringValue{}
	if err := a.UnmarshalTo(m); err != nil {
		panic(err)
	}
	name, content, _ = strings.Cut(m.Value, "=")
	return name, content
}

// worldProxy is a proxy that speaks of the state of the world, with requests and
// answers on their way.
type worldProxy struct {
	world     world
	board     *board
	interests [kinds]*interest
	wake      chan struct{}
	nonces    int
	requests  []*discovery.DiscoveryRequest  // sent, not heard
	answers   []*discovery.DiscoveryResponse // said, not received
	asks      [kinds][]string
	named     [kinds]bool
	last      [kinds]*discovery.DiscoveryResponse // the newest received
	has       [kinds]map[string]string
}

func newWorldProxy(b *board) *worldProxy {
	p := &worldProxy{board: b, wake: make(chan struct{}, 1)}
	for k := range p.interests {
		p.interests[k] = newInterest(kind(k), p.wake)
		p.interests[k].whole = p.world.whole(kind(k))
		p.has[k] = map[string]string{}
	}
	return p
}

// follows says whether the proxy wants a resource.
func (p *worldProxy) follows(k kind, name string) bool {
	return !p.named[k] || slices.Contains(p.asks[k], name) || slices.Contains(p.asks[k], wildcard)
}

// request sends the names that the proxy asks for, with the newest nonce.
func (p *worldProxy) request(k kind, refusal *rpcstatus.Status) {
	r := &discovery.DiscoveryRequest{TypeUrl: typeURLs[k], ResourceNames: slices.Clone(p.asks[k]), ErrorDetail: refusal}
	if p.last[k] != nil {
		r.ResponseNonce, r.VersionInfo = p.last[k].Nonce, p.last[k].VersionInfo
	}
	p.requests = append(p.requests, r)
}

// ask changes what the proxy wants, and forgets what it does not want any more.
func (p *worldProxy) ask(k kind, names ...string) {
	p.asks[k] = names
	p.named[k] = p.named[k] || len(names) > 0
	maps.DeleteFunc(p.has[k], func(name, _ string) bool { return !p.follows(k, name) })
	p.request(k, nil)
}

// hear lets the server hear the next request.
func (p *worldProxy) hear() {
	if len(p.requests) > 0 {
		r := p.requests[0]
		p.requests = p.requests[1:]
		k, _ := kindOf(r.TypeUrl)
		p.world.hear(p.board, p.interests[k], r)
	}
}

// say lets the server answer, if it has been woken, and returns what it said.
func (p *worldProxy) say() (said []string) {
	select {
	case <-p.wake:
	default:
		return nil
	}
	all := p.board.take(&p.interests)
	for _, a := range p.world.say(&all, func() string { p.nonces++; return strconv.Itoa(p.nonces) }) {
		p.answers = append(p.answers, a)
		k, _ := kindOf(a.TypeUrl)
		words := []string{fmt.Sprint(k)}
		for _, r := range a.Resources {
			name, _ := parts(r)
			words = append(words, name)
		}
		said = append(said, strings.Join(words, " "))
	}
	return said
}

// receive lets the proxy receive the next answer, and acknowledge or refuse it.
func (p *worldProxy) receive(refusal *rpcstatus.Status) {
	if len(p.answers) == 0 {
		return
	}
	a := p.answers[0]
	p.answers = p.answers[1:]
	k, _ := kindOf(a.TypeUrl)
	if p.world.whole(k) {
		clear(p.has[k])
	}
	for _, r := range a.Resources {
		if name, content := parts(r); p.follows(k, name) {
			p.has[k][name] = content
		}
	}
	p.last[k] = a
	p.request(k, refusal)
}

// settle lets everything on its way arrive.
func (p *worldProxy) settle() {
	for {
		said := len(p.say()) > 0
		if !said && len(p.requests)+len(p.answers) == 0 {
			return
		}
		p.receive(nil)
		p.hear()
	}
}

func TestWorld_Answers(t *testing.T) {
	set := func(b *board, k kind, name, content string) {
		var all [kinds]change
		all[k].set = []*discovery.Resource{text(t, name, content)}
		b.apply(&all)
	}
	gone := func(b *board, k kind, name string) {
		var all [kinds]change
		all[k].gone = []string{name}
		b.apply(&all)
	}
	begin := func(p *worldProxy, k kind, names ...string) {
		p.ask(k, names...)
		p.settle()
	}
	for name, c := range map[string]struct {
		steps func(b *board, p *worldProxy)
		want  []string // what is said after the steps
	}{
		"what there is of the names": {func(_ *board, p *worldProxy) {
			p.ask(endpoints, "a", "x")
		}, []string{"1 a"}},
		"nothing, at first, rather than not at all": {func(_ *board, p *worldProxy) {
			p.ask(endpoints, "x")
			p.ask(listeners, "x")
			p.ask(routes)
		}, []string{"1", "3", "2"}},
		"a name whose resource is made later": {func(b *board, p *worldProxy) {
			begin(p, endpoints, "x")
			set(b, endpoints, "x", "1")
		}, []string{"1 x"}},
		"everything, while no request has had names": {func(b *board, p *worldProxy) {
			begin(p, clusters)
			p.ask(clusters)
			set(b, clusters, "c", "1")
		}, []string{"0 a b c"}},
		"nothing once the last name is given up": {func(b *board, p *worldProxy) {
			begin(p, endpoints, "a")
			begin(p, endpoints)
			set(b, endpoints, "a", "2")
		}, nil},
		"nothing of a name that is left out where another is given twice": {func(b *board, p *worldProxy) {
			begin(p, endpoints, "a", "b")
			begin(p, endpoints, "a", "a")
			set(b, endpoints, "b", "2")
		}, nil},
		"only what changed of endpoints": {func(b *board, p *worldProxy) {
			begin(p, endpoints, "a", "b")
			set(b, endpoints, "a", "2")
		}, []string{"1 a"}},
		"all clusters if one changed": {func(b *board, p *worldProxy) {
			begin(p, clusters, "a", "b")
			set(b, clusters, "a", "2")
		}, []string{"0 a b"}},
		"nothing to names in another order, nor to a refusal": {func(_ *board, p *worldProxy) {
			begin(p, endpoints, "a", "b")
			p.ask(endpoints, "b", "a")
			p.request(endpoints, &rpcstatus.Status{Message: "no"})
		}, nil},
		"only the new names of endpoints": {func(_ *board, p *worldProxy) {
			begin(p, endpoints, "a")
			p.ask(endpoints, "a", "b")
		}, []string{"1 b"}},
		"a name that was given up and taken again, though the nonces are old": {func(b *board, p *worldProxy) {
			begin(p, endpoints, "a", "b")
			set(b, endpoints, "b", "2")
			p.say() // and not received yet
			p.ask(endpoints, "b")
			p.ask(endpoints, "a", "b")
		}, []string{"1 a"}},
		"those that are left of clusters, and no word of endpoints that are gone": {func(b *board, p *worldProxy) {
			begin(p, clusters)
			begin(p, endpoints, "a", "b")
			gone(b, clusters, "a")
			gone(b, endpoints, "a")
		}, []string{"0 b"}},
		"what comes before what goes": {func(b *board, p *worldProxy) {
			begin(p, clusters)
			begin(p, listeners)
			set(b, clusters, "c", "1")
			set(b, listeners, "c", "1")
			gone(b, clusters, "a")
		}, []string{"0 a b c", "2 c", "0 b c"}},
		"nothing of what did not change": {func(b *board, p *worldProxy) {
			begin(p, clusters)
			set(b, clusters, "a", "1")
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoard()
			two := change{set: []*discovery.Resource{text(t, "a", "1"), text(t, "b", "1")}}
			b.apply(&[kinds]change{clusters: two, endpoints: two})
			p := newWorldProxy(b)
			c.steps(b, p)
			for len(p.requests) > 0 {
				p.hear()
			}
			if got := p.say(); !slices.Equal(got, c.want) {
				t.Errorf("said %q, want %q", got, c.want)
			}
		})
	}
}

// Whatever a proxy asks for, whatever changes, and whatever is on its way meanwhile,
// it ends with the newest of all that it follows; of clusters and listeners, with
// nothing that is gone.
func TestWorld_AProxyHasTheNewestOfWhatItFollows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBoard()
		p := newWorldProxy(b)
		var there [kinds]map[string]string
		for k := range there {
			there[k] = map[string]string{}
		}
		pool := []string{"a", "b", "c"}
		kindIn := rapid.SampledFrom([]kind{clusters, endpoints})
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			k, n := kindIn.Draw(t, "kind"), rapid.SampledFrom(pool).Draw(t, "name")
			var all [kinds]change
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0:
				there[k][n] = rapid.SampledFrom([]string{"1", "2"}).Draw(t, "content")
				all[k].set = []*discovery.Resource{text(t, n, there[k][n])}
				b.apply(&all)
			case 1:
				delete(there[k], n)
				all[k].gone = []string{n}
				b.apply(&all)
			case 2:
				p.ask(k, rapid.SliceOfN(rapid.SampledFrom(append(pool, wildcard)), 0, 3).Draw(t, "names")...)
			case 3:
				p.hear()
			case 4:
				p.say()
			case 5:
				p.receive(nil)
			case 6:
				p.receive(&rpcstatus.Status{Message: "no"})
			}
		}
		p.settle()
		for _, k := range []kind{clusters, endpoints} {
			want := maps.Clone(there[k])
			maps.DeleteFunc(want, func(n, _ string) bool { return p.world.asked[k] == nil || !p.follows(k, n) })
			got := maps.Clone(p.has[k])
			if !p.world.whole(k) {
				// That it is gone follows from the clusters.
				maps.DeleteFunc(got, func(n, _ string) bool { _, exists := there[k][n]; return !exists })
			}
			if !maps.Equal(got, want) {
				t.Fatalf("kind %d: the proxy has %v, want %v", k, got, want)
			}
		}
		for _, i := range p.interests {
			b.leave(i)
		}
		if n := len(b.byName[endpoints]) + len(b.wildcards[endpoints]); n != 0 {
			t.Fatalf("%d names are followed by nobody", n)
		}
	})
}

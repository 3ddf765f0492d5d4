package xds

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"
)

// named is a resource whose content is a text.
func named(t rapid.TB, name, text string) *discovery.Resource {
	t.Helper()
	r, err := encode(name, wrapperspb.String(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// proxy is what a proxy knows, from nothing but the answers to it.
type proxy struct {
	board     *board
	interests [kinds]*interest
	wake      chan struct{}
	has       [kinds]map[string]string // text by name
	heard     []string                 // the answers, written down
}

func newProxy(b *board) *proxy {
	p := &proxy{board: b, wake: make(chan struct{}, 1)}
	for k := range p.interests {
		p.interests[k] = newInterest(kind(k), p.wake)
		p.has[k] = map[string]string{}
	}
	return p
}

func (p *proxy) ask(k kind, r *discovery.DeltaDiscoveryRequest) { p.board.request(p.interests[k], r) }

func (p *proxy) answers() []*discovery.DeltaDiscoveryResponse {
	all := p.board.take(&p.interests)
	return deltas{}.say(&all, func() string { return "" })
}

// hear takes the answers that there are; none if the stream was not woken.
func (p *proxy) hear() []string {
	select {
	case <-p.wake:
	default:
		return nil
	}
	p.heard = nil
	for _, a := range p.answers() {
		k, _ := kindOf(a.TypeUrl)
		said := []string{fmt.Sprint(k)}
		for _, r := range a.Resources {
			m := &wrapperspb.StringValue{}
			if err := r.Resource.UnmarshalTo(m); err != nil {
				panic(err)
			}
			p.has[k][r.Name] = m.Value
			said = append(said, r.Name)
		}
		for _, name := range a.RemovedResources {
			delete(p.has[k], name)
			said = append(said, "-"+name)
		}
		p.heard = append(p.heard, strings.Join(said, " "))
	}
	return p.heard
}

func sub(names ...string) *discovery.DeltaDiscoveryRequest {
	return &discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: names}
}

func TestBoard_Answers(t *testing.T) {
	a := named(t, "a", "1")
	for name, c := range map[string]struct {
		steps func(b *board, p *proxy)
		want  []string // what is heard after the steps
	}{
		"names are answered once, those that are not there as removed": {func(_ *board, p *proxy) {
			p.ask(endpoints, sub("a", "x"))
		}, []string{"1 a", "1 -x"}},
		"everything, if the first request names nothing": {func(_ *board, p *proxy) {
			p.ask(clusters, sub())
		}, []string{"0 a b"}},
		"everything that there is, even if that is nothing": {func(_ *board, p *proxy) {
			p.ask(routes, sub("*"))
		}, []string{"3"}},
		"an acknowledgement is not answered": {func(_ *board, p *proxy) {
			p.ask(endpoints, sub("a"))
			p.hear()
			p.ask(endpoints, sub())
		}, nil},
		"a name that is asked for again is sent again": {func(_ *board, p *proxy) {
			p.ask(endpoints, sub("a"))
			p.hear()
			p.ask(endpoints, sub("a"))
		}, []string{"1 a"}},
		"what a proxy says that it has is not sent": {func(_ *board, p *proxy) {
			r := sub("a", "b")
			r.InitialResourceVersions = map[string]string{"a": a.Version, "b": "old"}
			p.ask(endpoints, r)
		}, []string{"1 b"}},
		"what a proxy has and is gone is removed": {func(_ *board, p *proxy) {
			r := sub("*")
			r.InitialResourceVersions = map[string]string{"a": a.Version, "x": "old"}
			p.ask(endpoints, r)
		}, []string{"1 b", "1 -x"}},
		"nobody hears of what they do not follow any more": {func(b *board, p *proxy) {
			p.ask(endpoints, sub("a", "b"))
			p.hear()
			p.ask(endpoints, &discovery.DeltaDiscoveryRequest{ResourceNamesUnsubscribe: []string{"a"}})
			b.apply(&[kinds]change{endpoints: {set: []*discovery.Resource{named(t, "a", "2")}}})
		}, nil},
		"a name given up by one who follows all is sent as it is": {func(b *board, p *proxy) {
			p.ask(endpoints, sub("*", "a"))
			p.hear()
			p.ask(endpoints, &discovery.DeltaDiscoveryRequest{ResourceNamesUnsubscribe: []string{"a"}})
		}, []string{"1 a"}},
		"several changes of one resource are one": {func(b *board, p *proxy) {
			p.ask(endpoints, sub("*"))
			p.hear()
			for i := range 3 {
				b.apply(&[kinds]change{endpoints: {set: []*discovery.Resource{named(t, "a", fmt.Sprint(i))}}})
			}
		}, []string{"1 a"}},
		"what is pointed to comes first and goes last": {func(b *board, p *proxy) {
			for k := range kinds {
				p.ask(k, sub("*"))
			}
			p.hear()
			var all [kinds]change
			for k := range all {
				all[k] = change{set: []*discovery.Resource{named(t, "new", "")}, gone: []string{"a"}}
			}
			all[listeners].gone, all[routes].gone = nil, nil
			b.apply(&all)
		}, []string{"0 new", "1 new", "2 new", "3 new", "0 -a", "1 -a"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoard()
			two := change{set: []*discovery.Resource{a, named(t, "b", "1")}}
			b.apply(&[kinds]change{clusters: two, endpoints: two})
			p := newProxy(b)
			c.steps(b, p)
			if got := p.hear(); !slices.Equal(got, c.want) {
				t.Errorf("heard %q, want %q", got, c.want)
			}
		})
	}
}

// Whatever a proxy asks for and whatever changes, it ends with the newest of all
// that it follows, and with nothing that is gone.
func TestBoard_AProxyHasTheNewestOfWhatItFollows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBoard()
		p, other := newProxy(b), newProxy(b)
		other.ask(endpoints, sub("*"))
		there, followed, all := map[string]string{}, map[string]bool{}, false
		name := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		began := false
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				n, text := name.Draw(t, "name"), rapid.SampledFrom([]string{"1", "2"}).Draw(t, "text")
				there[n] = text
				b.apply(&[kinds]change{endpoints: {set: []*discovery.Resource{named(t, n, text)}}})
			case 1:
				n := name.Draw(t, "name")
				delete(there, n)
				b.apply(&[kinds]change{endpoints: {gone: []string{n}}})
			case 2:
				n := rapid.OneOf(name, rapid.Just("*")).Draw(t, "name")
				if all = all || n == "*"; n != "*" {
					followed[n] = true
				}
				began = true
				p.ask(endpoints, sub(n))
			case 3:
				n := rapid.OneOf(name, rapid.Just("*")).Draw(t, "name")
				if !began {
					continue // the first request would mean all
				}
				p.ask(endpoints, &discovery.DeltaDiscoveryRequest{ResourceNamesUnsubscribe: []string{n}})
				if all = all && n != "*"; !all {
					// What nobody follows is the proxy's own to forget.
					delete(followed, n)
					maps.DeleteFunc(p.has[endpoints], func(n, _ string) bool { return !followed[n] })
				}
				delete(followed, n)
			case 4:
				p.hear()
			}
		}
		p.hear()
		other.hear()
		want := maps.Clone(there)
		maps.DeleteFunc(want, func(n, _ string) bool { return !all && !followed[n] })
		if !maps.Equal(p.has[endpoints], want) {
			t.Fatalf("the proxy has %v, want %v", p.has[endpoints], want)
		}
		if !maps.Equal(other.has[endpoints], there) {
			t.Fatalf("one who follows all has %v, want %v", other.has[endpoints], there)
		}
		for _, i := range p.interests {
			b.leave(i)
		}
		if n := len(b.byName[endpoints]); n != 0 {
			t.Fatalf("%d names are followed by nobody", n)
		}
	})
}

func TestAnswers_OfManyResourcesAreSeveral(t *testing.T) {
	large := strings.Repeat("x", maxAnswer/2-100)
	var n news
	for i := range 5 {
		n.set = append(n.set, named(t, fmt.Sprint(i), large))
	}
	var got []int
	all := [kinds]news{endpoints: n}
	for _, a := range (deltas{}).say(&all, func() string { return "" }) {
		got = append(got, len(a.Resources))
	}
	if !slices.Equal(got, []int{2, 2, 1}) {
		t.Errorf("answers of %v resources", got)
	}
}

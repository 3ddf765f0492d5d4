package catalog

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

func member(port uint16, state State) Member {
	return Member{Address: netip.MustParseAddr("10.0.0.1"), Port: port, State: state}
}

func group(name string, members ...Member) *Group {
	return &Group{Name: name, Protocol: "HTTP", Members: members}
}

func TestServing_IsTheHealthyOrElseTheUnhealthy(t *testing.T) {
	for name, test := range map[string]struct {
		members []Member
		want    []uint16
	}{
		"healthy only":              {[]Member{member(1, Healthy), member(2, Unhealthy), member(3, Draining), member(4, Initial)}, []uint16{1}},
		"all unhealthy: fails open": {[]Member{member(1, Unhealthy), member(2, Unhealthy)}, []uint16{1, 2}},
		"unchecked as healthy":      {[]Member{member(1, Unavailable), member(2, Healthy), member(3, Unhealthy)}, []uint16{1, 2}},
		"never draining, initial":   {[]Member{member(1, Draining), member(3, Initial)}, nil},
		"nobody":                    {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []uint16
			for _, m := range group("g", test.members...).Serving() {
				got = append(got, m.Port)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("serving %v, want %v", got, test.want)
			}
		})
	}
}

func TestSubscription_FirstTakesAllAndThenOnlyWhatChanged(t *testing.T) {
	c := New()
	c.Apply(Change{Full: true, Groups: []*Group{group("a"), group("b"), group("c")}})
	s := c.Subscribe()
	defer s.Close()
	<-s.Wake()
	if got := s.Take(); !got.Full || len(got.Groups) != 3 {
		t.Fatalf("took %+v first, want all of three groups", got)
	}
	c.Apply(Change{Groups: []*Group{group("a"), group("b", member(1, Healthy))}, Gone: []string{"c", "never"}})
	<-s.Wake()
	got := s.Take()
	if got.Full || len(got.Groups) != 1 || got.Groups[0].Name != "b" || !slices.Equal(got.Gone, []string{"c"}) {
		t.Errorf("took %+v, want b changed and c gone", got)
	}
}

func TestApply_OfTheSameWakesNobody(t *testing.T) {
	c := New()
	c.Apply(Change{Full: true, Groups: []*Group{group("a", member(1, Healthy), member(2, Healthy))}})
	s := c.Subscribe()
	defer s.Close()
	<-s.Wake()
	s.Take()
	before, _ := c.Revision()
	c.Apply(Change{Full: true, Groups: []*Group{group("a", member(2, Healthy), member(1, Healthy))}})
	if after, _ := c.Revision(); after != before {
		t.Errorf("the revision went from %d to %d", before, after)
	}
	select {
	case <-s.Wake():
		t.Errorf("woken for %+v", s.Take())
	default:
	}
}

func TestLoaded_OnlyAfterAFullChange(t *testing.T) {
	c := New()
	c.Apply(Change{Groups: []*Group{group("a")}})
	if c.IsLoaded() {
		t.Error("loaded by a partial change")
	}
	c.Apply(Change{Full: true})
	if !c.IsLoaded() {
		t.Error("not loaded by a full change to nothing")
	}
}

func TestFold_PrefersTheExactName(t *testing.T) {
	c := New()
	c.Apply(Change{Full: true, Groups: []*Group{group("Web"), group("web"), group("API")}})
	for question, want := range map[string]string{"Web": "Web", "web": "web", "WEB": "Web", "api": "API"} {
		if g, ok := c.Fold(question); !ok || g.Name != want {
			t.Errorf("%s finds %+v, want %s", question, g, want)
		}
	}
	c.Apply(Change{Gone: []string{"Web"}})
	if g, ok := c.Fold("WEB"); !ok || g.Name != "web" {
		t.Errorf("WEB finds %+v after Web is gone, want web", g)
	}
}

// Whatever is applied, a subscriber that applies what it takes to a catalog of
// its own ends with the same groups.
func TestSubscription_MirrorsTheCatalog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, mirror := New(), New()
		s := c.Subscribe()
		defer s.Close()
		drawGroups := func() []*Group {
			var out []*Group
			for _, name := range rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 0, 5, rapid.ID).Draw(t, "names") {
				var members []Member
				for _, port := range rapid.SliceOfN(rapid.Uint16Range(1, 4), 0, 3).Draw(t, "ports") {
					m := member(port, rapid.SampledFrom([]State{Healthy, Draining}).Draw(t, "state"))
					m.Cluster, m.Service = "c", rapid.SampledFrom([]string{"", "s", "other"}).Draw(t, "service")
					members = append(members, m)
				}
				out = append(out, group(fmt.Sprint(name), members...))
			}
			return out
		}
		for range rapid.IntRange(1, 10).Draw(t, "changes") {
			change := Change{Full: rapid.Bool().Draw(t, "full"), Groups: drawGroups()}
			for _, g := range drawGroups() {
				if !change.Full && !slices.ContainsFunc(change.Groups, func(set *Group) bool { return set.Name == g.Name }) {
					change.Gone = append(change.Gone, g.Name)
				}
			}
			c.Apply(change)
			if rapid.Bool().Draw(t, "take") {
				mirror.Apply(s.Take())
			}
		}
		mirror.Apply(s.Take())
		want, _ := c.All()
		got, _ := mirror.All()
		if !slices.EqualFunc(got, want, (*Group).equal) {
			t.Fatalf("the mirror has %v, the catalog %v", got, want)
		}
		want = slices.DeleteFunc(want, func(g *Group) bool {
			return !slices.ContainsFunc(g.Members, func(m Member) bool { return m.Service == "s" })
		})
		if got := mirror.GroupsOf("c", "s"); !slices.EqualFunc(got, want, (*Group).equal) {
			t.Fatalf("the service is in %v, want %v", got, want)
		}
	})
}

func TestFollow_CopiesWhatTheOtherHasAndThenEachChange(t *testing.T) {
	leader, standby := New(), New()
	leader.Apply(Change{Full: true, Groups: []*Group{group("a", member(1, Healthy)), group("b")}})
	server := httptest.NewServer(leader.Handler())
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- standby.Follow(ctx, server.Client(), server.URL) }()
	await(t, standby, func() bool { return standby.IsLoaded() })
	leader.Apply(Change{Groups: []*Group{group("a", member(1, Draining))}, Gone: []string{"b"}})
	await(t, standby, func() bool {
		a, ok := standby.Group("a")
		_, b := standby.Group("b")
		return ok && a.Members[0].State == Draining && !b
	})
	cancel()
	if err := <-ended; err == nil {
		t.Error("Follow ended without an error")
	}
	if _, ok := standby.Group("a"); !ok || !standby.IsLoaded() {
		t.Error("what was copied went away with the stream")
	}
}

func TestHandler_RefusesBeforeTheTargetsAreKnown(t *testing.T) {
	server := httptest.NewServer(New().Handler())
	defer server.Close()
	standby := New()
	if err := standby.Follow(t.Context(), server.Client(), server.URL); err == nil || standby.IsLoaded() {
		t.Errorf("followed a catalog that knows nothing: %v", err)
	}
}

type silentTransport struct{}

// RoundTrip waits until the request is given up.
func (silentTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestFollow_GivesUpALeaderThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := New().Follow(t.Context(), &http.Client{Transport: silentTransport{}}, "http://leader.invalid/")
		if err == nil {
			t.Error("no error")
		}
	})
}

// await waits until a condition holds of a catalog.
func await(t *testing.T, c *Catalog, holds func() bool) {
	t.Helper()
	for {
		_, changed := c.Revision()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("the test ended first")
		}
	}
}

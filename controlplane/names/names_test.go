package names_test

import (
	"fmt"
	"testing"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/names"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/discovery"
)

type fixture struct {
	t     testing.TB
	store *store.Store
	feed  *names.Feed
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{t: t}
	f.store = storetest.New(t, func(s *store.Store) {
		f.feed = names.New(s.View())
		s.Observe(f.feed.Observe)
	})
	f.update(func(tx *store.Tx) {
		tx.PutNamespace(&model.Namespace{ID: "ns", Name: "prod.local", Type: model.NamespaceDNSPrivate})
		tx.PutRegistry(&model.Registry{ID: "srv", Namespace: "ns", Name: "api", Records: []model.RegistryRecord{{Type: model.RecordA, TTL: 5}}})
	})
	return f
}

func (f *fixture) update(change func(*store.Tx)) {
	f.t.Helper()
	if err := f.store.Update(f.t.Context(), func(tx *store.Tx) error { change(tx); return nil }); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) put(id, address string, unhealthy bool) {
	f.t.Helper()
	f.update(func(tx *store.Tx) {
		tx.PutRegistryInstance(&model.RegistryInstance{Registry: "srv", ID: id, Attributes: map[string]string{model.AttributeIPv4: address}, Unhealthy: unhealthy})
	})
}

func TestFollower_HearsOfEverythingAndThenOfChangesAlone(t *testing.T) {
	f := newFixture(t)
	f.put("a", "10.0.0.1", false)
	f.put("b", "10.0.0.2", true)
	follower := f.feed.Follow()
	first := follower.Update()
	if !first.Full || len(first.Zones) != 1 || len(first.Services) != 1 || len(first.Members) != 1 || first.Members[0].ID != "a" {
		t.Errorf("first: %+v, want all but the unhealthy member", first)
	}
	if u := follower.Update(); !u.Empty() {
		t.Errorf("nothing happened, and it heard %+v", u)
	}
	changed := follower.Changed()
	f.put("b", "10.0.0.2", false)
	<-changed
	if u := follower.Update(); u.Full || len(u.Members) != 1 || u.Members[0].ID != "b" || len(u.Zones)+len(u.Services)+len(u.RemovedMembers) != 0 {
		t.Errorf("after a recovery: %+v, want b alone", u)
	}
	f.put("a", "10.0.0.1", true)
	if u := follower.Update(); len(u.RemovedMembers) != 1 || u.RemovedMembers[0] != (discovery.Key{Service: "srv", ID: "a"}) || len(u.Members) != 0 {
		t.Errorf("after a failure: %+v, want a removed", u)
	}
	f.update(func(tx *store.Tx) {
		b, _ := tx.RegistryInstance("srv", "b")
		tx.DeleteRegistryInstance(b)
	})
	known := discovery.New()
	known.Apply(first)
	known.Apply(follower.Update())
	if got := known.Snapshot(); len(got.Members) != 1 {
		t.Errorf("applied to the first: %+v", got)
	}
}

func TestFollower_ThatIsFarBehindHearsEverythingAgain(t *testing.T) {
	f := newFixture(t)
	follower := f.feed.Follow()
	follower.Update()
	const most = 100
	for range 1<<14/most + 1 {
		f.update(func(tx *store.Tx) {
			for i := range most {
				r, _ := tx.Registry("srv")
				next := *r
				next.Description = fmt.Sprint(i)
				tx.PutRegistry(&next)
			}
		})
	}
	if u := follower.Update(); !u.Full {
		t.Error("it heard of changes that are not remembered any more")
	}
}

func TestFollow_OfEtcdSeesWhatTheLeaderWrites(t *testing.T) {
	etcd := storetest.Etcd(t)
	s := storetest.On(t, etcd, nil)
	f := &fixture{t: t, store: s}
	views := make(chan *store.Tables, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- store.Follow(t.Context(), etcd.Client(), func(view *store.Tables) func(*store.Tables, []store.Change) {
			views <- view
			return func(view *store.Tables, _ []store.Change) { views <- view }
		})
	}()
	t.Cleanup(func() { <-ended })
	<-views
	f.update(func(tx *store.Tx) { tx.PutNamespace(&model.Namespace{ID: "ns", Name: "prod.local"}) })
	if _, ok := (<-views).Namespace("ns"); !ok {
		t.Error("a new namespace is not seen")
	}
	f.put("a", "10.0.0.1", false)
	if view := <-views; view.MemberCount("srv") != 1 {
		t.Error("a new member is not seen")
	}
	f.update(func(tx *store.Tx) {
		a, _ := tx.RegistryInstance("srv", "a")
		tx.DeleteRegistryInstance(a)
		tx.DeleteNamespace(&model.Namespace{ID: "ns"})
	})
	view := <-views
	if _, ok := view.Namespace("ns"); ok || view.MemberCount("srv") != 0 {
		t.Error("what was deleted is still seen")
	}
}

// BenchmarkChange is what it costs to tell a follower, and to take in, that one member
// of a registry changed: the same however many members there are.
func BenchmarkChange(b *testing.B) {
	for _, members := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			f := newFixture(b)
			for at := 0; at < members; at += 100 {
				f.update(func(tx *store.Tx) {
					for i := at; i < at+100; i++ {
						tx.PutRegistryInstance(&model.RegistryInstance{Registry: "srv", ID: fmt.Sprintf("m%d", i), Attributes: map[string]string{model.AttributeIPv4: "10.0.0.1"}})
					}
				})
			}
			follower, known := f.feed.Follow(), discovery.New()
			known.Apply(follower.Update())
			view := f.store.View()
			i, _ := view.RegistryInstance("srv", "m7")
			down := *i
			down.Unhealthy = true
			f.put("m7", "10.0.0.1", true)
			changed := f.store.View()
			known.Apply(follower.Update())
			for n := 0; b.Loop(); n++ {
				if n%2 == 0 {
					f.feed.Observe(view, []store.Change{{Old: &down, New: i}})
				} else {
					f.feed.Observe(changed, []store.Change{{Old: i, New: &down}})
				}
				known.Apply(follower.Update())
			}
		})
	}
}

package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/longshore/longshore/controlplane/leader"
	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/controlplane/store"
	"github.com/longshore/longshore/controlplane/store/storetest"
	"github.com/longshore/longshore/proto/ecs"
)

func putCluster(name string) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		tx.PutCluster(&model.Cluster{Name: model.ClusterName(name), Status: model.StatusActive})
		return nil
	}
}

func TestUpdate_ShowsInTheNextView(t *testing.T) {
	s := storetest.New(t, nil)
	before := s.View()
	if err := s.Update(t.Context(), putCluster("a")); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.View().Cluster("a"); !ok {
		t.Error("the cluster is not in the view after Update returned")
	}
	if _, ok := before.Cluster("a"); ok {
		t.Error("an older view shows the new cluster")
	}
}

func TestUpdate_SurvivesInTheNextTerm(t *testing.T) {
	etcd := storetest.Etcd(t)
	t.Run("first term", func(t *testing.T) {
		s := storetest.On(t, etcd, nil)
		var wait sync.WaitGroup
		for i := range 500 {
			wait.Go(func() {
				if err := s.Update(t.Context(), putCluster(fmt.Sprint("c", i))); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	})
	s := storetest.On(t, etcd, nil)
	count := 0
	for range s.View().Clusters("") {
		count++
	}
	if count != 500 {
		t.Errorf("%d clusters after reloading, want 500", count)
	}
}

func TestCapacityProviders_SurviveInTheNextTerm(t *testing.T) {
	etcd := storetest.Etcd(t)
	t.Run("first term", func(t *testing.T) {
		err := storetest.On(t, etcd, nil).Update(t.Context(), func(tx *store.Tx) error {
			tx.PutCapacityProvider(&model.CapacityProvider{Name: "p", Status: ecs.CapacityProviderStatusACTIVE})
			tx.PutCluster(&model.Cluster{Name: "c", Status: model.StatusActive, CapacityProviders: []model.ProviderName{"p", "FARGATE"}})
			tx.PutTask(&model.Task{Cluster: "c", ID: "t", CapacityProvider: "p", LastStatus: model.TaskRunning})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	v := storetest.On(t, etcd, nil).View()
	if p, ok := v.CapacityProvider("p"); !ok || p.Status != ecs.CapacityProviderStatusACTIVE {
		t.Errorf("reloaded %+v", p)
	}
	if clusters := slices.Collect(v.ClustersOfProvider("FARGATE")); len(clusters) != 1 || !v.ProviderInUse("c", "p") || v.ProviderInUse("c", "FARGATE") {
		t.Errorf("who uses them is not known any more: %v", clusters)
	}
	if _, ok := v.CapacityProvider("FARGATE_SPOT"); !ok {
		t.Error("a reserved provider is gone")
	}
}

func TestUpdate_ARefusalPutsNothing(t *testing.T) {
	s := storetest.New(t, nil)
	refusal := errors.New("no")
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		tx.PutCluster(&model.Cluster{Name: "a"})
		if _, ok := tx.Cluster("a"); !ok {
			t.Error("a transaction does not see its own put")
		}
		return refusal
	})
	if !errors.Is(err, refusal) {
		t.Fatalf("got %v, want the function's error", err)
	}
	if err := s.Update(t.Context(), func(tx *store.Tx) error {
		if _, ok := tx.Cluster("a"); ok {
			t.Error("a later transaction sees what a refused one put")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestUpdate_APanicPutsNothingAndLeavesTheStoreUsable(t *testing.T) {
	s := storetest.New(t, nil)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		s.Update(t.Context(), func(tx *store.Tx) error {
			tx.PutCluster(&model.Cluster{Name: "a"})
			panic("bug")
		})
	}()
	if err := s.Update(t.Context(), putCluster("b")); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.View().Cluster("a"); ok {
		t.Error("what the panicking transaction put is there")
	}
}

func TestUpdate_MoreThanOneEtcdTransactionTakesIsRefusedWhole(t *testing.T) {
	s := storetest.New(t, nil)
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		for i := range 1000 {
			tx.PutCluster(&model.Cluster{Name: model.ClusterName(fmt.Sprint("c", i))})
		}
		return nil
	})
	if !errors.Is(err, store.ErrTooLarge) {
		t.Fatalf("got %v, want ErrTooLarge", err)
	}
	if _, ok := s.View().Cluster("c0"); ok {
		t.Error("a part of the refused transaction is there")
	}
}

// What waits while a transaction is under way goes into the next one together, as
// much of it as the etcd takes.
func TestUpdate_SharesATransactionOfWhatTheEtcdTakes(t *testing.T) {
	const waiting = 900
	held, release := make(chan struct{}), make(chan struct{})
	var batches []int
	s := storetest.New(t, func(s *store.Store) {
		s.Observe(func(_ *store.Tables, changes []store.Change) {
			if batches = append(batches, len(changes)); len(batches) == 1 {
				close(held)
				<-release
			}
		})
	})
	first := make(chan error, 1)
	go func() { first <- s.Update(t.Context(), putCluster("first")) }()
	<-held
	ran := make(chan struct{}, waiting)
	rest := make(chan error, waiting)
	for i := range waiting {
		go func() {
			rest <- s.Update(t.Context(), func(tx *store.Tx) error {
				tx.PutCluster(&model.Cluster{Name: model.ClusterName(fmt.Sprint("c", i))})
				ran <- struct{}{}
				return nil
			})
		}()
	}
	for range waiting {
		<-ran
	}
	close(release)
	for range waiting {
		if err := <-rest; err != nil {
			t.Fatal(err)
		}
	}
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if len(batches) != 2 || batches[1] != waiting {
		t.Errorf("transactions of %v records, want 1 and %d", batches, waiting)
	}
}

// A deposed leader must not write, even if it has not noticed yet.
func TestUpdate_IsFencedByLeadership(t *testing.T) {
	etcd := storetest.Etcd(t)
	s := storetest.On(t, etcd, nil)
	if err := s.Update(t.Context(), putCluster("before")); err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Client().Delete(t.Context(), store.ElectionPrefix, withPrefix()); err != nil {
		t.Fatal(err)
	}
	err := s.Update(t.Context(), putCluster("after"))
	if !errors.Is(err, store.ErrNotLeader) {
		t.Fatalf("got %v, want ErrNotLeader", err)
	}
	if err := s.Update(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrNotLeader) {
		t.Errorf("the store goes on after it was deposed: %v", err)
	}
	if _, ok := storetest.On(t, etcd, nil).View().Cluster("after"); ok {
		t.Error("the deposed leader's change was made")
	}
}

func TestUpdate_AnEtcdThatIsGoneEndsTheStore(t *testing.T) {
	etcd := storetest.Etcd(t)
	s := storetest.On(t, etcd, nil)
	etcd.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := s.Update(ctx, putCluster("a"))
	if !errors.Is(err, store.ErrUnknownOutcome) && !errors.Is(err, store.ErrNotLeader) {
		t.Fatalf("got %v, want ErrUnknownOutcome or ErrNotLeader", err)
	}
	if _, ok := s.View().Cluster("a"); ok {
		t.Error("an unacknowledged change shows in the view")
	}
}

func TestObserve_SeesEveryChangeOnceInOrder(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	s := storetest.New(t, func(s *store.Store) {
		s.Observe(func(view *store.Tables, changes []store.Change) {
			mu.Lock()
			defer mu.Unlock()
			for _, c := range changes {
				cluster := c.New.(*model.Cluster)
				if _, ok := view.Cluster(cluster.Name); !ok {
					t.Errorf("change of %s is told before the view shows it", cluster.Name)
				}
				seen = append(seen, string(cluster.Name))
			}
		})
	})
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			for i := range 50 {
				if err := s.Update(t.Context(), putCluster(fmt.Sprintf("w%d-%02d", w, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	last := map[byte]string{}
	for _, name := range seen {
		if name <= last[name[1]] {
			t.Fatalf("%s after %s", name, last[name[1]])
		}
		last[name[1]] = name
	}
	if len(seen) != 400 {
		t.Errorf("%d changes seen, want 400", len(seen))
	}
}

func TestLeader_TakesOverFromItsOwnPredecessorWithoutWaitingForTheLease(t *testing.T) {
	etcd := storetest.Etcd(t)
	elected := make(chan struct{})
	lead := func(ctx context.Context, _ leader.Term) error {
		elected <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	cfg := leader.Config{Client: etcd.Client(), Node: "n", TTL: time.Hour}
	for range 2 {
		// The first is never resigned, as after a kill -9.
		go leader.Run(context.Background(), cfg, lead)
		select {
		case <-elected:
		case <-time.After(30 * time.Second):
			t.Fatal("not elected")
		}
	}
}

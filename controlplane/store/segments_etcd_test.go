package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"

	"github.com/longshore/longshore/controlplane/model"
)

// standardEtcd runs an etcd with the limits that one has by default.
func standardEtcd(t *testing.T) *Client {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(t.TempDir(), "etcd")
	loopback := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenPeerUrls, cfg.ListenClientUrls = loopback, loopback
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	<-etcd.Server.ReadyNotify()
	client := v3client.New(etcd.Server)
	t.Cleanup(func() {
		client.Close()
		etcd.Close()
	})
	return client
}

// lead runs a store until stop is called.
func lead(t *testing.T, client *Client) (s *Store, stop func()) {
	t.Helper()
	s, err := Load(t.Context(), Config{Client: client, Fence: clientv3.Compare(clientv3.Version("nothing"), "=", 0)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the store ended: %v", err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

// watcher follows etcd, and can be waited for.
type watcher struct {
	t     *testing.T
	news  chan struct{}
	mu    sync.Mutex
	view  *Tables
	heard map[taskRef]int // changes
}

func watch(t *testing.T, client *Client) *watcher {
	w := &watcher{t: t, news: make(chan struct{}, 1), heard: map[taskRef]int{}}
	note := func(view *Tables, changes []Change) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.view = view
		for _, c := range changes {
			if task, ok := c.New.(*model.Task); ok && task != nil {
				w.heard[refOf(task)]++
			} else if task, ok := c.Old.(*model.Task); ok && task != nil {
				w.heard[refOf(task)]++
			}
		}
		select {
		case w.news <- struct{}{}:
		default:
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Follow(ctx, client, func(view *Tables) func(*Tables, []Change) {
			note(view, nil)
			return note
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("following ended: %v", err)
		}
	})
	<-w.news
	return w
}

// caughtUp waits until the follower sees the last namespace that was put, which was put last of all.
func (w *watcher) caughtUp(mark string) (*Tables, map[taskRef]int) {
	w.t.Helper()
	for {
		w.mu.Lock()
		view, heard := w.view, w.heard
		if ns, ok := view.Namespace("mark"); ok && ns.Name == mark {
			w.heard = map[taskRef]int{}
			w.mu.Unlock()
			return view, heard
		}
		w.mu.Unlock()
		select {
		case <-w.news:
		case <-time.After(30 * time.Second):
			w.t.Fatalf("the follower does not see %s", mark)
		}
	}
}

func putMark(mark string) func(*Tx) error {
	return func(tx *Tx) error {
		tx.PutNamespace(&model.Namespace{ID: "mark", Name: mark})
		return nil
	}
}

func must(t *testing.T, s *Store, f func(*Tx)) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx *Tx) error { f(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

// sameTasks compares the tasks of a state with what they should be: their versions.
func sameTasks(t *testing.T, who string, view *Tables, want map[taskRef]int64) {
	t.Helper()
	n := 0
	for task := range view.tasks.all() {
		n++
		if v, ok := want[refOf(task)]; !ok || v != task.Version {
			t.Fatalf("%s: %v has version %d, want %d (%v)", who, refOf(task), task.Version, v, ok)
		}
	}
	if n != len(want) {
		t.Fatalf("%s: %d tasks, want %d", who, n, len(want))
	}
}

// held is how many keys under state/ of a kind etcd has, and of how many bytes.
func held(t *testing.T, client *Client, kind string) (keys, bytes int) {
	t.Helper()
	answer, err := client.Get(t.Context(), statePrefix+kind+"/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range answer.Kvs {
		bytes += len(kv.Value)
	}
	return len(answer.Kvs), bytes
}

func putVersion(tx *Tx, r taskRef, version int64) {
	tx.PutTask(&model.Task{
		Cluster: r.cluster, ID: r.id, Version: version, Instance: "0123456789abcdef0123456789abcdef", LastStatus: model.TaskRunning,
		Containers: []model.Container{{Name: "main", Image: "registry.invalid/app:1", RuntimeID: strings.Repeat("0123456789abcdef", 4)}},
	})
}

// Tasks are made, changed and deleted at random, in commits of any size, by one leader after
// the other; a follower and every new leader see them as they are.
func TestSegments_LoadAndFollowAsTheTasksAre(t *testing.T) {
	client := standardEtcd(t)
	// Half of the tasks are an earlier version's: records of their own, the older of them JSON.
	want, order := map[taskRef]int64{}, []taskRef{}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	for i := range 200 {
		task := &model.Task{Cluster: "c", ID: model.NewTaskID(), Version: 1}
		value, err := appendTask(nil, task)
		if i%2 == 0 {
			value, err = json.Marshal(task)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Put(t.Context(), ownTaskKey(refOf(task)), string(value)); err != nil {
			t.Fatal(err)
		}
		want[refOf(task)] = 1
		order = append(order, refOf(task))
	}
	w := watch(t, client)
	sameTasks(t, "the follower", w.view, want)
	s, stop := lead(t, client)
	sameTasks(t, "the first leader", s.View(), want)
	version := int64(1)
	touched := map[taskRef]int{}
	for round := range 150 {
		must(t, s, func(tx *Tx) {
			for range chance.IntN([]int{2, 20, 300}[chance.IntN(3)]) {
				version++
				switch r := order[chance.IntN(len(order))]; {
				case chance.IntN(3) == 0:
					r = taskRef{"c", model.NewTaskID()}
					order = append(order, r)
					want[r] = version
				case want[r] == 0:
					continue // deleted, which it stays
				case chance.IntN(2) == 0:
					delete(want, r)
				default:
					want[r] = version
				}
			}
			for _, r := range order {
				task, ok := tx.Task(r.cluster, r.id)
				switch v := want[r]; {
				case v == 0 && ok:
					tx.DeleteTask(task)
					touched[r]++
				case v != 0 && (!ok || task.Version != v):
					putVersion(tx, r, v)
					touched[r]++
				}
			}
		})
		if chance.IntN(10) > 0 {
			continue
		}
		mark := fmt.Sprint(round)
		if err := s.Update(t.Context(), putMark(mark)); err != nil {
			t.Fatal(err)
		}
		view, heard := w.caughtUp(mark)
		sameTasks(t, "the follower", view, want)
		for r, n := range heard {
			if n != touched[r] {
				t.Errorf("the follower heard of %d changes of %v, of which there were %d", n, r, touched[r])
			}
		}
		clear(touched)
		if chance.IntN(2) == 0 {
			stop()
			s, stop = lead(t, client)
			sameTasks(t, "the next leader", s.View(), want)
		}
	}
	must(t, s, func(tx *Tx) {
		for _, task := range taskList(tx) {
			tx.DeleteTask(task)
		}
	})
	for i := range 5 {
		must(t, s, func(tx *Tx) { _ = putMark(fmt.Sprint("end", i))(tx) })
	}
	view, _ := w.caughtUp("end4")
	sameTasks(t, "the follower in the end", view, nil)
	for _, kind := range []string{"tasks", "segments"} {
		if n, _ := held(t, client, kind); n > 0 {
			t.Errorf("%d keys of %s are left, without tasks", n, kind)
		}
	}
}

func taskList(tx *Tx) (out []*model.Task) {
	for task := range tx.tasks.all() {
		out = append(out, task)
	}
	return out
}

func TestSegments_HoldNotMuchMoreThanTheTasks(t *testing.T) {
	client := standardEtcd(t)
	s, _ := lead(t, client)
	var tasks []taskRef
	for range 20 {
		must(t, s, func(tx *Tx) {
			for range 100 {
				tasks = append(tasks, taskRef{"c", model.NewTaskID()})
				putVersion(tx, tasks[len(tasks)-1], 1)
			}
		})
	}
	_, once := held(t, client, "segments")
	for i := range 300 {
		must(t, s, func(tx *Tx) {
			for range 50 {
				putVersion(tx, tasks[rand.IntN(len(tasks))], int64(i+2))
			}
		})
	}
	if _, bytes := held(t, client, "segments"); bytes > 5*once {
		t.Errorf("etcd holds %d bytes, %.1f times what the tasks are", bytes, float64(bytes)/float64(once))
	}
}

func TestUpdate_TakesThousandsOfTasksAtOnce(t *testing.T) {
	client := standardEtcd(t)
	s, stop := lead(t, client)
	want := map[taskRef]int64{}
	must(t, s, func(tx *Tx) {
		for range 3000 {
			r := taskRef{"c", model.NewTaskID()}
			putVersion(tx, r, 1)
			want[r] = 1
		}
	})
	sameTasks(t, "the view", s.View(), want)
	err := s.Update(t.Context(), func(tx *Tx) error {
		for range 8000 {
			putVersion(tx, taskRef{"c", model.NewTaskID()}, 1)
		}
		return nil
	})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("8000 tasks at once: %v, want ErrTooLarge", err)
	}
	must(t, s, func(tx *Tx) {
		for i := range 119 { // and one for the tasks
			tx.PutCluster(&model.Cluster{Name: model.ClusterName(fmt.Sprint("c", i))})
		}
		for r := range want {
			putVersion(tx, r, 2)
			want[r] = 2
		}
	})
	stop()
	s, _ = lead(t, client)
	sameTasks(t, "the next leader", s.View(), want)
}

func TestLoad_ReadsMoreSegmentsThanOnePageHas(t *testing.T) {
	client := standardEtcd(t)
	s, stop := lead(t, client)
	want := map[taskRef]int64{}
	for i := range 2*segmentsPage + 1 {
		r := taskRef{"c", model.NewTaskID()}
		must(t, s, func(tx *Tx) { putVersion(tx, r, int64(i)) })
		want[r] = int64(i)
	}
	stop()
	s, _ = lead(t, client)
	sameTasks(t, "the next leader", s.View(), want)
	sameTasks(t, "a follower", watch(t, client).view, want)
}

func TestLoad_NamesASegmentThatIsCutOff(t *testing.T) {
	client := standardEtcd(t)
	s, stop := lead(t, client)
	must(t, s, func(tx *Tx) {
		for range 3 {
			putVersion(tx, taskRef{"c", model.NewTaskID()}, 1)
		}
	})
	stop()
	key := segmentKey(1)
	answer, err := client.Get(t.Context(), key)
	if err != nil || len(answer.Kvs) != 1 {
		t.Fatalf("%d keys, %v", len(answer.Kvs), err)
	}
	whole := answer.Kvs[0].Value
	for _, broken := range []string{string(whole[:len(whole)-1]), string(whole[:3]), "\x02" + string(whole[1:])} {
		if _, err := client.Put(t.Context(), key, broken); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(t.Context(), Config{Client: client}); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("loading %d bytes of %d: %v, want that %s cannot be read", len(broken), len(whole), err, key)
		}
		err := Follow(t.Context(), client, func(*Tables) func(*Tables, []Change) { return nil })
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("following: %v, want that %s cannot be read", err, key)
		}
	}
}

// A leader of an earlier version deletes a task's own key when it deletes the task.
func TestFollow_OfALeaderOfAnEarlierVersion(t *testing.T) {
	client := standardEtcd(t)
	w := watch(t, client)
	task := &model.Task{Cluster: "c", ID: model.NewTaskID(), Version: 1}
	value, err := appendTask(nil, task)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := lead(t, client)
	for _, step := range []struct {
		op   clientv3.Op
		want map[taskRef]int64
	}{
		{clientv3.OpPut(ownTaskKey(refOf(task)), string(value)), map[taskRef]int64{refOf(task): 1}},
		{clientv3.OpDelete(ownTaskKey(refOf(task))), nil},
	} {
		if _, err := client.Do(t.Context(), step.op); err != nil {
			t.Fatal(err)
		}
		mark := fmt.Sprint(len(step.want))
		if err := s.Update(t.Context(), putMark(mark)); err != nil {
			t.Fatal(err)
		}
		view, _ := w.caughtUp(mark)
		sameTasks(t, "the follower", view, step.want)
	}
}

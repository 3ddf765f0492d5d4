package store

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/longshore/longshore/controlplane/model"
)

// logWorld is a log with what stands for etcd, and what it should say.
type logWorld struct {
	t       failer
	log     *taskLog
	etcd    map[string][]byte
	tables  *Tables
	tasks   map[taskRef]*model.Task
	limits  Limits
	version int64
}

// failer is a *testing.T, or one of rapid.
type failer interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

func newLogWorld(t failer, limits Limits) *logWorld {
	return &logWorld{
		t: t, log: newTaskLog(), etcd: map[string][]byte{}, tables: newTables(), tasks: map[taskRef]*model.Task{}, limits: limits,
	}
}

// commit is what Store does with a batch.
func (w *logWorld) commit(f func(*Tx)) {
	tx := &Tx{Tables: w.tables}
	f(tx)
	b := newBatch(w.limits)
	b.add(tx)
	b.tables = w.tables.freeze()
	out, err := w.log.log(b)
	if err != nil {
		w.t.Fatal(err)
	}
	size := 0
	for _, o := range out.ops {
		if o.value == nil {
			if _, ok := w.etcd[o.key]; !ok {
				w.t.Fatalf("%s is deleted, which is not there", o.key)
			}
			delete(w.etcd, o.key)
			continue
		}
		if _, ok := w.etcd[o.key]; ok {
			w.t.Fatalf("%s is put twice", o.key)
		}
		w.etcd[o.key] = slices.Clone(o.value)
		size = o.size()
	}
	if n := len(out.ops) + len(b.ops); n > w.limits.Operations {
		w.t.Fatalf("%d operations, of %d", n, w.limits.Operations)
	}
	if size > max(b.bytes+segmentOverhead, w.limits.Bytes) {
		w.t.Fatalf("a segment of %d bytes; limits are %v, the batch has %d", size, w.limits, b.bytes)
	}
}

// some draws a few tasks that there are.
func (w *logWorld) some(t *rapid.T, n int) []*model.Task {
	refs := slices.SortedFunc(maps.Keys(w.tasks), compareTaskRefs)
	var out []*model.Task
	for range min(n, len(refs)) {
		out = append(out, w.tasks[rapid.SampledFrom(refs).Draw(t, "task")])
	}
	return out
}

func compareTaskRefs(a, b taskRef) int {
	switch {
	case a == b:
		return 0
	case taskLess(&model.Task{Cluster: a.cluster, ID: a.id}, &model.Task{Cluster: b.cluster, ID: b.id}):
		return -1
	}
	return 1
}

func (w *logWorld) put(tx *Tx, r taskRef) {
	w.version++
	task := &model.Task{Cluster: r.cluster, ID: r.id, Version: w.version, LastStatus: model.TaskRunning}
	tx.PutTask(task)
	w.tasks[r] = task
}

// change makes, changes and deletes tasks, some of them more than once.
func (w *logWorld) change(t *rapid.T, tx *Tx) {
	size := rapid.SampledFrom([]int{1, 3, 30}).Draw(t, "size")
	for range rapid.IntRange(0, size).Draw(t, "new") {
		// Some ids are no hexadecimal numbers, and some come back after they were deleted.
		n := rapid.IntRange(0, 300).Draw(t, "id")
		id := model.TaskID(fmt.Sprintf("%032x", n*7919))
		if n%10 == 0 {
			id = model.TaskID(fmt.Sprint("t", n))
		}
		w.put(tx, taskRef{rapid.SampledFrom([]model.ClusterName{"a", "b"}).Draw(t, "cluster"), id})
	}
	for _, task := range w.some(t, rapid.IntRange(0, size).Draw(t, "changed")) {
		w.put(tx, refOf(task))
	}
	for _, task := range w.some(t, rapid.IntRange(0, size).Draw(t, "deleted")) {
		tx.DeleteTask(task)
		delete(w.tasks, refOf(task))
	}
}

// load reads what is in the place of etcd.
func (w *logWorld) load() *taskLoader {
	l := newTaskLoader()
	keys := slices.Sorted(maps.Keys(w.etcd))
	for _, own := range []bool{true, false} { // state/tasks is read first
		for _, key := range keys {
			var err error
			switch {
			case own && kindOf(key) == "tasks":
				err = l.own(key, w.etcd[key])
			case !own && kindOf(key) == "segments":
				err = l.segment(key, w.etcd[key])
			}
			if err != nil {
				w.t.Fatalf("%s: %v", key, err)
			}
		}
	}
	return l
}

// check loads everything and compares it with what should be there; and what was loaded
// knows of the segments what the log does that wrote them.
func (w *logWorld) check() *taskLoader {
	l := w.load()
	loaded := newTables()
	if err := l.finish(loaded); err != nil {
		w.t.Fatal(err)
	}
	seen := 0
	for task := range loaded.tasks.all() {
		seen++
		if want := w.tasks[refOf(task)]; want == nil || want.Version != task.Version {
			w.t.Fatalf("loaded version %d of %v, want %+v", task.Version, refOf(task), want)
		}
	}
	if seen != len(w.tasks) {
		w.t.Fatalf("loaded %d tasks, want %d", seen, len(w.tasks))
	}
	if wrote, read := segmentCounts(w.log), segmentCounts(l.log); !maps.Equal(wrote, read) {
		w.t.Fatalf("the log has\n%v\nand one that is loaded\n%v", wrote, read)
	}
	if len(w.log.slots) != len(l.log.slots) {
		w.t.Fatalf("the log knows %d tasks, and one that is loaded %d", len(w.log.slots), len(l.log.slots))
	}
	return l
}

type segmentCount struct{ entries, records, gone int }

func segmentCounts(l *taskLog) map[string]segmentCount {
	out := map[string]segmentCount{}
	for at := range l.segments {
		if s := &l.segments[at]; len(s.tasks) > 0 {
			out[l.key(uint32(at))] = segmentCount{len(s.tasks), int(s.records), int(s.gone)}
		}
	}
	return out
}

// settle makes commits of no task until nothing is due, and checks what is left.
func (w *logWorld) settle() {
	for n := 0; len(w.log.due) > 0; n++ {
		if n > 2000 {
			w.t.Fatalf("%d segments are due for ever", len(w.log.due))
		}
		w.commit(func(*Tx) {})
	}
	entries, gone := 0, 0
	for key, c := range segmentCounts(w.log) {
		if c.records+c.gone == 0 {
			w.t.Fatalf("nothing of %s counts: %+v", key, c)
		}
		entries += c.entries
		gone += c.gone
	}
	if dead := entries - gone - len(w.tasks); 7*dead > 24*len(w.tasks) {
		w.t.Fatalf("%d dead entries and %d of deleted tasks with %d tasks", dead, gone, len(w.tasks))
	}
}

func TestTaskLog_SaysWhatWasWrittenAndNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newLogWorld(t, Limits{
			Operations: rapid.IntRange(4, 40).Draw(t, "operations"),
			Bytes:      rapid.SampledFrom([]int{8 << 10, 1 << 20}).Draw(t, "bytes"),
		})
		// What an earlier version left.
		old := &Tx{Tables: w.tables}
		for i := range rapid.IntRange(0, 40).Draw(t, "old") {
			r := taskRef{"a", model.TaskID(fmt.Sprintf("%032x", i*7919))}
			w.put(old, r)
			value, err := appendTask(nil, w.tasks[r])
			if err != nil {
				t.Fatal(err)
			}
			w.etcd[ownTaskKey(r)] = value
		}
		w.log = w.load().log
		for range rapid.IntRange(1, 60).Draw(t, "commits") {
			w.commit(func(tx *Tx) { w.change(t, tx) })
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				w.log = w.check().log
			}
			if rapid.IntRange(0, 20).Draw(t, "idle") == 0 {
				w.settle()
			}
		}
		w.check()
		w.settle()
		w.check()
		w.commit(func(tx *Tx) {
			for _, r := range slices.SortedFunc(maps.Keys(w.tasks), compareTaskRefs) {
				tx.DeleteTask(w.tasks[r])
			}
			clear(w.tasks)
		})
		w.check()
		w.settle()
		if len(w.etcd) > 0 || len(w.log.slots) > 0 {
			t.Fatalf("without tasks %d keys are left, and %d tasks in the log", len(w.etcd), len(w.log.slots))
		}
	})
}

// Tasks that live long must not, by what says of others beside them that they are gone, keep
// what short-lived ones leave.
func TestTaskLog_DoesNotGrowWithTasksThatComeAndGo(t *testing.T) {
	for _, staying := range []int{0, 10, 30, 60, 90} {
		w := newLogWorld(t, DefaultLimits())
		n := 0
		put := func(tx *Tx, tasks int) (out []taskRef) {
			for range tasks {
				n++
				out = append(out, taskRef{"a", model.TaskID(fmt.Sprintf("%032x", n))})
				w.put(tx, out[len(out)-1])
			}
			return out
		}
		var short []taskRef
		w.commit(func(tx *Tx) {
			put(tx, staying)
			short = put(tx, 100-staying)
		})
		for range 50 {
			w.commit(func(tx *Tx) {
				for _, r := range short {
					tx.DeleteTask(w.tasks[r])
					delete(w.tasks, r)
				}
				short = put(tx, 100)
			})
		}
		w.settle()
		w.check()
		if size := len(w.etcd); size > 5 {
			t.Errorf("%d segments for %d tasks", size, len(w.tasks))
		}
	}
}

// Of tasks that do not fit into the others' room, and of more of them than one commit takes
// over, all are taken over in the end.
func TestTaskLog_TakesOverWhatIsLarge(t *testing.T) {
	w := newLogWorld(t, Limits{Operations: 10, Bytes: 1 << 20})
	reason := string(make([]byte, 300<<10))
	refs := []taskRef{{"a", "large0"}, {"a", "large1"}, {"a", "large2"}}
	w.commit(func(tx *Tx) {
		for _, r := range refs {
			w.put(tx, r)
			task := *w.tasks[r]
			task.StoppedReason = reason
			tx.PutTask(&task)
		}
		for i := range 100 {
			w.put(tx, taskRef{"a", model.TaskID(fmt.Sprint("small", i))})
		}
	})
	w.commit(func(tx *Tx) {
		for i := range 100 {
			w.put(tx, taskRef{"a", model.TaskID(fmt.Sprint("small", i))})
		}
	})
	// This leaves no room for one of them.
	w.commit(func(tx *Tx) {
		w.put(tx, taskRef{"a", "small0"})
		task := *w.tasks[taskRef{"a", "small0"}]
		task.StoppedReason = string(make([]byte, 900<<10))
		tx.PutTask(&task)
	})
	w.check()
	w.settle()
	w.check()
}

// BenchmarkTaskLog is what the log takes of a commit of 100 tasks, and of memory for each task.
func BenchmarkTaskLog(b *testing.B) {
	t := newBenchTables(b)
	var before, after runtime.MemStats
	l := newTaskLog()
	commits := make([]*batch, len(t.tasks)/benchBatch)
	for i := range commits {
		commits[i] = newBatch(DefaultLimits())
		tx := &Tx{Tables: t.Tables}
		for _, task := range t.tasks[i*benchBatch : (i+1)*benchBatch] {
			tx.noteTask(nil, task)
		}
		commits[i].add(tx)
		commits[i].tables = t.Tables
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, commit := range commits {
		if _, err := l.log(commit); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	defer func() { b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/benchTasks, "B/task") }()
	measure(b, func() {
		for i := range b.N {
			if _, err := l.log(commits[i%len(commits)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

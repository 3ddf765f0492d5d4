package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/longshore/longshore/controlplane/model"
)

// Keys per read. A segment may be as large as a transaction.
const (
	loadPage     = 5000
	segmentsPage = 64
)

// readState reads everything at one revision, which it returns: segments last, in their order.
func readState(ctx context.Context, client *Client, record func(key string, value []byte) error) (revision int64, err error) {
	segmentsEnd, end := clientv3.GetPrefixRangeEnd(segmentPrefix), clientv3.GetPrefixRangeEnd(statePrefix)
	for _, part := range []struct {
		from, end string
		page      int64
	}{
		{statePrefix, segmentPrefix, loadPage},
		{segmentsEnd, end, loadPage},
		{segmentPrefix, segmentsEnd, segmentsPage},
	} {
		for more := true; more; {
			answer, err := client.Get(ctx, part.from, clientv3.WithRange(part.end), clientv3.WithLimit(part.page), clientv3.WithRev(revision))
			if err != nil {
				return 0, err
			}
			if revision == 0 {
				revision = answer.Header.Revision // every page shows the same moment
			}
			for _, kv := range answer.Kvs {
				if err := record(string(kv.Key), kv.Value); err != nil {
					return 0, err
				}
				part.from = string(kv.Key) + "\x00"
			}
			more = answer.More
		}
	}
	return revision, nil
}

// taskLoader finds the newest entry of each task in what is read, and decodes those alone.
type taskLoader struct {
	log    *taskLog
	newest [][]byte // a task's record, by its slot
}

func newTaskLoader() *taskLoader { return &taskLoader{log: newTaskLog()} }

// own takes a record of an earlier version. It must not come after a segment.
func (l *taskLoader) own(key string, value []byte) error {
	r, err := ownTask(key)
	if err != nil {
		return err
	}
	at := l.log.begin(0, 1)
	if err := l.enter(r, at, false); err != nil {
		return err
	}
	l.newest[l.log.slot(r)] = value
	l.log.end(at)
	return nil
}

// ownTask is the task of which a key of its own is.
func ownTask(key string) (r taskRef, err error) {
	cluster, id, ok := strings.Cut(strings.TrimPrefix(key, statePrefix+ownTaskFolder), "/")
	if !ok {
		return r, errors.New("no cluster and id of a task: was it written by a newer version?")
	}
	return taskRef{model.ClusterName(cluster), model.TaskID(id)}, nil
}

// segment takes the next segment.
func (l *taskLoader) segment(key string, value []byte) error {
	sequence, err := strconv.ParseUint(strings.TrimPrefix(key, segmentPrefix), 16, 64)
	if err != nil || segmentKey(sequence) != key || sequence <= l.log.sequence {
		return errors.New("no number of a segment: was it written by a newer version?")
	}
	l.log.sequence = sequence
	at := l.log.begin(sequence, 0)
	err = eachEntry(value, func(kind int, value []byte) error {
		r, err := entryTask(kind, value)
		if err != nil {
			return err
		}
		if err := l.enter(r, at, kind == entryGone); err != nil {
			return err
		}
		newest := &l.newest[l.log.slot(r)]
		*newest = append((*newest)[:0], value...) // the page goes
		return nil
	})
	l.log.end(at)
	return err
}

func (l *taskLoader) enter(r taskRef, at uint32, gone bool) error {
	slot := l.log.slot(r)
	if l.log.tasks[slot].newest == at {
		return fmt.Errorf("two entries of task %s of cluster %s", r.id, r.cluster)
	}
	l.log.enter(slot, at, gone)
	if missing := int(slot) + 1 - len(l.newest); missing > 0 {
		l.newest = append(l.newest, make([][]byte, missing)...)
	}
	return nil
}

// finish puts the tasks into tables that have everything else.
func (l *taskLoader) finish(t *Tables) error {
	for slot := range l.log.tasks {
		task := &l.log.tasks[slot]
		if task.gone {
			continue
		}
		record, err := readTask(l.newest[slot])
		if err != nil {
			return fmt.Errorf("%s: %w", l.log.key(task.newest), err)
		}
		taskKind.replace(t, nil, record)
	}
	return nil
}

func readTask(value []byte) (*model.Task, error) {
	record := new(model.Task)
	if err := decodeTask(value, record); err != nil {
		return nil, err
	}
	record.Share()
	return record, nil
}

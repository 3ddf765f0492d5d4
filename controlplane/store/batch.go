package store

// Limits bound one etcd transaction.
type Limits struct {
	Operations int // a record each; but all that changes of tasks is one
	Bytes      int // of keys and values
}

// DefaultLimits are what every etcd takes: by default it allows 128 operations and
// 1.5 MiB, of which the fence and some headroom are kept free. One Update is bounded
// by them whatever the etcd: what works with one works with any.
func DefaultLimits() Limits { return Limits{Operations: 120, Bytes: 1 << 20} }

// batch is what goes to etcd in one transaction: the changes of one or more
// Updates, in order.
type batch struct {
	changes []Change
	ops     []op
	byKey   map[string]int // etcd refuses two puts of one key: the last one counts
	room
	bytes  int     // at most
	tables *Tables // as they are after this batch; set when it is sealed
	limits Limits
	done   chan struct{}
	err    error // set before done is closed
}

func newBatch(limits Limits) *batch {
	return &batch{byKey: map[string]int{}, limits: limits, done: make(chan struct{})}
}

// fits tells whether the transaction's changes can go along.
func (b *batch) fits(tx *Tx) bool {
	return b.limits.fit(len(b.ops)+len(tx.ops), len(b.taskOps)+len(tx.taskOps), b.bytes+tx.size())
}

// fit tells whether so many operations, and so many changes of tasks, can go together.
func (l Limits) fit(operations, tasks, bytes int) bool {
	if tasks > 0 {
		operations++
		bytes += segmentOverhead
	}
	return operations <= l.Operations && bytes <= l.Bytes
}

func (b *batch) add(tx *Tx) {
	b.changes = append(b.changes, tx.changes...)
	for _, o := range tx.ops {
		if at, twice := b.byKey[o.key]; twice {
			b.bytes -= b.ops[at].size()
			b.ops[at] = o
		} else {
			b.byKey[o.key] = len(b.ops)
			b.ops = append(b.ops, o)
		}
		b.bytes += o.size()
	}
	for _, o := range tx.taskOps {
		b.bytes += o.size()
		o.from += len(b.encoded)
		o.to += len(b.encoded)
		b.taskOps = append(b.taskOps, o)
	}
	b.encoded = append(b.encoded, tx.encoded...)
}

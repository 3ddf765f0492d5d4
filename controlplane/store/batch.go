package store

// Limits bound one etcd transaction.
type Limits struct {
	Records int
	Bytes   int // of keys and values
}

// DefaultLimits are what every etcd takes: by default it allows 128 operations and
// 1.5 MiB, of which the fence and some headroom are kept free. One Update is bounded
// by them whatever the etcd: what works with one works with any.
func DefaultLimits() Limits { return Limits{Records: 120, Bytes: 1 << 20} }

// batch is what goes to etcd in one transaction: the changes of one or more
// Updates, in order.
type batch struct {
	changes []Change
	ops     []op
	byKey   map[string]int // etcd refuses two puts of one key: the last one counts
	bytes   int
	tables  *Tables // as they are after this batch; set when it is sealed
	limits  Limits
	done    chan struct{}
	err     error // set before done is closed
}

func newBatch(limits Limits) *batch {
	return &batch{byKey: map[string]int{}, limits: limits, done: make(chan struct{})}
}

// fits tells whether the transaction's changes can go along.
func (b *batch) fits(tx *Tx) bool {
	return b.limits.fit(len(b.ops)+len(tx.ops), b.bytes+tx.size())
}

func (l Limits) fit(records, bytes int) bool { return records <= l.Records && bytes <= l.Bytes }

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
}

func (o *op) size() int { return len(o.key) + len(o.value) }

package store

// Limits of one etcd transaction. An external etcd allows 128 operations and
// 1.5 MiB by default; the fence and some headroom are kept free.
const (
	maxOps   = 120
	maxBytes = 1 << 20
)

// batch is what goes to etcd in one transaction: the changes of one or more
// Updates, in order.
type batch struct {
	changes []Change
	ops     []op
	byKey   map[string]int // etcd refuses two puts of one key: the last one counts
	bytes   int
	tables  *Tables // as they are after this batch; set when it is sealed
	done    chan struct{}
	err     error // set before done is closed
}

func newBatch() *batch { return &batch{byKey: map[string]int{}, done: make(chan struct{})} }

// fits tells whether the transaction's changes can go along.
func (b *batch) fits(tx *Tx) bool {
	bytes := b.bytes
	for _, o := range tx.ops {
		bytes += o.size()
	}
	return len(b.ops)+len(tx.ops) <= maxOps && bytes <= maxBytes
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
}

func (o *op) size() int { return len(o.key) + len(o.value) }

package placement

// rowBlocks is how many blocks a row has.
const rowBlocks = 8

// rows are the blocks of a fleet, in two levels so that to change a shared one copies
// few pointers, however large the fleet.
type rows struct {
	owner mark // of list
	list  []*row
	size  int // blocks
}

type row struct {
	owner mark
	// version, and that of the block, is another one after each change of a block: what was
	// found out about a row or a block with the same version still holds, in whichever clone.
	version  mark
	versions [rowBlocks]mark
	blocks   [rowBlocks]*block
}

// of is the block with the number.
func (r *rows) of(i int) *block { return r.list[i/rowBlocks].blocks[i%rowBlocks] }

// rowOf is the part of a mask that is about the row with the number.
func rowOf(mask []uint64, i int) []uint64 {
	return mask[i*rowBlocks : min((i+1)*rowBlocks, len(mask))]
}

// add appends a block.
func (r *rows) add(b *block, owner mark) {
	if r.size%rowBlocks == 0 {
		r.own(owner)
		r.list = append(r.list, &row{owner: owner})
	}
	r.size++
	r.writableRow(r.size-1, owner).blocks[(r.size-1)%rowBlocks] = b
}

// writable is the block with the number, to be changed by the owner, and then of the
// version.
func (r *rows) writable(i int, owner, version mark) *block {
	in := r.writableRow(i, owner)
	b := in.blocks[i%rowBlocks]
	if b.owner != owner {
		c := *b
		c.owner = owner
		b = &c
		in.blocks[i%rowBlocks] = b
	}
	in.version, in.versions[i%rowBlocks] = version, version
	return b
}

func (r *rows) writableRow(i int, owner mark) *row {
	in := r.list[i/rowBlocks]
	if in.owner != owner {
		r.own(owner)
		in = &row{owner: owner, version: in.version, versions: in.versions, blocks: in.blocks}
		r.list[i/rowBlocks] = in
	}
	return in
}

// own makes the list the owner's.
func (r *rows) own(owner mark) {
	if r.owner != owner {
		r.list, r.owner = append(make([]*row, 0, len(r.list)+1), r.list...), owner
	}
}

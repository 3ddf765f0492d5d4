package store

import (
	"iter"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

var familyIndexes = []index[model.FamilyRecord]{
	{less: func(a, b *model.FamilyRecord) bool { return a.Name < b.Name }},
}

func definitionLess(a, b *model.Definition) bool {
	if a.Ref.Family != b.Ref.Family {
		return a.Ref.Family < b.Ref.Family
	}
	return a.Ref.Revision < b.Ref.Revision
}

func definitionActive(d *model.Definition) bool { return d.Status == ecs.TaskDefinitionStatusACTIVE }

const (
	definitionsByRef = iota
	definitionsActive
	definitionsInactive
)

var definitionIndexes = []index[model.Definition]{
	definitionsByRef:    {less: definitionLess},
	definitionsActive:   {less: definitionLess, holds: definitionActive},
	definitionsInactive: {less: definitionLess, holds: func(d *model.Definition) bool { return !definitionActive(d) }},
}

// Family returns the record of a family that ever had a revision.
func (t *Tables) Family(name model.Family) (*model.FamilyRecord, bool) {
	return t.families.get(&model.FamilyRecord{Name: name})
}

// Families walks all families by name, starting at from.
func (t *Tables) Families(from model.Family) iter.Seq[*model.FamilyRecord] {
	return t.families.scan(0, &model.FamilyRecord{Name: from}, func(*model.FamilyRecord) bool { return true })
}

// Definition returns one revision of a task definition.
func (t *Tables) Definition(ref model.DefinitionRef) (*model.Definition, bool) {
	return t.definitions.get(&model.Definition{Ref: ref})
}

// LatestActive returns the newest ACTIVE revision of a family.
func (t *Tables) LatestActive(family model.Family) (*model.Definition, bool) {
	var latest *model.Definition
	pivot := &model.Definition{Ref: model.DefinitionRef{Family: family, Revision: 1<<31 - 1}}
	t.definitions.trees[definitionsActive].Descend(pivot, func(d *model.Definition) bool {
		if d.Ref.Family == family {
			latest = d
		}
		return false
	})
	return latest, latest != nil
}

// Definitions walks the ACTIVE or the other revisions by family and revision,
// starting at from; backwards if descending.
func (t *Tables) Definitions(active bool, from model.DefinitionRef, descending bool) iter.Seq[*model.Definition] {
	number := definitionsInactive
	if active {
		number = definitionsActive
	}
	pivot := &model.Definition{Ref: from}
	return func(yield func(*model.Definition) bool) {
		if descending {
			t.definitions.trees[number].Descend(pivot, yield)
			return
		}
		t.definitions.trees[number].Ascend(pivot, yield)
	}
}

// PutFamily makes or replaces the record of a family.
func (tx *Tx) PutFamily(f *model.FamilyRecord) {
	old, _ := tx.Family(f.Name)
	put(tx, &familyKind, old, f)
}

// PutDefinition makes or replaces a revision.
func (tx *Tx) PutDefinition(d *model.Definition) {
	old, _ := tx.Definition(d.Ref)
	put(tx, &definitionKind, old, d)
}

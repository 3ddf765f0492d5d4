package store

import (
	"cmp"
	"iter"

	"github.com/longshore/longshore/controlplane/model"
	"github.com/longshore/longshore/proto/ecs"
)

var familyIndexes = []index[model.FamilyRecord]{
	{less: func(a, b *model.FamilyRecord) bool { return a.Name < b.Name }},
}

func definitionLess(a, b *model.Definition) bool { return compareRefs(a.Ref, b.Ref) < 0 }

func compareRefs(a, b model.DefinitionRef) int {
	return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.Revision, b.Revision))
}

// ofStatus holds the definitions of one status.
func ofStatus(status ecs.TaskDefinitionStatus) func(*model.Definition) bool {
	return func(d *model.Definition) bool { return d.Status == status }
}

func byDeletion(a, b *model.Definition) bool {
	x, y := a.Shape.DeleteRequestedAt.Time, b.Shape.DeleteRequestedAt.Time
	if !x.Equal(y) {
		return x.Before(y)
	}
	return definitionLess(a, b)
}

const (
	definitionsByRef = iota
	definitionsActive
	definitionsInactive
	definitionsDeleting
	definitionsByDeletion
)

var definitionIndexes = []index[model.Definition]{
	definitionsByRef:      {less: definitionLess},
	definitionsActive:     {less: definitionLess, holds: ofStatus(ecs.TaskDefinitionStatusACTIVE)},
	definitionsInactive:   {less: definitionLess, holds: ofStatus(ecs.TaskDefinitionStatusINACTIVE)},
	definitionsDeleting:   {less: definitionLess, holds: ofStatus(ecs.TaskDefinitionStatusDELETEINPROGRESS)},
	definitionsByDeletion: {less: byDeletion, holds: ofStatus(ecs.TaskDefinitionStatusDELETEINPROGRESS)},
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
	pivot := t.definitions.pivot()
	defer t.definitions.release(pivot)
	pivot.Ref = ref
	return t.definitions.get(pivot)
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

// HasRevisions tells whether a family has any revision that is not gone.
func (t *Tables) HasRevisions(family model.Family) bool {
	from := &model.Definition{Ref: model.DefinitionRef{Family: family}}
	return found(t.definitions, definitionsByRef, from, func(d *model.Definition) bool { return d.Ref.Family == family })
}

// Definitions walks the revisions of a status by family and revision, starting at
// from; backwards if descending.
func (t *Tables) Definitions(status ecs.TaskDefinitionStatus, from model.DefinitionRef, descending bool) iter.Seq[*model.Definition] {
	number := definitionsActive
	switch status {
	case ecs.TaskDefinitionStatusINACTIVE:
		number = definitionsInactive
	case ecs.TaskDefinitionStatusDELETEINPROGRESS:
		number = definitionsDeleting
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

// DefinitionsDeleting walks the revisions that are being deleted, those longest
// asked for first.
func (t *Tables) DefinitionsDeleting() iter.Seq[*model.Definition] {
	return t.definitions.scan(definitionsByDeletion, &model.Definition{}, func(*model.Definition) bool { return true })
}

// DefinitionInUse tells whether anything still needs a revision: a task that is
// not STOPPED, or a service that starts tasks of it or would go back to it.
func (t *Tables) DefinitionInUse(ref model.DefinitionRef) bool {
	_, used := t.taskUse(taskUseKey{definition: ref})
	return used ||
		found(t.definitionUses, 0, &definitionUse{definition: ref}, func(u *definitionUse) bool { return u.definition == ref })
}

// found tells whether an index has a record from pivot on that is within.
func found[T any](t *table[T], indexNumber int, pivot *T, within func(*T) bool) bool {
	for range t.scan(indexNumber, pivot, within) {
		return true
	}
	return false
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

// DeleteDefinition forgets a revision. Its family keeps the number.
func (tx *Tx) DeleteDefinition(d *model.Definition) {
	old, _ := tx.Definition(d.Ref)
	put(tx, &definitionKind, old, nil)
}

package store

import (
	"cmp"
	"iter"

	"github.com/longshore/longshore/controlplane/model"
)

func compareTokens(a, b *model.RunToken) int {
	return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Token, b.Token))
}

const (
	tokensByName = iota
	tokensByAge
)

var tokenIndexes = []index[model.RunToken]{
	tokensByName: {less: func(a, b *model.RunToken) bool { return compareTokens(a, b) < 0 }},
	tokensByAge: {less: func(a, b *model.RunToken) bool {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), compareTokens(a, b)) < 0
	}},
}

// RunToken returns what a RunTask with that client token did, as long as it is
// remembered.
func (t *Tables) RunToken(c model.ClusterName, token string) (*model.RunToken, bool) {
	return t.tokens.get(&model.RunToken{Cluster: c, Token: token})
}

// RunTokens walks the tokens of all clusters, the oldest first.
func (t *Tables) RunTokens() iter.Seq[*model.RunToken] {
	return t.tokens.scan(tokensByAge, &model.RunToken{}, func(*model.RunToken) bool { return true })
}

// PutRunToken makes or replaces a token.
func (tx *Tx) PutRunToken(r *model.RunToken) {
	old, _ := tx.RunToken(r.Cluster, r.Token)
	put(tx, &tokenKind, old, r)
}

// DeleteRunToken forgets a token.
func (tx *Tx) DeleteRunToken(r *model.RunToken) {
	old, _ := tx.RunToken(r.Cluster, r.Token)
	put(tx, &tokenKind, old, nil)
}

package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
)

const (
	maxPage = 100
	// maxExamined bounds the records that one page looks at when few of them
	// pass its filters. ECS too answers fewer than maxResults at times.
	maxExamined = 1000
	sumLength   = 12
)

// pager reads and writes the nextToken of one list with its filters.
//
// A token is the key of the last record that was looked at, so that a page
// starts right behind it whatever came and went meanwhile, with a sum over it,
// the operation, the account and the filters: one that was not handed out for
// this very list is refused. It is no secret: it says nothing that the list does
// not.
type pager struct {
	scope []byte
	limit int
	after string // key of the last record of the page before; empty on the first
}

// page starts the page of a list that the request asks for. filters are all of
// the request that decides what is in the list.
func (h *Handler) page(operation string, nextToken string, maxResults *int32, standard int, filters ...any) (*pager, error) {
	scope, err := json.Marshal([]any{operation, h.Owner, filters})
	if err != nil {
		return nil, fmt.Errorf("naming the list of a token: %w", err)
	}
	p := &pager{scope: scope, limit: standard}
	if maxResults != nil {
		if *maxResults < 1 || *maxResults > maxPage {
			return nil, invalid("maxResults must be between 1 and %d, not %d.", maxPage, *maxResults)
		}
		p.limit = int(*maxResults)
	}
	if nextToken == "" {
		return p, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(nextToken)
	if err != nil || len(raw) <= sumLength || subtle.ConstantTimeCompare(raw[:sumLength], p.sum(string(raw[sumLength:]))) != 1 {
		return nil, invalid("Invalid token.")
	}
	p.after = string(raw[sumLength:])
	return p, nil
}

func (p *pager) sum(key string) []byte {
	h := sha256.New()
	h.Write(p.scope)
	h.Write([]byte{0})
	h.Write([]byte(key))
	return h.Sum(nil)[:sumLength]
}

func (p *pager) token(key string) string {
	return base64.RawURLEncoding.EncodeToString(append(p.sum(key), key...))
}

// fill takes a page from records, which start at or behind p.after in the list's
// order. key names a record in that order; show gives what to answer of it, or
// false if a filter leaves it out.
func fill[T, Item any](p *pager, records iter.Seq[T], key func(T) string, show func(T) (Item, bool)) (items []Item, nextToken string) {
	items = []Item{}
	last, examined := "", 0
	for r := range records {
		k := key(r)
		if k == p.after {
			continue
		}
		if len(items) == p.limit || examined == maxExamined {
			// There is more. The token names what this page has seen last.
			return items, p.token(last)
		}
		examined++
		last = k
		if item, ok := show(r); ok {
			items = append(items, item)
		}
	}
	return items, ""
}

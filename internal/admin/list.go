package admin

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// ListQuery chooses a page of a list. It is exported because the framework does
// not look into embedded structs that are not.
type ListQuery struct {
	Cursor string `query:"cursor" maxLength:"1024" doc:"The next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (*ListQuery) selective() {}

// RecordQuery is the filters that every list of records has.
type RecordQuery struct {
	State      string `query:"state" enum:"created,published,active,retiring,retired,suspended,revoked,compromised,expired" doc:"Only in this state"`
	NamePrefix string `query:"name_prefix" maxLength:"200" doc:"Only with a name that begins so"`
}

func (q *RecordQuery) wants(state directory.State, name string) bool {
	return (q.State == "" || q.State == string(state)) && strings.HasPrefix(name, q.NamePrefix)
}

// OwnerQuery chooses by organisation.
type OwnerQuery struct {
	Organisation string `query:"organisation" maxLength:"64" doc:"Only of this organisation"`
}

func (q *OwnerQuery) of(o directory.OrganisationID) bool {
	return q.Organisation == "" || q.Organisation == string(o)
}

// only is the items that keep lets through.
func only[T any](all iter.Seq[T], keep func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for item := range all {
			if keep(item) && !yield(item) {
				return
			}
		}
	}
}

// page shows the items that follow the cursor, in the order of their ids, in.Limit
// at most. list names the list, so that no cursor serves another. Of all items,
// which are in no order, only those of the page are ever sorted.
func page[T, V any](a *api, list string, all iter.Seq[T], in ListQuery, id func(T) string, show func(T) V) (Page[V], error) {
	after, err := a.position(list, in.Cursor)
	if err != nil {
		return Page[V]{}, err
	}
	var chosen []T // the first in.Limit+1, sorted
	for item := range all {
		own := id(item)
		if own <= after || len(chosen) > in.Limit && own >= id(chosen[in.Limit]) {
			continue
		}
		place, _ := slices.BinarySearchFunc(chosen, own, func(have T, own string) int { return cmp.Compare(id(have), own) })
		if len(chosen) > in.Limit {
			chosen = chosen[:in.Limit]
		}
		chosen = slices.Insert(chosen, place, item)
	}
	p := Page[V]{Items: []V{}}
	if len(chosen) > in.Limit {
		chosen = chosen[:in.Limit]
		p.Next = a.cursor(list, id(chosen[in.Limit-1]))
	}
	for _, item := range chosen {
		p.Items = append(p.Items, show(item))
	}
	return p, nil
}

// cursorTag is how much of the HMAC-SHA-256 a cursor has, in bytes.
const cursorTag = 16

// cursor is where a list goes on after the id: nobody but us makes one.
func (a *api) cursor(list, id string) string {
	return base64.RawURLEncoding.EncodeToString(append(a.sign(list, id), id...))
}

func (a *api) sign(list, id string) []byte {
	mac := hmac.New(sha256.New, a.cursors[:])
	mac.Write([]byte(list + "\x00" + id))
	return mac.Sum(nil)[:cursorTag]
}

// position is the id that a cursor stands after; "" without one.
func (a *api) position(list, cursor string) (id string, err error) {
	if cursor == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(text) <= cursorTag || !hmac.Equal(text[:cursorTag], a.sign(list, string(text[cursorTag:]))) {
		return "", newFault(http.StatusBadRequest, "cursor", "the cursor is none that this list gave",
			&huma.ErrorDetail{Location: "query.cursor", Message: "is none that this list gave"})
	}
	return string(text[cursorTag:]), nil
}

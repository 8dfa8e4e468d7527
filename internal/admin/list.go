package admin

import (
	"cmp"
	"iter"
	"slices"
)

// ListQuery chooses a page of a list. It is exported because the framework does
// not look into embedded structs that are not.
type ListQuery struct {
	After string `query:"after" maxLength:"512" doc:"Id of the last item of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (*ListQuery) selective() {}

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

// page shows the items whose ids follow in.After, in their order, in.Limit at most.
func page[T, V any](all iter.Seq[T], in ListQuery, id func(T) string, show func(T) V) Page[V] {
	var chosen []T
	for item := range all {
		if id(item) > in.After {
			chosen = append(chosen, item)
		}
	}
	slices.SortFunc(chosen, func(x, y T) int { return cmp.Compare(id(x), id(y)) })
	p := Page[V]{Items: []V{}}
	if len(chosen) > in.Limit {
		chosen = chosen[:in.Limit]
		p.Next = id(chosen[in.Limit-1])
	}
	for _, item := range chosen {
		p.Items = append(p.Items, show(item))
	}
	return p
}

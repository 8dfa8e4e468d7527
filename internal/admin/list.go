package admin

import (
	"cmp"
	"context"
	"encoding/hex"
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

type (
	eventsInput struct {
		After int64 `query:"after" minimum:"0" doc:"Sequence of the last event that is known"`
		Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}
	eventsOutput struct{ Body EventPage }
)

// EventPage is a part of the audit. Next, when there may be more, is the "after"
// of the next page.
type EventPage struct {
	Items []AuditEvent `json:"items" nullable:"false"`
	Next  int64        `json:"next,omitempty"`
}

func (a *api) listEvents(ctx context.Context, _ Caller, in *eventsInput) (*eventsOutput, error) {
	events, err := a.Events(ctx, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	p := EventPage{Items: make([]AuditEvent, len(events))}
	for i := range events {
		p.Items[i] = showEvent(&events[i])
	}
	if len(events) == in.Limit {
		p.Next = events[len(events)-1].Sequence
	}
	return &eventsOutput{p}, nil
}

func hexadecimal(hash [32]byte) string { return hex.EncodeToString(hash[:]) }

package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/holdfast-auth/holdfast/internal/token"
)

const (
	claimsWaiting = 1024
	claimsAtOnce  = 512 // in one transaction
	// usedKey is how much of a key is stored, in bytes: 128 bits tell all ids
	// apart, and a smaller table costs each commit fewer pages.
	usedKey = 16
)

// claim is one call of FirstUse on its way to the disk.
type claim struct {
	uses     []token.Use
	replayed int // the first use that was used before; len(uses): none
	done     chan error
}

// row is one use of a batch.
type row struct {
	token.Use
	claim, index int
}

// key is what the use is stored under.
func (r *row) key() []byte { return r.Key[:usedKey] }

// FirstUse is token.Uses's: all claims that wait are committed together. When
// ctx ends first, its uses may be recorded all the same. What a refused claim
// named is used up too.
func (s *Store) FirstUse(ctx context.Context, uses ...token.Use) error {
	if len(uses) == 0 {
		return nil
	}
	if s.inDoubt(uses) {
		return fmt.Errorf("record single use: %w", token.ErrRestored)
	}
	c, _ := s.recycle.Get().(*claim)
	if c == nil {
		c = &claim{done: make(chan error, 1)}
	}
	c.uses = append(c.uses[:0], uses...)
	c.replayed = len(uses)
	select {
	case s.claims <- c:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stop:
		return ErrClosed
	}
	select {
	case err := <-c.done:
		s.recycle.Put(c)
		return err
	case <-ctx.Done():
		return ctx.Err() // c is the writer's now
	case <-s.stopped:
	}
	select {
	case err := <-c.done:
		return err
	default:
		return ErrClosed
	}
}

// commitClaims is the one goroutine that records uses, until Close.
func (s *Store) commitClaims() {
	defer close(s.stopped)
	batch := make([]*claim, 0, claimsAtOnce)
	rows := make([]row, 0, 2*claimsAtOnce)
	for {
		select {
		case c := <-s.claims:
			batch = append(batch[:0], c)
		case <-s.stop:
			return
		}
		for more := true; more && len(batch) < claimsAtOnce; {
			select {
			case c := <-s.claims:
				batch = append(batch, c)
			default:
				more = false
			}
		}
		rows = sortedRows(rows[:0], batch)
		err := s.engine.record(rows, func(r *row) {
			c := batch[r.claim]
			c.replayed = min(c.replayed, r.index)
		})
		for _, c := range batch {
			c.done <- verdict(c, err)
		}
		clear(batch) // the claims are their callers' again
	}
}

func verdict(c *claim, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("record single use: %w", err)
	case c.replayed < len(c.uses):
		return &token.ReplayedError{Index: c.replayed}
	}
	return nil
}

// sortedRows puts the uses of a batch in the order of their keys, in which two
// nodes cannot deadlock, and among those of one key in the order of arrival.
func sortedRows(rows []row, batch []*claim) []row {
	for i, c := range batch {
		for j, u := range c.uses {
			rows = append(rows, row{u, i, j})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(bytes.Compare(a.key(), b.key()), cmp.Compare(a.claim, b.claim), cmp.Compare(a.index, b.index))
	})
	return rows
}

package audit

import (
	"context"
	"errors"
	"fmt"
)

// page is how many events or checkpoints are read at once.
const page = 1000

// Trail is where a chain is read from with the checkpoints over it. Both come
// in the order of their sequence, at most limit after the one given; fewer than
// limit is the end.
type Trail interface {
	Events(ctx context.Context, after int64, limit int) ([]Event, error)
	Checkpoints(ctx context.Context, after int64, limit int) ([]SignedCheckpoint, error)
}

// SignedCheckpoint is a checkpoint whose signature nobody has looked at.
type SignedCheckpoint struct {
	Sequence int64 // as its row says
	JWS      string
}

// Report is what a verification found good.
type Report struct {
	First       int64 // the first event
	Head        Head  // the last one
	Checkpoints int   // how many of them were met
	Vouched     int64 // the last event that a checkpoint covers; 0 for none
}

// VerifyTrail checks a whole chain, that every stored checkpoint holds and none
// is missing, and that kept, checkpoints from elsewhere, are of this chain. A
// fault is a *ChainError, or an ErrCheckpoint with the number of the one that is
// no checkpoint of ours.
func VerifyTrail(ctx context.Context, t Trail, trust *Trust, kept ...*Checkpoint) (Report, error) {
	v := NewVerification(Head{})
	for _, c := range kept {
		if err := v.Checkpoint(*c); err != nil {
			return v.report(), err
		}
	}
	var end Head
	if h, ok := t.(interface {
		Head(context.Context) (Head, error)
	}); ok {
		var err error
		if end, err = h.Head(ctx); err != nil {
			return v.report(), err
		}
	}
	stored := storedCheckpoints{trail: t, trust: trust}
	for again := false; ; again = true {
		n, err := readPage(ctx, t, v, &stored, end)
		if err != nil {
			return v.report(), err
		}
		if n == page {
			continue
		}
		if err := stored.upTo(ctx, v, v.head.Sequence+1); err != nil {
			return v.report(), err
		}
		// A checkpoint beyond the last event may be of one that came meanwhile.
		if len(v.pending) == 0 || again && n == 0 {
			break
		}
	}
	if v.head.Sequence < end.Sequence {
		return v.report(), &ChainError{v.head.Sequence + 1, fmt.Sprintf("is missing: the head of the chain is at %d", end.Sequence)}
	}
	return v.report(), v.End()
}

// readPage takes the next events; end is the head that the trail tells of.
func readPage(ctx context.Context, t Trail, v *Verification, stored *storedCheckpoints, end Head) (int, error) {
	events, err := t.Events(ctx, v.head.Sequence, page)
	if err != nil {
		return 0, err
	}
	for _, e := range events {
		if err := stored.upTo(ctx, v, e.Sequence); err != nil {
			return 0, err
		}
		if err := v.Event(e); err != nil {
			return 0, err
		}
		if e.Sequence == end.Sequence && e.Hash != end.Hash {
			return 0, &ChainError{e.Sequence, "has another hash than the head of the chain"}
		}
	}
	return len(events), nil
}

func (v *Verification) report() Report {
	return Report{First: v.first, Head: v.head, Checkpoints: v.covering, Vouched: v.vouched}
}

// storedCheckpoints hands the stored ones to a verification as it needs them.
type storedCheckpoints struct {
	trail Trail
	trust *Trust
	page  []SignedCheckpoint
	last  int64 // the last one that was handed over
	ended bool
}

// upTo hands over checkpoints until one is of sequence or later.
func (s *storedCheckpoints) upTo(ctx context.Context, v *Verification, sequence int64) error {
	for s.last < sequence {
		if len(s.page) == 0 {
			if s.ended {
				return nil
			}
			var err error
			if s.page, err = s.trail.Checkpoints(ctx, s.last, page); err != nil {
				return err
			}
			s.ended = len(s.page) < page
			continue
		}
		if s.trust == nil || len(s.trust.Keys) == 0 {
			return errNoKey
		}
		next := s.page[0]
		s.page = s.page[1:]
		c, err := s.trust.Open(next.JWS)
		switch {
		case err != nil:
			return fmt.Errorf("the checkpoint of event %d: %w", next.Sequence, err)
		case c.Sequence != next.Sequence:
			return &ChainError{next.Sequence, fmt.Sprintf("has the checkpoint of event %d", c.Sequence)}
		case c.Previous != s.last:
			return &ChainError{c.Previous, fmt.Sprintf("has no checkpoint, which the one of event %d follows", c.Sequence)}
		}
		s.last = c.Sequence
		if err := v.Checkpoint(*c); err != nil {
			return err
		}
	}
	return nil
}

// IsFault tells whether err says that a chain or a checkpoint does not hold, and
// not that it could not be read.
func IsFault(err error) bool {
	_, chain := errors.AsType[*ChainError](err)
	return chain || errors.Is(err, ErrCheckpoint)
}

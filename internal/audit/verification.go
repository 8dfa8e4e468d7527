package audit

import (
	"fmt"
	"slices"
)

// Verification checks a chain as it is read, event by event, and the
// checkpoints that were signed over it. The first fault ends it.
type Verification struct {
	head     Head
	first    int64        // the sequence that the chain begins with here
	pending  []Checkpoint // not reached yet, by sequence
	vouched  int64        // the last event that a checkpoint covers
	covering int          // how many checkpoints were met
}

// NewVerification begins after head; the zero Head is the whole chain.
func NewVerification(after Head) *Verification {
	return &Verification{head: after, first: after.Sequence + 1}
}

// Head is the last event that holds.
func (v *Verification) Head() Head { return v.head }

// Checkpoint adds one whose signature was verified. One of an event that has
// passed must be of the last one.
func (v *Verification) Checkpoint(c Checkpoint) error {
	switch {
	case c.Sequence < v.first-1:
		return nil // before what is looked at
	case c.Sequence < v.head.Sequence:
		return &ChainError{c.Sequence, "has a checkpoint that comes too late in the list"}
	case c.Sequence == v.head.Sequence:
		return v.meet(c)
	}
	at, _ := slices.BinarySearchFunc(v.pending, c.Sequence, func(p Checkpoint, s int64) int { return int(p.Sequence - s) })
	v.pending = slices.Insert(v.pending, at, c)
	return nil
}

// Event is the next event. The error is a *ChainError.
func (v *Verification) Event(e Event) error {
	head, err := VerifyChain(v.head, slices.Values([]Event{e}))
	if err != nil {
		return err
	}
	if len(v.pending) > 0 && v.pending[0].Sequence < e.Sequence {
		return &ChainError{v.head.Sequence + 1, fmt.Sprintf("is missing: a checkpoint was signed over event %d, and the database was restored from a copy of before", v.pending[0].Sequence)}
	}
	v.head = head
	for len(v.pending) > 0 && v.pending[0].Sequence == e.Sequence {
		c := v.pending[0]
		v.pending = v.pending[1:]
		if err := v.meet(c); err != nil {
			return err
		}
	}
	return nil
}

// meet compares the last event with what was signed.
func (v *Verification) meet(c Checkpoint) error {
	if c.Hash != v.head.Hash {
		first := max(v.vouched+1, v.first)
		if first >= c.Sequence {
			return &ChainError{c.Sequence, "is not the event that the checkpoint was signed over: it was written anew"}
		}
		return &ChainError{first, fmt.Sprintf("or one after it, up to %d, is not what the checkpoint of event %d was signed over: it was written anew", c.Sequence, c.Sequence)}
	}
	if c.Sequence > v.vouched { // the one that was kept may be stored, too
		v.covering++
	}
	v.vouched = c.Sequence
	return nil
}

// End tells whether the chain reaches every checkpoint. The error is a *ChainError.
func (v *Verification) End() error {
	if len(v.pending) > 0 {
		c := v.pending[len(v.pending)-1]
		return &ChainError{v.head.Sequence + 1, fmt.Sprintf("is missing, and so is all after it: a checkpoint was signed over event %d", c.Sequence)}
	}
	return nil
}

package audit

import (
	"encoding/json"
	"fmt"
	"iter"
)

// Head is the end of a chain: the number and the hash of its last event. The
// zero Head is the chain before its first event.
type Head struct {
	Sequence int64
	Hash     [32]byte
}

// ChainError names the first place at which a chain does not hold.
type ChainError struct {
	Sequence int64 // the number that should have stood there
	Reason   string
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("audit event %d %s", e.Sequence, e.Reason)
}

// VerifyChain checks that events continue the chain after head without a gap and
// that every hash holds, and returns the new head. Only a restored database goes on
// with a greater number (ActionRestored). That nothing was cut off at
// the end shows only when that head is compared with one known from elsewhere.
// The error is a *ChainError.
func VerifyChain(head Head, events iter.Seq[Event]) (Head, error) {
	for e := range events {
		next := head.Sequence + 1
		if e.Sequence != next && !e.resumes(head) {
			return head, &ChainError{next, fmt.Sprintf("is missing: event %d stands in its place", e.Sequence)}
		}
		if e.Previous != head.Hash {
			return head, &ChainError{next, "does not name the hash of the event before it"}
		}
		if !e.Verify() {
			return head, &ChainError{next, "was changed after it was sealed"}
		}
		head = Head{Sequence: e.Sequence, Hash: e.Hash}
	}
	return head, nil
}

// ActionRestored is the event with which a copy of a database took the place of
// the one it was made of. Numbers that the lost one may have given out are never
// given out again: its sequence is a greater one than the next, and its detail
// has as "after" that of the event before it.
const ActionRestored = "database.restored"

// resumes tells whether e goes on after head with a greater number by right.
func (e *Event) resumes(head Head) bool {
	if e.Action != ActionRestored || e.Sequence <= head.Sequence {
		return false
	}
	var detail struct {
		After *int64 `json:"after"`
	}
	err := json.Unmarshal([]byte(e.Detail), &detail)
	return err == nil && detail.After != nil && *detail.After == head.Sequence
}

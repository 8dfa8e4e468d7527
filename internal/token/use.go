package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// Use is one id that may be used once, until a time.
type Use struct {
	Key   [32]byte
	Until time.Time
	// From is the earliest time at which it could have been used: a database that
	// was restored since does not know whether it was. The zero time is ever.
	From time.Time
}

// AssertionUse names the single use of a client's assertion: SHA-256 over
// client_id and jti, so that nobody can burn another client's jti. A client_id
// holds no NUL, which ends it here.
func AssertionUse(clientID, jti string, from, until time.Time) Use {
	b := make([]byte, 0, 256)
	b = append(b, "assertion\x00"...)
	b = append(b, clientID...)
	b = append(b, 0)
	b = append(b, jti...)
	return Use{Key: sha256.Sum256(b), Until: until, From: from}
}

// ReplayedError tells which of the uses was not the first.
type ReplayedError struct{ Index int }

func (e *ReplayedError) Error() string { return "used before" }

// ErrRestored is a use of which nobody knows whether it is the first: it could have
// been used before the database was restored from a copy.
var ErrRestored = errors.New("could have been used before the database was restored")

// Uses records single use. FirstUse returns nil once all uses are on disk and
// each was the first of its key; *ReplayedError if one was not, ErrRestored if nobody
// knows. Calls for one key
// are serialisable across nodes and durable on return.
type Uses interface {
	FirstUse(ctx context.Context, uses ...Use) error
}

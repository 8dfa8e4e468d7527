package token

import (
	"context"
	"crypto/sha256"
	"time"
)

// Use is one id that may be used once, until a time.
type Use struct {
	Key   [32]byte
	Until time.Time
}

// AssertionUse names the single use of a client's assertion: SHA-256 over
// client_id and jti, so that nobody can burn another client's jti. A client_id
// holds no NUL, which ends it here.
func AssertionUse(clientID, jti string, until time.Time) Use {
	b := make([]byte, 0, 256)
	b = append(b, "assertion\x00"...)
	b = append(b, clientID...)
	b = append(b, 0)
	b = append(b, jti...)
	return Use{Key: sha256.Sum256(b), Until: until}
}

// ReplayedError tells which of the uses was not the first.
type ReplayedError struct{ Index int }

func (e *ReplayedError) Error() string { return "used before" }

// Uses records single use. FirstUse returns nil once all uses are on disk and
// each was the first of its key; *ReplayedError if one was not. Calls for one key
// are serialisable across nodes and durable on return.
type Uses interface {
	FirstUse(ctx context.Context, uses ...Use) error
}

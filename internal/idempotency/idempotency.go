// Package idempotency is what a change leaves behind that was asked for under an
// Idempotency-Key: a record, written in the same transaction as the change, by
// which the same request made again has the same answer, on any node and after a
// crash. draft-ietf-httpapi-idempotency-key-header-07.
package idempotency

import (
	"context"
	"errors"
	"time"
)

// Life is how long a record is kept.
const Life = 24 * time.Hour

// ErrUsed is a change under a key that another change was made under; nothing
// happened.
var ErrUsed = errors.New("the idempotency key was used already")

// Record is what is kept of one request.
type Record struct {
	Key     [32]byte  // digest of the caller and the key
	Request [32]byte  // digest of the request
	Answer  []byte    // sealed; empty when it was lost before it was known
	Until   time.Time // Life after the request
}

// Pending is the record of a request under way. It belongs to one goroutine.
type Pending struct {
	Record
	// Stored tells that a change was made, and the record with it.
	Stored bool
}

type pendingKey struct{}

// With has the first change that is made with the context leave the record.
func With(ctx context.Context, p *Pending) context.Context {
	return context.WithValue(ctx, pendingKey{}, p)
}

// From finds the record that a change is to leave; nil if none.
func From(ctx context.Context) *Pending {
	p, _ := ctx.Value(pendingKey{}).(*Pending)
	return p
}

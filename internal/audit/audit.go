// Package audit is the record of every change of what is allowed: an event in a
// hash chain, written in the same transaction as the change. A refusal is no
// audit event: a thief could flood the database with them.
package audit

import "time"

// Event is one change. Its hash covers all other fields and the hash before it.
type Event struct {
	Sequence     int64     // the number of the change; 1, 2, 3 ... without gaps
	At           time.Time // to the microsecond, UTC
	Actor        string    // client_id of the operator, or "system"
	Action       string    // "credential.revoked": noun.past-participle
	Organisation string
	Subject      string // id of what changed
	Detail       string // compact JSON object of public facts, "{}" at least
	Previous     [32]byte
	Hash         [32]byte
}

// Seal sets Previous and computes Hash: SHA-256 over a length-prefixed encoding
// of the fields, in order.
func (e *Event) Seal(previous [32]byte) { panic("not written") }

// Verify recomputes the hash.
func (e *Event) Verify() bool { panic("not written") }

// Package audit is the record of every change of what is allowed: an event in a
// hash chain, written in the same transaction as the change. A refusal is no
// audit event: a thief could flood the database with them.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

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

// encoding is the version of what is hashed; another layout takes another.
const encoding = "holdfast audit event 1\n"

// Seal sets Previous and computes Hash: SHA-256 over a length-prefixed encoding
// of the fields, in order. At becomes UTC and loses what is below a microsecond.
func (e *Event) Seal(previous [32]byte) {
	e.At = time.UnixMicro(e.At.UnixMicro()).UTC()
	e.Previous = previous
	e.Hash = e.digest()
}

// Verify recomputes the hash.
func (e *Event) Verify() bool {
	return e.At.Equal(time.UnixMicro(e.At.UnixMicro())) && e.Hash == e.digest()
}

func (e *Event) digest() [32]byte {
	b := make([]byte, 0, 256+len(e.Detail))
	b = append(b, encoding...)
	b = append(b, e.Previous[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Sequence))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMicro()))
	for _, text := range [...]string{e.Actor, e.Action, e.Organisation, e.Subject, e.Detail} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
		b = append(b, text...)
	}
	return sha256.Sum256(b)
}

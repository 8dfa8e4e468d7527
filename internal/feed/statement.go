package feed

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// Checkpoints is what a server has signed of its audit chain, of which a
// *checkpoint.Maker is one.
type Checkpoints interface {
	// Newest is the last checkpoint that this node knows; nil for none.
	Newest() *audit.Checkpoint
	// Keys are the public keys of all checkpoints.
	Keys() []*jose.PublicKey
	// Handovers are the checkpoints by which one key follows another, in order.
	Handovers() []string
	// Refresh takes in what other nodes signed.
	Refresh(ctx context.Context) error
	// Hash is the hash of an event as it stands in the chain now; ok is false when
	// there is no such event.
	Hash(ctx context.Context, sequence int64) (hash [32]byte, ok bool, err error)
}

// Statement is the part of a document that a Witness looks at.
type Statement struct {
	Checkpoint string // JWS; "" for none
	Key        []byte // JWK of the key that signed it
	Handovers  []string
	// Held is the hash of the event that the gateway asked for; HasHeld tells whether
	// the server's chain has it.
	Held    [32]byte
	HasHeld bool
}

// statementTime bounds what a statement may ask of the database.
const statementTime = time.Second

// maxHandovers bounds how many keys one after the other a statement tells of.
const maxHandovers = 1000

// state collects the statement for a gateway that keeps the checkpoint of event
// held; nil when the server cannot tell just now.
func state(ctx context.Context, signed Checkpoints, held int64) *Statement {
	// Revocations do not wait for it.
	ctx, cancel := context.WithTimeout(ctx, statementTime)
	defer cancel()
	newest := signed.Newest()
	if held > 0 && (newest == nil || newest.Sequence < held) {
		// Another node may have signed it a moment ago: what looks older is no news
		// before the database was asked.
		if signed.Refresh(ctx) != nil {
			return nil
		}
		newest = signed.Newest()
	}
	if newest == nil {
		return &Statement{}
	}
	s := &Statement{Checkpoint: newest.JWS, Handovers: signed.Handovers()}
	for _, k := range signed.Keys() {
		if k.KeyID() == newest.KeyID {
			s.Key = k.JWK()
		}
	}
	switch {
	case held == newest.Sequence:
		s.Held, s.HasHeld = newest.Hash, true
	case held > 0 && held < newest.Sequence:
		var err error
		if s.Held, s.HasHeld, err = signed.Hash(ctx, held); err != nil {
			return nil
		}
	}
	return s
}

func (s *Statement) appendTo(b []byte) []byte {
	b = strictjson.AppendText(append(b, `{"jws":`...), s.Checkpoint)
	if s.Key != nil {
		b = append(append(b, `,"key":`...), s.Key...)
	}
	b = append(b, `,"handovers":[`...)
	for i, h := range s.Handovers {
		if i > 0 {
			b = append(b, ',')
		}
		b = strictjson.AppendText(b, h)
	}
	b = append(b, ']')
	if s.HasHeld {
		b = append(hex.AppendEncode(append(b, `,"held":"`...), s.Held[:]), '"')
	}
	return append(b, '}')
}

func parseStatement(v strictjson.Value) (*Statement, error) {
	s := &Statement{}
	err := strictjson.Members(v, maxDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "jws":
			s.Checkpoint, err = v.Text()
		case "key":
			if !v.IsObject() {
				return errors.New("a key that is no object")
			}
			s.Key = slices.Clone(v)
		case "handovers":
			s.Handovers, err = v.Texts()
			if len(s.Handovers) > maxHandovers {
				err = errors.New("more handovers than can be")
			}
		case "held":
			var text string
			text, err = v.Text()
			if n, decoding := hex.Decode(s.Held[:], []byte(text[:min(len(text), 2*len(s.Held))])); err == nil && (decoding != nil || n != len(s.Held) || len(text) != 2*n) {
				err = errors.New("a hash that is none")
			}
			s.HasHeld = true
		}
		return err
	})
	return s, err
}

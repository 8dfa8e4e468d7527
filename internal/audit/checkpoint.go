package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// CheckpointType is the typ of a checkpoint's JWS header.
const CheckpointType = "holdfast-checkpoint+jwt"

const (
	maxCheckpoint   = 4 << 10 // bytes of the compact JWS
	checkpointDepth = 4       // levels of JSON: the claims, and the JWK in them
	maxIssuer       = 512     // bytes
)

// ErrCheckpoint is a checkpoint that says nothing: not one of ours in form, or
// not signed by the key that it must be signed by.
var ErrCheckpoint = errors.New("not a checkpoint")

// Checkpoint is the signed statement that the chain of an issuer ended, at a
// time, in one event. Whoever keeps one shows by it that what came before was
// neither cut off nor written anew.
type Checkpoint struct {
	Issuer string
	Head             // of the chain
	At     time.Time // when it was signed; whole seconds, UTC
	// Previous is the sequence of the checkpoint before it; 0 for the first.
	Previous int64
	// Next, when there is one, is the key of all later checkpoints. It is how one
	// who trusts the old key comes to trust the new.
	Next  *jose.PublicKey
	KeyID string // of the key that signed
	JWS   string // compact
}

// Sign fills KeyID and JWS. At becomes UTC and loses what is below a second.
func (c *Checkpoint) Sign(signer *jose.Signer) error {
	c.At = time.Unix(c.At.Unix(), 0).UTC()
	c.KeyID = signer.Public().KeyID()
	jws, err := signer.Sign(signer.Header(CheckpointType, false), c.claims())
	if err != nil {
		return fmt.Errorf("sign checkpoint %d: %w", c.Sequence, err)
	}
	c.JWS = jws
	return nil
}

func (c *Checkpoint) claims() []byte {
	b := append(make([]byte, 0, 512), `{"iss":`...)
	b = strictjson.AppendText(b, c.Issuer)
	b = strconv.AppendInt(append(b, `,"iat":`...), c.At.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"sequence":`...), c.Sequence, 10)
	b = hex.AppendEncode(append(b, `,"hash":"`...), c.Hash[:])
	b = strconv.AppendInt(append(b, `","previous":`...), c.Previous, 10)
	if c.Next != nil {
		b = append(append(b, `,"next":`...), c.Next.JWK()...)
	}
	return append(b, '}')
}

// ParseCheckpoint reads a checkpoint and verifies it with the one of keys that
// its kid names. Every error is ErrCheckpoint and quotes nothing of it.
func ParseCheckpoint(compact string, keys ...*jose.PublicKey) (*Checkpoint, error) {
	c, err := parseCheckpoint(compact, keys)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return c, nil
}

func parseCheckpoint(compact string, keys []*jose.PublicKey) (*Checkpoint, error) {
	m, err := jose.Parse(compact, maxCheckpoint)
	if err != nil {
		return nil, err
	}
	if m.Header.Type != CheckpointType {
		return nil, errors.New("the typ is another")
	}
	var key *jose.PublicKey
	for _, k := range keys {
		if k.KeyID() == m.Header.KeyID {
			key = k
		}
	}
	if key == nil {
		return nil, errors.New("it is signed by a key that is not known")
	}
	if err := m.Verify(key); err != nil {
		return nil, err
	}
	c := &Checkpoint{KeyID: m.Header.KeyID, JWS: compact}
	return c, c.read(m.Payload)
}

// read takes the claims, all of them and no others: what is signed is to be
// understood whole.
func (c *Checkpoint) read(payload []byte) error {
	seen := 0
	err := strictjson.Members(payload, checkpointDepth, func(name string, v strictjson.Value) (err error) {
		seen++
		switch name {
		case "iss":
			c.Issuer, err = v.Text()
		case "iat":
			var seconds int64
			seconds, err = v.Integer()
			c.At = time.Unix(seconds, 0).UTC()
		case "sequence":
			c.Sequence, err = v.Integer()
		case "hash":
			err = readHash(&c.Hash, v)
		case "previous":
			c.Previous, err = v.Integer()
		case "next":
			seen--
			c.Next, err = jose.ParseJWK(v)
		default:
			err = errors.New("a claim that is not known")
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case seen != 5:
		return errors.New("a claim is missing")
	case c.Issuer == "" || len(c.Issuer) > maxIssuer:
		return errors.New("iss is empty or too long")
	case c.Previous < 0 || c.Sequence <= c.Previous:
		return errors.New("the numbers are out of order")
	case c.At.Unix() < 0:
		return errors.New("iat is out of bounds")
	}
	return nil
}

// readHash reads the lower-case hexadecimal text of 32 bytes.
func readHash(hash *[32]byte, v strictjson.Value) error {
	text, err := v.Text()
	if err != nil {
		return err
	}
	if len(text) != 2*len(hash) {
		return errors.New("a hash of another length")
	}
	if _, err := hex.Decode(hash[:], []byte(text)); err != nil || strings.ContainsAny(text, "ABCDEF") {
		return errors.New("a hash that is not lower-case hexadecimal")
	}
	return nil
}

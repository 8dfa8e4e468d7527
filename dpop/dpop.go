// Package dpop makes, reads and checks DPoP proofs (RFC 9449). It keeps no
// state: whoever checks a proof stores its jti last, once everything else held.
package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// Limits of a proof.
const (
	MaxProof = 4 << 10          // bytes
	MaxID    = 128              // bytes of jti
	MaxAge   = 60 * time.Second // iat at most this old, with 10 s of grace
	MaxAhead = 30 * time.Second // iat at most this far ahead
	// KeepID is how long after iat a jti must be remembered.
	KeepID = 100 * time.Second

	grace    = 10 * time.Second
	maxDepth = 32 // levels of JSON in the claims
	typ      = "dpop+jwt"
)

// Faults, for errors.Is; each is one row of RFC 9449 section 4.3.
var (
	ErrMalformed  = errors.New("proof is malformed")
	ErrSignature  = errors.New("proof signature does not verify")
	ErrMethod     = errors.New("proof is for another method")
	ErrURL        = errors.New("proof is for another URL")
	ErrTokenHash  = errors.New("proof is for another access token")
	ErrTooOld     = errors.New("proof is too old")
	ErrFromFuture = errors.New("proof is from the future")
)

// Proof is a proof whose signature verified under the key it carries.
type Proof struct {
	Key       *jose.PublicKey
	JKT       cnf.Thumbprint
	ID        string // jti
	Method    string // htm
	URL       string // htu as it was sent
	IssuedAt  time.Time
	Nonce     string // "" when absent
	TokenHash string // ath, "" when absent
}

// Parse reads a DPoP header value and verifies its signature with the key it
// carries: typ dpop+jwt, an allowed algorithm, a public jwk, and jti, htm, htu
// and iat present with the right types. Unknown claims are ignored.
func Parse(raw string) (*Proof, error) {
	message, err := jose.Parse(raw, MaxProof)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if message.Header.Type != typ {
		return nil, fmt.Errorf("%w: typ is not dpop+jwt", ErrMalformed)
	}
	// Reading the key costs a fortieth of the verification: a cache of keys would
	// be state for nothing.
	key, err := jose.ParseJWK(message.Header.JWK)
	if err != nil {
		return nil, fmt.Errorf("%w: jwk: %w", ErrMalformed, err)
	}
	if err := message.Verify(key); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	p := &Proof{Key: key, JKT: key.Thumbprint()}
	if err := p.readClaims(message.Payload); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return p, nil
}

// readClaims fills p from the payload. An empty jti, htm or htu says nothing and
// counts as absent.
func (p *Proof) readClaims(payload []byte) error {
	dated := false
	err := strictjson.Members(payload, maxDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "jti":
			p.ID, err = v.Text()
		case "htm":
			p.Method, err = v.Text()
		case "htu":
			p.URL, err = v.Text()
		case "nonce":
			p.Nonce, err = v.Text()
		case "ath":
			p.TokenHash, err = v.Text()
		case "iat":
			var seconds int64
			seconds, err = v.Seconds()
			p.IssuedAt, dated = time.Unix(seconds, 0), true
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case p.ID == "" || len(p.ID) > MaxID:
		return errors.New("jti is missing or too long")
	case p.Method == "":
		return errors.New("htm is missing")
	case p.URL == "":
		return errors.New("htu is missing")
	case !dated:
		return errors.New("iat is missing")
	}
	return nil
}

// Expect is what a proof must be for.
type Expect struct {
	Method string
	URL    string // the configured public URL of this request, without query or fragment
	// AccessToken demands ath; empty at the token endpoint.
	AccessToken string
}

// Check compares p with what is expected at now: htm, htu (RFC 3986 section 6.2.2 and 6.2.3
// normalisation, query and fragment ignored), ath, iat. It does not check
// nonce, key or single use.
func (p *Proof) Check(now time.Time, want Expect) error {
	if p.Method != want.Method {
		return ErrMethod
	}
	if !sameTarget(p.URL, want.URL) {
		return ErrURL
	}
	if want.AccessToken != "" && !p.isFor(want.AccessToken) {
		return ErrTokenHash
	}
	if now.Sub(p.IssuedAt) >= MaxAge+grace {
		return ErrTooOld
	}
	if p.IssuedAt.Sub(now) > MaxAhead {
		return ErrFromFuture
	}
	return nil
}

// isFor tells whether ath is the hash of this access token (RFC 9449 section 4.2).
func (p *Proof) isFor(accessToken string) bool {
	var want [43]byte
	hash := sha256.Sum256([]byte(accessToken))
	base64.RawURLEncoding.Encode(want[:], hash[:])
	return subtle.ConstantTimeCompare([]byte(p.TokenHash), want[:]) == 1
}

// UseKey is the name under which the use of this proof is recorded: SHA-256 over
// jkt and jti, so that nobody can burn another key's jti.
func (p *Proof) UseKey() [32]byte {
	const domain = "holdfast dpop jti\x00"
	named := make([]byte, 0, len(domain)+len(p.JKT)+MaxID)
	named = append(named, domain...)
	named = append(named, p.JKT[:]...)
	named = append(named, p.ID...)
	return sha256.Sum256(named)
}

// KeepUntil is until when the use must be remembered.
func (p *Proof) KeepUntil() time.Time { return p.IssuedAt.Add(KeepID) }

package dpop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
)

const (
	noncePeriod = 5 * time.Minute
	nonceTime   = 8                       // bytes: nanoseconds since 1970, so that a nonce has its place before or after a start
	nonceSize   = nonceTime + sha256.Size // bytes, 54 characters
)

// Nonces issues and checks stateless nonces: an HMAC over issue time and jkt,
// good for the running and the previous period of five minutes (RFC 9449
// section 8). All nodes that share a secret accept each other's.
type Nonces struct{ secret [32]byte }

// NewNonces makes a source from 32 random bytes.
func NewNonces(secret [32]byte) *Nonces { return &Nonces{secret} }

// Issue makes a nonce for the key jkt: 54 characters of base64url.
func (n *Nonces) Issue(now time.Time, jkt cnf.Thumbprint) string {
	var nonce [nonceSize]byte
	n.seal(&nonce, now, jkt)
	return base64.RawURLEncoding.EncodeToString(nonce[:])
}

// Check tells whether nonce was issued for jkt, not before notBefore (the zero
// time: any), and in the running or the previous period. Another node's clock may
// be ahead by MaxAhead.
func (n *Nonces) Check(now time.Time, nonce string, jkt cnf.Thumbprint, notBefore time.Time) bool {
	var got, want [nonceSize]byte
	if len(nonce) != base64.RawURLEncoding.EncodedLen(nonceSize) {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().Decode(got[:], []byte(nonce))
	issued := time.Unix(0, int64(binary.BigEndian.Uint64(got[:nonceTime])))
	n.seal(&want, issued, jkt)
	if err != nil || !hmac.Equal(got[:], want[:]) {
		return false
	}
	if issued.Before(notBefore) || issued.Sub(now) > MaxAhead {
		return false
	}
	return !issued.Before(now.Truncate(noncePeriod).Add(-noncePeriod))
}

func (n *Nonces) seal(nonce *[nonceSize]byte, issued time.Time, jkt cnf.Thumbprint) {
	binary.BigEndian.PutUint64(nonce[:], uint64(issued.UnixNano()))
	mac := hmac.New(sha256.New, n.secret[:])
	mac.Write(nonce[:nonceTime])
	mac.Write(jkt[:])
	mac.Sum(nonce[:nonceTime])
}

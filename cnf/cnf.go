// Package cnf is the binding of an access token to a key: the "cnf" claim with
// "x5t#S256" (RFC 8705 section 3.1, the SHA-256 of a certificate's DER) or "jkt"
// (RFC 9449 section 6.1, the RFC 7638 SHA-256 thumbprint of a public JWK).
//
// A Binding has no usable zero value: whoever mints a token asks IsZero and
// refuses, so that a check that is missing never looks like one that passed.
package cnf

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
)

// Thumbprint is a SHA-256 digest, written as 43 characters of base64url.
type Thumbprint [sha256.Size]byte

var errThumbprint = errors.New("not a SHA-256 thumbprint of 43 base64url characters")

// CertificateThumbprint is the x5t#S256 of a certificate in DER.
func CertificateThumbprint(der []byte) Thumbprint { return sha256.Sum256(der) }

// ParseThumbprint accepts exactly the one spelling that String gives.
func ParseThumbprint(s string) (Thumbprint, error) {
	var t Thumbprint
	if len(s) != 43 {
		return t, errThumbprint
	}
	// Decoding stops at the first fault, and so before the last byte.
	if n, _ := base64.RawURLEncoding.Strict().Decode(t[:], []byte(s)); n != len(t) {
		return Thumbprint{}, errThumbprint
	}
	return t, nil
}

// String is base64url without padding.
func (t Thumbprint) String() string { return base64.RawURLEncoding.EncodeToString(t[:]) }

// Equal compares in constant time.
func (t Thumbprint) Equal(u Thumbprint) bool { return subtle.ConstantTimeCompare(t[:], u[:]) == 1 }

// Method says by what a token is bound.
type Method string

// The two methods. The zero Method is none.
const (
	MTLS Method = "mtls" // x5t#S256
	DPoP Method = "dpop" // jkt
)

// Binding ties a token to one key. Its zero value binds to nothing and must be
// refused wherever a token is made or accepted.
type Binding struct {
	method     Method
	thumbprint Thumbprint
}

// ToCertificate binds to the certificate with this thumbprint.
func ToCertificate(t Thumbprint) Binding { return Binding{MTLS, t} }

// ToKey binds to the DPoP key with this JWK thumbprint.
func ToKey(jkt Thumbprint) Binding { return Binding{DPoP, jkt} }

// IsZero tells the binding to nothing.
func (b Binding) IsZero() bool { return b.method == "" }

// Method is MTLS, DPoP or, for the zero value, "".
func (b Binding) Method() Method { return b.method }

// Thumbprint is that of the certificate or the key.
func (b Binding) Thumbprint() Thumbprint { return b.thumbprint }

// Member is the name of the member of "cnf": "x5t#S256" or "jkt".
func (b Binding) Member() string {
	switch b.method {
	case MTLS:
		return "x5t#S256"
	case DPoP:
		return "jkt"
	}
	return ""
}

// AppendJSON appends the value of the "cnf" claim. It panics on the zero value:
// a caller that gets here without a binding would make an unbound token.
func (b Binding) AppendJSON(dst []byte) []byte {
	if b.IsZero() {
		panic("cnf: claim of a zero binding")
	}
	dst = append(dst, `{"`...)
	dst = append(dst, b.Member()...)
	dst = append(dst, `":"`...)
	dst = base64.RawURLEncoding.AppendEncode(dst, b.thumbprint[:])
	return append(dst, `"}`...)
}

package jose

import (
	"crypto"
	"errors"
	"io"
)

// Algorithm is a JWS "alg" value that this package knows.
type Algorithm string

// The algorithms. EdDSA and Ed25519 are two names of one: a key made for one of
// them verifies a signature under either name.
const (
	ES256   Algorithm = "ES256"
	PS256   Algorithm = "PS256"
	EdDSA   Algorithm = "EdDSA"
	Ed25519 Algorithm = "Ed25519"
)

// Faults, for errors.Is. None of them ever quotes the input.
var (
	ErrTooLarge  = errors.New("larger than the limit")
	ErrMalformed = errors.New("not a compact JWS")
	ErrAlgorithm = errors.New("algorithm not allowed")
	ErrCritical  = errors.New("crit is not supported")
	ErrSignature = errors.New("signature does not verify")
	ErrKey       = errors.New("key not acceptable")
)

// PublicKey is a verification key with its one algorithm. It has no usable zero
// value: a zero key verifies nothing.
type PublicKey struct {
	key crypto.PublicKey
	alg Algorithm
	kid string
}

// NewPublicKey accepts P-256 for ES256, RSA of 2048 to 4096 bits with an odd
// exponent from 3 to 2^31-1 for PS256, Ed25519 for EdDSA. An empty alg means the one that fits
// the key. An empty kid means the key's RFC 7638 thumbprint.
func NewPublicKey(key crypto.PublicKey, alg Algorithm, kid string) (*PublicKey, error) {
	panic("not written")
}

// ParseJWK reads one public JWK. Private members ("d", "p", "k" ...) are
// refused; a present "alg" must fit the key, a present "use" must be "sig" and
// present "key_ops" must include "verify"; other members are ignored.
func ParseJWK(data []byte) (*PublicKey, error) { panic("not written") }

// ParseJWKSet reads an RFC 7517 section 5 set of at most most keys. A key of a
// kind or use that this package does not know is passed over (RFC 7517 section
// 5); a private or symmetric key, or one kid twice, refuses the set.
func ParseJWKSet(data []byte, most int) ([]*PublicKey, error) { panic("not written") }

// Algorithm is the one algorithm that k verifies.
func (k *PublicKey) Algorithm() Algorithm { return k.alg }

// KeyID is the "kid".
func (k *PublicKey) KeyID() string { return k.kid }

// Crypto is the standard library's key.
func (k *PublicKey) Crypto() crypto.PublicKey { return k.key }

// Thumbprint is the RFC 7638 SHA-256 thumbprint.
func (k *PublicKey) Thumbprint() [32]byte { panic("not written") }

// JWK is the public JWK with kid, alg and use, compact, members sorted.
func (k *PublicKey) JWK() []byte { panic("not written") }

// JWKSet is the RFC 7517 section 5 set of the keys' JWK values.
func JWKSet(keys []*PublicKey) []byte { panic("not written") }

// Header is what a JWS header may tell us. Other members are ignored; "jku",
// "x5u", "x5c" and "jwk" are never used to find a key.
type Header struct {
	Algorithm Algorithm
	KeyID     string
	Type      string
	// JWK is the raw "jwk" member, or nil. Only a DPoP proof may use it.
	JWK []byte
}

// Message is a parsed JWS whose signature has not been checked.
type Message struct {
	Header  Header
	Payload []byte // do not use before Verify

	signingInput string
	signature    []byte
}

// Parse reads a compact JWS of at most limit bytes. It checks form, alphabet,
// header and algorithm, not the signature.
func Parse(compact string, limit int) (*Message, error) { panic("not written") }

// Verify checks the signature with k, whose algorithm must be the header's.
func (m *Message) Verify(k *PublicKey) error { panic("not written") }

// Signer signs with one key and one algorithm. Safe for concurrent use.
type Signer struct {
	key    crypto.Signer
	public *PublicKey
}

// NewSigner applies the rules of NewPublicKey to the key's public half.
func NewSigner(key crypto.Signer, alg Algorithm, kid string) (*Signer, error) { panic("not written") }

// Public is the verification key of s.
func (s *Signer) Public() *PublicKey { return s.public }

// Header prepares the encoded header of messages of one typ. With embedJWK the
// public key is in the header as "jwk" (RFC 9449 section 4.2) and there is no
// kid.
func (s *Signer) Header(typ string, embedJWK bool) PreparedHeader { panic("not written") }

// PreparedHeader is an encoded header that can be used for many messages.
type PreparedHeader string

// Sign makes the compact JWS of payload, a JSON object.
func (s *Signer) Sign(h PreparedHeader, payload []byte) (string, error) { panic("not written") }

// GenerateKey makes a private key for alg: P-256, RSA 2048 or Ed25519.
func GenerateKey(alg Algorithm, random io.Reader) (crypto.Signer, error) { panic("not written") }

// ParsePrivateKeyPEM reads one PKCS#8 "PRIVATE KEY" block (at most 64 KiB) that
// holds a key which NewPublicKey accepts.
func ParsePrivateKeyPEM(data []byte) (crypto.Signer, error) { panic("not written") }

// MarshalPrivateKeyPEM is the reverse of ParsePrivateKeyPEM.
func MarshalPrivateKeyPEM(key crypto.Signer) ([]byte, error) { panic("not written") }

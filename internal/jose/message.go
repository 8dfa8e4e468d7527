package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

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
func Parse(compact string, limit int) (*Message, error) {
	if len(compact) > limit {
		return nil, ErrTooLarge
	}
	header, rest, _ := strings.Cut(compact, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	// A third dot would be in signature, and is not of the alphabet. Without a
	// second one signature is empty.
	if !isBase64URL(header) || !isBase64URL(payload) || !isBase64URL(signature) {
		return nil, fmt.Errorf("%w: three parts of base64url are wanted", ErrMalformed)
	}
	if header == "" || signature == "" {
		return nil, fmt.Errorf("%w: an empty part", ErrMalformed)
	}
	buf := make([]byte, 0, base64url.DecodedLen(len(compact)))
	buf, rawHeader, err := appendDecoded(buf, header)
	if err != nil {
		return nil, err
	}
	m := &Message{signingInput: compact[:len(header)+1+len(payload)]}
	if m.Header, err = parseHeader(rawHeader); err != nil {
		return nil, err
	}
	if buf, m.Payload, err = appendDecoded(buf, payload); err != nil {
		return nil, err
	}
	if _, m.signature, err = appendDecoded(buf, signature); err != nil {
		return nil, err
	}
	return m, nil
}

// appendDecoded appends what part encodes to buf and also returns that alone.
func appendDecoded(buf []byte, part string) (all, decoded []byte, err error) {
	start := len(buf)
	end := start + base64url.DecodedLen(len(part))
	if _, err := base64url.Decode(buf[start:end], []byte(part)); err != nil {
		return nil, nil, fmt.Errorf("%w: a second spelling of base64url", ErrMalformed)
	}
	return buf[:end], buf[start:end:end], nil
}

func parseHeader(data []byte) (Header, error) {
	var h Header
	err := strictjson.Members(data, maxNesting, func(name string, v strictjson.Value) error {
		switch name {
		case "alg":
			text, err := v.Text()
			if err != nil {
				return err
			}
			h.Algorithm, _ = parseAlgorithm(text)
		case "kid":
			return readName(&h.KeyID, v)
		case "typ":
			return readName(&h.Type, v)
		case "jwk":
			if !v.IsObject() {
				return errors.New("jwk is not an object")
			}
			h.JWK = v
		case "crit", "b64": // RFC 7797 allows b64 only where crit names it
			return ErrCritical
		}
		return nil
	})
	if errors.Is(err, ErrCritical) {
		return Header{}, ErrCritical
	}
	if err != nil {
		return Header{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	if h.Algorithm == "" {
		return Header{}, ErrAlgorithm
	}
	return h, nil
}

// readName sets name to the kid or typ that v is.
func readName(name *string, v strictjson.Value) error {
	text, err := v.Text()
	if err == nil {
		err = checkName(text)
	}
	*name = text
	return err
}

// Verify checks the signature with k, whose algorithm must be the header's.
func (m *Message) Verify(k *PublicKey) error {
	if k == nil || !k.alg.verifies(m.Header.Algorithm) {
		return ErrAlgorithm
	}
	if !m.signedBy(k.key) {
		return ErrSignature
	}
	return nil
}

func (m *Message) signedBy(key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if len(m.signature) != es256Size {
			return false
		}
		digest := sha256.Sum256([]byte(m.signingInput))
		var der [maxDERSize]byte
		return ecdsa.VerifyASN1(key, digest[:], appendDER(der[:0], m.signature))
	case ed25519.PublicKey:
		return ed25519.Verify(key, []byte(m.signingInput), m.signature)
	case *rsa.PublicKey:
		digest := sha256.Sum256([]byte(m.signingInput))
		return rsa.VerifyPSS(key, crypto.SHA256, digest[:], m.signature, pssOptions()) == nil
	}
	return false
}

// pssOptions are RFC 7518 section 3.5: the salt is as long as the hash, and no
// other length verifies.
func pssOptions() *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
}

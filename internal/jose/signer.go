package jose

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Signer signs with one key and one algorithm. Safe for concurrent use.
type Signer struct {
	key    crypto.Signer
	public *PublicKey
}

// NewSigner applies the rules of NewPublicKey to the key's public half.
func NewSigner(key crypto.Signer, alg Algorithm, kid string) (*Signer, error) {
	if key == nil {
		return nil, fmt.Errorf("%w: no key", ErrKey)
	}
	public, err := NewPublicKey(key.Public(), alg, kid)
	if err != nil {
		return nil, err
	}
	return &Signer{key: key, public: public}, nil
}

// Public is the verification key of s.
func (s *Signer) Public() *PublicKey { return s.public }

// PreparedHeader is an encoded header that can be used for many messages.
type PreparedHeader string

// Header prepares the encoded header of messages of one typ. With embedJWK the
// public key is in the header as "jwk" (RFC 9449 section 4.2) and there is no
// kid.
func (s *Signer) Header(typ string, embedJWK bool) PreparedHeader {
	alg := string(s.public.alg)
	if !embedJWK {
		return encodeHeader(appendObject(nil, "alg", alg, "kid", s.public.kid, "typ", typ))
	}
	header := appendObject(nil, "alg", alg)
	header = append(header[:len(header)-1], `,"jwk":`...)
	header = s.public.parameters.append(header, "", "", "")
	if typ != "" {
		rest := appendObject(nil, "typ", typ)
		header = append(append(header, ','), rest[1:len(rest)-1]...)
	}
	return encodeHeader(append(header, '}'))
}

func encodeHeader(header []byte) PreparedHeader {
	return PreparedHeader(base64url.EncodeToString(header))
}

// Sign makes the compact JWS of payload, a JSON object.
func (s *Signer) Sign(h PreparedHeader, payload []byte) (string, error) {
	size := len(h) + 1 + base64url.EncodedLen(len(payload)) + 1 + base64url.EncodedLen(maxRSABits/8)
	out := append(make([]byte, 0, size), h...)
	out = append(out, '.')
	out = base64url.AppendEncode(out, payload)
	signature, err := s.signature(out)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	out = append(out, '.')
	return string(base64url.AppendEncode(out, signature)), nil
}

// signature is the JWS signature of input.
func (s *Signer) signature(input []byte) ([]byte, error) {
	switch s.public.alg {
	case ES256:
		digest := sha256.Sum256(input)
		der, err := s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		signature, ok := appendFixed(make([]byte, 0, es256Size), der)
		if !ok {
			return nil, errors.New("the key made no ECDSA signature of P-256")
		}
		return signature, nil
	case PS256:
		digest := sha256.Sum256(input)
		return s.key.Sign(rand.Reader, digest[:], pssOptions())
	default:
		return s.key.Sign(rand.Reader, input, crypto.Hash(0))
	}
}

package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// RSA keys beyond these are refused before anything is computed with them.
const (
	minRSABits     = 2048
	maxRSABits     = 4096
	minRSAExponent = 3
	maxRSAExponent = 1<<31 - 1
)

// PublicKey is a verification key with its one algorithm. It has no usable zero
// value: a zero key verifies nothing.
type PublicKey struct {
	key        crypto.PublicKey
	alg        Algorithm
	kid        string
	parameters parameters
	thumbprint [sha256.Size]byte
}

// parameters are the JWK members that RFC 7638 calls required; those of another
// kind of key are empty. All but kty and crv are base64url.
type parameters struct {
	kty, crv, e, n, x, y string
}

// NewPublicKey accepts P-256 for ES256, RSA of 2048 to 4096 bits with an odd
// exponent from 3 to 2^31-1 for PS256, Ed25519 for EdDSA. An empty alg means the one that fits
// the key. An empty kid means the key's RFC 7638 thumbprint. The key is copied.
func NewPublicKey(key crypto.PublicKey, alg Algorithm, kid string) (*PublicKey, error) {
	k := new(PublicKey)
	var err error
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		err = k.setECDSA(key)
	case *rsa.PublicKey:
		err = k.setRSA(key)
	case ed25519.PublicKey:
		err = k.setEd25519(key)
	default:
		err = fmt.Errorf("%w: a key of another kind", ErrKey)
	}
	if err != nil {
		return nil, err
	}
	if err := k.finish(alg, kid); err != nil {
		return nil, err
	}
	return k, nil
}

// finish checks what does not depend on the kind of key.
func (k *PublicKey) finish(alg Algorithm, kid string) error {
	if alg != "" {
		if !k.alg.verifies(alg) {
			return fmt.Errorf("%w: the algorithm does not fit the key", ErrKey)
		}
		k.alg = alg
	}
	k.thumbprint = sha256.Sum256(k.parameters.append(make([]byte, 0, 1024), "", "", ""))
	k.kid = kid
	if kid == "" {
		k.kid = base64url.EncodeToString(k.thumbprint[:])
	}
	if err := checkName(k.kid); err != nil {
		return fmt.Errorf("%w: kid: %w", ErrKey, err)
	}
	return nil
}

func (k *PublicKey) setECDSA(key *ecdsa.PublicKey) error {
	if key.Curve != elliptic.P256() {
		return fmt.Errorf("%w: the curve is not P-256", ErrKey)
	}
	point, _ := key.Bytes() // nil if it is no point of the curve
	return k.setP256(point)
}

// setP256 takes an uncompressed point of SEC 1: 4, x, y.
func (k *PublicKey) setP256(point []byte) error {
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return fmt.Errorf("%w: not a point of P-256", ErrKey)
	}
	k.key, k.alg = key, ES256
	k.parameters = parameters{
		kty: "EC", crv: "P-256",
		x: base64url.EncodeToString(point[1 : 1+es256Half]),
		y: base64url.EncodeToString(point[1+es256Half:]),
	}
	return nil
}

func (k *PublicKey) setRSA(key *rsa.PublicKey) error {
	if key.N == nil || key.N.Sign() <= 0 {
		return fmt.Errorf("%w: an RSA key without a modulus", ErrKey)
	}
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("%w: an RSA modulus of %d bits, %d to %d are accepted", ErrKey, bits, minRSABits, maxRSABits)
	}
	if key.N.Bit(0) == 0 {
		return fmt.Errorf("%w: an even RSA modulus", ErrKey)
	}
	if key.E < minRSAExponent || key.E > maxRSAExponent || key.E%2 == 0 {
		return fmt.Errorf("%w: an RSA exponent that is even or outside 3 to 2^31-1", ErrKey)
	}
	n := key.N.Bytes()
	if hasROCA(n) {
		return fmt.Errorf("%w: an RSA modulus with the ROCA weakness (CVE-2017-15361)", ErrKey)
	}
	k.key, k.alg = &rsa.PublicKey{N: new(big.Int).Set(key.N), E: key.E}, PS256
	k.parameters = parameters{
		kty: "RSA",
		e:   base64url.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		n:   base64url.EncodeToString(n),
	}
	return nil
}

func (k *PublicKey) setEd25519(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: an Ed25519 key of %d bytes", ErrKey, len(key))
	}
	if isWeakEd25519(key) {
		return fmt.Errorf("%w: an Ed25519 point of low order or with two spellings", ErrKey)
	}
	k.key, k.alg = slices.Clone(key), EdDSA
	k.parameters = parameters{kty: "OKP", crv: "Ed25519", x: base64url.EncodeToString(key)}
	return nil
}

// Algorithm is the one algorithm that k verifies.
func (k *PublicKey) Algorithm() Algorithm { return k.alg }

// KeyID is the "kid".
func (k *PublicKey) KeyID() string { return k.kid }

// Crypto is the standard library's key. It must not be changed.
func (k *PublicKey) Crypto() crypto.PublicKey { return k.key }

// Thumbprint is the RFC 7638 SHA-256 thumbprint.
func (k *PublicKey) Thumbprint() [32]byte { return k.thumbprint }

// JWK is the public JWK with kid, alg and use, compact, members sorted.
func (k *PublicKey) JWK() []byte {
	return k.appendJWK(nil)
}

func (k *PublicKey) appendJWK(dst []byte) []byte {
	return k.parameters.append(dst, string(k.alg), k.kid, "sig")
}

// append appends the JWK of p, with alg, kid and use if they are not empty, to
// dst. Without them it is the text that RFC 7638 section 3 hashes.
func (p *parameters) append(dst []byte, alg, kid, use string) []byte {
	return appendObject(dst,
		"alg", alg, "crv", p.crv, "e", p.e, "kid", kid, "kty", p.kty, "n", p.n, "use", use, "x", p.x, "y", p.y)
}

// appendObject appends the compact JSON object of names and texts, in turn;
// members with an empty text are left out.
func appendObject(dst []byte, namesAndTexts ...string) []byte {
	start := len(dst)
	dst = append(dst, '{')
	for i := 0; i+1 < len(namesAndTexts); i += 2 {
		if namesAndTexts[i+1] == "" {
			continue
		}
		if len(dst) > start+1 {
			dst = append(dst, ',')
		}
		dst = strictjson.AppendText(dst, namesAndTexts[i])
		dst = append(dst, ':')
		dst = strictjson.AppendText(dst, namesAndTexts[i+1])
	}
	return append(dst, '}')
}

// JWKSet is the RFC 7517 section 5 set of the keys' JWK values.
func JWKSet(keys []*PublicKey) []byte {
	set := []byte(`{"keys":[`)
	for i, k := range keys {
		if i > 0 {
			set = append(set, ',')
		}
		set = k.appendJWK(set)
	}
	return append(set, `]}`...)
}

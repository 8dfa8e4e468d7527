package jose

import (
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// errForeign marks a sound JWK that is for something this package does not do.
var errForeign = errors.New("of a kind or use that is not supported")

// members are the members of a JWK that this package reads.
type members struct {
	parameters
	alg, use, kid string
	hasAlg        bool
	hasUse        bool
	operations    []string         // "key_ops", nil if absent
	chain         strictjson.Value // "x5c", nil if absent
}

// ParseJWK reads one public JWK. Private members ("d", "p", "k" ...) are
// refused; a present "alg" must fit the key, a present "use" must be "sig" and
// present "key_ops" must include "verify"; other members are ignored.
func ParseJWK(data []byte) (*PublicKey, error) {
	j, err := parseMembers(data)
	if err != nil {
		return nil, err
	}
	return j.publicKey()
}

// ParseJWKSet reads an RFC 7517 section 5 set of at most most keys. A key of a
// kind or use that this package does not know is passed over (RFC 7517 section
// 5); a private or symmetric key, or one kid twice, refuses the set.
func ParseJWKSet(data []byte, most int) ([]*PublicKey, error) {
	var keys []*PublicKey
	err := parseSet(data, most, func(_ *members, k *PublicKey) error {
		keys = append(keys, k)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// parseSet calls yield for each key of a set that this package knows.
func parseSet(data []byte, most int, yield func(j *members, k *PublicKey) error) error {
	var list strictjson.Value
	err := strictjson.Members(data, maxNesting, func(name string, v strictjson.Value) error {
		if name == "keys" {
			list = v
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: JWK set: %w", ErrKey, err)
	}
	if !list.IsArray() {
		return fmt.Errorf("%w: a JWK set without an array of keys", ErrKey)
	}
	kids := make(map[string]struct{})
	count := 0
	err = list.Elements(maxNesting, func(element strictjson.Value) error {
		if count++; count > most {
			return fmt.Errorf("%w of %d keys", ErrTooLarge, most)
		}
		j, err := parseMembers(element)
		if err != nil {
			return err
		}
		k, err := j.publicKey()
		if err != nil && !errors.Is(err, errForeign) {
			return err
		}
		kid := j.kid
		if k != nil {
			kid = k.kid
		}
		if _, twice := kids[kid]; twice && kid != "" {
			return fmt.Errorf("%w: one kid twice", ErrKey)
		}
		kids[kid] = struct{}{}
		if k == nil {
			return nil
		}
		return yield(&j, k)
	})
	if err != nil {
		return fmt.Errorf("JWK set, key %d: %w", count, err)
	}
	return nil
}

func parseMembers(data []byte) (members, error) {
	var j members
	err := strictjson.Members(data, maxNesting, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "kty":
			j.kty, err = v.Text()
		case "crv":
			j.crv, err = v.Text()
		case "x":
			j.x, err = v.Text()
		case "y":
			j.y, err = v.Text()
		case "n":
			j.n, err = v.Text()
		case "e":
			j.e, err = v.Text()
		case "alg":
			j.hasAlg = true
			j.alg, err = v.Text()
		case "use":
			j.hasUse = true
			j.use, err = v.Text()
		case "kid":
			err = readName(&j.kid, v)
		case "key_ops":
			j.operations, err = v.Texts()
			j.operations = append([]string{}, j.operations...)
		case "x5c":
			j.chain = v
		case "d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv":
			err = errors.New("a private or symmetric key")
		}
		if err != nil {
			return fmt.Errorf("JWK member %q: %w", name, err)
		}
		return nil
	})
	if err == nil && j.kty == "oct" {
		err = errors.New("a symmetric key")
	}
	if err != nil {
		return members{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return j, nil
}

// publicKey is the key of j. An error that is errForeign says that j may be
// sound, but is not for us.
func (j *members) publicKey() (*PublicKey, error) {
	if j.hasUse && j.use != "sig" {
		return nil, fmt.Errorf("%w: a use that is not sig: %w", ErrKey, errForeign)
	}
	if j.operations != nil && !slices.Contains(j.operations, "verify") {
		return nil, fmt.Errorf("%w: key_ops without verify: %w", ErrKey, errForeign)
	}
	alg, known := parseAlgorithm(j.alg)
	if j.hasAlg && !known {
		return nil, fmt.Errorf("%w: the algorithm is %w", ErrKey, errForeign)
	}
	switch {
	case j.kty == "EC" && j.crv == "P-256":
		return j.p256(alg)
	case j.kty == "OKP" && j.crv == "Ed25519":
		x, err := decodeExactly(j.x, ed25519.PublicKeySize)
		if err != nil {
			return nil, fmt.Errorf("%w: x: %w", ErrKey, err)
		}
		return NewPublicKey(ed25519.PublicKey(x), alg, j.kid)
	case j.kty == "RSA":
		return j.rsa(alg)
	}
	return nil, fmt.Errorf("%w: kty and crv are %w", ErrKey, errForeign)
}

func (j *members) p256(alg Algorithm) (*PublicKey, error) {
	x, err := decodeExactly(j.x, es256Half)
	if err != nil {
		return nil, fmt.Errorf("%w: x: %w", ErrKey, err)
	}
	y, err := decodeExactly(j.y, es256Half)
	if err != nil {
		return nil, fmt.Errorf("%w: y: %w", ErrKey, err)
	}
	k := new(PublicKey)
	if err := k.setP256(slices.Concat([]byte{uncompressedPoint}, x, y)); err != nil {
		return nil, err
	}
	if err := k.finish(alg, j.kid); err != nil {
		return nil, err
	}
	return k, nil
}

func (j *members) rsa(alg Algorithm) (*PublicKey, error) {
	n, err := decodeNumber(j.n, maxRSABits/8)
	if err != nil {
		return nil, fmt.Errorf("%w: n: %w", ErrKey, err)
	}
	e, err := decodeNumber(j.e, 4)
	if err != nil {
		return nil, fmt.Errorf("%w: e: %w", ErrKey, err)
	}
	// Where an int has 32 bits an exponent beyond 2^31-1 becomes negative, and is
	// refused as well.
	exponent := int(new(big.Int).SetBytes(e).Uint64())
	return NewPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: exponent}, alg, j.kid)
}

// decodeExactly decodes base64url of exactly size bytes.
func decodeExactly(text string, size int) ([]byte, error) {
	if len(text) != base64url.EncodedLen(size) || !isBase64URL(text) {
		return nil, fmt.Errorf("not the base64url of %d bytes", size)
	}
	return base64url.DecodeString(text)
}

// decodeNumber decodes a Base64urlUInt of RFC 7518 section 2: at most most
// bytes, none of them a leading zero.
func decodeNumber(text string, most int) ([]byte, error) {
	if text == "" || len(text) > base64url.EncodedLen(most) || !isBase64URL(text) {
		return nil, fmt.Errorf("not the base64url of 1 to %d bytes", most)
	}
	number, err := base64url.DecodeString(text)
	if err != nil {
		return nil, err
	}
	if number[0] == 0 {
		return nil, errors.New("a number with a leading zero")
	}
	return number, nil
}

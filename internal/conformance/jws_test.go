package conformance_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"testing"
)

// The JWS of this package is its own, so that what is wrong with ours is not
// wrong here in the same way.

// claims is a JSON object. A nil value removes a member when objects are laid
// over one another.
type claims map[string]any

func (c claims) with(more claims) claims {
	out := maps.Clone(c)
	if out == nil {
		out = claims{}
	}
	for name, value := range more {
		if value == nil {
			delete(out, name)
		} else {
			out[name] = value
		}
	}
	return out
}

// and lays more over c without removing anything: nil stays nil, for a later with.
func (c claims) and(more claims) claims {
	out := maps.Clone(c)
	maps.Copy(out, more)
	return out
}

// key is a private key, the algorithm that it is for and its public JWK.
type key struct {
	alg     string
	private crypto.Signer
	jwk     claims
	jkt     string // RFC 7638
}

func newKey(t testing.TB, alg string) *key {
	t.Helper()
	k := &key{alg: alg}
	var err error
	switch alg {
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		k.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA", "Ed25519":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	k.jwk = publicJWK(k.private.Public())
	text, err := json.Marshal(map[string]any(k.jwk)) // in the order of RFC 7638: alphabetical, required members only
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	k.jkt = b64(sum[:])
	return k
}

func publicJWK(public crypto.PublicKey) claims {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		return claims{"kty": "EC", "crv": p.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		return claims{"kty": "OKP", "crv": "Ed25519", "x": b64(p)}
	case *rsa.PublicKey:
		return claims{"kty": "RSA", "n": b64(p.N.Bytes()), "e": b64(big.NewInt(int64(p.E)).Bytes())}
	}
	panic(fmt.Sprintf("no JWK for %T", public))
}

// privateJWK has the private member beside the public ones (RFC 7518 section 6.2.2).
func (k *key) privateJWK(t testing.TB) claims {
	t.Helper()
	d, err := k.private.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return k.jwk.with(claims{"d": b64(d)})
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// compact is header.payload.signature, signed by k as header's alg says.
func (k *key) compact(t testing.TB, header, payload claims) string {
	t.Helper()
	input := encode(t, header) + "." + encode(t, payload)
	alg, ok := header["alg"].(string)
	if !ok {
		alg = k.alg // signed well; only the header does not say so
	}
	return input + "." + b64(k.signature(t, alg, input))
}

func encode(t testing.TB, object claims) string {
	t.Helper()
	text, err := json.Marshal(map[string]any(object))
	if err != nil {
		t.Fatal(err)
	}
	return b64(text)
}

// signature of input by alg; "none" and what is unknown have none.
func (k *key) signature(t testing.TB, alg, input string) (signature []byte) {
	t.Helper()
	sum := sha256.Sum256([]byte(input))
	var err error
	switch alg {
	case "ES256":
		return joseSignature(t, k.private, sum[:], crypto.SHA256, 32)
	case "ES384":
		h := crypto.SHA384.New()
		h.Write([]byte(input))
		return joseSignature(t, k.private, h.Sum(nil), crypto.SHA384, 48)
	case "EdDSA", "Ed25519":
		signature, err = k.private.Sign(rand.Reader, []byte(input), crypto.Hash(0))
	case "PS256":
		signature, err = k.private.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	case "RS256":
		signature, err = k.private.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// joseSignature is r and s, each in size bytes (RFC 7518 section 3.4).
func joseSignature(t testing.TB, private crypto.Signer, digest []byte, h crypto.Hash, size int) []byte {
	t.Helper()
	der, err := private.Sign(rand.Reader, digest, h)
	if err != nil {
		t.Fatal(err)
	}
	var numbers struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &numbers); err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 2*size)
	numbers.R.FillBytes(out[:size])
	numbers.S.FillBytes(out[size:])
	return out
}

// hs256 is a JWS that is "signed" with secret.
func hs256(t testing.TB, secret []byte, header, payload claims) string {
	t.Helper()
	input := encode(t, header.with(claims{"alg": "HS256"})) + "." + encode(t, payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// flip changes the character at i to another of base64url.
func flip(s string, i int) string {
	c := "A"
	if s[i] == 'A' {
		c = "B"
	}
	return s[:i] + c + s[i+1:]
}

// random is n bytes in base64url.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b64(b)
}

// parts decodes the header and payload of a JWS without verifying it.
func parts(t testing.TB, compact string) (header, payload claims) {
	t.Helper()
	var pieces [3]string
	n, begin := 0, 0
	for i := 0; i <= len(compact); i++ {
		if i == len(compact) || compact[i] == '.' {
			if n == 3 {
				t.Fatalf("%q has more than three parts", compact)
			}
			pieces[n] = compact[begin:i]
			n, begin = n+1, i+1
		}
	}
	for i, into := range []*claims{&header, &payload} {
		text, err := base64.RawURLEncoding.DecodeString(pieces[i])
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

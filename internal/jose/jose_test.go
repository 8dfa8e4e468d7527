package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"sync"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

const limit = 8 << 10

var b64 = base64.RawURLEncoding

// rsaKey is one RSA key of 2048 bits for all tests: making one is slow.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// newKey makes a private key that fits alg.
func newKey(t testing.TB, alg jose.Algorithm) crypto.Signer {
	t.Helper()
	if alg == jose.PS256 {
		return rsaKey()
	}
	key, err := jose.GenerateKey(alg, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigner(t testing.TB, alg jose.Algorithm, kid string) *jose.Signer {
	t.Helper()
	s, err := jose.NewSigner(newKey(t, alg), alg, kid)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t testing.TB, s *jose.Signer, h jose.PreparedHeader, payload string) string {
	t.Helper()
	compact, err := s.Sign(h, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// signed is a JWS with any header, signed as s signs.
func signed(t testing.TB, s *jose.Signer, header, payload string) string {
	t.Helper()
	return sign(t, s, jose.PreparedHeader(b64.EncodeToString([]byte(header))), payload)
}

func TestSignThenVerify(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.PS256, jose.EdDSA, jose.Ed25519} {
		t.Run(string(alg), func(t *testing.T) {
			s := newSigner(t, alg, "key-1")
			for range 20 { // r and s are short now and then
				m, err := jose.Parse(sign(t, s, s.Header("at+jwt", false), `{"sub":"c1"}`), limit)
				if err != nil {
					t.Fatal(err)
				}
				want := jose.Header{Algorithm: alg, KeyID: "key-1", Type: "at+jwt"}
				if got := m.Header; got.Algorithm != want.Algorithm || got.KeyID != want.KeyID || got.Type != want.Type || got.JWK != nil {
					t.Fatalf("header %+v, want %+v", got, want)
				}
				if err := m.Verify(s.Public()); err != nil {
					t.Fatal(err)
				}
				if string(m.Payload) != `{"sub":"c1"}` {
					t.Fatalf("payload %s", m.Payload)
				}
			}
			other := newSigner(t, alg, "key-1")
			if alg == jose.PS256 {
				key, err := rsa.GenerateKey(rand.Reader, 2048)
				if err != nil {
					t.Fatal(err)
				}
				if other, err = jose.NewSigner(key, alg, "key-1"); err != nil {
					t.Fatal(err)
				}
			}
			m, err := jose.Parse(sign(t, s, s.Header("", false), `{}`), limit)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Verify(other.Public()); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("another key: %v", err)
			}
		})
	}
}

func TestRFC9864EdDSAAndEd25519AreTwoNamesOfOne(t *testing.T) {
	key := newKey(t, jose.EdDSA)
	for _, signing := range []jose.Algorithm{jose.EdDSA, jose.Ed25519} {
		for _, verifying := range []jose.Algorithm{jose.EdDSA, jose.Ed25519} {
			s, err := jose.NewSigner(key, signing, "")
			if err != nil {
				t.Fatal(err)
			}
			public, err := jose.NewPublicKey(key.Public(), verifying, "")
			if err != nil {
				t.Fatal(err)
			}
			m, err := jose.Parse(sign(t, s, s.Header("", false), `{}`), limit)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Verify(public); err != nil {
				t.Errorf("%s by a key for %s: %v", signing, verifying, err)
			}
		}
	}
}

func TestVerifyDemandsTheAlgorithmOfTheKey(t *testing.T) {
	algorithms := []jose.Algorithm{jose.ES256, jose.PS256, jose.EdDSA}
	for _, headerAlg := range algorithms {
		for _, keyAlg := range algorithms {
			if headerAlg == keyAlg {
				continue
			}
			s := newSigner(t, keyAlg, "k")
			m, err := jose.Parse(signed(t, s, `{"alg":"`+string(headerAlg)+`"}`, `{}`), limit)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Verify(s.Public()); !errors.Is(err, jose.ErrAlgorithm) {
				t.Errorf("advisory 4: header %s, key %s: %v", headerAlg, keyAlg, err)
			}
		}
	}
	s := newSigner(t, jose.ES256, "")
	m, err := jose.Parse(sign(t, s, s.Header("", false), `{}`), limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(nil); !errors.Is(err, jose.ErrAlgorithm) {
		t.Errorf("no key: %v", err)
	}
	if err := m.Verify(new(jose.PublicKey)); !errors.Is(err, jose.ErrAlgorithm) {
		t.Errorf("zero key: %v", err)
	}
	if err := new(jose.Message).Verify(new(jose.PublicKey)); err == nil {
		t.Error("a zero message verifies with a zero key")
	}
}

func TestRFC7638Thumbprint(t *testing.T) {
	// RFC 8037 appendix A.3 and RFC 9449 section 4.1 with 6.1.
	cases := []struct{ name, jwk, want string }{
		{"RFC 8037 A.3", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
		{"advisory 24: RFC 9449 §6.1", `{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}`, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
		{"advisory 24: RFC 7638 §3.1, without its alg", `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","kid":"2011-04-29"}`, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k, err := jose.ParseJWK([]byte(c.jwk))
			if err != nil {
				t.Fatal(err)
			}
			thumbprint := k.Thumbprint()
			if got := b64.EncodeToString(thumbprint[:]); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestPublicKeyOwnsItsKey(t *testing.T) {
	ec, ed := newKey(t, jose.ES256), newKey(t, jose.EdDSA)
	r := &rsa.PublicKey{N: rsaKey().N, E: rsaKey().E}
	edPublic := ed.Public().(ed25519.PublicKey)
	for _, key := range []crypto.PublicKey{ec.Public(), r, edPublic} {
		k, err := jose.NewPublicKey(key, "", "")
		if err != nil {
			t.Fatal(err)
		}
		before := string(k.JWK())
		switch key := key.(type) {
		case *ecdsa.PublicKey:
			key.Curve = elliptic.P384()
		case *rsa.PublicKey:
			key.E = 3
		case ed25519.PublicKey:
			key[0] ^= 1
		}
		again, err := jose.NewPublicKey(k.Crypto(), "", "")
		if err != nil || string(again.JWK()) != before {
			t.Errorf("%T changed under its owner: %v", key, err)
		}
	}
}

package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

func TestAdvisories1And2NoHMACWithAPublicKey(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.PS256} {
		k := newSigner(t, alg, "").Public()
		der, err := x509.MarshalPKIXPublicKey(k.Crypto())
		if err != nil {
			t.Fatal(err)
		}
		secrets := map[string][]byte{
			"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
			"DER": der,
			"JWK": k.JWK(),
		}
		for form, secret := range secrets {
			input := b64.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + b64.EncodeToString([]byte(`{"sub":"c1"}`))
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			if _, err := jose.Parse(input+"."+b64.EncodeToString(mac.Sum(nil)), limit); !errors.Is(err, jose.ErrAlgorithm) {
				t.Errorf("HS256 keyed with the %s of an %s key: %v", form, alg, err)
			}
		}
	}
}

func TestAdvisory3WhiteSpaceAroundPEM(t *testing.T) {
	key := newKey(t, jose.ES256)
	good, err := jose.MarshalPrivateKeyPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"as written":           good,
		"white space before":   append([]byte(" \r\n\t"), good...),
		"white space after":    append(bytes.Clone(good), " \r\n\n"...),
		"CRLF":                 bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")),
		"without a last break": bytes.TrimSpace(good),
	} {
		got, err := jose.ParsePrivateKeyPEM(data)
		if err != nil || !got.(*ecdsa.PrivateKey).Equal(key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"a byte order mark":  append([]byte("\xef\xbb\xbf"), good...),
		"text before":        append([]byte("key:\n"), good...),
		"text after":         append(bytes.Clone(good), "x"...),
		"two keys":           append(bytes.Clone(good), good...),
		"a broken key first": append([]byte("-----BEGIN PRIVATE KEY-----\n?\n"), good...),
	} {
		if _, err := jose.ParsePrivateKeyPEM(data); !errors.Is(err, jose.ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
}

func TestAdvisory5HeadersNeverBringAKey(t *testing.T) {
	owner, thief := newSigner(t, jose.ES256, "k"), newSigner(t, jose.ES256, "k")
	for _, header := range []string{
		`{"alg":"ES256","kid":"k","jwk":` + string(thief.Public().JWK()) + `}`,
		`{"alg":"ES256","kid":"k","jku":"https://thief.example/jwks.json"}`,
		`{"alg":"ES256","kid":"k","x5u":"https://thief.example/chain.pem"}`,
		`{"alg":"ES256","kid":"k","x5c":["MIIB"]}`,
	} {
		m, err := jose.Parse(signed(t, thief, header, `{}`), limit)
		if err != nil {
			t.Errorf("%s: %v", header, err)
			continue
		}
		if err := m.Verify(owner.Public()); !errors.Is(err, jose.ErrSignature) {
			t.Errorf("%s: %v", header, err)
		}
		if err := m.Verify(thief.Public()); err != nil {
			t.Errorf("%s is ignored: %v", header, err)
		}
	}
}

func TestAdvisory6CritIsRefused(t *testing.T) {
	s := newSigner(t, jose.ES256, "")
	for _, header := range []string{
		`{"alg":"ES256","crit":["bork"],"bork":1}`,
		`{"alg":"ES256","crit":[]}`,
		`{"alg":"ES256","crit":["exp"]}`,
		`{"alg":"ES256","crit":null}`,
		`{"crit":["b64"],"b64":true,"alg":"ES256"}`,
		`{"alg":"ES256","b64":false}`,
		`{"alg":"ES256","b64":true}`,
	} {
		_, err := jose.Parse(signed(t, s, header, `{}`), limit)
		if !errors.Is(err, jose.ErrCritical) || errors.Is(err, jose.ErrMalformed) {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestAdvisory8AMegabyteOfDotsCostsNothing(t *testing.T) {
	dots := strings.Repeat(".", 1<<20)
	if n := testing.AllocsPerRun(10, func() {
		if _, err := jose.Parse(dots, limit); !errors.Is(err, jose.ErrTooLarge) {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if _, err := jose.Parse(dots[:limit], limit); !errors.Is(err, jose.ErrMalformed) {
		t.Errorf("%d dots: %v", limit, err)
	}
}

func TestAdvisories10And11NoEncryption(t *testing.T) {
	part := b64.EncodeToString([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","zip":"DEF","p2c":2147483648,"p2s":"AA"}`))
	if _, err := jose.Parse(part+".AA.AA.AA.AA", limit); !errors.Is(err, jose.ErrMalformed) {
		t.Errorf("five parts: %v", err)
	}
	if _, err := jose.Parse(part+".AA.AA", limit); !errors.Is(err, jose.ErrAlgorithm) {
		t.Errorf("three parts: %v", err)
	}
}

func TestAdvisory12SignaturesHaveOneLength(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA, jose.PS256} {
		s := newSigner(t, alg, "")
		compact := sign(t, s, s.Header("", false), `{}`)
		input, encoded := compact[:strings.LastIndex(compact, ".")+1], compact[strings.LastIndex(compact, ".")+1:]
		signature, err := b64.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		for name, changed := range map[string][]byte{
			"one byte shorter":         signature[:len(signature)-1],
			"first byte missing":       signature[1:],
			"half":                     signature[:len(signature)/2],
			"one byte":                 {1},
			"a zero byte after":        append(bytes.Clone(signature), 0),
			"a zero byte before":       append([]byte{0}, signature...),
			"twice":                    append(bytes.Clone(signature), signature...),
			"16,372 bytes, as HAProxy": bytes.Repeat([]byte{1}, 16372),
		} {
			m, err := jose.Parse(input+b64.EncodeToString(changed), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Verify(s.Public()); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("%s, %s: %v", alg, name, err)
			}
		}
	}
}

// es256Message is header and payload of a JWS, with its last dot, whose ES256
// signature holds.
func es256Message(t *testing.T, s *jose.Signer, holds func(signature []byte) bool) (string, []byte) {
	t.Helper()
	for range 20_000 {
		compact := sign(t, s, s.Header("", false), `{}`)
		i := strings.LastIndex(compact, ".") + 1
		signature, err := b64.DecodeString(compact[i:])
		if err != nil {
			t.Fatal(err)
		}
		if holds(signature) {
			return compact[:i], signature
		}
	}
	t.Fatal("no such signature found")
	return "", nil
}

// Numbers with a leading zero can be written with one byte less, and any number
// with one more; only r and s of 32 bytes each are ES256.
func TestAdvisory12ES256NumbersHaveOneWidth(t *testing.T) {
	s := newSigner(t, jose.ES256, "")
	input, signature := es256Message(t, s, func(signature []byte) bool { return signature[32] == 0 })
	refused := map[string][]byte{
		"s without its zero": append(bytes.Clone(signature[:32]), signature[33:]...),
		"s with one zero more": append(append(bytes.Clone(signature[:32]), 0),
			signature[32:]...),
	}
	for name, changed := range refused {
		m, err := jose.Parse(input+b64.EncodeToString(changed), limit)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Verify(s.Public()); !errors.Is(err, jose.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, err := jose.Parse(input+b64.EncodeToString(signature), limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(s.Public()); err != nil {
		t.Errorf("s with its zero: %v", err)
	}
}

func TestAdvisory13NumbersOutOfRange(t *testing.T) {
	s := newSigner(t, jose.ES256, "")
	input, signature := es256Message(t, s, func([]byte) bool { return true })
	n := elliptic.P256().Params().N
	numbers := map[string]*big.Int{
		"0": big.NewInt(0), "1": big.NewInt(1), "n": n, "n+1": new(big.Int).Add(n, big.NewInt(1)),
		"r":       new(big.Int).SetBytes(signature[:32]),
		"s":       new(big.Int).SetBytes(signature[32:]),
		"2^256-1": new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)),
	}
	for rName, r := range numbers {
		for sName, number := range numbers {
			raw := make([]byte, 64)
			r.FillBytes(raw[:32])
			number.FillBytes(raw[32:])
			m, err := jose.Parse(input+b64.EncodeToString(raw), limit)
			if err != nil {
				t.Fatal(err)
			}
			err = m.Verify(s.Public())
			if good := rName == "r" && sName == "s"; good != (err == nil) {
				t.Errorf("r = %s, s = %s: %v", rName, sName, err)
			}
		}
	}
	digest := sha256.Sum256([]byte(input[:len(input)-1]))
	key := newKey(t, jose.ES256).(*ecdsa.PrivateKey)
	der, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	k, err := jose.NewPublicKey(key.Public(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	m, err := jose.Parse(input+b64.EncodeToString(der), limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(k); !errors.Is(err, jose.ErrSignature) {
		t.Errorf("a DER signature: %v", err)
	}
}

func TestAdvisory14PSSSaltIsAsLongAsTheHash(t *testing.T) {
	s := newSigner(t, jose.PS256, "")
	input := b64.EncodeToString([]byte(`{"alg":"PS256"}`)) + "." + b64.EncodeToString([]byte(`{}`))
	digest := sha256.Sum256([]byte(input))
	for _, salt := range []int{rsa.PSSSaltLengthAuto, 1, 20, 31, 32, 33, 64} {
		signature, err := rsa.SignPSS(rand.Reader, rsaKey(), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		m, err := jose.Parse(input+"."+b64.EncodeToString(signature), limit)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Verify(s.Public()); (err == nil) != (salt == sha256.Size) {
			t.Errorf("salt of %d bytes: %v", salt, err)
		}
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, rsaKey(), crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	m, err := jose.Parse(input+"."+b64.EncodeToString(signature), limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(s.Public()); !errors.Is(err, jose.ErrSignature) {
		t.Errorf("a PKCS #1 v1.5 signature: %v", err)
	}
}

func TestAdvisory15WeakRSAKeys(t *testing.T) {
	power := func(exponent int64) *big.Int { return new(big.Int).Exp(big.NewInt(65537), big.NewInt(exponent), nil) }
	ones := func(bits uint) *big.Int { // odd, of so many bits, and no power of 65537
		return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits-1), big.NewInt(9))
	}
	cases := []struct {
		name   string
		n      *big.Int
		e      int
		reason string // "" is accepted
	}{
		{"no modulus", nil, 65537, "without a modulus"},
		{"modulus 0", big.NewInt(0), 65537, "without a modulus"},
		{"a negative modulus", new(big.Int).Neg(ones(2048)), 65537, "without a modulus"},
		{"1024 bits", ones(1024), 65537, "1024 bits"},
		{"2047 bits", ones(2047), 65537, "2047 bits"},
		{"2048 bits", ones(2048), 65537, ""},
		{"4096 bits", ones(4096), 65537, ""},
		{"4097 bits", ones(4097), 65537, "4097 bits"},
		{"16,384 bits", ones(16384), 65537, "16384 bits"},
		{"an even modulus", new(big.Int).Add(ones(2048), big.NewInt(1)), 65537, "even RSA modulus"},
		{"ROCA", power(128), 65537, "ROCA"},
		{"exponent 0", ones(2048), 0, "exponent"},
		{"exponent 1", ones(2048), 1, "exponent"},
		{"exponent 2", ones(2048), 2, "exponent"},
		{"exponent -3", ones(2048), -3, "exponent"},
		{"exponent 3", ones(2048), 3, ""},
		{"exponent 65536", ones(2048), 65536, "exponent"},
		{"exponent 2^31-1", ones(2048), 1<<31 - 1, ""},
		{"exponent 2^31+1", ones(2048), 1<<31 + 1, "exponent"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := jose.NewPublicKey(&rsa.PublicKey{N: c.n, E: c.e}, "", "")
			if c.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, jose.ErrKey) || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%v, want a refusal that names %q", err, c.reason)
			}
		})
	}
}

func TestAdvisory16SetsThatMix(t *testing.T) {
	a, b := newSigner(t, jose.ES256, "a").Public(), newSigner(t, jose.EdDSA, "b").Public()
	alias, err := jose.NewPublicKey(b.Crypto(), "", "a")
	if err != nil {
		t.Fatal(err)
	}
	unnamed := `{"kty":"EC","crv":"P-256",` + string(a.JWK())[strings.Index(string(a.JWK()), `"x":`):]
	foreign := `{"kty":"EC","crv":"P-384","kid":"a"}`
	set := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
	for name, text := range map[string]string{
		"advisory 16: two keys of one kid":                  string(jose.JWKSet([]*jose.PublicKey{a, alias})),
		"advisory 16: one key twice":                        string(jose.JWKSet([]*jose.PublicKey{a, a})),
		"advisory 16: one key twice without kid":            set(unnamed, unnamed),
		"advisory 16: a kid that a passed-over key has too": set(string(a.JWK()), foreign),
		"advisory 16: two passed-over keys of one kid":      set(foreign, foreign),
		"advisory 16: an oct key among others":              set(string(a.JWK()), `{"kty":"oct","k":"AAAA"}`),
		"advisory 16: an oct key without its k":             set(string(a.JWK()), `{"kty":"oct"}`),
		"a private key among others":                        set(string(a.JWK()), `{"kty":"OKP","crv":"X25519","d":"AA"}`),
	} {
		t.Run(name, func(t *testing.T) {
			if keys, err := jose.ParseJWKSet([]byte(text), 100); !errors.Is(err, jose.ErrKey) || keys != nil {
				t.Errorf("%d keys, %v, want ErrKey", len(keys), err)
			}
		})
	}
}

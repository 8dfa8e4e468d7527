package jose_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

// A key of RFC 9449 section 6.1, one of RFC 8037 appendix A.2, and the modulus
// of RFC 7638 section 3.1.
const (
	ecX     = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"
	ecY     = "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"
	edX     = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
	modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)

// jwk is a sound key of each kind with members added or, by an empty text,
// removed.
func jwk(kind string, changes ...string) string {
	members := map[string]string{}
	switch kind {
	case "EC":
		members = map[string]string{"kty": `"EC"`, "crv": `"P-256"`, "x": `"` + ecX + `"`, "y": `"` + ecY + `"`}
	case "OKP":
		members = map[string]string{"kty": `"OKP"`, "crv": `"Ed25519"`, "x": `"` + edX + `"`}
	case "RSA":
		members = map[string]string{"kty": `"RSA"`, "n": `"` + modulus + `"`, "e": `"AQAB"`}
	}
	for i := 0; i < len(changes); i += 2 {
		if members[changes[i]] = changes[i+1]; changes[i+1] == "" {
			delete(members, changes[i])
		}
	}
	var list []string
	for name, value := range members {
		list = append(list, `"`+name+`":`+value)
	}
	return "{" + strings.Join(list, ",") + "}"
}

func TestParseJWKAccepts(t *testing.T) {
	cases := []struct {
		name, jwk string
		alg       jose.Algorithm
	}{
		{"EC", jwk("EC"), jose.ES256},
		{"EC for ES256", jwk("EC", "alg", `"ES256"`, "use", `"sig"`), jose.ES256},
		{"key_ops with verify", jwk("EC", "key_ops", `["sign","verify"]`), jose.ES256},
		{"unknown members", jwk("EC", "x5c", `["MIIB"]`, "iat", "1", "ext", "true", "n", `"?"`, "e", `""`), jose.ES256},
		{"OKP", jwk("OKP"), jose.EdDSA},
		{"OKP for EdDSA", jwk("OKP", "alg", `"EdDSA"`), jose.EdDSA},
		{"OKP for Ed25519", jwk("OKP", "alg", `"Ed25519"`), jose.Ed25519},
		{"RSA", jwk("RSA"), jose.PS256},
		{"RSA for PS256", jwk("RSA", "alg", `"PS256"`), jose.PS256},
		{"RSA with exponent 3", jwk("RSA", "e", `"Aw"`), jose.PS256},
		{"RSA with exponent 2^31-1", jwk("RSA", "e", `"f____w"`), jose.PS256},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k, err := jose.ParseJWK([]byte(c.jwk))
			if err != nil {
				t.Fatal(err)
			}
			thumbprint := k.Thumbprint()
			if k.Algorithm() != c.alg || k.KeyID() != b64.EncodeToString(thumbprint[:]) {
				t.Errorf("algorithm %s, kid %s", k.Algorithm(), k.KeyID())
			}
		})
	}
}

func TestParseJWKRefuses(t *testing.T) {
	x, err := b64.DecodeString(ecX)
	if err != nil {
		t.Fatal(err)
	}
	y, err := b64.DecodeString(ecY)
	if err != nil {
		t.Fatal(err)
	}
	quote := func(b []byte) string { return `"` + b64.EncodeToString(b) + `"` }
	padded := make([]byte, 33)
	copy(padded[1:], x)
	n, err := b64.DecodeString(modulus)
	if err != nil {
		t.Fatal(err)
	}
	lowOrder := make([]byte, 32)
	cases := []struct{ name, jwk string }{
		{"nothing", ""},
		{"an array", "[]"},
		{"an empty object", "{}"},
		{"a member twice", strings.Replace(jwk("EC"), "{", `{"kty":"EC",`, 1)},
		{"text after the key", jwk("EC") + "x"},
		{"no kty", jwk("EC", "kty", "")},
		{"an unknown kty", jwk("EC", "kty", `"AKP"`)},
		{"kty in another case", jwk("EC", "kty", `"ec"`)},
		{"kty that is no text", jwk("EC", "kty", `1`)},
		{"a symmetric key", `{"kty":"oct","k":"AAAA"}`},
		{"a symmetric key without k", `{"kty":"oct"}`},
		{"d of an EC key", jwk("EC", "d", `"AA"`)},
		{"d that is null", jwk("EC", "d", `null`)},
		{"d of an OKP key", jwk("OKP", "d", `"AA"`)},
		{"d of an RSA key", jwk("RSA", "d", `"AA"`)},
		{"p", jwk("RSA", "p", `"AA"`)},
		{"q", jwk("RSA", "q", `"AA"`)},
		{"dp", jwk("RSA", "dp", `"AA"`)},
		{"dq", jwk("RSA", "dq", `"AA"`)},
		{"qi", jwk("RSA", "qi", `"AA"`)},
		{"oth", jwk("RSA", "oth", `[]`)},
		{"k", jwk("EC", "k", `"AA"`)},
		{"priv", jwk("EC", "priv", `"AA"`)},

		{"use enc", jwk("EC", "use", `"enc"`)},
		{"an empty use", jwk("EC", "use", `""`)},
		{"use that is no text", jwk("EC", "use", `["sig"]`)},
		{"key_ops without verify", jwk("EC", "key_ops", `["sign"]`)},
		{"empty key_ops", jwk("EC", "key_ops", `[]`)},
		{"key_ops that is a text", jwk("EC", "key_ops", `"verify"`)},
		{"key_ops that is null", jwk("EC", "key_ops", `null`)},
		{"an unknown alg", jwk("EC", "alg", `"ES384"`)},
		{"an empty alg", jwk("EC", "alg", `""`)},
		{"alg that is null", jwk("EC", "alg", `null`)},
		{"alg of RSA for an EC key", jwk("EC", "alg", `"PS256"`)},
		{"alg of EC for an OKP key", jwk("OKP", "alg", `"ES256"`)},
		{"alg of OKP for an RSA key", jwk("RSA", "alg", `"EdDSA"`)},
		{"RS256", jwk("RSA", "alg", `"RS256"`)},
		{"HS256 for an EC key", jwk("EC", "alg", `"HS256"`)},
		{"an empty kid", jwk("EC", "kid", `""`)},
		{"a kid that is a number", jwk("EC", "kid", `1`)},
		{"a kid of 129 bytes", jwk("EC", "kid", `"`+strings.Repeat("k", 129)+`"`)},
		{"a kid with a line break", jwk("EC", "kid", `"a\nb"`)},

		{"no crv", jwk("EC", "crv", "")},
		{"P-384", jwk("EC", "crv", `"P-384"`)},
		{"P-521", jwk("EC", "crv", `"P-521"`)},
		{"secp256k1", jwk("EC", "crv", `"secp256k1"`)},
		{"Ed25519 of kty EC", jwk("OKP", "kty", `"EC"`)},
		{"P-256 of kty OKP", jwk("EC", "kty", `"OKP"`)},
		{"X25519", jwk("OKP", "crv", `"X25519"`)},
		{"Ed448", jwk("OKP", "crv", `"Ed448"`)},
		{"no x", jwk("EC", "x", "")},
		{"no y", jwk("EC", "y", "")},
		{"x that is no text", jwk("EC", "x", "1")},
		{"y that is no text", jwk("EC", "y", "1")},
		{"x and y exchanged", jwk("EC", "x", `"`+ecY+`"`, "y", `"`+ecX+`"`)},
		{"x with a zero before", jwk("EC", "x", quote(padded))},
		{"a byte of x moved to y", jwk("EC", "x", quote(x[:31]), "y", quote(append([]byte{x[31]}, y...)))},
		{"a byte of y moved to x", jwk("EC", "x", quote(append(x[:32:32], y[0])), "y", quote(y[1:]))},
		{"x with padding", jwk("EC", "x", `"`+ecX+`="`)},
		{"x with a line break", jwk("EC", "x", `"`+ecX[:42]+`\n"`)},
		{"x with stray bits", jwk("EC", "x", `"`+ecX[:42]+`t"`)},
		{"y with stray bits", jwk("EC", "y", `"`+ecY[:42]+`B"`)},
		{"x in the other alphabet", jwk("EC", "x", `"`+strings.ReplaceAll(ecX, "-", "+")+`"`)},
		{"the point at infinity", jwk("EC", "x", quote(make([]byte, 32)), "y", quote(make([]byte, 32)))},

		{"no x of OKP", jwk("OKP", "x", "")},
		{"31 bytes of OKP", jwk("OKP", "x", quote(make([]byte, 31)))},
		{"33 bytes of OKP", jwk("OKP", "x", quote(make([]byte, 33)))},
		{"OKP with stray bits", jwk("OKP", "x", `"`+edX[:42]+`p"`)},
		{"a point of low order", jwk("OKP", "x", quote(lowOrder))},

		{"no n", jwk("RSA", "n", "")},
		{"no e", jwk("RSA", "e", "")},
		{"n that is no text", jwk("RSA", "n", "1")},
		{"e that is a number", jwk("RSA", "e", "65537")},
		{"n with a zero before", jwk("RSA", "n", quote(append([]byte{0}, n...)))},
		{"e with a zero before", jwk("RSA", "e", `"AAEAAQ"`)},
		{"n with a line break", jwk("RSA", "n", `"`+modulus[:4]+`\n`+modulus[4:]+`"`)},
		{"n with padding", jwk("RSA", "n", `"`+modulus+`=="`)},
		{"n with stray bits", jwk("RSA", "n", `"`+modulus[:341]+`x"`)},
		{"n of 1024 bits", jwk("RSA", "n", quote(n[:128]))},
		{"n of 8192 bits", jwk("RSA", "n", quote(append(append(append(n[:256:256], n...), n...), n...)))},
		{"e of 5 bytes", jwk("RSA", "e", `"AQAAAAE"`)},
		{"e beyond 2^31", jwk("RSA", "e", `"gAAAAQ"`)},
		{"e of 1", jwk("RSA", "e", `"AQ"`)},
		{"e of 0", jwk("RSA", "e", `"AA"`)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if k, err := jose.ParseJWK([]byte(c.jwk)); !errors.Is(err, jose.ErrKey) || k != nil {
				t.Errorf("%v, want ErrKey", err)
			}
		})
	}
	for _, c := range []struct{ name, jwk, reason string }{
		{"a private key", jwk("EC", "d", `"AA"`), "private"},
		{"a symmetric key", `{"kty":"oct"}`, "symmetric"},
		{"x of EC", jwk("EC", "x", `"`+ecX[:42]+`t"`), "x: "},
		{"y of EC", jwk("EC", "y", `"`+ecY[:42]+`B"`), "y: "},
		{"x of OKP", jwk("OKP", "x", `"`+edX[:42]+`p"`), "x: "},
		{"n with stray bits", jwk("RSA", "n", `"`+modulus[:341]+`x"`), "n: illegal base64"},
		{"e with stray bits", jwk("RSA", "e", `"Ax"`), "e: illegal base64"},
		{"e of 5 bytes", jwk("RSA", "e", `"AQAAAAE"`), "e: "},
		{"a use", jwk("EC", "use", `"enc"`), "use"},
		{"key_ops", jwk("EC", "key_ops", `["sign"]`), "key_ops"},
	} {
		t.Run("advisory 15: the reason is named: "+c.name, func(t *testing.T) {
			if _, err := jose.ParseJWK([]byte(c.jwk)); err == nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%v, want a refusal that names %q", err, c.reason)
			}
		})
	}
	t.Run("no fault quotes the key", func(t *testing.T) {
		for _, text := range []string{
			jwk("EC", "d", `"secret"`), jwk("EC", "x", `"secret"`), jwk("EC", "use", `"secret"`), jwk("RSA", "n", `"secret"`),
			jwk("EC", "kid", `"secret\n"`), jwk("EC", "alg", `"secret"`), jwk("EC", "crv", `"secret"`),
		} {
			if _, err := jose.ParseJWK([]byte(text)); err == nil || strings.Contains(err.Error(), "secret") {
				t.Error(err)
			}
		}
	})
}

func TestParseJWKSet(t *testing.T) {
	set := func(keys ...string) string { return `{"x":1,"keys":[` + strings.Join(keys, ",") + `]}` }
	foreign := []string{
		`{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}`,
		`{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}`,
		`{"kty":"OKP","crv":"X25519","x":"AA"}`,
		`{"crv":"P-256"}`,
		jwk("RSA", "alg", `"RS256"`),
		jwk("RSA", "alg", `"RSA-OAEP"`, "use", `"enc"`),
		jwk("EC", "use", `"enc"`),
		jwk("EC", "key_ops", `["deriveKey"]`),
	}
	t.Run("RFC 7517 §5: keys of other kinds and uses are passed over", func(t *testing.T) {
		keys, err := jose.ParseJWKSet([]byte(set(append(foreign, jwk("EC"), jwk("OKP", "kid", `"ed"`), jwk("RSA"))...)), 100)
		if err != nil {
			t.Fatal(err)
		}
		var algorithms []jose.Algorithm
		for _, k := range keys {
			algorithms = append(algorithms, k.Algorithm())
		}
		if diff := cmp.Diff([]jose.Algorithm{jose.ES256, jose.EdDSA, jose.PS256}, algorithms); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an empty set has no keys", func(t *testing.T) {
		if keys, err := jose.ParseJWKSet([]byte(`{"keys":[]}`), 0); err != nil || len(keys) != 0 {
			t.Error(keys, err)
		}
	})
	t.Run("at most most keys, passed-over ones counted", func(t *testing.T) {
		text := []byte(set(jwk("EC"), jwk("OKP"), foreign[0]))
		if _, err := jose.ParseJWKSet(text, 3); err != nil {
			t.Error(err)
		}
		if keys, err := jose.ParseJWKSet(text, 2); !errors.Is(err, jose.ErrTooLarge) || keys != nil {
			t.Error(err)
		}
	})
	for name, text := range map[string]string{
		"nothing":                   "",
		"a single key":              jwk("EC"),
		"an array":                  `[` + jwk("EC") + `]`,
		"keys that is null":         `{"keys":null}`,
		"keys that is an object":    `{"keys":` + jwk("EC") + `}`,
		"keys twice":                `{"keys":[],"keys":[]}`,
		"Keys in another case":      `{"Keys":[]}`,
		"text after the set":        `{"keys":[]}x`,
		"an element that is null":   set("null"),
		"an element that is a text": set(`"a"`),
		"a private key":             set(jwk("EC", "d", `"AA"`)),
		"a key with a fault":        set(jwk("EC"), jwk("OKP", "x", `"AA"`)),
		"a key whose alg misfits":   set(jwk("EC", "alg", `"PS256"`)),
		"a key of 1024 bits":        set(jwk("RSA", "n", `"`+modulus[:171]+`"`)),
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			if keys, err := jose.ParseJWKSet([]byte(text), 100); !errors.Is(err, jose.ErrKey) || keys != nil {
				t.Errorf("%d keys, %v, want ErrKey", len(keys), err)
			}
		})
	}
}

func TestJWKIsCompactAndSorted(t *testing.T) {
	cases := []struct{ in, want string }{
		{jwk("EC", "kid", `"k\"1"`), `{"alg":"ES256","crv":"P-256","kid":"k\"1","kty":"EC","use":"sig","x":"` + ecX + `","y":"` + ecY + `"}`},
		{jwk("OKP", "kid", `"k"`, "alg", `"Ed25519"`), `{"alg":"Ed25519","crv":"Ed25519","kid":"k","kty":"OKP","use":"sig","x":"` + edX + `"}`},
		{jwk("RSA", "kid", `"k"`), `{"alg":"PS256","e":"AQAB","kid":"k","kty":"RSA","n":"` + modulus + `","use":"sig"}`},
	}
	var keys []*jose.PublicKey
	var want []string
	for _, c := range cases {
		k, err := jose.ParseJWK([]byte(c.in))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(k.JWK()); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
		keys, want = append(keys, k), append(want, c.want)
	}
	set := jose.JWKSet(keys)
	if string(set) != `{"keys":[`+strings.Join(want, ",")+`]}` || !json.Valid(set) {
		t.Errorf("%s", set)
	}
	if got := string(jose.JWKSet(nil)); got != `{"keys":[]}` {
		t.Error(got)
	}
}

func TestNewPublicKeyRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := newKey(t, jose.ES256).Public()
	cases := []struct {
		name string
		key  any
		alg  jose.Algorithm
		kid  string
	}{
		{"nothing", nil, "", ""},
		{"bytes", []byte("secret"), "", ""},
		{"a private key", newKey(t, jose.ES256), "", ""},
		{"P-384", p384.Public(), "", ""},
		{"P-384 for ES256", p384.Public(), jose.ES256, ""},
		{"X25519", x25519.Public(), "", ""},
		{"no curve", &ecdsa.PublicKey{}, "", ""},
		{"31 bytes of Ed25519", make(ed25519.PublicKey, 31), "", ""},
		{"an empty Ed25519 key", ed25519.PublicKey{}, "", ""},
		{"EdDSA with P-256", good, jose.EdDSA, ""},
		{"HS256", good, "HS256", ""},
		{"none", good, "none", ""},
		{"a kid of 129 bytes", good, "", strings.Repeat("k", 129)},
		{"a kid with NUL", good, "", "a\x00"},
		{"a kid that is not UTF-8", good, "", "\xff"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k, err := jose.NewPublicKey(c.key, c.alg, c.kid)
			if !errors.Is(err, jose.ErrKey) || k != nil {
				t.Errorf("%v, want ErrKey", err)
			}
			if c.key == p384.Public() && !strings.Contains(err.Error(), "curve") {
				t.Errorf("%v does not name the curve", err)
			}
		})
	}
	if _, err := jose.NewPublicKey(good, "", strings.Repeat("k", 128)); err != nil {
		t.Errorf("a kid of 128 bytes: %v", err)
	}
}

func TestExponentBeyond64Bits(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	n := b64.EncodeToString(key.N.Bytes())
	e := b64.EncodeToString([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1}) // 65537 to whoever drops the first byte
	if _, err := jose.ParseJWK([]byte(`{"kty":"RSA","n":"` + n + `","e":"` + e + `"}`)); !errors.Is(err, jose.ErrKey) {
		t.Errorf("accepted: %v", err)
	}
}

package jose_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

// Whatever Parse accepts has one spelling: its parts, encoded again, are the
// text. What it says of the header, encoding/json says too, and no key of ours
// verifies it unless we signed it.
func FuzzParse(f *testing.F) {
	signers := []*jose.Signer{newSigner(f, jose.ES256, "k"), newSigner(f, jose.EdDSA, "k")}
	const es256 = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9"
	for _, seed := range []string{
		es256 + ".e30.AAAA",
		es256 + "..AA",
		es256 + ".e30",
		es256 + ".e31.AAAA",
		es256 + ".e30.AAAA\n",
		es256 + ".e30.AAAA.AAAA",
		b64.EncodeToString([]byte(`{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+edX+`"}}`)) + ".e30.AAAA",
		b64.EncodeToString([]byte(`{"alg":"PS256","crit":["b64"],"b64":false}`)) + ".e30.AAAA",
		b64.EncodeToString([]byte(`{"alg":"ES256","alg":"none","kid":""}`)) + ".e30.AAAA",
		strings.Repeat(".", 64),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, compact string) {
		m, err := jose.Parse(compact, limit)
		if err != nil {
			if m != nil {
				t.Fatal("a message beside an error")
			}
			return
		}
		parts := strings.Split(compact, ".")
		if len(parts) != 3 || len(compact) > limit {
			t.Fatalf("%d parts, %d bytes", len(parts), len(compact))
		}
		for _, part := range parts {
			decoded, err := b64.DecodeString(part)
			if err != nil || b64.EncodeToString(decoded) != part {
				t.Fatalf("part with two spellings: %q", part)
			}
		}
		if b64.EncodeToString(m.Payload) != parts[1] {
			t.Fatalf("payload %q", m.Payload)
		}
		header, err := b64.DecodeString(parts[0])
		if err != nil {
			t.Fatal(err)
		}
		checkHeader(t, m.Header, header)
		for _, s := range signers {
			if m.Verify(s.Public()) == nil {
				t.Fatal("verifies with a key that signed nothing")
			}
		}
	})
}

// checkHeader compares h with what encoding/json reads.
func checkHeader(t *testing.T, h jose.Header, text []byte) {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatalf("encoding/json refuses the header: %v", err)
	}
	for name, got := range map[string]string{"alg": string(h.Algorithm), "kid": h.KeyID, "typ": h.Type} {
		var want string
		if raw, ok := members[name]; ok {
			if err := json.Unmarshal(raw, &want); err != nil || want == "" {
				t.Fatalf("%s: %s, %v", name, raw, err)
			}
		}
		if got != want {
			t.Fatalf("%s is %q, encoding/json has %q", name, got, want)
		}
	}
	if !bytes.Equal(members["jwk"], h.JWK) {
		t.Fatalf("jwk is %s, encoding/json has %s", h.JWK, members["jwk"])
	}
	if _, ok := members["crit"]; ok {
		t.Fatal("crit accepted")
	}
}

// Whatever ParseJWK accepts comes back the same from its own JWK, and had no
// private member.
func FuzzParseJWK(f *testing.F) {
	for _, kind := range []string{"EC", "OKP", "RSA"} {
		f.Add([]byte(jwk(kind)))
		f.Add([]byte(jwk(kind, "kid", `"k"`, "use", `"sig"`, "key_ops", `["verify"]`)))
		f.Add([]byte(jwk(kind, "d", `"AA"`)))
	}
	f.Add([]byte(`{"kty":"oct","k":"AA"}`))
	f.Add([]byte(jwk("EC", "crv", `"P-384"`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := jose.ParseJWK(data)
		if err != nil {
			if k != nil {
				t.Fatal("a key beside an error")
			}
			return
		}
		checkKey(t, k)
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatalf("encoding/json refuses the JWK: %v", err)
		}
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
			if _, ok := members[private]; ok {
				t.Fatalf("member %s accepted", private)
			}
		}
	})
}

func checkKey(t *testing.T, k *jose.PublicKey) {
	t.Helper()
	again, err := jose.ParseJWK(k.JWK())
	if err != nil {
		t.Fatalf("our own JWK is refused: %v", err)
	}
	if !bytes.Equal(again.JWK(), k.JWK()) || again.Thumbprint() != k.Thumbprint() || again.KeyID() != k.KeyID() {
		t.Fatalf("%s comes back as %s", k.JWK(), again.JWK())
	}
	fromKey, err := jose.NewPublicKey(k.Crypto(), k.Algorithm(), k.KeyID())
	if err != nil || !bytes.Equal(fromKey.JWK(), k.JWK()) {
		t.Fatalf("the key itself is refused: %v", err)
	}
}

// Whatever ParseJWKSet accepts has few keys of different kid, each as ParseJWK
// would have it.
func FuzzParseJWKSet(f *testing.F) {
	const most = 3
	ec, okp := jwk("EC", "kid", `"a"`), jwk("OKP", "kid", `"b"`)
	for _, keys := range []string{"", ec, ec + "," + okp, ec + "," + ec, ec + `,{"kty":"oct"}`, ec + `,{"kty":"AKP"},` + jwk("RSA"), "null"} {
		f.Add([]byte(`{"keys":[` + keys + `]}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := jose.ParseJWKSet(data, most)
		if err != nil {
			if keys != nil {
				t.Fatal("keys beside an error")
			}
			return
		}
		var set struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(data, &set); err != nil || len(set.Keys) > most || len(keys) > len(set.Keys) {
			t.Fatalf("%d keys of %d: %v", len(keys), len(set.Keys), err)
		}
		kids := make(map[string]bool)
		for _, k := range keys {
			checkKey(t, k)
			if kids[k.KeyID()] {
				t.Fatal("one kid twice")
			}
			kids[k.KeyID()] = true
		}
		if _, err := jose.ParseJWKSet(jose.JWKSet(keys), most); err != nil {
			t.Fatalf("our own set is refused: %v", err)
		}
	})
}

package token_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/token"
)

const issuer = "https://as.example"

func newSigner(t testing.TB, kid string) *jose.Signer {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner(key, jose.ES256, kid)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sample() token.Claims {
	at := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	return token.Claims{
		Issuer: issuer, Audience: "https://api.example/payments", ClientID: "c1", Organisation: "acme", Scope: "payments refunds",
		ID: "jti-1", CredentialID: "cred-1", IssuedAt: at, Expires: at.Add(5 * time.Minute), Binding: cnf.ToKey(cnf.Thumbprint{1, 2, 3}),
	}
}

func TestMint(t *testing.T) {
	k := token.NewSigningKeys(newSigner(t, "k1"))
	for _, binding := range []cnf.Binding{cnf.ToKey(cnf.Thumbprint{1}), cnf.ToCertificate(cnf.Thumbprint{2})} {
		c := sample()
		c.Binding = binding
		raw, err := k.Mint(c)
		if err != nil {
			t.Fatal(err)
		}
		m, err := jose.Parse(raw, token.MaxSize)
		if err != nil || m.Verify(k.Published[0]) != nil {
			t.Fatal("does not verify")
		}
		if m.Header.Type != "at+jwt" || m.Header.KeyID != "k1" {
			t.Errorf("RFC 9068 §2.1: header %+v", m.Header)
		}
		var got map[string]any
		if err := json.Unmarshal(m.Payload, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"iss": issuer, "aud": c.Audience, "sub": "c1", "client_id": "c1", "organisation": "acme", "scope": "payments refunds", "jti": "jti-1",
			"credential_id": "cred-1", "iat": float64(c.IssuedAt.Unix()), "exp": float64(c.Expires.Unix()),
			"cnf": map[string]any{binding.Member(): binding.Thumbprint().String()},
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if !bytes.Equal(a, b) {
			t.Errorf("got %s, want %s", a, b)
		}
		c.KeyID = "k1"
		parsed, err := k.Parse(issuer, raw)
		if err != nil || *parsed != c {
			t.Errorf("got %+v, %v, want %+v", parsed, err, c)
		}
	}
}

func TestMintEscapes(t *testing.T) {
	k := token.NewSigningKeys(newSigner(t, "k1"))
	c := sample()
	c.Audience, c.Organisation = `https://x/"},"cnf":{"`, "a\\\n\u2028é"
	raw, err := k.Mint(c)
	if err != nil {
		t.Fatal(err)
	}
	c.KeyID = "k1"
	if got, err := k.Parse(issuer, raw); err != nil || *got != c {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestMintRefuses(t *testing.T) {
	c := sample()
	c.Binding = cnf.Binding{}
	if raw, err := token.NewSigningKeys(newSigner(t, "k1")).Mint(c); !errors.Is(err, token.ErrUnbound) || raw != "" {
		t.Errorf("promise 1: unbound: got %q, %v", raw, err)
	}
	if raw, err := token.NewSigningKeys(nil).Mint(sample()); !errors.Is(err, token.ErrNoKey) || raw != "" {
		t.Errorf("no key: got %q, %v", raw, err)
	}
}

func TestMintWithALiteralSet(t *testing.T) {
	s := newSigner(t, "k1")
	k := &token.SigningKeys{Current: s, Published: []*jose.PublicKey{s.Public()}}
	raw, err := k.Mint(sample())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Parse(issuer, raw); err != nil {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	s := newSigner(t, "k1")
	old := newSigner(t, "k0")
	k := token.NewSigningKeys(s, old.Public())
	c := sample()
	type claims = map[string]any
	good := func(edit claims) claims {
		all := claims{
			"iss": issuer, "aud": c.Audience, "sub": "c1", "client_id": "c1", "organisation": "acme", "scope": "payments", "jti": "jti-1",
			"credential_id": "cred-1", "iat": c.IssuedAt.Unix(), "exp": c.Expires.Unix(), "cnf": claims{"jkt": cnf.Thumbprint{1}.String()},
		}
		maps.Copy(all, edit)
		maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
		return all
	}
	sign := func(signer *jose.Signer, header, body any) string {
		h, _ := json.Marshal(header)
		b, _ := json.Marshal(body)
		raw, err := signer.Sign(jose.PreparedHeader(base64.RawURLEncoding.EncodeToString(h)), b)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	header := claims{"alg": "ES256", "kid": "k1", "typ": "at+jwt"}
	thumbprint := cnf.Thumbprint{1}.String()
	cases := map[string]string{
		"empty":                        "",
		"no dots":                      "abc",
		"a key that we do not publish": sign(newSigner(t, "k2"), claims{"alg": "ES256", "kid": "k2", "typ": "at+jwt"}, good(nil)),
		"a stranger under our kid":     sign(newSigner(t, "k1"), header, good(nil)),
		"no kid":                       sign(s, claims{"alg": "ES256", "typ": "at+jwt"}, good(nil)),
		"typ JWT":                      sign(s, claims{"alg": "ES256", "kid": "k1", "typ": "JWT"}, good(nil)),
		"typ absent":                   sign(s, claims{"alg": "ES256", "kid": "k1"}, good(nil)),
		"another issuer":               sign(s, header, good(claims{"iss": "https://other.example"})),
		"advisory 18: issuer with a trailing slash": sign(s, header, good(claims{"iss": issuer + "/"})),
		"sub of another client":                     sign(s, header, good(claims{"sub": "c2"})),
		"no iss":                                    sign(s, header, good(claims{"iss": nil})),
		"no aud":                                    sign(s, header, good(claims{"aud": nil})),
		"aud an array":                              sign(s, header, good(claims{"aud": []string{c.Audience}})),
		"no sub":                                    sign(s, header, good(claims{"sub": nil})),
		"no client_id":                              sign(s, header, good(claims{"client_id": nil})),
		"neither sub nor client_id":                 sign(s, header, good(claims{"client_id": nil, "sub": nil})),
		"no organisation":                           sign(s, header, good(claims{"organisation": nil})),
		"no scope":                                  sign(s, header, good(claims{"scope": nil})),
		"no jti":                                    sign(s, header, good(claims{"jti": nil})),
		"no credential_id":                          sign(s, header, good(claims{"credential_id": nil})),
		"no iat":                                    sign(s, header, good(claims{"iat": nil})),
		"advisory 19: no exp":                       sign(s, header, good(claims{"exp": nil})),
		"advisory 19: exp a string":                 sign(s, header, good(claims{"exp": "1"})),
		"exp before iat":                            sign(s, header, good(claims{"exp": c.IssuedAt.Unix()})),
		"no cnf":                                    sign(s, header, good(claims{"cnf": nil})),
		"cnf with an unknown member":                sign(s, header, good(claims{"cnf": claims{"jku": "x"}})),
		"cnf with both members, which we never write": sign(s, header, good(claims{"cnf": claims{"jkt": thumbprint, "x5t#S256": thumbprint}})),
		"scope a number":          sign(s, header, good(claims{"scope": 1})),
		"larger than 8 KiB":       sign(s, header, good(claims{"pad": strings.Repeat("x", 8<<10)})),
		"advisory 10: five parts": sign(s, header, good(nil)) + ".a.b",
	}
	complete, _ := json.Marshal(good(nil))
	doubled, err := s.Sign(s.Header(token.Type, false), append(complete[:len(complete)-1], `,"x":1,"x":2}`...))
	if err != nil {
		t.Fatal(err)
	}
	cases["a member twice"] = doubled
	for name, raw := range cases {
		t.Run(name, func(t *testing.T) {
			if got, err := k.Parse(issuer, raw); !errors.Is(err, token.ErrForeign) || got != nil {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	t.Run("unknown claims are ignored", func(t *testing.T) {
		if _, err := k.Parse(issuer, sign(s, header, good(claims{"act": "x"}))); err != nil {
			t.Error(err)
		}
	})
	t.Run("a key that signs no more still verifies", func(t *testing.T) {
		if _, err := k.Parse(issuer, sign(old, claims{"alg": "ES256", "kid": "k0", "typ": "at+jwt"}, good(nil))); err != nil {
			t.Error(err)
		}
	})
	t.Run("advisory 21: every byte lost or changed", func(t *testing.T) {
		raw, err := k.Mint(c)
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			flipped := []byte(raw)
			flipped[i] ^= 1
			for _, bad := range []string{raw[:i], string(flipped)} {
				if _, err := k.Parse(issuer, bad); err == nil {
					t.Fatalf("accepted %q", bad)
				}
			}
		}
	})
}

func TestAssertionUse(t *testing.T) {
	from, until := time.Unix(500, 0), time.Unix(1000, 0)
	a := token.AssertionUse("c1", "j1", from, until)
	if !a.Until.Equal(until) || !a.From.Equal(from) {
		t.Errorf("from %v until %v", a.From, a.Until)
	}
	if a != token.AssertionUse("c1", "j1", from, until) {
		t.Error("one use has two names")
	}
	seen := map[[32]byte]string{a.Key: "c1 j1"}
	for _, other := range [][2]string{{"c1", "j2"}, {"c2", "j1"}, {"c1j", "1"}, {"c", "1j1"}, {"c1", "j1\x00"}, {"", "c1\x00j1"}} {
		u := token.AssertionUse(other[0], other[1], from, until)
		if of, ok := seen[u.Key]; ok {
			t.Errorf("advisory 42: %q shares its name with %q", other, of)
		}
		seen[u.Key] = other[0] + " " + other[1]
	}
	if (&token.ReplayedError{}).Error() == "" {
		t.Error("no text")
	}
}

func FuzzParse(f *testing.F) {
	s := newSigner(f, "k1")
	k := token.NewSigningKeys(s)
	header := s.Header(token.Type, false)
	raw, err := k.Mint(sample())
	if err != nil {
		f.Fatal(err)
	}
	m, err := jose.Parse(raw, token.MaxSize)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Payload)
	f.Add([]byte(`{"iss":"https://as.example","cnf":{}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		// What is accepted is bound, complete, and comes back the same when minted again.
		raw, err := s.Sign(header, payload)
		if err != nil {
			return
		}
		c, err := k.Parse(issuer, raw)
		if err != nil {
			return
		}
		again, err := k.Mint(*c)
		if err != nil {
			t.Fatalf("accepted %q: %v", payload, err)
		}
		if d, err := k.Parse(issuer, again); err != nil || *d != *c {
			t.Fatalf("%+v became %+v: %v", c, d, err)
		}
	})
}

func BenchmarkMint(b *testing.B) {
	k := token.NewSigningKeys(newSigner(b, "k1"))
	c := sample()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Mint(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	k := token.NewSigningKeys(newSigner(b, "k1"))
	raw, err := k.Mint(sample())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Parse(issuer, raw); err != nil {
			b.Fatal(err)
		}
	}
}

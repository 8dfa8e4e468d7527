package dpop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

// FuzzProof: whatever Parse accepts is a compact JWS that verifies under the key
// it names, and encoding/json reads the same claims from it, to the letter.
func FuzzProof(f *testing.F) {
	g := newForger(f)
	f.Add(g.proof(f))
	g.claims["nonce"] = "n"
	f.Add(g.proof(f))
	g.header["typ"] = "JWT"
	f.Add(g.proof(f))
	f.Add("..")
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCJ9.e30.AAAA")
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := Parse(raw)
		if err != nil {
			if p != nil {
				t.Fatal("a proof and an error")
			}
			return
		}
		parts := strings.Split(raw, ".")
		if len(raw) > MaxProof || len(parts) != 3 {
			t.Fatalf("accepted %d bytes in %d parts", len(raw), len(parts))
		}
		payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		if claims["jti"] != p.ID || claims["htm"] != p.Method || claims["htu"] != p.URL {
			t.Fatalf("read %+v from %s", p, payload)
		}
		if p.ID == "" || len(p.ID) > MaxID || p.Method == "" || p.URL == "" || p.JKT != p.Key.Thumbprint() {
			t.Fatalf("accepted %+v", p)
		}
		message, err := jose.Parse(raw, MaxProof)
		if err != nil {
			t.Fatal(err)
		}
		if err := message.Verify(p.Key); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzTarget compares with net/url: two URLs that are the same here are the same
// there once decoded, so no htu passes for another place.
func FuzzTarget(f *testing.F) {
	f.Add("https://API.example.com:443/%70ayments?q", "https://api.example.com/payments")
	f.Add("https://a/b%2Fc", "https://a/b/c")
	f.Add("https://u@a/", "https://a/")
	f.Add("https://[::1]:443/", "https://[::1]/")
	f.Fuzz(func(t *testing.T, a, b string) {
		if sameTarget(a, b) != sameTarget(b, a) {
			t.Fatal("not symmetric")
		}
		u, err := url.Parse(a)
		if err != nil || u.Opaque != "" {
			return
		}
		v, err := url.Parse(b)
		if err != nil || v.Opaque != "" || !sameTarget(a, b) {
			return
		}
		if !strings.EqualFold(u.Scheme, v.Scheme) || !strings.EqualFold(u.Hostname(), v.Hostname()) {
			t.Fatalf("%q and %q are the same", a, b)
		}
		if path.Join("/", u.Path) != path.Join("/", v.Path) || strings.Count(strings.ToLower(u.EscapedPath()), "%2f") != strings.Count(strings.ToLower(v.EscapedPath()), "%2f") {
			t.Fatalf("%q and %q are the same", a, b)
		}
	})
}

func BenchmarkParseAndCheck(b *testing.B) {
	raw := newForger(b).proof(b)
	want := Expect{"GET", resourceURL, accessToken}
	b.ReportAllocs()
	for b.Loop() {
		p, err := Parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Check(noon, want); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseKey is the part of BenchmarkParseAndCheck that a cache of parsed
// keys would save.
func BenchmarkParseKey(b *testing.B) {
	message, err := jose.Parse(newForger(b).proof(b), MaxProof)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		key, err := jose.ParseJWK(message.Header.JWK)
		if err != nil {
			b.Fatal(err)
		}
		key.Thumbprint()
	}
}

func BenchmarkProve(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	prover, err := NewProver(key)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := prover.Prove(noon, "GET", resourceURL, accessToken, ""); err != nil {
			b.Fatal(err)
		}
	}
}

package jose_test

import (
	"testing"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

const benchClaims = `{"iss":"https://localhost:8443","sub":"payments-client","aud":"https://localhost:8444/payments","exp":1790000300,"iat":1790000000,` +
	`"jti":"8f2b8a6c4e0d4f4c9a4d5f0d3b1a2c3d","client_id":"payments-client","scope":"payments","credential_id":"crd_5f0d3b1a2c3d","cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}`

var benchAlgorithms = []jose.Algorithm{jose.ES256, jose.EdDSA, jose.PS256}

func BenchmarkParse(b *testing.B) {
	s := newSigner(b, jose.ES256, "")
	for _, c := range []struct {
		name   string
		header jose.PreparedHeader
	}{{"token", s.Header("at+jwt", false)}, {"proof", s.Header("dpop+jwt", true)}} {
		compact := sign(b, s, c.header, benchClaims)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jose.Parse(compact, limit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range benchAlgorithms {
		s := newSigner(b, alg, "")
		m, err := jose.Parse(sign(b, s, s.Header("at+jwt", false), benchClaims), limit)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Verify(s.Public()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	for _, alg := range benchAlgorithms {
		s := newSigner(b, alg, "")
		h, payload := s.Header("at+jwt", false), []byte(benchClaims)
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sign(h, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseJWK(b *testing.B) {
	for _, alg := range benchAlgorithms {
		jwk := newSigner(b, alg, "").Public().JWK()
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jose.ParseJWK(jwk); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

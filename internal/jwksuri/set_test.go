package jwksuri

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// member is a JWK that a test changes at will.
type member map[string]any

func newMember(t testing.TB, alg jose.Algorithm, kid string) (member, crypto.Signer) {
	t.Helper()
	key, err := jose.GenerateKey(alg, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.NewPublicKey(key.Public(), alg, kid)
	if err != nil {
		t.Fatal(err)
	}
	var m member
	if err := json.Unmarshal(public.JWK(), &m); err != nil {
		t.Fatal(err)
	}
	return m, key
}

func document(t testing.TB, keys ...member) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"keys": keys, "other": 1})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func (m member) with(name string, value any) member {
	next := member{}
	for k, v := range m {
		next[k] = v
	}
	if value == nil {
		delete(next, name)
	} else {
		next[name] = value
	}
	return next
}

func certificateOf(t testing.TB, key crypto.Signer, public crypto.PublicKey) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestParse(t *testing.T) {
	a, key := newMember(t, jose.ES256, "a")
	b, _ := newMember(t, jose.EdDSA, "b")
	der := certificateOf(t, key, key.Public())
	x5c := base64.StdEncoding.EncodeToString(der)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small := member{"kty": "RSA", "kid": "small", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(weak.N.Bytes()[:128])}
	many := make([]member, 101)
	for i := range many {
		many[i] = b.with("kid", fmt.Sprint(i))
	}
	cases := []struct {
		name string
		body []byte
		kids string // of the set, joined; "-" for a refusal
	}{
		{"several keys", document(t, a, b), "a b"},
		{"a key without use and alg", document(t, a.with("use", nil).with("alg", nil)), "a"},
		{"use enc is passed over", document(t, a, b.with("use", "enc")), "a"},
		{"a kind that is not known is passed over", document(t, a, member{"kty": "EC", "crv": "P-521", "kid": "z"}), "a"},
		{"x5c of the very key", document(t, a.with("x5c", []string{x5c})), "a"},
		{"100 keys", document(t, many[:100]...), strings.Join(kidsOf(many[:100]), " ")},
		{"no keys", []byte(`{"keys":[]}`), ""},

		{"advisory 87: 101 keys", document(t, many...), "-"},
		{"advisory 16: one kid twice", document(t, a, b.with("kid", "a")), "-"},
		{"advisory 16: one kid twice, the other key not for us", document(t, a, b.with("kid", "a").with("use", "enc")), "-"},
		{"advisory 16: a symmetric key", document(t, a, member{"kty": "oct", "k": "AAAA", "kid": "s"}), "-"},
		{"a private key", document(t, a, b.with("d", "AAAA")), "-"},
		{"advisory 15: a weak key", document(t, a, small), "-"},
		{"x5c of another key", document(t, b.with("x5c", []string{x5c})), "-"},
		{"x5c that is no certificate", document(t, a.with("x5c", []string{"AAAA"})), "-"},
		{"x5c that is no list", document(t, a.with("x5c", x5c)), "-"},
		{"an empty x5c", document(t, a.with("x5c", []string{})), "-"},
		{"no set", []byte(`[]`), "-"},
		{"keys that are no list", []byte(`{"keys":{}}`), "-"},
		{"a member twice", []byte(`{"keys":[],"keys":[]}`), "-"},
		{"HTML", []byte(`<html>secret</html>`), "-"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := Parse(c.body)
			if c.kids == "-" {
				if err == nil {
					t.Fatal("taken")
				}
				if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "AAAA") {
					t.Errorf("advisory 86: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var kids []string
			for _, k := range s.All() {
				kids = append(kids, k.KeyID())
				if s.ByID(k.KeyID()) == nil {
					t.Errorf("%s is not found", k.KeyID())
				}
			}
			if got := strings.Join(kids, " "); got != c.kids {
				t.Errorf("got %q", got)
			}
			if s.ByID("nobody") != nil {
				t.Error("nobody is found")
			}
		})
	}
}

func kidsOf(all []member) (kids []string) {
	for _, m := range all {
		kids = append(kids, m["kid"].(string))
	}
	return kids
}

func TestOf(t *testing.T) {
	a, key := newMember(t, jose.ES256, "a")
	b, other := newMember(t, jose.ES256, "b")
	der := certificateOf(t, key, key.Public())
	x5t := cnf.CertificateThumbprint(der)
	s, err := Parse(document(t, a.with("x5c", []string{base64.StdEncoding.EncodeToString(der)}), b))
	if err != nil {
		t.Fatal(err)
	}
	jkt := func(k crypto.Signer) cnf.Thumbprint {
		public, err := jose.NewPublicKey(k.Public(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		return public.Thumbprint()
	}
	if k := s.Of(jkt(key), x5t); k == nil || k.KeyID() != "a" {
		t.Error("RFC 8705 §2.2: the certificate in x5c is not found")
	}
	if s.Of(jkt(key), cnf.Thumbprint{1}) != nil {
		t.Error("RFC 8705 §2.2: another certificate than that in x5c is found")
	}
	if k := s.Of(jkt(other), x5t); k == nil || k.KeyID() != "b" {
		t.Error("a key without x5c is not found for a certificate of it")
	}
	if s.Of(cnf.Thumbprint{1}, x5t) != nil || (*Set)(nil).Of(jkt(key), x5t) != nil || (*Set)(nil).ByID("a") != nil || (*Set)(nil).All() != nil {
		t.Error("something is found for nothing")
	}
}

// FuzzParse: a set that is taken has at most 100 keys, each found by its kid, no
// kid twice, and its keys, written as a set of ours, are the same set again.
func FuzzParse(f *testing.F) {
	a, key := newMember(f, jose.ES256, "a")
	b, _ := newMember(f, jose.EdDSA, "b")
	x5c := base64.StdEncoding.EncodeToString(certificateOf(f, key, key.Public()))
	f.Add(document(f, a, b))
	f.Add(document(f, a.with("x5c", []string{x5c}), b.with("use", "enc")))
	f.Add(document(f, a, a))
	f.Add([]byte(`{"keys":[{"kty":"oct"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := Parse(body)
		if err != nil {
			return
		}
		if len(s.All()) > maxKeys {
			t.Fatal("too many")
		}
		public := make([]*jose.PublicKey, 0, len(s.All()))
		for i, k := range s.All() {
			if got := s.ByID(k.KeyID()); got != &s.All()[i] {
				t.Fatalf("kid %q is there twice", k.KeyID())
			}
			public = append(public, k.PublicKey)
		}
		again, err := Parse(jose.JWKSet(public))
		if err != nil || len(again.All()) != len(public) {
			t.Fatalf("written again: %v", err)
		}
	})
}

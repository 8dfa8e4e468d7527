package goidc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// mutation changes one thing of a good request.
type mutation struct {
	name  string
	apply func(d *draft)
}

// part chooses the JWS that a mutation is about.
type part func(d *draft) *jws

func theAssertion(d *draft) *jws { return d.assertion }
func theProof(d *draft) *jws     { return d.proof }

// claim sets a claim; the value may be a function of the draft.
func claim(of part, label, name string, value any) mutation {
	return mutation{name + " " + label, func(d *draft) { of(d).claims.set(name, valueOf(d, value)) }}
}

func header(of part, label, name string, value any) mutation {
	return mutation{name + " " + label, func(d *draft) { of(d).header.set(name, valueOf(d, value)) }}
}

func valueOf(d *draft, value any) any {
	if f, ok := value.(func(*draft) any); ok {
		return f(d)
	}
	return value
}

// ahead is so many seconds from now.
func ahead(seconds int64) func(*draft) any { return func(d *draft) any { return d.now + seconds } }

// signed are the mutations of any JWS: header, signature, encoding.
func signed(of part) []mutation {
	finish := func(name string, f func(string) string) mutation {
		return mutation{name, func(d *draft) { of(d).finish = f }}
	}
	raw := func(name string, f func(j *jws)) mutation { return mutation{name, func(d *draft) { f(of(d)) }} }
	cut := func(s string) (string, string) { i := strings.LastIndexByte(s, '.'); return s[:i], s[i+1:] }
	return []mutation{
		header(of, "none", "alg", "none"),
		header(of, "HS256 with the public key", "alg", "HS256"),
		header(of, "RS256 of another kind of key", "alg", "RS256"),
		header(of, "ES384 of another curve", "alg", "ES384"),
		header(of, "PS256 of another kind of key", "alg", "PS256"),
		header(of, "in lower case", "alg", "es256"),
		header(of, "absent", "alg", absent),
		header(of, "null", "alg", nil),
		header(of, "at+jwt", "typ", "at+jwt"),
		header(of, "a number", "typ", 7),
		header(of, "of a critical member that nobody knows", "crit", []string{"bork"}),
		header(of, "empty", "crit", []string{}),
		header(of, "of exp", "crit", []string{"exp"}),
		header(of, "false", "b64", false),
		header(of, "of a stranger", "jku", "https://elsewhere.test/jwks.json"),
		header(of, "of a stranger", "x5u", "https://elsewhere.test/x.pem"),
		header(of, "unknown member", "acme", map[string]any{"a": 1}),
		raw("alg twice", func(j *jws) {
			j.rawHeader = strings.Replace(marshal(j.header), "{", `{"alg":"none",`, 1)
		}),
		raw("a header that is no object", func(j *jws) { j.rawHeader = "[]" }),
		raw("claims that are no object", func(j *jws) { j.rawClaims = "[]" }),
		raw("claims that are no JSON", func(j *jws) { j.rawClaims = "hello" }),
		raw("data after the claims", func(j *jws) { j.rawClaims = marshal(j.claims) + "{}" }),
		raw("space around the claims", func(j *jws) { j.rawClaims = " " + marshal(j.claims) + "\n" }),
		raw("jti twice", func(j *jws) { j.rawClaims = strings.Replace(marshal(j.claims), "{", `{"jti":"first",`, 1) }),
		raw("signed by a stranger's key", func(j *jws) { j.key = newKey() }),
		finish("no signature", func(s string) string { s, _ = cut(s); return s + "." }),
		finish("a signature of zeroes", func(s string) string { s, _ = cut(s); return s + "." + b64(make([]byte, 64)) }),
		finish("a signature cut short", func(s string) string { return s[:len(s)-4] }),
		finish("a signature in DER", func(s string) string {
			input, signature := cut(s)
			data, _ := base64.RawURLEncoding.DecodeString(signature)
			der, _ := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(data[:32]), new(big.Int).SetBytes(data[32:])})
			return input + "." + b64(der)
		}),
		finish("the other of the two signatures", func(s string) string { // (r, n-s) is good, too
			input, signature := cut(s)
			data, _ := base64.RawURLEncoding.DecodeString(signature)
			other := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(data[32:]))
			return input + "." + b64(append(data[:32:32], other.FillBytes(make([]byte, 32))...))
		}),
		finish("claims changed after signing", func(s string) string {
			p := strings.Split(s, ".")
			return p[0] + "." + b64([]byte(`{"iss":"x"}`)) + "." + p[2]
		}),
		finish("padded", func(s string) string { return s + "==" }),
		finish("a space behind it", func(s string) string { return s + " " }),
		finish("four parts", func(s string) string { return s + ".e30" }),
		finish("two parts", func(s string) string { s, _ = cut(s); return s }),
		finish("dots alone", func(string) string { return ".." }),
		finish("garbage", func(string) string { return "garbage" }),
		finish("empty", func(string) string { return "" }),
		finish("in the JSON serialisation", func(s string) string {
			p := strings.Split(s, ".")
			return marshal(map[string]string{"protected": p[0], "payload": p[1], "signature": p[2]})
		}),
		finish("of 20,000 bytes", func(s string) string { return s + strings.Repeat("A", 20000) }),
	}
}

// assertions are the mutations of a client assertion (RFC 7523 section 3).
func assertions() []mutation {
	a := theAssertion
	endpoint := func(d *draft) any { return d.w.Dev.TokenEndpoint }
	issuer := func(d *draft) any { return d.w.Dev.Issuer }
	return append(signed(a),
		header(a, "absent", "typ", absent),
		header(a, "JWT", "typ", "JWT"),
		header(a, "jwt", "typ", "jwt"),
		header(a, "dpop+jwt", "typ", "dpop+jwt"),
		header(a, "JOSE", "typ", "JOSE"),
		header(a, "absent", "kid", absent),
		header(a, "unknown", "kid", "nobody"),
		header(a, "empty", "kid", ""),
		header(a, "a number", "kid", 7),
		header(a, "another client's", "kid", func(d *draft) any { return d.w.Applications["stranger"].KeyID }),
		mutation{"a line break in the signature", func(d *draft) {
			d.assertion.finish = func(s string) string { return s[:len(s)-8] + "\n" + s[len(s)-8:] }
		}},
		mutation{"jwk of a stranger, who signed", func(d *draft) {
			key := newKey()
			d.assertion.key = key
			d.assertion.header.set("jwk", publicJWK(key))
		}},
		mutation{"jwk of a stranger, who signed, and no kid", func(d *draft) {
			key := newKey()
			d.assertion.key = key
			d.assertion.header.set("jwk", publicJWK(key))
			d.assertion.header.set("kid", absent)
		}},
		mutation{"signed by another client", func(d *draft) { d.assertion.key = d.w.Applications["stranger"].key }},

		claim(a, "absent", "iss", absent), claim(a, "empty", "iss", ""), claim(a, "a number", "iss", 5), claim(a, "a list", "iss", []string{"x"}),
		claim(a, "another client", "iss", func(d *draft) any { return d.w.Applications["stranger"].ClientID }),
		claim(a, "the server", "iss", issuer),
		claim(a, "absent", "sub", absent), claim(a, "empty", "sub", ""), claim(a, "a number", "sub", 5),
		claim(a, "another client", "sub", func(d *draft) any { return d.w.Applications["stranger"].ClientID }),
		mutation{"iss and sub of another client", func(d *draft) {
			d.assertion.claims.set("iss", d.w.Applications["stranger"].ClientID)
			d.assertion.claims.set("sub", d.w.Applications["stranger"].ClientID)
		}},
		mutation{"iss and sub of nobody", func(d *draft) {
			d.assertion.claims.set("iss", "nobody")
			d.assertion.claims.set("sub", "nobody")
		}},
		mutation{"SUB in capitals beside sub", func(d *draft) { d.assertion.claims.set("SUB", "admin") }},

		claim(a, "absent", "aud", absent), claim(a, "empty", "aud", ""), claim(a, "a number", "aud", 5),
		claim(a, "the token endpoint", "aud", endpoint),
		claim(a, "the mTLS token endpoint", "aud", func(d *draft) any { return d.w.Dev.MTLSTokenEndpoint }),
		claim(a, "the issuer with a slash", "aud", func(d *draft) any { return d.w.Dev.Issuer + "/" }),
		claim(a, "the issuer in capitals", "aud", func(d *draft) any { return strings.ToUpper(d.w.Dev.Issuer) }),
		claim(a, "another server", "aud", "https://elsewhere.test"),
		claim(a, "a list of the issuer", "aud", func(d *draft) any { return []string{d.w.Dev.Issuer} }),
		claim(a, "a list of issuer and token endpoint", "aud", func(d *draft) any { return []string{d.w.Dev.Issuer, d.w.Dev.TokenEndpoint} }),
		claim(a, "an empty list", "aud", []string{}),

		claim(a, "absent", "exp", absent), claim(a, "null", "exp", nil), claim(a, "a text", "exp", func(d *draft) any { return strconv.FormatInt(d.now+60, 10) }),
		claim(a, "5 min ago", "exp", ahead(-300)), claim(a, "20 s ago", "exp", ahead(-20)), claim(a, "5 s ago", "exp", ahead(-5)),
		claim(a, "4 min ahead", "exp", ahead(240)), claim(a, "1 h ahead", "exp", ahead(3600)), claim(a, "a year ahead", "exp", ahead(365*86400)),
		claim(a, "zero", "exp", 0), claim(a, "negative", "exp", -1), claim(a, "with a fraction", "exp", func(d *draft) any { return float64(d.now+60) + 0.5 }),
		claim(a, "beyond 64 bits", "exp", json.Number("99999999999999999999")),
		claim(a, "absent", "iat", absent), claim(a, "10 s ahead", "iat", ahead(10)), claim(a, "5 min ahead", "iat", ahead(300)), claim(a, "1 h ago", "iat", ahead(-3600)),
		claim(a, "a text", "iat", "now"),
		claim(a, "10 s ahead", "nbf", ahead(10)), claim(a, "5 min ahead", "nbf", ahead(300)), claim(a, "1 h ago", "nbf", ahead(-3600)), claim(a, "a text", "nbf", "now"),
		claim(a, "absent", "jti", absent), claim(a, "empty", "jti", ""), claim(a, "a number", "jti", 5),
		claim(a, "of 120 bytes", "jti", func(*draft) any { return newJTI() + strings.Repeat("j", 98) }),
		claim(a, "of 2,000 bytes", "jti", func(*draft) any { return newJTI() + strings.Repeat("j", 1978) }),
		claim(a, "unknown", "acme", map[string]any{"a": []any{1, nil}}),
		mutation{"replayed", func(d *draft) {
			d.twice = func(first *draft) {
				if d.proof != nil {
					first.prove(newKey())
				}
			}
		}},
		mutation{"a new one with a used jti", func(d *draft) {
			d.twice = func(first *draft) {
				first.assertion.claims.set("exp", d.now+90)
				if d.proof != nil {
					first.prove(newKey())
				}
			}
		}},
	)
}

// proofs are the mutations of a DPoP proof (RFC 9449 section 4.3).
func proofs() []mutation {
	p := theProof
	return append(signed(p),
		mutation{"none", func(d *draft) { d.proof = nil }},
		mutation{"two field lines", func(d *draft) { d.proofs = 2 }},
		mutation{"two in one line", func(d *draft) { d.proof.finish = func(s string) string { return s + ", " + s } }},
		header(p, "absent", "typ", absent), header(p, "JWT", "typ", "JWT"), header(p, "in capitals", "typ", "DPOP+JWT"),
		header(p, "with application/", "typ", "application/dpop+jwt"),
		header(p, "absent", "jwk", absent), header(p, "null", "jwk", nil), header(p, "a text", "jwk", "key"),
		header(p, "of a stranger", "jwk", func(*draft) any { return publicJWK(newKey()) }),
		header(p, "a symmetric key", "jwk", map[string]string{"kty": "oct", "k": "AAAA"}),
		mutation{"jwk with its private half", func(d *draft) {
			var jwk map[string]any
			_ = json.Unmarshal(publicJWK(d.proof.key), &jwk)
			secret, _ := d.proof.key.(*ecdsa.PrivateKey).Bytes()
			jwk["d"] = b64(secret)
			d.proof.header.set("jwk", jwk)
		}},
		mutation{"kid beside jwk", func(d *draft) { d.proof.header.set("kid", "k") }},
		mutation{"a P-384 key with ES384", func(d *draft) {
			key, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			d.prove(key)
			d.proof.header.set("alg", "ES384")
		}},
		mutation{"an RSA key with PS256", func(d *draft) { rsaProof(d, 2048, "PS256") }},
		mutation{"an RSA key with RS256", func(d *draft) { rsaProof(d, 2048, "RS256") }},
		mutation{"an RSA key with PS384", func(d *draft) { rsaProof(d, 2048, "PS384") }},
		mutation{"an RSA key of 1024 bits", func(d *draft) { rsaProof(d, 1024, "PS256") }},
		mutation{"the client's own signing key", func(d *draft) { d.prove(d.app.key) }},

		claim(p, "absent", "jti", absent), claim(p, "empty", "jti", ""), claim(p, "a number", "jti", 5),
		claim(p, "of 2,000 bytes", "jti", func(*draft) any { return newJTI() + strings.Repeat("j", 1978) }),
		claim(p, "absent", "htm", absent), claim(p, "GET", "htm", "GET"), claim(p, "in lower case", "htm", "post"), claim(p, "a list", "htm", []string{"POST"}),
		claim(p, "absent", "htu", absent), claim(p, "a number", "htu", 1), claim(p, "the issuer", "htu", func(d *draft) any { return d.w.Dev.Issuer }),
		claim(p, "another path", "htu", func(d *draft) any { return d.w.Dev.Issuer + "/introspect" }),
		claim(p, "another server", "htu", "https://elsewhere.test/token"),
		claim(p, "over http", "htu", func(d *draft) any { return strings.Replace(d.w.Dev.TokenEndpoint, "https", "http", 1) }),
		claim(p, "with a slash behind it", "htu", func(d *draft) any { return d.w.Dev.TokenEndpoint + "/" }),
		claim(p, "with a query", "htu", func(d *draft) any { return d.w.Dev.TokenEndpoint + "?a=b" }),
		claim(p, "with a fragment", "htu", func(d *draft) any { return d.w.Dev.TokenEndpoint + "#a" }),
		claim(p, "with the host in capitals", "htu", func(d *draft) any { return strings.Replace(d.w.Dev.TokenEndpoint, "localhost", "LOCALHOST", 1) }),
		claim(p, "with the scheme in capitals", "htu", func(d *draft) any { return strings.Replace(d.w.Dev.TokenEndpoint, "https", "HTTPS", 1) }),
		claim(p, "with a letter escaped", "htu", func(d *draft) any { return strings.Replace(d.w.Dev.TokenEndpoint, "/token", "/%74oken", 1) }),
		claim(p, "of the mTLS listener", "htu", func(d *draft) any { return d.w.Dev.MTLSTokenEndpoint }),
		claim(p, "absent", "iat", absent), claim(p, "a text", "iat", "now"), claim(p, "10 s ago", "iat", ahead(-10)), claim(p, "2 min ago", "iat", ahead(-120)),
		claim(p, "1 h ago", "iat", ahead(-3600)), claim(p, "10 s ahead", "iat", ahead(10)), claim(p, "1 h ahead", "iat", ahead(3600)),
		claim(p, "beyond 64 bits", "iat", json.Number("99999999999999999999")),
		claim(p, "made up", "nonce", "made up"), claim(p, "a number", "nonce", 1),
		claim(p, "of some token", "ath", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"),
		claim(p, "unknown", "acme", 1),
		claim(p, "in 2 min", "exp", ahead(120)), claim(p, "1 h ago", "exp", ahead(-3600)), claim(p, "1 h ahead", "nbf", ahead(3600)),
		mutation{"replayed", func(d *draft) {
			d.twice = func(first *draft) { first.assertion.claims.set("jti", newJTI()) }
		}},
		mutation{"replayed by another client", func(d *draft) {
			d.twice = func(first *draft) {
				other := newDraft(d.w, d.w.Applications["ps256"])
				first.app, first.assertion, first.form = other.app, other.assertion, other.form
			}
		}},
		mutation{"another key's with a used jti", func(d *draft) {
			d.twice = func(first *draft) {
				first.assertion.claims.set("jti", newJTI())
				jti := first.proof.claims["jti"]
				first.prove(newKey())
				first.proof.claims.set("jti", jti)
			}
		}},
		mutation{"with the assertion's jti", func(d *draft) { d.proof.claims.set("jti", d.assertion.claims["jti"]) }},
	)
}

func rsaProof(d *draft, bits int, alg string) {
	key := rsaKeys[bits]
	d.prove(key)
	d.proof.header.set("alg", alg)
}

// rsaKeys are made once: they take long. The short one is for refusing.
var rsaKeys = func() map[int]*rsa.PrivateKey {
	out := map[int]*rsa.PrivateKey{}
	for _, bits := range []int{1024, 2048} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		out[bits] = key
	}
	return out
}()

// certificates are the variants of what a client shows in the handshake.
func certificates() []mutation {
	of := func(name string) mutation {
		return mutation{"the certificate of " + name, func(d *draft) { d.shown = d.w.Applications[name].certificate }}
	}
	return []mutation{
		{"its own", func(*draft) {}},
		{"none", func(d *draft) { d.shown = nil }},
		{"none, at the public listener", func(d *draft) { d.shown, d.mtls = nil, false }},
		{"its own, at the public listener", func(d *draft) { d.mtls = false }},
		of("stranger-ca"), of("stranger-own"), of("server-ca"), of("ps256-mtls"),
		{"one of its name that a stranger signed", func(d *draft) { d.shown = twin(d.app.certificate.Leaf, time.Hour) }},
		{"one of its name that is over", func(d *draft) { d.shown = twin(d.app.certificate.Leaf, -time.Hour) }},
		{"its own without the chain", func(d *draft) {
			d.shown = &tls.Certificate{Certificate: d.app.certificate.Certificate[:1], PrivateKey: d.app.certificate.PrivateKey}
		}},
		{"its own and a good DPoP proof", func(d *draft) { d.prove(newKey()) }},
		{"its own and a bad DPoP proof", func(d *draft) {
			d.prove(newKey())
			d.proof.claims.set("htm", "GET")
		}},
		{"none, but a good DPoP proof", func(d *draft) {
			d.shown = nil
			d.prove(newKey())
		}},
		{"pasted into a header", func(d *draft) {
			d.header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(d.app.certificate.Certificate[0])+":")
			d.header.Set("X-Forwarded-Client-Cert", "Cert=x")
			d.shown = nil
		}},
	}
}

// listeners are about a client with a proof at the listener that asks for certificates.
func listeners() []mutation {
	there := func(name string, f func(d *draft)) mutation {
		return mutation{name, func(d *draft) {
			d.mtls = true
			d.prove(newKey())
			f(d)
		}}
	}
	return []mutation{
		there("no certificate", func(*draft) {}),
		there("a stranger's certificate", func(d *draft) { d.shown = d.w.Applications["stranger-ca"].certificate }),
		there("a certificate that nobody vouches for", func(d *draft) { d.shown = d.w.Applications["stranger-own"].certificate }),
		there("htu of the public listener", func(d *draft) { d.proof.claims.set("htu", d.w.Dev.TokenEndpoint) }),
		there("a certificate and no proof", func(d *draft) {
			d.shown = d.w.Applications["ca"].certificate
			d.proof = nil
		}),
	}
}

// twin is a certificate with the names of another and a key of its own.
func twin(of *x509.Certificate, life time.Duration) *tls.Certificate {
	key := newKey()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: of.SerialNumber, Subject: of.Subject, URIs: of.URIs, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	parent := &x509.Certificate{Subject: of.Issuer}
	if of.Issuer.String() == of.Subject.String() {
		parent = &x509.Certificate{Subject: pkix.Name{CommonName: of.Subject.CommonName}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), newKey())
	if err != nil {
		panic(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

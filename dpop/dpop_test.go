package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	resourceURL = "https://api.example.com/payments/17"
	accessToken = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	// accessTokenHash is the ath of accessToken in RFC 9449 section 7.1.
	accessTokenHash = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
)

// forger makes proofs of any shape, right or wrong, signed with a P-256 key.
type forger struct {
	key    *ecdsa.PrivateKey
	header map[string]any
	claims map[string]any
}

// newForger begins with a proof that everything is right about.
func newForger(t testing.TB) *forger {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &forger{
		key:    key,
		header: map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwkOf(t, key.Public())},
		claims: map[string]any{
			"jti": "e1j3V_bKic8-LAEB", "htm": "GET", "htu": resourceURL,
			"iat": noon.Unix(), "ath": accessTokenHash,
		},
	}
}

func jwkOf(t testing.TB, public crypto.PublicKey) map[string]any {
	t.Helper()
	key, err := jose.NewPublicKey(public, "", "")
	if err != nil {
		t.Fatal(err)
	}
	var jwk map[string]any
	if err := json.Unmarshal(key.JWK(), &jwk); err != nil {
		t.Fatal(err)
	}
	return jwk
}

func (f *forger) input(t testing.TB) string {
	t.Helper()
	header, err := json.Marshal(f.header)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(f.claims)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
}

func (f *forger) proof(t testing.TB) string {
	t.Helper()
	return f.sign(t, f.input(t))
}

func (f *forger) sign(t testing.TB, input string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, f.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + signature(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32)))
}

func signature(r, s []byte) string { return base64.RawURLEncoding.EncodeToString(append(r, s...)) }

// check does what a server does with a proof, single use apart.
func check(raw string, now time.Time, want Expect) error {
	p, err := Parse(raw)
	if err != nil {
		return err
	}
	return p.Check(now, want)
}

func TestParse(t *testing.T) {
	t.Run("RFC 9449 §4.2: the example proof for a token request", func(t *testing.T) {
		const example = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19" +
			".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ" +
			".2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
		p, err := Parse(example)
		if err != nil {
			t.Fatal(err)
		}
		if p.ID != "-BwC3ESc6acc2lTc" || p.Method != "POST" || p.URL != "https://server.example.com/token" || p.IssuedAt.Unix() != 1562262616 || p.Nonce != "" || p.TokenHash != "" {
			t.Errorf("got %+v", p)
		}
		if got := p.JKT.String(); got != "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" { // RFC 9449 section 6.1
			t.Errorf("jkt %s", got)
		}
		if err := p.Check(p.IssuedAt, Expect{Method: "POST", URL: "https://server.example.com/token"}); err != nil {
			t.Error(err)
		}
	})

	for _, c := range []struct {
		name  string
		forge func(f *forger)
		want  error
	}{
		{"§4.3 check 4: typ missing", func(f *forger) { delete(f.header, "typ") }, ErrMalformed},
		{"§4.3 check 4: typ JWT", func(f *forger) { f.header["typ"] = "JWT" }, ErrMalformed},
		{"§4.3 check 4: typ at+jwt", func(f *forger) { f.header["typ"] = "at+jwt" }, ErrMalformed},
		{"§4.3 check 4: typ in other case", func(f *forger) { f.header["typ"] = "DPoP+jwt" }, ErrMalformed},
		{"§4.3 check 4: typ with application/", func(f *forger) { f.header["typ"] = "application/dpop+jwt" }, ErrMalformed},
		{"a numeric typ, which made another library panic", func(f *forger) { f.header["typ"] = 7 }, ErrMalformed},
		{"§4.3 check 5: alg missing", func(f *forger) { delete(f.header, "alg") }, ErrMalformed},
		{"§4.3 check 5: alg RS256", func(f *forger) { f.header["alg"] = "RS256" }, ErrMalformed},
		{"§4.3 check 5: alg none", func(f *forger) { f.header["alg"] = "none" }, ErrMalformed},
		{"§4.3 check 5: alg HS256", func(f *forger) { f.header["alg"] = "HS256" }, ErrMalformed},
		{"alg of another kind of key", func(f *forger) { f.header["alg"] = "PS256" }, ErrSignature},
		{"jwk missing", func(f *forger) { delete(f.header, "jwk") }, ErrMalformed},
		{"jwk that is text", func(f *forger) { f.header["jwk"] = "key" }, ErrMalformed},
		{"jwk null", func(f *forger) { f.header["jwk"] = nil }, ErrMalformed},
		{"§4.3 check 7: a private key in jwk", func(f *forger) {
			d, err := f.key.Bytes()
			if err != nil {
				panic(err)
			}
			f.header["jwk"].(map[string]any)["d"] = base64.RawURLEncoding.EncodeToString(d)
		}, ErrMalformed},
		{"a symmetric key in jwk", func(f *forger) { f.header["jwk"] = map[string]any{"kty": "oct", "k": "AAAA"} }, ErrMalformed},
		{"advisory 6: crit", func(f *forger) { f.header["crit"] = []string{"bork"} }, ErrMalformed},
		{"§4.3 check 3: jti missing", func(f *forger) { delete(f.claims, "jti") }, ErrMalformed},
		{"§4.3 check 3: htm missing", func(f *forger) { delete(f.claims, "htm") }, ErrMalformed},
		{"§4.3 check 3: htu missing", func(f *forger) { delete(f.claims, "htu") }, ErrMalformed},
		{"§4.3 check 3: iat missing", func(f *forger) { delete(f.claims, "iat") }, ErrMalformed},
		{"an empty jti", func(f *forger) { f.claims["jti"] = "" }, ErrMalformed},
		{"a jti of 129 bytes", func(f *forger) { f.claims["jti"] = strings.Repeat("j", 129) }, ErrMalformed},
		{"a jti of 128 bytes", func(f *forger) { f.claims["jti"] = strings.Repeat("j", 128) }, nil},
		{"jti that is a number", func(f *forger) { f.claims["jti"] = 5 }, ErrMalformed},
		{"htm that is a list", func(f *forger) { f.claims["htm"] = []string{"GET"} }, ErrMalformed},
		{"htu that is a number", func(f *forger) { f.claims["htu"] = 1 }, ErrMalformed},
		{"ath that is null", func(f *forger) { f.claims["ath"] = nil }, ErrMalformed},
		{"nonce that is a number", func(f *forger) { f.claims["nonce"] = 1 }, ErrMalformed},
		{"iat as text", func(f *forger) { f.claims["iat"] = fmt.Sprint(noon.Unix()) }, ErrMalformed},
		{"RFC 7519 §2: iat with a fraction", func(f *forger) { f.claims["iat"] = float64(noon.Unix()) + 0.5 }, nil},
		{"advisory 19: iat 1e400", func(f *forger) { f.claims["iat"] = json.Number("1e400") }, ErrMalformed},
		{"advisory 19: iat beyond 64 bits", func(f *forger) { f.claims["iat"] = json.Number("9223372036854775808") }, ErrMalformed},
		{"resource-server 10: a proof beyond 4 KiB", func(f *forger) { f.claims["extra"] = strings.Repeat("x", 4<<10) }, ErrMalformed},
		{"§4.3: extra nbf and exp, even past ones, are allowed", func(f *forger) { f.claims["nbf"], f.claims["exp"] = noon.Unix()+9999, 1 }, nil},
		{"unknown claims are ignored", func(f *forger) { f.claims["acme"] = map[string]any{"a": []any{1, nil}} }, nil},
		{"unknown header members are ignored", func(f *forger) { f.header["acme"], f.header["kid"] = 1, "k" }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newForger(t)
			c.forge(f)
			err := check(f.proof(t), noon, Expect{"GET", resourceURL, accessToken})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestParseForgeries(t *testing.T) {
	f := newForger(t)
	input, good := f.input(t), f.proof(t)
	other := newForger(t)
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write([]byte(input))
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"§4.3 check 2: not a JWT":            {"hello", ErrMalformed},
		"nothing":                            {"", ErrMalformed},
		"two proofs in one header value":     {good + "," + good, ErrMalformed},
		"a space around it":                  {good + " ", ErrMalformed},
		"advisory 8: a megabyte of dots":     {strings.Repeat(".", 1<<20), ErrMalformed},
		"advisory 10: five parts":            {good + ".a.b", ErrMalformed},
		"§4.3 check 6: signed by another":    {other.sign(t, input), ErrSignature},
		"§4.3 check 6: signature of zeroes":  {input + "." + signature(make([]byte, 32), make([]byte, 32)), ErrSignature},
		"§4.3 check 6: an HMAC as signature": {input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), ErrSignature},
		"no signature":                       {input + ".", ErrMalformed},
		"claims changed after signing": {input[:strings.IndexByte(input, '.')] + "." +
			base64.RawURLEncoding.EncodeToString([]byte(`{"jti":"a","htm":"GET","htu":"https://a/","iat":1}`)) + good[strings.LastIndexByte(good, '.'):], ErrSignature},
		"a claim twice": {f.sign(t, input[:strings.IndexByte(input, '.')]+"."+
			base64.RawURLEncoding.EncodeToString([]byte(`{"jti":"a","jti":"b","htm":"GET","htu":"https://a/","iat":1}`))), ErrMalformed},
		"claims that are a list": {f.sign(t, input[:strings.IndexByte(input, '.')]+"."+
			base64.RawURLEncoding.EncodeToString([]byte(`[]`))), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := Parse(c.raw); p != nil || !errors.Is(err, c.want) {
				t.Errorf("got %v, %v; want %v", p, err, c.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	good := Expect{"GET", resourceURL, accessToken}
	for _, c := range []struct {
		name  string
		forge func(f *forger)
		now   time.Duration // after noon
		want  Expect
		err   error
	}{
		{"everything right", func(*forger) {}, 0, good, nil},
		{"§4.3 check 8: another method", func(f *forger) { f.claims["htm"] = "POST" }, 0, good, ErrMethod},
		{"§4.3 check 8: the method in other case", func(f *forger) { f.claims["htm"] = "get" }, 0, good, ErrMethod},
		{"§4.3 check 9: another URL", func(f *forger) { f.claims["htu"] = "https://api.example.com/payments/18" }, 0, good, ErrURL},
		{"§4.3 check 11: one hour old", func(*forger) {}, time.Hour, good, ErrTooOld},
		{"§4.3 check 11: one hour ahead", func(*forger) {}, -time.Hour, good, ErrFromFuture},
		{"10 s old", func(*forger) {}, 10 * time.Second, good, nil},
		{"10 s ahead", func(*forger) {}, -10 * time.Second, good, nil},
		{"60 s old and 9 s of grace", func(*forger) {}, 69 * time.Second, good, nil},
		{"70 s old", func(*forger) {}, 70 * time.Second, good, ErrTooOld},
		{"30 s ahead", func(*forger) {}, -30 * time.Second, good, nil},
		{"31 s ahead", func(*forger) {}, -31 * time.Second, good, ErrFromFuture},
		{"advisory 19: a negative iat", func(f *forger) { f.claims["iat"] = -noon.Unix() }, 0, good, ErrTooOld},
		{"the least iat", func(f *forger) { f.claims["iat"] = json.Number("-9223372036854775808") }, 0, good, ErrTooOld},
		{"§4.3 check 12: ath missing", func(f *forger) { delete(f.claims, "ath") }, 0, good, ErrTokenHash},
		{"§4.3 check 12: ath of another token", func(*forger) {}, 0, Expect{"GET", resourceURL, accessToken + "x"}, ErrTokenHash},
		{"§4.3 check 12: ath in hex", func(f *forger) { f.claims["ath"] = fmt.Sprintf("%x", sha256.Sum256([]byte(accessToken))) }, 0, good, ErrTokenHash},
		{"at the token endpoint ath says nothing", func(f *forger) { f.claims["ath"] = "x" }, 0, Expect{"GET", resourceURL, ""}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newForger(t)
			c.forge(f)
			if err := check(f.proof(t), noon.Add(c.now), c.want); !errors.Is(err, c.err) {
				t.Errorf("got %v, want %v", err, c.err)
			}
		})
	}
	t.Run("an iat beyond all calendars is not of today", func(t *testing.T) {
		f := newForger(t)
		for _, iat := range []string{"9223372036854775807", "9223371974719179007", "253402300800"} {
			f.claims["iat"] = json.Number(iat)
			if err := check(f.proof(t), noon, good); !errors.Is(err, ErrFromFuture) && !errors.Is(err, ErrTooOld) {
				t.Errorf("iat %s: %v", iat, err)
			}
		}
	})
}

func TestUseKey(t *testing.T) {
	f, g := newForger(t), newForger(t)
	key := func(f *forger) [32]byte {
		p, err := Parse(f.proof(t))
		if err != nil {
			t.Fatal(err)
		}
		if !p.KeepUntil().Equal(noon.Add(100 * time.Second)) {
			t.Errorf("kept until %v", p.KeepUntil())
		}
		return p.UseKey()
	}
	first := key(f)
	if key(f) != first {
		t.Error("two proofs of one key and jti have two names")
	}
	if key(g) == first {
		t.Error("advisory 42: another key's jti has the same name")
	}
	f.claims["jti"] = "another"
	if key(f) == first {
		t.Error("another jti has the same name")
	}
}

func TestProver(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for alg, key := range map[string]crypto.Signer{"ES256": p256, "EdDSA": edwards, "PS256": rsaKey} {
		t.Run(alg+": what it makes is accepted", func(t *testing.T) {
			prover, err := NewProver(key)
			if err != nil {
				t.Fatal(err)
			}
			if prover.Algorithm() != alg {
				t.Errorf("algorithm %s", prover.Algorithm())
			}
			raw, err := prover.Prove(noon, "GET", resourceURL+"?a=1#b", accessToken, "n-1")
			if err != nil {
				t.Fatal(err)
			}
			p, err := Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Check(noon, Expect{"GET", resourceURL, accessToken}); err != nil {
				t.Error(err)
			}
			if p.URL != resourceURL || p.Nonce != "n-1" || p.JKT != prover.JKT() || p.TokenHash != accessTokenHash {
				t.Errorf("got %+v", p)
			}
			again, err := prover.Prove(noon, "POST", resourceURL, "", "")
			if err != nil {
				t.Fatal(err)
			}
			q, err := Parse(again)
			if err != nil {
				t.Fatal(err)
			}
			if q.ID == p.ID || q.TokenHash != "" || q.Nonce != "" {
				t.Errorf("got %+v", q)
			}
		})
	}
	t.Run("a key that no server accepts is refused", func(t *testing.T) {
		p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewProver(p384); !errors.Is(err, jose.ErrKey) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a key that cannot sign is an error, not an unsigned proof", func(t *testing.T) {
		prover, err := NewProver(broken{p256})
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := prover.Prove(noon, "GET", resourceURL, "", ""); err == nil || raw != "" {
			t.Errorf("got %q, %v", raw, err)
		}
	})
}

// broken is a key whose device does not answer.
type broken struct{ crypto.Signer }

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the device does not answer")
}

package verify_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/verify"
)

func TestServed(t *testing.T) {
	t.Run("RFC 8705 §3: a token bound to the certificate of the connection", func(t *testing.T) {
		w := newWorld(t)
		token := w.certToken()
		for range 2 { // the second time from memory
			g := w.served(w.overMTLS(token))
			if g.ClientID != "shop" || g.Organisation != "acme" || g.CredentialID != "cred-1" || g.Issuer != issuerURL || g.Subject != "shop" ||
				g.ID != "token-1" || g.Scope != "payments" || !slices.Equal(g.Scopes, []string{"payments"}) {
				t.Errorf("grant is %+v", g.Token)
			}
			if g.Binding() != w.client.ToCertificate() || g.TokenHash != hashOf(token) || g.Nonce != "" {
				t.Errorf("grant is %+v", g)
			}
		}
	})
	t.Run("RFC 9449 §7: a token bound to a key, with a proof, gets the next nonce", func(t *testing.T) {
		w := newWorld(t)
		token := w.keyToken()
		for range 2 {
			g := w.served(w.withProof(token))
			if g.Binding() != w.client.ToKey() || !w.nonces.Check(w.clock.Now(), g.Nonce, w.client.Prover.JKT(), time.Time{}) {
				t.Errorf("grant is %+v", g)
			}
		}
	})
	t.Run("a token that names both keys, which both are proved", func(t *testing.T) {
		w := newWorld(t)
		r := w.withProof(w.bothToken())
		r.Certificate = w.client.Peer
		if g := w.served(r); g.Binding() != w.client.ToKey() {
			t.Errorf("binding is %v", g.Binding())
		}
	})
	t.Run("RFC 7519 §4.1.3: an audience array that holds ours", func(t *testing.T) {
		w := newWorld(t)
		w.served(w.overMTLS(w.issuer.Token(t, w.claims().With(verifytest.Claims{"aud": []string{"https://other.example", resource}}))))
	})
	t.Run("RFC 9068 §4: typ application/at+jwt, in any case", func(t *testing.T) {
		w := newWorld(t)
		for _, typ := range []string{"application/at+jwt", "AT+JWT"} {
			w.served(w.overMTLS(verifytest.Sign(t, w.issuer.Signer, typ, w.claims())))
		}
	})
	t.Run("RFC 9110 §11.1: the scheme in any case, with more than one space", func(t *testing.T) {
		w := newWorld(t)
		r := w.overMTLS(w.certToken())
		r.Authorization[0] = strings.Replace(r.Authorization[0], "Bearer ", "bEARER  ", 1)
		w.served(r)
	})
	t.Run("more scopes than are needed", func(t *testing.T) {
		w := newWorld(t)
		w.served(w.overMTLS(w.issuer.Token(t, w.claims().With(verifytest.Claims{"scope": "reports payments"}))))
	})
	t.Run("tokens of several issuers, each with its own keys and algorithms", func(t *testing.T) {
		w := newWorld(t, severalIssuers)
		other := verifytest.NewIssuer(t, w.clock, "https://other.example", jose.EdDSA)
		set := other.Keys(t)
		own := w.config.Keys
		w.config.Keys = keySource{func(iss string) (*verify.KeySet, error) {
			if iss == other.URL {
				return set, nil
			}
			return own.Keys(iss)
		}, func(string, string) verify.Outcome { return verify.Absent }}
		w.verifier, w.policy = w.make()
		for _, is := range []*verifytest.Issuer{w.issuer, other} {
			token := is.Token(t, is.Claims(resource, "payments", w.client.ToCertificate()))
			for range 2 {
				if g := w.served(w.overMTLS(token)); g.Issuer != is.URL {
					t.Errorf("issuer is %s", g.Issuer)
				}
			}
		}
	})
}

func severalIssuers(w *world) {
	w.config.Issuers = append(w.config.Issuers, verify.Issuer{URL: "https://other.example", Algorithms: []string{"EdDSA", "Ed25519"}})
}

// bothToken names certificate and key.
func (w *world) bothToken() string {
	both := map[string]string{"x5t#S256": w.client.Peer.Thumbprint().String(), "jkt": w.client.Prover.JKT().String()}
	return w.issuer.Token(w, w.claims().With(verifytest.Claims{"cnf": both}))
}

func TestCredential(t *testing.T) {
	w := newWorld(t)
	token := w.certToken()
	good := "Bearer " + token
	for _, tt := range []struct {
		name    string
		request verify.Request
		reason  verify.Reason
		status  int
		code    string
	}{
		{"no credential", verify.Request{}, verify.NoCredential, 401, ""},
		{"a proof but no token", verify.Request{DPoP: []string{"x"}}, verify.NoCredential, 401, ""},
		{"RFC 6750 §3.1: another scheme counts as none", verify.Request{Authorization: []string{"Basic c2hvcDp4"}}, verify.NoCredential, 401, ""},
		{"an empty field", verify.Request{Authorization: []string{""}}, verify.NoCredential, 401, ""},
		{"advisory 81: Authorization twice", verify.Request{Authorization: []string{good, good}}, verify.MultipleCredentials, 400, "invalid_request"},
		{"advisory 81: DPoP twice", verify.Request{Authorization: []string{good}, DPoP: []string{"a", "b"}}, verify.MultipleCredentials, 400, "invalid_request"},
		{"two credentials in one line", verify.Request{Authorization: []string{good + ", " + good}}, verify.Malformed, 400, "invalid_request"},
		{"RFC 6750 §2.3: a token in the query", verify.Request{QueryToken: true}, verify.QueryToken, 400, "invalid_request"},
		{"a token in the query beside a good one", verify.Request{QueryToken: true, Authorization: []string{good}}, verify.QueryToken, 400, "invalid_request"},
		{"a scheme without a token", verify.Request{Authorization: []string{"Bearer"}}, verify.Malformed, 400, "invalid_request"},
		{"a scheme and spaces", verify.Request{Authorization: []string{"Bearer   "}}, verify.Malformed, 400, "invalid_request"},
		{"a token of padding", verify.Request{Authorization: []string{"Bearer =="}}, verify.Malformed, 400, "invalid_request"},
		{"a token with a control character", verify.Request{Authorization: []string{"Bearer a\tb"}}, verify.Malformed, 400, "invalid_request"},
		{"characters just outside those of a token", verify.Request{Authorization: []string{"Bearer a{b"}}, verify.Malformed, 400, "invalid_request"},
		{"characters just outside its capitals", verify.Request{Authorization: []string{"Bearer a[b"}}, verify.Malformed, 400, "invalid_request"},
		{"characters just outside its digits", verify.Request{Authorization: []string{"Bearer a:b"}}, verify.Malformed, 400, "invalid_request"},
		{"a token beyond 8 KiB", verify.Request{Authorization: []string{"Bearer " + strings.Repeat("a", verify.MaxToken+1)}}, verify.TooLarge, 400, "invalid_request"},
		{"advisory 8: a million dots", verify.Request{Authorization: []string{"Bearer " + strings.Repeat(".", 1<<20)}}, verify.TooLarge, 400, "invalid_request"},
		{"8 KiB of dots", verify.Request{Authorization: []string{"Bearer " + strings.Repeat(".", verify.MaxToken)}}, verify.TokenMalformed, 401, "invalid_token"},
		{"advisory 10: a JWE in five parts", verify.Request{Authorization: []string{"Bearer " + token + ".YQ.YQ"}}, verify.TokenMalformed, 401, "invalid_token"},
		{"an opaque token", verify.Request{Authorization: []string{"Bearer mF_9.B5f-4.1JqM"}}, verify.TokenMalformed, 401, "invalid_token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			tt.request.Certificate = w.client.Peer
			if e := w.refused(&tt.request, tt.reason, tt.status); e.Code != tt.code || e.Token != nil {
				t.Errorf("code is %q, token %v", e.Code, e.Token)
			}
		})
	}
	t.Run("advisories 21, 54: every truncation and every changed character is refused, also of a token that is remembered", func(t *testing.T) {
		w.TB = t
		w.served(w.overMTLS(token))
		for i := range len(token) {
			if _, err := w.verify(w.overMTLS(token[:i])); err == nil {
				t.Fatalf("cut at %d", i)
			}
			flipped := []byte(token)
			flipped[i] ^= 1
			if _, err := w.verify(w.overMTLS(string(flipped))); err == nil {
				t.Fatalf("changed at %d", i)
			}
		}
		for _, longer := range []string{token + "A", token + "=", token + ".", "A" + token} {
			if _, err := w.verify(w.overMTLS(longer)); err == nil {
				t.Errorf("extended: %s", longer)
			}
		}
	})
}

// forged signs header and payload as they are written.
func forged(w *world, header, payload string) string {
	enc := base64.RawURLEncoding.EncodeToString
	good := w.certToken()
	return enc([]byte(header)) + "." + enc([]byte(payload)) + "." + good[strings.LastIndexByte(good, '.')+1:]
}

func TestSignature(t *testing.T) {
	w := newWorld(t, severalIssuers)
	kid := w.issuer.Signer.Public().KeyID()
	payload, err := json.Marshal(w.claims())
	if err != nil {
		t.Fatal(err)
	}
	stranger := verifytest.NewSigner(t, jose.ES256, kid)
	unknown := verifytest.NewSigner(t, jose.ES256, "no-such-key")
	pss := verifytest.NewSigner(t, jose.PS256, kid)
	for _, tt := range []struct {
		name, token string
		reason      verify.Reason
		status      int
	}{
		{"advisory 1: HS256", forged(w, `{"alg":"HS256","typ":"at+jwt","kid":"`+kid+`"}`, string(payload)), verify.AlgRefused, 401},
		{"alg none", forged(w, `{"alg":"none","typ":"at+jwt","kid":"`+kid+`"}`, string(payload)), verify.AlgRefused, 401},
		{"advisory 6: crit", forged(w, `{"alg":"ES256","crit":["bork"],"bork":1,"typ":"at+jwt","kid":"`+kid+`"}`, string(payload)), verify.TokenMalformed, 401},
		{"attack 13: an algorithm that the issuer does not use", verifytest.Sign(t, pss, "at+jwt", w.claims()), verify.AlgRefused, 401},
		{"advisory 4: an algorithm of the issuer's that is not the key's", forged(w, `{"alg":"EdDSA","typ":"at+jwt","kid":"`+kid+`"}`,
			strings.Replace(string(payload), issuerURL, "https://other.example", 1)), verify.KeysUnavailable, 503},
		{"attack 15: typ JWT", verifytest.Sign(t, w.issuer.Signer, "JWT", w.claims()), verify.TypRefused, 401},
		{"an assertion's typ", verifytest.Sign(t, w.issuer.Signer, "", w.claims()), verify.TypRefused, 401},
		{"an issuer that is not on the list", w.issuer.Token(t, w.claims().With(verifytest.Claims{"iss": "https://evil.example"})), verify.UnknownIssuer, 401},
		{"the issuer with a slash", w.issuer.Token(t, w.claims().With(verifytest.Claims{"iss": issuerURL + "/"})), verify.UnknownIssuer, 401},
		{"another key under the known kid", verifytest.Sign(t, stranger, "at+jwt", w.claims()), verify.BadSignature, 401},
		{"a kid that is not known", verifytest.Sign(t, unknown, "at+jwt", w.claims()), verify.UnknownKey, 401},
		{"a kid beyond its limit", forged(w, `{"alg":"ES256","typ":"at+jwt","kid":"`+strings.Repeat("k", 129)+`"}`, string(payload)), verify.TokenMalformed, 401},
		{"no kid", forged(w, `{"alg":"ES256","typ":"at+jwt"}`, string(payload)), verify.UnknownKey, 401},
		{"advisory 7: badly signed and expired is badly signed", verifytest.Sign(t, stranger, "at+jwt", w.claims().With(verifytest.Claims{"exp": 1})), verify.BadSignature, 401},
		{"a changed payload", forged(w, `{"alg":"ES256","typ":"at+jwt","kid":"`+kid+`"}`, string(payload)), verify.BadSignature, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			if e := w.refused(w.overMTLS(tt.token), tt.reason, tt.status); e.Token != nil {
				t.Error("claims of a token whose signature is not good")
			}
		})
	}
	t.Run("attack 13: an algorithm that is the key's but not on the issuer's list", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.config.Issuers[0].Algorithms = []string{"PS256"} })
		w.refused(w.overMTLS(w.certToken()), verify.AlgRefused, 401)
	})
	t.Run("attack 13: a key whose algorithm is not the header's", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.config.Issuers[0].Algorithms = []string{"ES256", "PS256"} })
		w.refused(w.overMTLS(verifytest.Sign(t, pss, "at+jwt", w.claims())), verify.UnknownKey, 401)
		same := verifytest.NewSigner(t, jose.PS256, w.issuer.Signer.Public().KeyID())
		w.refused(w.overMTLS(verifytest.Sign(t, same, "at+jwt", w.claims())), verify.AlgRefused, 401)
	})
	t.Run("advisory 5: an embedded jwk is not used", func(t *testing.T) {
		w := newWorld(t)
		payload, _ := json.Marshal(w.claims())
		own := verifytest.NewSigner(t, jose.ES256, "")
		token, err := own.Sign(own.Header("at+jwt", true), payload)
		if err != nil {
			t.Fatal(err)
		}
		w.refused(w.overMTLS(token), verify.UnknownKey, 401)
	})
	t.Run("attack 14: a kid of one issuer opens nothing at another", func(t *testing.T) {
		w := newWorld(t, severalIssuers)
		other := verifytest.NewIssuer(t, w.clock, "https://other.example", jose.EdDSA)
		w.config.Issuers[1].Algorithms = []string{"ES256"}
		sets := map[string]*verify.KeySet{issuerURL: w.issuer.Keys(t), other.URL: other.Keys(t)}
		w.config.Keys = keySource{
			func(iss string) (*verify.KeySet, error) { return sets[iss], nil }, func(string, string) verify.Outcome { return verify.Absent },
		}
		w.verifier, w.policy = w.make()
		w.refused(w.overMTLS(w.issuer.Token(t, w.claims().With(verifytest.Claims{"iss": other.URL}))), verify.UnknownKey, 401)
	})
}

func TestKeys(t *testing.T) {
	source := func(keys func(int) (*verify.KeySet, error), outcome verify.Outcome) (*world, *int) {
		asked := 0
		w := newWorld(t)
		calls := 0
		w.config.Keys = keySource{
			func(string) (*verify.KeySet, error) { calls++; return keys(calls) },
			func(iss, kid string) verify.Outcome {
				asked++
				if iss != issuerURL || kid == "" {
					t.Errorf("Want(%q, %q)", iss, kid)
				}
				return outcome
			},
		}
		w.verifier, w.policy = w.make()
		return w, &asked
	}
	empty, err := verify.NewKeySet()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("no usable keys is 503 with Retry-After, never 401", func(t *testing.T) {
		w, _ := source(func(int) (*verify.KeySet, error) { return nil, verify.ErrNoKeys }, verify.Refreshed)
		e := w.refused(w.overMTLS(w.certToken()), verify.KeysUnavailable, 503)
		if e.RetryAfter <= 0 || e.Challenges != nil || e.Code != "temporarily_unavailable" || !errors.Is(e, verify.ErrNoKeys) {
			t.Errorf("%+v", e)
		}
	})
	t.Run("a kid that cannot be looked up now is 503", func(t *testing.T) {
		w, asked := source(func(int) (*verify.KeySet, error) { return empty, nil }, verify.Unknown)
		e := w.refused(w.overMTLS(w.certToken()), verify.KeysUnavailable, 503)
		if *asked != 1 || !errors.Is(e, verify.ErrKeyUnknown) {
			t.Errorf("asked %d times, %v", *asked, e)
		}
	})
	t.Run("a kid that the issuer does not have is 401", func(t *testing.T) {
		w, _ := source(func(int) (*verify.KeySet, error) { return empty, nil }, verify.Absent)
		w.refused(w.overMTLS(w.certToken()), verify.UnknownKey, 401)
	})
	t.Run("a key that came after asking is used", func(t *testing.T) {
		var set *verify.KeySet
		w, asked := source(func(n int) (*verify.KeySet, error) {
			if n == 1 {
				return empty, nil
			}
			return set, nil
		}, verify.Refreshed)
		set = w.issuer.Keys(t)
		w.served(w.overMTLS(w.certToken()))
		if *asked != 1 {
			t.Errorf("asked %d times", *asked)
		}
	})
	t.Run("keys that are gone after asking are 503", func(t *testing.T) {
		w, _ := source(func(n int) (*verify.KeySet, error) {
			if n == 1 {
				return empty, nil
			}
			return nil, verify.ErrNoKeys
		}, verify.Refreshed)
		w.refused(w.overMTLS(w.certToken()), verify.KeysUnavailable, 503)
	})
	t.Run("attack 28: a remembered verdict ends with the key", func(t *testing.T) {
		w := newWorld(t)
		token := w.certToken()
		w.served(w.overMTLS(token))
		w.keys.Replace(empty)
		w.refused(w.overMTLS(token), verify.UnknownKey, 401)
	})
	t.Run("attack 28: a remembered verdict ends when the keys are too old", func(t *testing.T) {
		gone := false
		w := newWorld(t)
		set := w.issuer.Keys(t)
		w.config.Keys = keySource{func(string) (*verify.KeySet, error) {
			if gone {
				return set, verify.ErrNoKeys
			}
			return set, nil
		}, nil}
		w.verifier, w.policy = w.make()
		token := w.certToken()
		w.served(w.overMTLS(token))
		gone = true
		w.refused(w.overMTLS(token), verify.KeysUnavailable, 503)
	})
	t.Run("the same keys published again keep verdicts", func(t *testing.T) {
		w := newWorld(t)
		before, _ := w.keys.Keys(issuerURL)
		w.keys.Replace(w.issuer.Keys(t))
		if after, _ := w.keys.Keys(issuerURL); after != before {
			t.Error("the pointer changed")
		}
	})
	t.Run("static keys are of one issuer", func(t *testing.T) {
		w := newWorld(t)
		if _, err := w.keys.Keys("https://other.example"); !errors.Is(err, verify.ErrNoKeys) {
			t.Errorf("error is %v", err)
		}
		if _, err := verify.NewStaticKeys(issuerURL, nil).Keys(issuerURL); !errors.Is(err, verify.ErrNoKeys) {
			t.Errorf("error of no set is %v", err)
		}
	})
	t.Run("advisory 16: two keys of one kid", func(t *testing.T) {
		a, b := verifytest.NewSigner(t, jose.ES256, "k"), verifytest.NewSigner(t, jose.ES256, "k")
		if _, err := verify.NewKeySet(a.Public(), b.Public()); err == nil {
			t.Error("accepted")
		}
		if _, err := verify.ParseKeySet(jose.JWKSet([]*jose.PublicKey{a.Public(), b.Public()})); err == nil {
			t.Error("accepted as JWK set")
		}
	})
	t.Run("a JWK set is read, and compared by key and name", func(t *testing.T) {
		a, b := verifytest.NewSigner(t, jose.ES256, "a"), verifytest.NewSigner(t, jose.ES256, "b")
		set, err := verify.ParseKeySet(jose.JWKSet([]*jose.PublicKey{a.Public()}))
		if err != nil {
			t.Fatal(err)
		}
		if !set.Has("a") || set.Has("b") {
			t.Error("a is not in the set, or b is")
		}
		sets := map[string]*verify.KeySet{"nil": nil, "empty": empty}
		sets["a"], _ = verify.NewKeySet(a.Public())
		sets["b"], _ = verify.NewKeySet(b.Public())
		sets["ab"], _ = verify.NewKeySet(a.Public(), b.Public())
		sets["other a"], _ = verify.NewKeySet(verifytest.NewSigner(t, jose.ES256, "a").Public())
		for name, other := range sets {
			if set.Equal(other) != (name == "a") {
				t.Errorf("equal to %s: %t", name, set.Equal(other))
			}
			if (*verify.KeySet)(nil).Equal(other) {
				t.Errorf("nothing equals %s", name)
			}
		}
	})
}

func TestClaims(t *testing.T) {
	w := newWorld(t, func(w *world) { w.rules.MaxTokenAge = 2 * time.Minute })
	now := w.clock.Now().Unix()
	for _, tt := range []struct {
		name   string
		change verifytest.Claims
		reason verify.Reason // "" for served
	}{
		{"expires this second", verifytest.Claims{"exp": now}, verify.Expired},
		{"expires in a second", verifytest.Claims{"exp": now + 1}, ""},
		{"advisory 19: no exp", verifytest.Claims{"exp": nil}, verify.TokenMalformed},
		{"advisory 19: exp as text", verifytest.Claims{"exp": "9999999999"}, verify.TokenMalformed},
		{"advisory 19: exp 1e400", verifytest.Claims{"exp": json.RawMessage("1e400")}, verify.TokenMalformed},
		{"advisory 19: exp with a fraction", verifytest.Claims{"exp": json.RawMessage("99999999999.5")}, verify.TokenMalformed},
		{"advisory 19: exp negative", verifytest.Claims{"exp": -1}, verify.TokenMalformed},
		{"exp beyond the year 9999", verifytest.Claims{"exp": 253402300800}, verify.TokenMalformed},
		{"exp at the end of the year 9999", verifytest.Claims{"exp": 253402300799}, ""},
		{"iat 30 s ahead", verifytest.Claims{"iat": now + 30}, ""},
		{"iat 31 s ahead", verifytest.Claims{"iat": now + 31}, verify.NotYetValid},
		{"advisory 19: iat an hour ahead", verifytest.Claims{"iat": now + 3600, "exp": now + 7200}, verify.NotYetValid},
		{"no iat", verifytest.Claims{"iat": nil}, verify.TokenMalformed},
		{"iat as text", verifytest.Claims{"iat": "1"}, verify.TokenMalformed},
		{"iat of 1 is very old", verifytest.Claims{"iat": 1}, verify.TokenTooOld},
		{"nbf 30 s ahead", verifytest.Claims{"nbf": now + 30}, ""},
		{"nbf 31 s ahead", verifytest.Claims{"nbf": now + 31}, verify.NotYetValid},
		{"nbf as text", verifytest.Claims{"nbf": "1"}, verify.TokenMalformed},
		{"age at its bound", verifytest.Claims{"iat": now - 120}, ""},
		{"age beyond its bound", verifytest.Claims{"iat": now - 121}, verify.TokenTooOld},
		{"no iss", verifytest.Claims{"iss": nil}, verify.TokenMalformed},
		{"no sub", verifytest.Claims{"sub": nil}, verify.TokenMalformed},
		{"no jti", verifytest.Claims{"jti": nil}, verify.TokenMalformed},
		{"no client_id", verifytest.Claims{"client_id": nil}, verify.TokenMalformed},
		{"no aud", verifytest.Claims{"aud": nil}, verify.TokenMalformed},
		{"an empty aud array", verifytest.Claims{"aud": []string{}}, verify.TokenMalformed},
		{"an aud of a number", verifytest.Claims{"aud": 1}, verify.TokenMalformed},
		{"an aud array with a number", verifytest.Claims{"aud": []any{resource, 1}}, verify.TokenMalformed},
		{"advisory 18: aud is a prefix of ours", verifytest.Claims{"aud": "https://api.example"}, verify.WrongAudience},
		{"advisory 18: ours is a prefix of aud", verifytest.Claims{"aud": resource + ".evil"}, verify.WrongAudience},
		{"advisory 18: aud with a slash", verifytest.Claims{"aud": resource + "/"}, verify.WrongAudience},
		{"advisory 18: aud in capitals", verifytest.Claims{"aud": strings.ToUpper(resource)}, verify.WrongAudience},
		{"advisory 17: an aud array without ours", verifytest.Claims{"aud": []string{"https://a.example", "https://b.example"}}, verify.WrongAudience},
		{"scope missing", verifytest.Claims{"scope": nil}, verify.InsufficientScope},
		{"scope of another name", verifytest.Claims{"scope": "payments.read"}, verify.InsufficientScope},
		{"scope in capitals", verifytest.Claims{"scope": "PAYMENTS"}, verify.InsufficientScope},
		{"a control character in client_id", verifytest.Claims{"client_id": "shop\r\nX: 1"}, verify.TokenMalformed},
		{"a control character in jti", verifytest.Claims{"jti": "a\n"}, verify.TokenMalformed},
		{"a control character in organisation", verifytest.Claims{"organisation": "a\x7f"}, verify.TokenMalformed},
		{"a control character in credential_id", verifytest.Claims{"credential_id": "a\x7f"}, verify.TokenMalformed},
		{"a quote in scope", verifytest.Claims{"scope": `payments "`}, verify.TokenMalformed},
		{"no organisation, no credential_id", verifytest.Claims{"organisation": nil, "credential_id": nil}, ""},
		{"an unknown claim", verifytest.Claims{"acr": "high"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			r := w.overMTLS(w.issuer.Token(t, w.claims().With(tt.change)))
			switch tt.reason {
			case "":
				w.served(r)
			case verify.InsufficientScope:
				w.refused(r, tt.reason, 403)
			default:
				w.refused(r, tt.reason, 401)
			}
		})
	}
	t.Run("promise 6: a remembered token expires on the second", func(t *testing.T) {
		w := newWorld(t)
		token := w.certToken()
		w.served(w.overMTLS(token))
		w.clock.Advance(5*time.Minute - time.Second)
		w.served(w.overMTLS(token))
		w.clock.Advance(time.Second)
		e := w.refused(w.overMTLS(token), verify.Expired, 401)
		if e.Token == nil || e.Token.ClientID != "shop" {
			t.Error("the event cannot say whose token it was")
		}
	})
	t.Run("a remembered token is held against each policy", func(t *testing.T) {
		w := newWorld(t)
		token := w.certToken()
		w.served(w.overMTLS(token))
		w.rules.Resource = "https://api.example/reports"
		p, err := w.verifier.NewPolicy(w.rules)
		if err != nil {
			t.Fatal(err)
		}
		w.policy = p
		w.refused(w.overMTLS(token), verify.WrongAudience, 401)
	})
	t.Run("every scope of the policy is needed", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.rules.Scopes = []string{"payments", "payments.write"} })
		w.refused(w.overMTLS(w.certToken()), verify.InsufficientScope, 403)
		w.served(w.overMTLS(w.issuer.Token(t, w.claims().With(verifytest.Claims{"scope": "payments.write payments"}))))
	})
	t.Run("duplicate members", func(t *testing.T) {
		w := newWorld(t)
		payload, _ := json.Marshal(w.claims())
		s := w.issuer.Signer
		token, err := s.Sign(s.Header("at+jwt", false), append([]byte(`{"aud":"https://evil.example",`), payload[1:]...))
		if err != nil {
			t.Fatal(err)
		}
		w.refused(w.overMTLS(token), verify.TokenMalformed, 401)
		last := append(payload[:len(payload)-1:len(payload)-1], `,"sub":"admin"}`...)
		if token, err = s.Sign(s.Header("at+jwt", false), last); err != nil {
			t.Fatal(err)
		}
		w.refused(w.overMTLS(token), verify.TokenMalformed, 401)
	})
}

func TestRevocation(t *testing.T) {
	source := new(revocations)
	w := newWorld(t, func(w *world) { w.config.Revocation, w.rules.MaxRevocationLag = source, time.Minute })
	token := w.certToken()
	t.Run("a remembered token that ended is refused at once, for the source's reason", func(t *testing.T) {
		w.TB = t
		source.set(nil, 0)
		w.served(w.overMTLS(token))
		source.set(map[string]verify.Reason{"cred-1": "credential_revoked"}, 0)
		if e := w.refused(w.overMTLS(token), "credential_revoked", 401); e.Code != "invalid_token" {
			t.Errorf("code is %q", e.Code)
		}
	})
	t.Run("knowledge at the bound is good, beyond it 503", func(t *testing.T) {
		w.TB = t
		source.set(nil, time.Minute)
		w.served(w.overMTLS(token))
		source.set(nil, time.Minute+1)
		w.refused(w.overMTLS(token), verify.RevocationStale, 503)
	})
	t.Run("what is known to have ended is 401 however old that knowledge", func(t *testing.T) {
		w.TB = t
		source.set(map[string]verify.Reason{"cred-1": "token_revoked"}, time.Hour)
		w.refused(w.overMTLS(token), "token_revoked", 401)
	})
	t.Run("15 minutes unless the rules say otherwise", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.config.Revocation = source })
		token := w.certToken()
		source.set(nil, verify.DefaultRevocationLag)
		w.served(w.overMTLS(token))
		source.set(nil, verify.DefaultRevocationLag+1)
		w.refused(w.overMTLS(token), verify.RevocationStale, 503)
	})
	t.Run("a revoked token burns no jti", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.config.Revocation = source })
		r := w.withProof(w.keyToken())
		source.set(map[string]verify.Reason{"cred-1": "token_revoked"}, 0)
		w.refused(r, "token_revoked", 401)
		source.set(nil, 0)
		w.served(r)
	})
}

func TestPolicyOfAnotherVerifier(t *testing.T) {
	w := newWorld(t)
	_, other := w.make()
	r := w.overMTLS(w.certToken())
	for name, p := range map[string]*verify.Policy{"nil": nil, "zero": {}, "another verifier's": other} {
		_, err := w.verifier.Verify(context.Background(), r, p)
		e, ok := errors.AsType[*verify.Error](err)
		if !ok || e.Reason != verify.NoPolicy || e.Status != 503 {
			t.Errorf("%s policy: %v", name, err)
		}
	}
}

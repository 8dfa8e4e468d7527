package clientauth_test

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/token"
)

type claims = authtest.Claims

// show authenticates with an assertion; clientID "" leaves the parameter out.
func show(w *authtest.World, clientID, assertion string) (*clientauth.Authenticated, error) {
	w.T.Helper()
	v := url.Values{"client_assertion_type": {clientauth.AssertionType}, "client_assertion": {assertion}}
	if clientID != "" {
		v.Set("client_id", clientID)
	}
	return w.Auth.Authenticate(w.Now, w.Snapshot, clientauth.Attempt{Form: w.Form(v)})
}

func TestAssertionAccepted(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.PS256, jose.EdDSA, jose.Ed25519} {
		t.Run(string(alg), func(t *testing.T) {
			w := authtest.New(t)
			w.Application("jwt", directory.PrivateKeyJWT, cnf.DPoP)
			key := w.Key("jwt", alg, "k1")
			exp := w.Now.Add(time.Minute).Unix()
			got, err := show(w, "jwt", w.Assertion("jwt", key, claims{"jti": "one", "exp": exp}))
			if err != nil {
				t.Fatal(err)
			}
			if got.Client.ClientID != "jwt" || got.Credential.ID != "key-k1" || got.Method != directory.PrivateKeyJWT {
				t.Errorf("got %+v", got)
			}
			want := token.AssertionUse("jwt", "one", time.Time{}, time.Unix(exp+60, 0))
			if got.Use == nil || got.Use.Key != want.Key || !got.Use.Until.Equal(want.Until) {
				t.Errorf("use %+v, want %+v", got.Use, want)
			}
		})
	}
}

func TestAssertionFrom(t *testing.T) {
	w := authtest.New(t)
	w.Application("jwt", directory.PrivateKeyJWT, cnf.DPoP)
	key := w.Key("jwt", jose.ES256, "k1")
	now := w.Now.Unix()
	for _, c := range []struct {
		name   string
		claims claims
		want   int64 // seconds after now
	}{
		{"30 s before it says it was issued, as clocks differ", claims{"exp": now + 60, "iat": now - 5}, -35},
		{"30 s before it says it begins", claims{"exp": now + 60, "iat": now - 50, "nbf": now + 10}, -20},
		{"5 min before it expires, whatever else it says", claims{"exp": now + 300, "iat": now - 3600, "nbf": now - 3600}, 0},
		{"5 min before it expires, when it says nothing else", claims{"exp": now + 100, "iat": nil, "nbf": nil}, -200},
	} {
		t.Run("the earliest time of use is "+c.name, func(t *testing.T) {
			got, err := show(w, "jwt", w.Assertion("jwt", key, c.claims))
			if err != nil {
				t.Fatal(err)
			}
			if d := got.Use.From.Unix() - now; d != c.want {
				t.Errorf("%d s after now, want %d", d, c.want)
			}
		})
	}
}

func TestAssertionClaims(t *testing.T) {
	w := authtest.New(t)
	w.Application("jwt", directory.PrivateKeyJWT, cnf.DPoP)
	w.Application("other", directory.PrivateKeyJWT, cnf.DPoP)
	key := w.Key("jwt", jose.ES256, "k1")
	w.Key("other", jose.ES256, "k1")
	now := w.Now.Unix()
	cases := []struct {
		name   string
		id     string // client_id parameter
		edit   claims
		reason string // "" is accepted
	}{
		{"RFC 7521 §4.2: client_id may be omitted", "", nil, ""},
		{"RFC 7523 §3 (1): iss of another", "jwt", claims{"iss": "other"}, clientauth.ReasonAssertionIssuer},
		{"RFC 7523 §3 (1): no iss", "jwt", claims{"iss": nil}, clientauth.ReasonAssertionIssuer},
		{"RFC 7523 §3 (2): sub of another client", "jwt", claims{"sub": "other", "iss": "other"}, clientauth.ReasonAssertionSignature},
		{"RFC 7523 §3 (2): no sub", "jwt", claims{"sub": nil}, clientauth.ReasonAssertionSubject},
		{"client_id of another client with a good assertion", "other", nil, clientauth.ReasonAssertionSubject},
		{"client_id of nobody with a good assertion", "nobody", nil, clientauth.ReasonAssertionSubject},
		{"sub of nobody", "", claims{"sub": "nobody", "iss": "nobody"}, clientauth.ReasonClientUnknown},
		{"RFC 7523 §3 (3): no aud", "jwt", claims{"aud": nil}, clientauth.ReasonAssertionAudience},
		{"advisory 17: aud an array with ours and a stranger's", "jwt", claims{"aud": []string{authtest.Issuer, "https://evil.example"}}, clientauth.ReasonAssertionAudience},
		{"advisory 17: aud an array of ours alone", "jwt", claims{"aud": []string{authtest.Issuer}}, clientauth.ReasonAssertionAudience},
		{"advisory 18: aud with ours as prefix", "jwt", claims{"aud": authtest.Issuer + ".evil"}, clientauth.ReasonAssertionAudience},
		{"advisory 18: aud a prefix of ours", "jwt", claims{"aud": authtest.Issuer[:len(authtest.Issuer)-1]}, clientauth.ReasonAssertionAudience},
		{"advisory 18: aud in another case", "jwt", claims{"aud": strings.ToUpper(authtest.Issuer)}, clientauth.ReasonAssertionAudience},
		{"advisory 18: aud with a trailing slash", "jwt", claims{"aud": authtest.Issuer + "/"}, clientauth.ReasonAssertionAudience},
		{"advisory 23: aud the token endpoint", "jwt", claims{"aud": authtest.Issuer + "/token"}, clientauth.ReasonAssertionAudience},
		{"advisory 19: no exp", "jwt", claims{"exp": nil}, clientauth.ReasonAssertionExpired},
		{"advisory 19: exp null", "jwt", claims{"exp": json.RawMessage("null")}, clientauth.ReasonAssertionMalformed},
		{"advisory 19: exp a string", "jwt", claims{"exp": "9999999999"}, clientauth.ReasonAssertionMalformed},
		{"advisory 19: exp 1e400", "jwt", claims{"exp": json.RawMessage("1e400")}, clientauth.ReasonAssertionMalformed},
		{"RFC 7519 §2: exp, iat and nbf with a fraction", "jwt", claims{"exp": float64(now) + 60.5, "iat": float64(now) + 0.25, "nbf": float64(now) - 0.5}, ""},
		{"advisory 19: exp with a fraction, 10 s ago", "jwt", claims{"exp": float64(now) - 9.5}, clientauth.ReasonAssertionExpired},
		{"advisory 19: exp with a fraction and an exponent", "jwt", claims{"exp": json.RawMessage("1.79362086e9")}, clientauth.ReasonAssertionMalformed},
		{"advisory 51: exp with a fraction, beyond 5 min ahead", "jwt", claims{"exp": float64(now) + 301.5}, clientauth.ReasonAssertionLifetime},
		{"advisory 19: exp negative", "jwt", claims{"exp": -1}, clientauth.ReasonAssertionExpired},
		{"advisory 19: exp the least integer", "jwt", claims{"exp": json.RawMessage("-9223372036854775808")}, clientauth.ReasonAssertionExpired},
		{"advisory 19: exp the greatest integer", "jwt", claims{"exp": json.RawMessage("9223372036854775807")}, clientauth.ReasonAssertionLifetime},
		{"exp 9 s ago is within the grace", "jwt", claims{"exp": now - 9}, ""},
		{"exp 10 s ago is expired", "jwt", claims{"exp": now - 10}, clientauth.ReasonAssertionExpired},
		{"exp 5 min ahead", "jwt", claims{"exp": now + 300}, ""},
		{"advisory 51: exp beyond 5 min ahead", "jwt", claims{"exp": now + 301}, clientauth.ReasonAssertionLifetime},
		{"advisory 19: iat 1 h ahead", "jwt", claims{"iat": now + 3600}, clientauth.ReasonAssertionFromFuture},
		{"iat 30 s ahead", "jwt", claims{"iat": now + 30}, ""},
		{"iat 31 s ahead", "jwt", claims{"iat": now + 31}, clientauth.ReasonAssertionFromFuture},
		{"iat a string", "jwt", claims{"iat": "now"}, clientauth.ReasonAssertionMalformed},
		{"no iat", "jwt", claims{"iat": nil}, ""},
		{"nbf 30 s ahead", "jwt", claims{"nbf": now + 30}, ""},
		{"RFC 7523 §3 (5): nbf 31 s ahead", "jwt", claims{"nbf": now + 31}, clientauth.ReasonAssertionFromFuture},
		{"nbf a string", "jwt", claims{"nbf": "now"}, clientauth.ReasonAssertionMalformed},
		{"advisory 42: no jti", "jwt", claims{"jti": nil}, clientauth.ReasonAssertionID},
		{"advisory 42: jti empty", "jwt", claims{"jti": ""}, clientauth.ReasonAssertionID},
		{"advisory 42: jti a number", "jwt", claims{"jti": 1}, clientauth.ReasonAssertionMalformed},
		{"jti of 128 bytes", "jwt", claims{"jti": strings.Repeat("j", 128)}, ""},
		{"jti of 129 bytes", "jwt", claims{"jti": strings.Repeat("j", 129)}, clientauth.ReasonAssertionID},
		{"iss a number", "jwt", claims{"iss": 1}, clientauth.ReasonAssertionMalformed},
		{"sub an array", "jwt", claims{"sub": []string{"jwt"}}, clientauth.ReasonAssertionMalformed},
		{"aud a number", "jwt", claims{"aud": 1}, clientauth.ReasonAssertionMalformed},
		{"unknown claims are ignored", "jwt", claims{"roles": []string{"admin"}, "cnf": claims{"jkt": "x"}}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := show(w, c.id, w.Assertion("jwt", key, c.edit))
			if c.reason == "" {
				if err != nil || got.Client.ClientID != "jwt" {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			refused(t, err, oauth.InvalidClient, c.reason)
		})
	}
}

func TestAssertionHeader(t *testing.T) {
	w := authtest.New(t)
	w.Application("jwt", directory.PrivateKeyJWT, cnf.DPoP)
	key := w.Key("jwt", jose.ES256, "k1")
	own := w.NewSigner(jose.ES256, "k1")
	jws := func(s *jose.Signer, edit claims) string {
		h := claims{"alg": "ES256", "kid": "k1"}
		for name, v := range edit {
			if h[name] = v; v == nil {
				delete(h, name)
			}
		}
		return w.JWS(h, w.AssertionClaims("jwt", nil), s)
	}
	good := jws(key, nil)
	cases := []struct {
		name, assertion, reason string
	}{
		{"typ absent", good, ""},
		{"typ JWT", jws(key, claims{"typ": "JWT"}), ""},
		{"typ in another case", jws(key, claims{"typ": "Client-Authentication+JWT"}), ""},
		{"typ of an access token", jws(key, claims{"typ": "at+jwt"}), clientauth.ReasonAssertionMalformed},
		{"typ of a proof", jws(key, claims{"typ": "dpop+jwt"}), clientauth.ReasonAssertionMalformed},
		{"kid absent with one key", jws(key, claims{"kid": nil}), ""},
		{"kid of nobody", jws(key, claims{"kid": "k9"}), clientauth.ReasonKeyUnknown},
		{"another key under our kid", jws(own, nil), clientauth.ReasonAssertionSignature},
		{"advisory 5: jwk in the header is not used", jws(own, claims{"jwk": json.RawMessage(own.Public().JWK())}), clientauth.ReasonAssertionSignature},
		{"advisory 5: jku in the header is not fetched", jws(own, claims{"jku": "https://evil.example/jwks"}), clientauth.ReasonAssertionSignature},
		{"advisory 6: crit of the unknown", jws(key, claims{"crit": []string{"bork"}, "bork": 1}), clientauth.ReasonAssertionMalformed},
		{"advisory 6: crit empty", jws(key, claims{"crit": []string{}}), clientauth.ReasonAssertionMalformed},
		{"alg none", jws(key, claims{"alg": "none"}), clientauth.ReasonAssertionMalformed},
		{"alg RS256", jws(key, claims{"alg": "RS256"}), clientauth.ReasonAssertionMalformed},
		{"advisory 4: alg is the key's, not the header's", jws(key, claims{"alg": "PS256"}), clientauth.ReasonAssertionSignature},
		{"not a JWT", "abc", clientauth.ReasonAssertionMalformed},
		{"advisory 10: five parts", good + ".a.b", clientauth.ReasonAssertionMalformed},
		{"larger than 8 KiB", w.Assertion("jwt", key, claims{"pad": strings.Repeat("x", 8<<10)}), clientauth.ReasonAssertionMalformed},
		{"advisory 8: 60,000 dots", strings.Repeat(".", 60_000), clientauth.ReasonAssertionMalformed},
		{"a changed signature", good[:len(good)-4] + "AAAA", clientauth.ReasonAssertionSignature},
		{"a changed payload", strings.Replace(good, ".ey", ".eyAg", 1), clientauth.ReasonAssertionMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := show(w, "jwt", c.assertion)
			if c.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			refused(t, err, oauth.InvalidClient, c.reason)
		})
	}
	t.Run("advisory 7: expired and badly signed is badly signed", func(t *testing.T) {
		_, err := show(w, "jwt", w.Assertion("jwt", own, claims{"exp": 1}))
		refused(t, err, oauth.InvalidClient, clientauth.ReasonAssertionSignature)
	})
	t.Run("claims that are duplicated", func(t *testing.T) {
		h := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"k1"}`))
		raw, err := key.Sign(jose.PreparedHeader(h), []byte(`{"iss":"jwt","sub":"jwt","sub":"jwt"}`))
		if err != nil {
			t.Fatal(err)
		}
		_, err = show(w, "jwt", raw)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonAssertionMalformed)
	})
}

func TestAlgorithmConfusion(t *testing.T) {
	w := authtest.New(t)
	w.Application("jwt", directory.PrivateKeyJWT, cnf.DPoP)
	key := w.Key("jwt", jose.ES256, "k1").Public()
	der, err := x509.MarshalPKIXPublicKey(key.Crypto())
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	point, err := key.Crypto().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string][]byte{
		"PEM": text, "DER": der, "JWK": key.JWK(), "the bare point": point,
		"advisory 3: PEM after a blank": append([]byte(" "), text...),
	} {
		t.Run("advisories 1, 2: HS256 with the public key as secret, "+name, func(t *testing.T) {
			payload, err := json.Marshal(w.AssertionClaims("jwt", nil))
			if err != nil {
				t.Fatal(err)
			}
			input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"k1"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			_, err = show(w, "jwt", input+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
			refused(t, err, oauth.InvalidClient, clientauth.ReasonAssertionMalformed)
		})
	}
}

func TestAssertionKeys(t *testing.T) {
	setup := func(t *testing.T) (*authtest.World, *jose.Signer) {
		w := authtest.New(t)
		w.Application("jwt", directory.PrivateKeyJWT, cnf.DPoP)
		return w, w.Key("jwt", jose.ES256, "k1")
	}
	noKID := func(w *authtest.World, s *jose.Signer) string {
		return w.JWS(claims{"alg": "ES256"}, w.AssertionClaims("jwt", nil), s)
	}
	for _, state := range []directory.State{directory.Created, directory.Retired, directory.Suspended, directory.Revoked, directory.Compromised, directory.Expired} {
		t.Run("advisory 38: key "+string(state), func(t *testing.T) {
			w, key := setup(t)
			w.EditCredential("key-k1", func(c *directory.Credential) { c.State = state })
			_, err := show(w, "jwt", w.Assertion("jwt", key, nil))
			refused(t, err, oauth.InvalidClient, clientauth.ReasonKeyNotAccepted)
			_, err = show(w, "jwt", noKID(w, key))
			refused(t, err, oauth.InvalidClient, clientauth.ReasonKeyUnknown)
		})
	}
	t.Run("key past its time", func(t *testing.T) {
		w, key := setup(t)
		w.EditCredential("key-k1", func(c *directory.Credential) { c.NotAfter = w.Now })
		_, err := show(w, "jwt", w.Assertion("jwt", key, nil))
		refused(t, err, oauth.InvalidClient, clientauth.ReasonKeyNotAccepted)
	})
	t.Run("kid absent with two keys", func(t *testing.T) {
		w, key := setup(t)
		w.Key("jwt", jose.ES256, "k2")
		_, err := show(w, "jwt", noKID(w, key))
		refused(t, err, oauth.InvalidClient, clientauth.ReasonKeyUnknown)
	})
	t.Run("kid absent with one key and a certificate", func(t *testing.T) {
		w, key := setup(t)
		w.SelfSigned("jwt")
		if _, err := show(w, "jwt", noKID(w, key)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("two keys overlap", func(t *testing.T) {
		w, key := setup(t)
		second := w.Key("jwt", jose.EdDSA, "k2")
		for _, s := range []*jose.Signer{key, second} {
			if got, err := show(w, "jwt", w.Assertion("jwt", s, nil)); err != nil || got.Credential.Key != s.Public() {
				t.Fatalf("got %v, %v", got, err)
			}
		}
	})
	t.Run("client B's id with client A's key", func(t *testing.T) {
		w, key := setup(t)
		w.Application("other", directory.PrivateKeyJWT, cnf.DPoP)
		w.Key("other", jose.ES256, "k2")
		_, err := show(w, "other", w.Assertion("other", key, nil))
		r := refused(t, err, oauth.InvalidClient, clientauth.ReasonKeyUnknown)
		if r.Client == nil || r.Client.ClientID != "other" {
			t.Errorf("the refusal names %v", r.Client)
		}
	})
	t.Run("advisory 38: application suspended", func(t *testing.T) {
		w, key := setup(t)
		w.Edit("jwt", func(a *directory.Application) { a.State = directory.Suspended })
		_, err := show(w, "", w.Assertion("jwt", key, nil))
		if r := refused(t, err, oauth.InvalidClient, clientauth.ReasonClientNotLive); r.Client == nil || r.Client.ClientID != "jwt" {
			t.Errorf("the refusal names %v", r.Client)
		}
	})
	t.Run("advisory 39: organisation suspended", func(t *testing.T) {
		w, key := setup(t)
		w.SetOrganisation(authtest.Acme, directory.Suspended)
		_, err := show(w, "jwt", w.Assertion("jwt", key, nil))
		refused(t, err, oauth.InvalidClient, clientauth.ReasonClientNotLive)
	})
	for _, method := range []directory.AuthMethod{directory.TLSClientAuth, directory.SelfSignedTLSClientAuth} {
		t.Run("an assertion of a client registered for "+string(method), func(t *testing.T) {
			w, key := setup(t)
			w.Edit("jwt", func(a *directory.Application) { a.AuthMethod = method })
			_, err := show(w, "jwt", w.Assertion("jwt", key, nil))
			refused(t, err, oauth.InvalidClient, clientauth.ReasonMethodNotRegistered)
		})
	}
	t.Run("advisory 42: one jti of two clients is two uses", func(t *testing.T) {
		w, key := setup(t)
		w.Application("other", directory.PrivateKeyJWT, cnf.DPoP)
		second := w.Key("other", jose.ES256, "k2")
		a, err := show(w, "jwt", w.Assertion("jwt", key, claims{"jti": "one"}))
		if err != nil {
			t.Fatal(err)
		}
		b, err := show(w, "other", w.Assertion("other", second, claims{"jti": "one"}))
		if err != nil {
			t.Fatal(err)
		}
		if a.Use.Key == b.Use.Key {
			t.Error("another client's jti is burnt")
		}
	})
}

func FuzzAssertion(f *testing.F) {
	w := authtest.New(f)
	w.Application("jwt", directory.PrivateKeyJWT, cnf.DPoP)
	key := w.Key("jwt", jose.ES256, "k1")
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"k1"}`))
	f.Add([]byte(`{"iss":"jwt","sub":"jwt","aud":"https://as.example","jti":"one","exp":1793620860}`))
	f.Add([]byte(`{"iss":"jwt","sub":"jwt","aud":["https://as.example"],"jti":"one","exp":1793620860}`))
	f.Add([]byte(`{"iss":"jwt","sub":"jwt","aud":"https://as.example","jti":"","exp":-1,"nbf":1e9}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		// Whatever is accepted says, to a second and lenient parser, what we ask for.
		w.T = t
		raw, err := key.Sign(jose.PreparedHeader(header), payload)
		if err != nil || len(raw) > oauth.MaxForm/2 {
			return
		}
		got, err := w.Auth.Authenticate(w.Now, w.Snapshot, clientauth.Attempt{Form: w.Form(url.Values{
			"client_assertion_type": {clientauth.AssertionType}, "client_assertion": {raw}})})
		if err != nil {
			return
		}
		var c struct {
			Iss, Sub, Aud, JTI string
			Exp                float64
		}
		if err := json.Unmarshal(payload, &c); err != nil {
			t.Fatalf("accepted %q: %v", payload, err)
		}
		if c.Iss != "jwt" || c.Sub != "jwt" || c.Aud != authtest.Issuer || c.JTI == "" || c.Exp >= float64(w.Now.Unix()+301) {
			t.Fatalf("accepted %q", payload)
		}
		if got.Use.Key != token.AssertionUse("jwt", c.JTI, time.Time{}, time.Time{}).Key {
			t.Fatal("another jti was recorded")
		}
	})
}

func BenchmarkAuthenticateAssertion(b *testing.B) {
	w := authtest.New(b)
	w.Application("jwt", directory.PrivateKeyJWT, cnf.DPoP)
	key := w.Key("jwt", jose.ES256, "k1")
	form := w.Form(url.Values{"client_assertion_type": {clientauth.AssertionType}, "client_assertion": {w.Assertion("jwt", key, nil)}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Auth.Authenticate(w.Now, w.Snapshot, clientauth.Attempt{Form: form}); err != nil {
			b.Fatal(err)
		}
	}
}

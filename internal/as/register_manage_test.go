package as_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/registration"
)

// TestRegistrationToken: table 4.5, "registration token absent or bad" and "client
// gone", on each of the three methods.
func TestRegistrationToken(t *testing.T) {
	s := newRegStack(t)
	ctx := t.Context()
	k := s.signer("k")
	c, other := s.register(wanted(k)), s.register(wanted(s.signer("other")))
	made := s.application(directory.PrivateKeyJWT, "dpop") // by an operator
	change := with(wanted(k), metadata{"client_id": c.id})
	for name, r := range map[string]struct{ uri, bearer, code string }{
		"no token":                           {c.uri, "", ""},
		"garbage":                            {c.uri, "x", "invalid_token"},
		"a token that was never made":        {c.uri, "hfr_" + strings.Repeat("A", 43), "invalid_token"},
		"an initial access token":            {c.uri, s.initial(), "invalid_token"},
		"advisory 98: another client's":      {c.uri, other.token, "invalid_token"},
		"advisory 98: at another client's":   {other.uri, c.token, "invalid_token"},
		"a client that there is not":         {s.issuer + "/register/app-none", c.token, "invalid_token"},
		"a client that an operator made":     {s.issuer + "/register/" + string(made), c.token, "invalid_token"},
		"an id that is none":                 {s.issuer + "/register/%2e%2e%2fx", c.token, "invalid_token"},
		"the token with something behind it": {c.uri, c.token + "x", "invalid_token"},
	} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			t.Run(method+": "+name, func(t *testing.T) {
				s := s.in(t)
				s.unchanged(func() {
					got := s.ask(method, r.uri, r.bearer, change, s.assertion(c.id, k, nil))
					if r.code == "" {
						if got.status != 401 || got.raw != "{}" || got.header.Get("WWW-Authenticate") != "Bearer" {
							t.Errorf("%d %v %s", got.status, got.header, got.raw)
						}
						return
					}
					s.refused(got, 401, r.code)
					if got.header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
						t.Errorf("WWW-Authenticate %q", got.header.Get("WWW-Authenticate"))
					}
				})
			})
		}
	}
	t.Run("advisory 88: the token of a client that was suspended ends, and does not come back", func(t *testing.T) {
		s := s.in(t)
		s.must(s.dir.SetApplicationState(ctx, "operator", c.id, directory.Suspended))
		s.refused(s.ask("PUT", c.uri, c.token, change, s.assertion(c.id, k, nil)), 401, "invalid_token")
		s.unchanged(func() { s.refused(s.ask("GET", c.uri, c.token, nil, nil), 401, "invalid_token") })
		s.must(s.dir.SetApplicationState(ctx, "operator", c.id, directory.Active))
		s.refused(s.ask("GET", c.uri, c.token, nil, nil), 401, "invalid_token")
		got := s.ask("POST", c.uri+"/recover", "", nil, s.assertion(c.id, k, nil))
		if got.status != 200 || s.ask("GET", c.uri, got.text("registration_access_token"), nil, nil).status != 200 {
			t.Errorf("%d %s", got.status, got.raw)
		}
	})
	t.Run("advisory 88: the token of a client that was revoked ends", func(t *testing.T) {
		s := s.in(t)
		s.must(s.dir.SetApplicationState(ctx, "operator", other.id, directory.Revoked))
		s.refused(s.ask("GET", other.uri, other.token, nil, nil), 401, "invalid_token")
		if r, err := s.db.Registration(ctx, other.id); err != nil || r.Token != (registration.Hash{}) {
			t.Errorf("%+v %v", r, err)
		}
	})
}

// TestRegistrationUpdate: table 4.5, PUT: what is refused changes nothing and leaves
// the assertion its use.
func TestRegistrationUpdate(t *testing.T) {
	s := newRegStack(t)
	k, next, other := s.signer("k"), s.signer("next"), s.signer("other")
	c := s.register(wanted(k))
	stranger := s.register(wanted(other))
	good := with(wanted(k), metadata{"client_id": c.id})
	withNext := with(wanted(k, next), metadata{"client_id": c.id})
	now := time.Now().Unix()
	proof := func(k *jose.Signer, edit metadata) []string {
		return []string{s.proof(c.uri, k, "key-proof+jwt", edit)}
	}
	for name, r := range map[string]struct {
		m        metadata
		proofs   []string
		identity http.Header
		status   int
		code     string
	}{
		"no credential":                                               {good, nil, http.Header{}, 403, "access_denied"},
		"a wrong one":                                                 {good, nil, s.assertion(c.id, next, nil), 403, "access_denied"},
		"another client's":                                            {good, nil, s.assertion(stranger.id, other, nil), 403, "access_denied"},
		"another client's in this one's name":                         {good, nil, s.assertion(c.id, other, nil), 403, "access_denied"},
		"an assertion for another audience":                           {good, nil, s.assertion(c.id, k, metadata{"aud": c.uri}), 403, "access_denied"},
		"an assertion that has expired":                               {good, nil, s.assertion(c.id, k, metadata{"exp": now - 60}), 403, "access_denied"},
		"two assertions":                                              {good, nil, http.Header{"Client-Assertion": {"a", "b"}}, 400, "invalid_request"},
		"RFC 7592 §2.2: client_id missing":                            {with(good, metadata{"client_id": nil}), nil, nil, 400, wrongMetadata},
		"RFC 7592 §2.2: another client_id":                            {with(good, metadata{"client_id": stranger.id}), nil, nil, 400, wrongMetadata},
		"RFC 7592 §2.2: registration_access_token sent back":          {with(good, metadata{"registration_access_token": c.token}), nil, nil, 400, wrongMetadata},
		"RFC 7592 §2.2: registration_client_uri sent back":            {with(good, metadata{"registration_client_uri": c.uri}), nil, nil, 400, wrongMetadata},
		"RFC 7592 §2.2: client_secret_expires_at sent back":           {with(good, metadata{"client_secret_expires_at": 0}), nil, nil, 400, wrongMetadata},
		"RFC 7592 §2.2: client_id_issued_at sent back":                {with(good, metadata{"client_id_issued_at": now}), nil, nil, 400, wrongMetadata},
		"RFC 7592 §2.2: a client_secret":                              {with(good, metadata{"client_secret": "s"}), nil, nil, 400, wrongMetadata},
		"advisory 89: a rule of creation: both jwks and jwks_uri":     {with(good, metadata{"jwks_uri": "https://keys.acme.example/"}), nil, nil, 400, wrongMetadata},
		"advisory 89: a rule of creation: a scope beyond the token's": {with(good, metadata{"scope": "payments reports"}), nil, nil, 400, wrongMetadata},
		"advisory 89: a rule of creation: a scope of our own":         {with(good, metadata{"scope": "admin"}), nil, nil, 400, wrongMetadata},
		"advisory 89: a rule of creation: a role":                     {with(good, metadata{"roles": []string{"reporter"}}), nil, nil, 400, wrongMetadata},
		"advisory 89: a rule of creation: no binding":                 {with(good, metadata{"dpop_bound_access_tokens": false}), nil, nil, 400, wrongMetadata},
		"advisory 89: a rule of creation: a private key":              {with(good, metadata{"jwks": set(rawJWK(k, metadata{"d": "AA"}))}), nil, nil, 400, wrongMetadata},
		"another client's key, with that client's proof":              {with(wanted(k, other), metadata{"client_id": c.id}), []string{s.proof(stranger.uri, other, "key-proof+jwt", nil)}, nil, 400, wrongMetadata},
		"another method":                                              {with(good, metadata{"token_endpoint_auth_method": "self_signed_tls_client_auth"}), nil, nil, 400, wrongMetadata},
		"a jwks_uri in place of keys":                                 {with(good, metadata{"jwks": nil, "jwks_uri": "https://keys.acme.example/"}), nil, nil, 400, wrongMetadata},
		"a new key without proof":                                     {withNext, nil, nil, 400, wrongMetadata},
		"a new key in place, without proof":                           {with(wanted(next), metadata{"client_id": c.id}), nil, nil, 400, wrongMetadata},
		"a proof by another key":                                      {withNext, proof(k, metadata{"jkt": thumbprint(next)}), nil, 400, wrongMetadata},
		"a proof of another key":                                      {withNext, proof(other, nil), nil, 400, wrongMetadata},
		"a proof for another client":                                  {withNext, proof(next, metadata{"aud": stranger.uri}), nil, 400, wrongMetadata},
		"a proof for the issuer":                                      {withNext, proof(next, metadata{"aud": s.issuer}), nil, 400, wrongMetadata},
		"a proof for nobody":                                          {withNext, proof(next, metadata{"aud": nil}), nil, 400, wrongMetadata},
		"a proof that is old":                                         {withNext, proof(next, metadata{"iat": now - 301}), nil, 400, wrongMetadata},
		"a proof from the future":                                     {withNext, proof(next, metadata{"iat": now + 60}), nil, 400, wrongMetadata},
		"a proof without iat":                                         {withNext, proof(next, metadata{"iat": nil}), nil, 400, wrongMetadata},
		"a proof without jti":                                         {withNext, proof(next, metadata{"jti": nil}), nil, 400, wrongMetadata},
		"a proof without jkt":                                         {withNext, proof(next, metadata{"jkt": nil}), nil, 400, wrongMetadata},
		"a JWS of another type":                                       {withNext, []string{s.proof(c.uri, next, "dpop+jwt", nil)}, nil, 400, wrongMetadata},
		"garbage for a proof":                                         {withNext, []string{"x"}, nil, 400, wrongMetadata},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			header := r.identity
			if header == nil {
				header = s.assertion(c.id, k, nil)
			}
			header = header.Clone()
			if r.proofs != nil {
				header["Key-Proof"] = r.proofs
			}
			s.unchanged(func() { s.refused(s.ask("PUT", c.uri, c.token, r.m, header), r.status, r.code) })
			if r.status != 400 || r.identity != nil {
				return
			}
			// The same assertion serves the same client's next request.
			header.Del("Key-Proof")
			got := s.ask("PUT", c.uri, c.token, good, header)
			if got.status != 200 {
				t.Errorf("the assertion was used up: %d %s", got.status, got.raw)
			}
			c.token = got.text("registration_access_token")
			s.refused(s.ask("PUT", c.uri, c.token, good, header), 403, "access_denied") // and no other
		})
	}
	t.Run("a proof is good once", func(t *testing.T) {
		s := s.in(t)
		header := s.assertion(c.id, k, nil)
		header["Key-Proof"] = proof(next, nil)
		got := s.ask("PUT", c.uri, c.token, withNext, header)
		if got.status != 200 {
			t.Fatalf("%d %s (%s)", got.status, got.raw, s.reason())
		}
		c.token = got.text("registration_access_token")
		s.must(s.dir.SetCredentialState(t.Context(), "operator", s.credential(c.id, next).ID, directory.Suspended))
		again := s.assertion(c.id, k, nil)
		again["Key-Proof"] = header["Key-Proof"]
		s.unchanged(func() { s.refused(s.ask("PUT", c.uri, c.token, withNext, again), 400, wrongMetadata) }) // it is suspended
	})
	t.Run("PUT replaces: what is left out is gone", func(t *testing.T) {
		s := s.in(t)
		full := with(good, metadata{"software_id": "soft", "software_version": "2", "token_endpoint_auth_signing_alg": "ES256"})
		got := s.ask("PUT", c.uri, c.token, full, s.assertion(c.id, k, nil))
		if got.status != 200 || got.text("software_id") != "soft" || got.text("token_endpoint_auth_signing_alg") != "ES256" {
			t.Fatalf("%d %s", got.status, got.raw)
		}
		got = s.ask("PUT", c.uri, got.text("registration_access_token"), with(good, metadata{"client_name": nil}), s.assertion(c.id, k, nil))
		if got.status != 200 || got.JSON["software_id"] != nil || got.JSON["token_endpoint_auth_signing_alg"] != nil || got.text("client_name") != string(c.id) {
			t.Fatalf("%d %s", got.status, got.raw)
		}
		c.token = got.text("registration_access_token")
	})
	t.Run("the application of an operator is changed by operators", func(t *testing.T) {
		s := s.in(t)
		_, err := s.dir.UpdateApplication(t.Context(), "operator", c.id, func(a *directory.Application) error { a.OperatorRole = directory.OrganisationOperator; return nil })
		s.must(err)
		s.unchanged(func() {
			s.refused(s.ask("PUT", c.uri, c.token, good, s.assertion(c.id, k, nil)), 403, "access_denied")
			s.refused(s.ask("DELETE", c.uri, c.token, nil, s.assertion(c.id, k, nil)), 403, "access_denied")
		})
	})
}

func thumbprint(k *jose.Signer) string {
	t := k.Public().Thumbprint()
	return base64url(t[:])
}

// credential is that of a key.
func (s *regStack) credential(id directory.ClientID, k *jose.Signer) *directory.Credential {
	s.t.Helper()
	c := s.dir.Current().Client(id).SigningKey(k.Public().KeyID())
	if c == nil {
		s.t.Fatalf("no credential for %s", k.Public().KeyID())
	}
	return c
}

// TestRegistrationKeys: keys are turned with overlap, and one that is usable stays.
func TestRegistrationKeys(t *testing.T) {
	s := newRegStack(t)
	one, two, three := s.signer("one"), s.signer("two"), s.signer("three")
	c := s.register(wanted(one))
	first := s.credential(c.id, one).ID
	put := func(by *jose.Signer, keys []*jose.Signer, proved ...*jose.Signer) *reply {
		t.Helper()
		header := s.assertion(c.id, by, nil)
		for _, k := range proved {
			header.Add("Key-Proof", s.proof(c.uri, k, "key-proof+jwt", nil))
		}
		got := s.ask("PUT", c.uri, c.token, with(wanted(keys...), metadata{"client_id": c.id}), header)
		if got.status == 200 {
			c.token = got.text("registration_access_token")
		}
		return got
	}
	if got := put(one, []*jose.Signer{one, two}, two); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.raw)
	}
	if s.credential(c.id, one).ID != first || s.credential(c.id, one).State != directory.Active || s.credential(c.id, two).State != directory.Active {
		t.Error("the key that stays did not keep its credential")
	}
	if got := put(two, []*jose.Signer{two}); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.raw)
	}
	if s.credential(c.id, one).State != directory.Retired {
		t.Errorf("the key that was left out is %s", s.credential(c.id, one).State)
	}
	t.Run("a key that was retired does not come back, and proves nothing", func(t *testing.T) {
		s := s.in(t)
		s.unchanged(func() {
			s.refused(put(two, []*jose.Signer{one, two}, one), 400, wrongMetadata)
			s.refused(put(one, []*jose.Signer{two}), 403, "access_denied")
		})
	})
	t.Run("promise 7: the only usable key is replaced by a new one that is proved", func(t *testing.T) {
		s := s.in(t)
		if got := put(two, []*jose.Signer{three}, three); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.raw)
		}
		if s.credential(c.id, two).State != directory.Retired || s.credential(c.id, three).State != directory.Active {
			t.Error("the keys did not turn")
		}
	})
	t.Run("a key that was revoked is not registered again by its client", func(t *testing.T) {
		s := s.in(t)
		four := s.signer("four")
		if got := put(three, []*jose.Signer{three, four}, four); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.raw)
		}
		s.must(s.dir.SetCredentialState(t.Context(), "operator", s.credential(c.id, four).ID, directory.Compromised))
		s.unchanged(func() { s.refused(put(three, []*jose.Signer{three, four}, four), 400, wrongMetadata) })
	})
}

// TestRegistrationRotation: RFC 7592 §2.2: the token that was shown is good until
// the next one is used.
func TestRegistrationRotation(t *testing.T) {
	s := newRegStack(t)
	k := s.signer("k")
	c := s.register(wanted(k))
	m := with(wanted(k), metadata{"client_id": c.id})
	put := func(token string) string {
		t.Helper()
		got := s.ask("PUT", c.uri, token, m, s.assertion(c.id, k, nil))
		if got.status != 200 {
			t.Fatalf("%d %s", got.status, got.raw)
		}
		return got.text("registration_access_token")
	}
	good := func(token string) bool { return s.ask("GET", c.uri, token, nil, nil).status == 200 }
	lost := put(c.token)
	second := put(c.token) // the answer was lost: the old one is good still
	if good(lost) {
		t.Error("a token that was replaced before it was used is good")
	}
	if !good(c.token) || !good(second) || good(c.token) {
		t.Error("the old token did not end with the first use of the new one, and only then")
	}
	third := put(second)
	fourth := put(third) // a change is a use
	if good(second) || !good(third) || !good(fourth) || good(third) {
		t.Error("a change by the new token did not end the old one")
	}
	t.Run("advisory 113: no answer says a token again", func(t *testing.T) {
		s := s.in(t)
		if a := s.ask("GET", c.uri, fourth, nil, nil); a.status != 200 || a.JSON["registration_access_token"] != nil || strings.Contains(a.raw, "hfr_") {
			t.Errorf("%d %s", a.status, a.raw)
		}
	})
}

// TestRegistrationRecovery: a lost registration access token is recovered by proof
// of an active credential, and of nothing less.
func TestRegistrationRecovery(t *testing.T) {
	s := newRegStack(t)
	k, other := s.signer("k"), s.signer("other")
	c := s.register(wanted(k))
	neighbour := s.register(wanted(other))
	made := s.keyed()
	for name, header := range map[string]http.Header{
		"no credential": {}, "the registration access token": {"Authorization": {"Bearer " + c.token}}, "another client's": s.assertion(neighbour.id, other, nil),
		"another's key": s.assertion(c.id, other, nil), "an expired one": s.assertion(c.id, k, metadata{"exp": time.Now().Unix() - 60}),
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.unchanged(func() { s.refused(s.ask("POST", c.uri+"/recover", "", nil, header), 401, "invalid_client") })
		})
	}
	t.Run("a client that an operator made has nothing to recover", func(t *testing.T) {
		s := s.in(t)
		s.unchanged(func() {
			s.refused(s.ask("POST", s.issuer+"/register/"+string(made.id)+"/recover", "", nil, s.assertion(made.id, made.signer, nil)), 403, "access_denied")
		})
	})
	header := s.assertion(c.id, k, nil)
	got := s.ask("POST", c.uri+"/recover", "", nil, header)
	token := got.text("registration_access_token")
	if got.status != 200 || token == "" || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", got.status, got.raw)
	}
	if s.ask("GET", c.uri, c.token, nil, nil).status != 401 || s.ask("GET", c.uri, token, nil, nil).status != 200 {
		t.Error("the old token lives, or the new one does not")
	}
	s.unchanged(func() { s.refused(s.ask("POST", c.uri+"/recover", "", nil, header), 401, "invalid_client") }) // used
	events, err := s.db.Events(t.Context(), 0, 1000)
	s.must(err)
	if last := events[len(events)-1]; last.Action != "registration.token_recovered" || last.Subject != string(c.id) || strings.Contains(last.Detail, "hf") {
		t.Errorf("%+v", last)
	}
}

// TestRegistrationByCertificate: over the listener that asks for certificates, with
// self_signed_tls_client_auth.
func TestRegistrationByCertificate(t *testing.T) {
	s := newRegStack(t)
	first, second := s.selfSigned(nil), s.selfSigned(nil)
	m := func(certificates ...*tls.Certificate) metadata {
		var keys []any
		for i, c := range certificates {
			k, err := jose.NewSigner(c.PrivateKey.(crypto.Signer), jose.ES256, fmt.Sprint("c", i))
			s.must(err)
			keys = append(keys, rawJWK(k, metadata{"x5c": []string{base64.StdEncoding.EncodeToString(c.Certificate[0])}}))
		}
		return metadata{"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": set(keys...), "scope": "payments", "tls_client_certificate_bound_access_tokens": true}
	}
	by := func(c *tls.Certificate, method, at, token string, body any) *reply {
		t.Helper()
		got, err := ask(s.client(c), method, at, token, body, nil)
		s.must(err)
		return got
	}
	got := by(nil, "POST", s.mtls+"/register", s.initial(), m(first))
	if got.status != 201 {
		t.Fatalf("%d %s (%s)", got.status, got.raw, s.reason())
	}
	c := s.of(got)
	if !strings.HasPrefix(c.uri, s.mtls+"/register/") {
		t.Errorf("registration_client_uri %s", c.uri)
	}
	var shown struct {
		JWKS struct{ Keys []struct{ X5c []string } }
	}
	s.must(json.Unmarshal([]byte(got.raw), &shown))
	if len(shown.JWKS.Keys) != 1 || len(shown.JWKS.Keys[0].X5c) != 1 {
		t.Errorf("%s", got.raw)
	}
	change := with(m(first, second), metadata{"client_id": c.id})
	s.unchanged(func() {
		s.refused(by(nil, "PUT", c.uri, c.token, with(m(first), metadata{"client_id": c.id})), 403, "access_denied")
		s.refused(by(second, "PUT", c.uri, c.token, change), 403, "access_denied") // not registered yet
		s.refused(by(first, "PUT", c.uri, c.token, change), 400, wrongMetadata)    // the second key is not proved
		s.refused(by(nil, "POST", c.uri+"/recover", "", nil), 401, "invalid_client")
	})
	key, err := jose.NewSigner(second.PrivateKey.(crypto.Signer), jose.ES256, "")
	s.must(err)
	proved, err := ask(s.client(first), "PUT", c.uri, c.token, change, http.Header{"Key-Proof": {s.proof(c.uri, key, "key-proof+jwt", nil)}})
	s.must(err)
	if proved.status != 200 {
		t.Fatalf("%d %s (%s)", proved.status, proved.raw, s.reason())
	}
	t.Run("promise 7: a certificate that is not valid yet does not take the place of one that is", func(t *testing.T) {
		s := s.in(t)
		tomorrow := s.selfSigned(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		})
		key, err := jose.NewSigner(tomorrow.PrivateKey.(crypto.Signer), jose.ES256, "")
		s.must(err)
		s.unchanged(func() {
			got, err := ask(s.client(first), "PUT", c.uri, c.token, with(m(tomorrow), metadata{"client_id": c.id}), http.Header{"Key-Proof": {s.proof(c.uri, key, "key-proof+jwt", nil)}})
			s.must(err)
			s.refused(got, 400, wrongMetadata)
		})
	})
	recovered := by(second, "POST", c.uri+"/recover", "", nil)
	if recovered.status != 200 {
		t.Fatalf("%d %s", recovered.status, recovered.raw)
	}
	if gone := by(second, "DELETE", c.uri, recovered.text("registration_access_token"), nil); gone.status != 204 {
		t.Errorf("%d %s", gone.status, gone.raw)
	}
}

// TestRegistrationParallel: a token of one use makes one client, however many ask
// at once, and on two nodes.
func TestRegistrationParallel(t *testing.T) {
	s := newRegStack(t)
	other := s.node()
	token, statement := s.initial(), s.statement(metadata{"software_id": "soft"}, oneTime)
	for name, c := range map[string]struct {
		bearer string
		edit   metadata
	}{"an initial access token": {token, nil}, "a one-time software statement": {"", metadata{"software_statement": statement, "scope": nil}}} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			var wg sync.WaitGroup
			replies := make([]*reply, 64)
			before := s.clients()
			for i := range replies {
				m := with(wanted(s.signer(fmt.Sprint("k", i))), c.edit)
				at := []string{s.issuer, other}[i%2]
				wg.Go(func() { replies[i], _ = ask(s.plain, "POST", at+"/register", c.bearer, m, nil) })
			}
			wg.Wait()
			made := 0
			for _, a := range replies {
				switch {
				case a == nil:
					t.Error("no answer")
				case a.status == 201:
					made++
				case a.status != 401 && a.status != 400:
					t.Errorf("%d %s", a.status, a.raw)
				}
			}
			s.must(s.dir.Refresh(t.Context()))
			if after := s.clients(); made != 1 || after != before+1 {
				t.Errorf("%d answers with a client, %d clients more", made, after-before)
			}
		})
	}
}

func (s *regStack) clients() (n int) {
	for range s.dir.Current().Clients() {
		n++
	}
	return n
}

// TestStolenRegistrationToken: a registration access token alone changes nothing,
// whatever is sent with it.
func TestStolenRegistrationToken(t *testing.T) {
	s := newRegStack(t)
	k, thief := s.signer("k"), s.signer("thief")
	c := s.register(wanted(k))
	mine := s.register(wanted(thief)) // the thief is a client too
	rnd := mathrand.New(mathrand.NewPCG(7, 7))
	pick := func(of ...any) any { return of[rnd.IntN(len(of))] }
	names := []string{"client_name", "scope", "roles", "jwks", "jwks_uri", "token_endpoint_auth_method", "grant_types", "dpop_bound_access_tokens",
		"tls_client_certificate_bound_access_tokens", "tls_client_auth_san_dns", "software_id", "software_statement", "redirect_uris", "client_id", "operator_role", "state"}
	values := []any{nil, "", "x", "payments", "admin", "private_key_jwt", "tls_client_auth", "a.acme.example", true, false, 7, []string{}, []string{"x"},
		json.RawMessage(jwks(thief)), json.RawMessage(jwks(k, thief)), "https://keys.evil.example/", string(c.id), string(mine.id), metadata{"a": 1}}
	identities := []func() http.Header{
		func() http.Header { return http.Header{} },
		func() http.Header { return s.assertion(mine.id, thief, nil) },
		func() http.Header { return s.assertion(c.id, thief, nil) },
		func() http.Header { return s.assertion(c.id, thief, metadata{"iss": mine.id}) },
		func() http.Header { return http.Header{"Client-Assertion": {c.token}} },
		func() http.Header {
			return http.Header{"Client-Assertion": {s.proof(c.uri, thief, "key-proof+jwt", nil)}}
		},
		func() http.Header {
			return http.Header{"Client-Assertion": {strings.Replace(s.assertion(c.id, thief, nil).Get("Client-Assertion"), ".", "..", 1)}}
		},
	}
	before := s.dir.Current().Client(c.id)
	s.unchanged(func() {
		for range 400 {
			m := with(wanted(k), metadata{"client_id": c.id})
			for range rnd.IntN(4) {
				m[names[rnd.IntN(len(names))]] = values[rnd.IntN(len(values))]
			}
			header := identities[rnd.IntN(len(identities))]()
			header.Add("Key-Proof", s.proof(c.uri, thief, "key-proof+jwt", nil))
			method, at := pick("PUT", "DELETE").(string), c.uri
			if rnd.IntN(5) == 0 {
				method, at = "POST", c.uri+"/recover"
			}
			if got := s.ask(method, at, c.token, m, header); got.status < 400 || got.status >= 500 {
				t.Fatalf("%s %v: %d %s", method, m, got.status, got.raw)
			}
		}
	})
	if after := s.dir.Current().Client(c.id); after != before || s.ask("GET", c.uri, c.token, nil, nil).status != 200 {
		t.Error("the registration changed")
	}
}

package as_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/registration"
)

const badStatement, unapproved = "invalid_software_statement", "unapproved_software_statement"

// forge signs a header and claims with the key, whatever they say.
func (s *regStack) forge(k *jose.Signer, header, claims metadata) string {
	s.t.Helper()
	h, err := json.Marshal(header)
	s.must(err)
	p, err := json.Marshal(claims)
	s.must(err)
	compact, err := k.Sign(jose.PreparedHeader(base64url(h)), p)
	s.must(err)
	return compact
}

// claimsOf are the header and the claims of a JWS.
func (s *regStack) claimsOf(compact string) (header, claims metadata) {
	s.t.Helper()
	parts := strings.Split(compact, ".")
	for i, into := range []*metadata{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		s.must(err)
		s.must(json.Unmarshal(text, into))
	}
	return header, claims
}

// TestSoftwareStatements: table 4.5, "statement unsigned, bad signature, expired /
// issuer or software not approved".
func TestSoftwareStatements(t *testing.T) {
	s := newRegStack(t)
	ctx := t.Context()
	soft := metadata{"software_id": "soft", "scope": "payments"}
	good := s.statement(soft, oneTime)
	header, claims := s.claimsOf(good)
	thief := s.signer("thief")
	parts := strings.Split(good, ".")
	twin := func(edit metadata) string { // mutated after it was signed
		p, err := json.Marshal(with(claims, edit))
		s.must(err)
		return parts[0] + "." + base64url(p) + "." + parts[2]
	}
	var expired string
	s.before(time.Hour, func() { expired = s.statement(soft, oneTime) })
	revoked := s.statement(soft, oneTime)
	_, revokedClaims := s.claimsOf(revoked)
	_, err := s.reg.RevokeStatement(ctx, "operator", s.org, revokedClaims["jti"].(string))
	s.must(err)
	rival, err := s.dir.CreateOrganisation(ctx, "system", directory.Organisation{Name: "Rival"})
	s.must(err)
	theirs := s.statement(metadata{"software_id": "theirs"}, oneTime, func(r *registration.StatementRequest) { r.Organisation = rival.ID })
	token := s.initial()
	published := s.ask(http.MethodGet, s.issuer+"/.well-known/software-statement-keys.json", "", nil, nil)
	var keys struct{ Keys []metadata }
	s.must(json.Unmarshal([]byte(published.raw), &keys))
	if len(keys.Keys) != 1 || keys.Keys[0]["kid"] != header["kid"] || keys.Keys[0]["d"] != nil || header["typ"] != "software-statement+jwt" {
		t.Fatalf("%s, %v", published.raw, header)
	}
	alone := metadata{"scope": nil}
	for name, c := range map[string]struct{ statement, bearer, code string }{
		"unsigned":                                          {base64url([]byte(`{"alg":"none","typ":"software-statement+jwt"}`)) + "." + parts[1] + ".", token, badStatement},
		"unsigned, with a signature":                        {base64url([]byte(`{"alg":"none","typ":"software-statement+jwt"}`)) + "." + parts[1] + "." + parts[2], token, badStatement},
		"algorithm confusion: HS256":                        {base64url([]byte(`{"alg":"HS256","typ":"software-statement+jwt","kid":"`+header["kid"].(string)+`"}`)) + "." + parts[1] + "." + parts[2], token, badStatement},
		"algorithm confusion: PS256":                        {base64url([]byte(`{"alg":"PS256","typ":"software-statement+jwt","kid":"`+header["kid"].(string)+`"}`)) + "." + parts[1] + "." + parts[2], token, badStatement},
		"a bad signature":                                   {parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), token, badStatement},
		"a stranger's key under our kid":                    {s.forge(thief, header, claims), token, badStatement},
		"a stranger's key under its kid":                    {s.forge(thief, with(header, metadata{"kid": "thief"}), claims), token, badStatement},
		"a stranger's key without a kid":                    {s.forge(thief, with(header, metadata{"kid": nil}), claims), token, badStatement},
		"a stranger's key in the header":                    {s.forge(thief, with(header, metadata{"kid": nil, "jwk": json.RawMessage(thief.Public().JWK())}), claims), token, badStatement},
		"another issuer's":                                  {s.forge(thief, with(header, metadata{"kid": "thief"}), with(claims, metadata{"iss": "https://evil.example"})), token, unapproved},
		"a critical header":                                 {s.forge(thief, with(header, metadata{"crit": []string{"exp"}}), claims), token, badStatement},
		"advisory 92: a mutated twin: another organisation": {twin(metadata{"organisation": rival.ID}), token, badStatement},
		"advisory 92: a mutated twin: another scope":        {twin(metadata{"scope": "payments reports"}), token, badStatement},
		"advisory 92: a mutated twin: a later exp":          {twin(metadata{"exp": claims["exp"].(float64) + 1}), token, badStatement},
		"an assertion for a statement":                      {s.assertion("app-x", thief, nil).Get("Client-Assertion"), token, badStatement},
		"not a JWT":                                         {"x", token, badStatement},
		"too large":                                         {good + strings.Repeat("A", registration.MaxStatement), token, badStatement},
		"expired":                                           {expired, token, badStatement},
		"revoked":                                           {revoked, token, unapproved},
		"another organisation's than the token's":           {theirs, token, unapproved},
		"good, beside a bad token":                          {good, "hfi_" + strings.Repeat("A", 43), "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			status := map[bool]int{true: 401, false: 400}[c.code == "invalid_token"]
			s.unchanged(func() {
				s.refused(s.ask("POST", s.issuer+"/register", c.bearer, with(with(wanted(s.signer("k")), alone), metadata{"software_statement": c.statement}), nil), status, c.code)
			})
		})
	}
	t.Run("a statement of a key that was revoked", func(t *testing.T) {
		s := s.in(t)
		s.must(s.dir.RevokeSigningKey(ctx, "operator", header["kid"].(string)))
		s.unchanged(func() {
			s.refused(s.ask("POST", s.issuer+"/register", token, with(with(wanted(s.signer("k")), alone), metadata{"software_statement": good}), nil), 400, badStatement)
		})
		next := s.statement(soft, oneTime) // another key signs
		if h, _ := s.claimsOf(next); h["kid"] == header["kid"] {
			t.Error("the key that was revoked signs")
		}
		if got := s.ask("POST", s.issuer+"/register", "", with(with(wanted(s.signer("k")), alone), metadata{"software_statement": next}), nil); got.status != 201 {
			t.Errorf("%d %s (%s)", got.status, got.raw, s.reason())
		}
	})
}

// TestStatementRegistration: RFC 7591 §2.3: what the statement says stands, whatever
// the request says; and it is used up.
func TestStatementRegistration(t *testing.T) {
	s := newRegStack(t)
	ctx := t.Context()
	k := s.signer("k")
	fixed := metadata{"software_id": "soft", "software_version": "2.1", "client_name": "Software", "scope": "reports payments", "roles": []string{"reporter"},
		"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true}
	post := func(m metadata, bearer string) *reply { return s.ask("POST", s.issuer+"/register", bearer, m, nil) }
	t.Run("alone it is not enough, unless it says so", func(t *testing.T) {
		s := s.in(t)
		plain := s.statement(fixed)
		s.unchanged(func() {
			got := post(with(wanted(k), metadata{"software_statement": plain}), "")
			if got.status != 401 || got.raw != "{}" {
				t.Errorf("%d %s", got.status, got.raw)
			}
		})
	})
	statement := s.statement(fixed, oneTime)
	_, claims := s.claimsOf(statement)
	if claims["iss"] != s.issuer || claims["organisation"] != string(s.org) || claims["one_time"] != true || claims["exp"].(float64)-claims["iat"].(float64) != 600 {
		t.Errorf("%v", claims)
	}
	got := post(with(wanted(k), metadata{"software_statement": statement, "scope": "admin", "client_name": "Mine", "software_id": "other",
		"tls_client_certificate_bound_access_tokens": true, "dpop_bound_access_tokens": nil}), "")
	if got.status != 201 {
		t.Fatalf("%d %s (%s)", got.status, got.raw, s.reason())
	}
	stands := metadata{"client_name": "Software", "software_id": "soft", "software_version": "2.1", "scope": "reports payments", "software_statement": statement}
	for name, want := range stands {
		if got.JSON[name] != want {
			t.Errorf("%s is %v", name, got.JSON[name])
		}
	}
	if got.JSON["dpop_bound_access_tokens"] != true || got.JSON["tls_client_certificate_bound_access_tokens"] != false {
		t.Error("the request's binding stands")
	}
	c := s.of(got)
	if app := s.dir.Current().Client(c.id); app.Binding != "dpop" || !slices.Equal(app.Roles, []directory.RoleID{"reporter"}) || len(app.Grants) != 2 {
		t.Errorf("%+v", app.Application)
	}
	t.Run("a second registration is told how the first is recovered", func(t *testing.T) {
		s := s.in(t)
		s.unchangedBut(func(token string) {
			again := post(with(wanted(s.signer("again")), metadata{"software_statement": statement}), token)
			s.refused(again, 400, badStatement)
			if !strings.Contains(again.text("error_description"), s.issuer+"/register/"+string(c.id)+"/recover") {
				t.Error(again.raw)
			}
		})
	})
	t.Run("it is on record who used it", func(t *testing.T) {
		s := s.in(t)
		all, err := s.reg.Store.Statements(ctx, s.org, "", 10)
		s.must(err)
		i := slices.IndexFunc(all, func(r registration.StatementRecord) bool { return r.ID == claims["jti"] })
		if i < 0 || all[i].Used != 1 || !slices.Equal(all[i].Clients, []directory.ClientID{c.id}) || all[i].SoftwareID != "soft" {
			t.Errorf("%+v", all)
		}
	})
	t.Run("what it says stands on update too", func(t *testing.T) {
		s := s.in(t)
		for name, edit := range map[string]metadata{
			"without the statement":         nil,
			"with the statement, sent back": {"software_statement": statement},
		} {
			m := with(with(wanted(k), metadata{"client_id": c.id, "scope": "admin", "software_id": "other", "client_name": "Mine"}), edit)
			put := s.ask("PUT", c.uri, c.token, m, s.assertion(c.id, k, nil))
			if put.status != 200 || put.text("scope") != "reports payments" || put.text("software_id") != "soft" || put.text("client_name") != "Software" {
				t.Errorf("%s: %d %s (%s)", name, put.status, put.raw, s.reason())
			}
			c.token = put.text("registration_access_token")
		}
	})
	t.Run("a fresh statement for the same software replaces it, another software's does not", func(t *testing.T) {
		s := s.in(t)
		m := func(statement string) metadata {
			return with(wanted(k), metadata{"client_id": c.id, "software_statement": statement})
		}
		fresh := s.statement(with(fixed, metadata{"scope": "payments", "roles": []string{}}))
		other := s.statement(with(fixed, metadata{"software_id": "other"}))
		s.unchanged(func() { s.refused(s.ask("PUT", c.uri, c.token, m(other), s.assertion(c.id, k, nil)), 400, unapproved) })
		put := s.ask("PUT", c.uri, c.token, m(fresh), s.assertion(c.id, k, nil))
		if put.status != 200 || put.text("scope") != "payments" || put.JSON["roles"] != nil {
			t.Fatalf("%d %s (%s)", put.status, put.raw, s.reason())
		}
		c.token = put.text("registration_access_token")
		s.refused(post(with(wanted(s.signer("z")), metadata{"software_statement": fresh}), s.initial()), 400, badStatement) // used up by the update
	})
	t.Run("one that may be used three times, beside a token", func(t *testing.T) {
		s := s.in(t)
		three := s.statement(metadata{"software_id": "many"}, func(r *registration.StatementRequest) { r.Uses, r.Standalone = 3, true })
		for i := range 4 {
			if got := post(with(wanted(s.signer("")), metadata{"software_statement": three, "scope": nil}), ""); (got.status == 201) != (i < 3) {
				t.Errorf("use %d: %d %s", i+1, got.status, got.raw)
			}
		}
	})
	t.Run("keys of the statement stand in place of the request's", func(t *testing.T) {
		s := s.in(t)
		own := s.signer("own")
		st := s.statement(metadata{"software_id": "keys", "jwks": jwks(own)}, oneTime)
		got := post(with(wanted(s.signer("requests")), metadata{"software_statement": st, "scope": nil}), "")
		if got.status != 201 || !strings.Contains(got.raw, `"kid":"own"`) || strings.Contains(got.raw, `"kid":"requests"`) {
			t.Errorf("%d %s", got.status, got.raw)
		}
	})
	t.Run("a name that the organisation does not own is good when the statement carries it", func(t *testing.T) {
		s := s.in(t)
		st := s.statement(metadata{"software_id": "tls", "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "client.partner.example"}, oneTime)
		got := post(metadata{"software_statement": st, "tls_client_certificate_bound_access_tokens": true}, "")
		if got.status != 201 || got.text("tls_client_auth_san_dns") != "client.partner.example" {
			t.Errorf("%d %s", got.status, got.raw)
		}
	})
	t.Run("within a token's limits even a statement stays", func(t *testing.T) {
		s := s.in(t)
		st := s.statement(metadata{"software_id": "soft", "scope": "reports"})
		s.unchangedBut(func(token string) {
			s.refused(post(with(wanted(s.signer("l")), metadata{"software_statement": st}), token), 400, wrongMetadata)
		})
	})
}

// unchangedBut makes an initial token before it watches.
func (s *regStack) unchangedBut(f func(token string)) {
	s.t.Helper()
	token := s.initial()
	s.unchanged(func() { f(token) })
}

// TestStatementRequests: an operator has signed only what a client can be made of.
func TestStatementRequests(t *testing.T) {
	s := newRegStack(t)
	for name, c := range map[string]struct {
		m    metadata
		edit func(*registration.StatementRequest)
	}{
		"no software_id":                             {metadata{"scope": "payments"}, nil},
		"a scope that is not there":                  {metadata{"software_id": "s", "scope": "none"}, nil},
		"a scope of our own":                         {metadata{"software_id": "s", "scope": "admin"}, nil},
		"a role that the organisation does not hold": {metadata{"software_id": "s", "roles": []string{"editor"}}, nil},
		"a statement in it":                          {metadata{"software_id": "s", "software_statement": "x"}, nil},
		"a client_id":                                {metadata{"software_id": "s", "client_id": "x"}, nil},
		"a method that is not known":                 {metadata{"software_id": "s", "token_endpoint_auth_method": "none"}, nil},
		"an algorithm not offered":                   {metadata{"software_id": "s", "token_endpoint_auth_signing_alg": "RS256"}, nil},
		"two bindings":                               {metadata{"software_id": "s", "dpop_bound_access_tokens": true, "tls_client_certificate_bound_access_tokens": true}, nil},
		"a jwks_uri at our machine":                  {metadata{"software_id": "s", "jwks_uri": "https://127.0.0.1/"}, nil},
		"a private key":                              {metadata{"software_id": "s", "jwks": set(rawJWK(s.signer("k"), metadata{"d": "AA"}))}, nil},
		"a life of more than 30 days":                {metadata{"software_id": "s"}, func(r *registration.StatementRequest) { r.Life = 31 * 24 * time.Hour }},
		"a life that is none":                        {metadata{"software_id": "s"}, func(r *registration.StatementRequest) { r.Life = -1 }},
		"one time, twice":                            {metadata{"software_id": "s"}, func(r *registration.StatementRequest) { r.OneTime, r.Uses = true, 2 }},
		"too many uses":                              {metadata{"software_id": "s"}, func(r *registration.StatementRequest) { r.Uses = 1001 }},
		"an organisation that is not there":          {metadata{"software_id": "s"}, func(r *registration.StatementRequest) { r.Organisation = "none" }},
		"by the organisation itself, a scope beyond its roles":    {metadata{"software_id": "s", "scope": "payments"}, func(r *registration.StatementRequest) { r.Within = true }},
		"by the organisation itself, a name that it does not own": {metadata{"software_id": "s", "tls_client_auth_san_dns": "a.rival.example"}, func(r *registration.StatementRequest) { r.Within = true }},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			body, err := json.Marshal(c.m)
			s.must(err)
			r := registration.StatementRequest{Organisation: s.org, Metadata: body}
			if c.edit != nil {
				c.edit(&r)
			}
			s.unchanged(func() {
				if _, _, err := s.reg.CreateStatement(t.Context(), "operator", r); err == nil {
					t.Error("it was signed")
				}
			})
		})
	}
	for name, edit := range map[string]func(*registration.InitialTokenRequest){
		"grants without a limit": func(r *registration.InitialTokenRequest) { r.Limits.Limited = false },
		"a resource of our own": func(r *registration.InitialTokenRequest) {
			r.Limits.Grants = []directory.Grant{{Resource: reservedURI, Scopes: []string{"admin"}}}
		},
		"a scope that is not there": func(r *registration.InitialTokenRequest) {
			r.Limits.Grants = []directory.Grant{{Resource: apiURI, Scopes: []string{"none"}}}
		},
		"a role that it does not hold": func(r *registration.InitialTokenRequest) { r.Limits.Roles = []directory.RoleID{"editor"} },
		"a name that is none": func(r *registration.InitialTokenRequest) {
			r.Limits.Names = []directory.TLSName{{Kind: directory.NameDNS, Value: "*.x"}}
		},
		"a life of more than 30 days": func(r *registration.InitialTokenRequest) { r.Life = 31 * 24 * time.Hour },
		"too many uses":               func(r *registration.InitialTokenRequest) { r.Uses = 1001 },
		"no organisation":             func(r *registration.InitialTokenRequest) { r.Organisation = "none" },
		"by the organisation itself, a scope beyond its roles": func(r *registration.InitialTokenRequest) { r.Within = true },
		"by the organisation itself, a name that it does not own": func(r *registration.InitialTokenRequest) {
			r.Within, r.Limits = true, registration.Limits{Names: []directory.TLSName{{Kind: directory.NameDNS, Value: "a.rival.example"}}}
		},
	} {
		t.Run("an initial access token with "+name, func(t *testing.T) {
			s := s.in(t)
			r := registration.InitialTokenRequest{Organisation: s.org, Limits: forPayments}
			edit(&r)
			s.unchanged(func() {
				if _, _, err := s.reg.CreateInitialToken(t.Context(), "operator", r); err == nil {
					t.Error("it was made")
				}
			})
		})
	}
}

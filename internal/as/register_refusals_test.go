package as_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/registration"
)

const wrongMetadata = "invalid_client_metadata"

// refused checks status, code and header of a refusal.
func (s *regStack) refused(a *reply, status int, code string) {
	s.t.Helper()
	if a.status != status || a.text("error") != code || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
		s.t.Errorf("got %d %v %s (%s), want %d %s", a.status, a.header, a.raw, s.reason(), status, code)
	}
	if a.JSON["client_id"] != nil || a.JSON["registration_access_token"] != nil {
		s.t.Errorf("a refusal with a client: %s", a.raw)
	}
	for _, c := range a.text("error_description") {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			s.t.Errorf("error_description has %q", c)
		}
	}
}

// raw edits one member of a public JWK.
func rawJWK(k *jose.Signer, edit metadata) json.RawMessage {
	var jwk metadata
	_ = json.Unmarshal(k.Public().JWK(), &jwk)
	b, _ := json.Marshal(with(jwk, edit))
	return b
}

func set(keys ...any) metadata { return metadata{"keys": keys} }

// TestRegistrationMetadata: table 4.5, "any other metadata". What is refused leaves
// nothing, and the initial access token has its use still.
func TestRegistrationMetadata(t *testing.T) {
	s := newRegStack(t)
	k, other := s.signer("k"), s.signer("k")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	s.must(err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	s.must(err)
	number := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	x, y := number(p384.X.FillBytes(make([]byte, 48))), number(p384.Y.FillBytes(make([]byte, 48)))
	foreign := s.selfSigned(nil)
	m := wanted(k)
	self := with(m, metadata{"token_endpoint_auth_method": "self_signed_tls_client_auth"})
	tls := with(m, metadata{"token_endpoint_auth_method": "tls_client_auth", "jwks": nil, "tls_client_certificate_bound_access_tokens": true, "dpop_bound_access_tokens": nil})
	token := s.initial()
	for name, c := range map[string]struct {
		m    any
		code string
	}{
		"RFC 7591 §2: both jwks and jwks_uri":                            {with(m, metadata{"jwks_uri": "https://keys.acme.example/jwks"}), wrongMetadata},
		"neither jwks nor jwks_uri":                                      {with(m, metadata{"jwks": nil}), wrongMetadata},
		"jwks without keys":                                              {with(m, metadata{"jwks": set()}), wrongMetadata},
		"jwks that is no set":                                            {with(m, metadata{"jwks": []string{}}), wrongMetadata},
		"advisory 15: a private key in jwks":                             {with(m, metadata{"jwks": set(rawJWK(k, metadata{"d": "AAAA"}))}), wrongMetadata},
		"advisory 15: a symmetric key":                                   {with(m, metadata{"jwks": set(metadata{"kty": "oct", "k": "AAAA", "kid": "k"})}), wrongMetadata},
		"advisory 15: a weak key":                                        {with(m, metadata{"jwks": set(metadata{"kty": "RSA", "n": number(weak.N.Bytes()), "e": "AQAB", "kid": "k"})}), wrongMetadata},
		"a key of a curve that the profile does not have":                {with(m, metadata{"jwks": set(metadata{"kty": "EC", "crv": "P-384", "x": x, "y": y, "kid": "k"})}), wrongMetadata},
		"advisory 4: a key with the algorithm HS256":                     {with(m, metadata{"jwks": set(rawJWK(k, metadata{"alg": "HS256"}))}), wrongMetadata},
		"a key with the algorithm none":                                  {with(m, metadata{"jwks": set(rawJWK(k, metadata{"alg": "none"}))}), wrongMetadata},
		"a key with the algorithm of another kind of key":                {with(m, metadata{"jwks": set(rawJWK(k, metadata{"alg": "PS256"}))}), wrongMetadata},
		"a key for encryption":                                           {with(m, metadata{"jwks": set(rawJWK(k, metadata{"use": "enc"}))}), wrongMetadata},
		"one kid twice":                                                  {with(m, metadata{"jwks": set(rawJWK(k, nil), rawJWK(other, nil))}), wrongMetadata},
		"one key twice":                                                  {with(m, metadata{"jwks": set(rawJWK(k, nil), rawJWK(k, metadata{"kid": "j"}))}), wrongMetadata},
		"more keys than a client may have":                               {with(m, metadata{"jwks": set(slices.Repeat([]any{rawJWK(k, nil)}, 21)...)}), wrongMetadata},
		"client_secret_basic":                                            {with(m, metadata{"token_endpoint_auth_method": "client_secret_basic"}), wrongMetadata},
		"no authentication at all":                                       {with(m, metadata{"token_endpoint_auth_method": "none"}), wrongMetadata},
		"a method left out, which means client_secret_basic":             {with(m, metadata{"token_endpoint_auth_method": nil}), wrongMetadata},
		"an algorithm that is not offered":                               {with(m, metadata{"token_endpoint_auth_signing_alg": "RS256"}), wrongMetadata},
		"an algorithm that the key is not for":                           {with(m, metadata{"token_endpoint_auth_signing_alg": "PS256"}), wrongMetadata},
		"an algorithm for a method that signs nothing":                   {with(tls, metadata{"token_endpoint_auth_signing_alg": "ES256", "tls_client_auth_san_dns": "a.acme.example"}), wrongMetadata},
		"no binding":                                                     {with(m, metadata{"dpop_bound_access_tokens": nil}), wrongMetadata},
		"a binding that is false":                                        {with(m, metadata{"dpop_bound_access_tokens": false}), wrongMetadata},
		"two bindings":                                                   {with(m, metadata{"tls_client_certificate_bound_access_tokens": true}), wrongMetadata},
		"a binding that is no boolean":                                   {with(m, metadata{"dpop_bound_access_tokens": "true"}), wrongMetadata},
		"another grant type":                                             {with(m, metadata{"grant_types": []string{"authorization_code"}}), wrongMetadata},
		"a grant type more":                                              {with(m, metadata{"grant_types": []string{"client_credentials", "refresh_token"}}), wrongMetadata},
		"a response type":                                                {with(m, metadata{"response_types": []string{"code"}}), wrongMetadata},
		"advisory 90: a redirect URI, javascript":                        {with(m, metadata{"redirect_uris": []string{"JavaScript:alert(1)"}}), "invalid_redirect_uri"},
		"advisory 90: a redirect URI with user information":              {with(m, metadata{"redirect_uris": []string{"https://good@evil.example"}}), "invalid_redirect_uri"},
		"a redirect URI, which no grant of this server uses":             {with(m, metadata{"redirect_uris": []string{"https://acme.example/cb"}}), "invalid_redirect_uri"},
		"advisory 37: a scope beyond what the token allows":              {with(m, metadata{"scope": "payments reports"}), wrongMetadata},
		"a scope that is not there":                                      {with(m, metadata{"scope": "nothing"}), wrongMetadata},
		"a scope of this installation's own":                             {with(m, metadata{"scope": "admin"}), wrongMetadata},
		"one scope twice":                                                {with(m, metadata{"scope": "payments payments"}), wrongMetadata},
		"a role beyond what the token allows":                            {with(m, metadata{"roles": []string{"reporter"}}), wrongMetadata},
		"RFC 8705 §2.1.2: tls_client_auth_subject_dn":                    {with(tls, metadata{"tls_client_auth_subject_dn": "CN=a"}), wrongMetadata},
		"RFC 8705 §2.1.2: no tls_client_auth value":                      {tls, wrongMetadata},
		"RFC 8705 §2.1.2: two tls_client_auth values":                    {with(tls, metadata{"tls_client_auth_san_dns": "a.acme.example", "tls_client_auth_san_ip": "192.0.2.7"}), wrongMetadata},
		"a tls_client_auth value for another method":                     {with(m, metadata{"tls_client_auth_san_dns": "a.acme.example"}), wrongMetadata},
		"keys for tls_client_auth":                                       {with(tls, metadata{"tls_client_auth_san_dns": "a.acme.example", "jwks": jwks(k)}), wrongMetadata},
		"a DNS name that the organisation does not own":                  {with(tls, metadata{"tls_client_auth_san_dns": "a.rival.example"}), wrongMetadata},
		"a DNS name that only ends alike":                                {with(tls, metadata{"tls_client_auth_san_dns": "notacme.example"}), wrongMetadata},
		"an e-mail address of a host that the organisation does not own": {with(tls, metadata{"tls_client_auth_san_email": "acme.example@rival.example"}), wrongMetadata},
		"a URI of a host that the organisation does not own":             {with(tls, metadata{"tls_client_auth_san_uri": "spiffe://test.example/organisation/acme"}), wrongMetadata},
		"advisory 90: a URI with user information":                       {with(tls, metadata{"tls_client_auth_san_uri": "https://acme.example@rival.example/"}), wrongMetadata},
		"advisory 90: a URI of another scheme":                           {with(tls, metadata{"tls_client_auth_san_uri": "JavaScript://acme.example/"}), wrongMetadata},
		"an address that the organisation does not own":                  {with(tls, metadata{"tls_client_auth_san_ip": "192.0.2.8"}), wrongMetadata},
		"a DNS name with a wildcard":                                     {with(tls, metadata{"tls_client_auth_san_dns": "*.acme.example"}), wrongMetadata},
		"a certificate of another key in x5c":                            {with(self, metadata{"jwks": set(rawJWK(k, metadata{"x5c": []string{base64.StdEncoding.EncodeToString(foreign.Certificate[0])}}))}), wrongMetadata},
		"an x5c that is no certificate":                                  {with(self, metadata{"jwks": set(rawJWK(k, metadata{"x5c": []string{"AAAA"}}))}), wrongMetadata},
		"a name that is not printable":                                   {with(m, metadata{"client_name": "a\u0007b"}), wrongMetadata},
		"a name that is too long":                                        {with(m, metadata{"client_name": strings.Repeat("x", 201)}), wrongMetadata},
		"a name that is no text":                                         {with(m, metadata{"client_name": 7}), wrongMetadata},
		"a body that is no JSON":                                         {"{", wrongMetadata},
		"a body that is no object":                                       {"[]", wrongMetadata},
		"a member twice":                                                 {`{"client_name":"a","client_name":"b"}`, wrongMetadata},
		"a member twice, in a key":                                       {`{"jwks":{"keys":[{"kty":"EC","kty":"RSA"}]}}`, wrongMetadata},
		"a body that nests too deep":                                     {`{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, wrongMetadata},
		"a body that is too large":                                       {`{"x":"` + strings.Repeat("x", registration.MaxBody) + `"}`, wrongMetadata},
		"text that is not UTF-8":                                         {"{\"client_name\":\"\xff\"}", wrongMetadata},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.unchanged(func() { s.refused(s.ask(http.MethodPost, s.issuer+"/register", token, c.m, nil), 400, c.code) })
		})
	}
	for _, uri := range []string{
		"https://169.254.169.254/latest", "https://127.0.0.1/k", "https://[::ffff:127.0.0.1]/k", "https://[64:ff9b::7f00:1]/k", "https://10.0.0.1/k", "https://[::1]/k",
		"https://localhost/k", "https://2130706433/k", "https://0x7f.1/k", "https://127.1/k", "file:///etc/passwd", "data:application/json,{}", "http://keys.acme.example/k",
		"https://good@evil.example/k", "https://keys.acme.example/k#x", "HTTP://keys.acme.example/k", "https:///k",
	} {
		t.Run("advisory 84: keys at "+uri, func(t *testing.T) {
			s := s.in(t)
			s.unchanged(func() {
				s.refused(s.ask(http.MethodPost, s.issuer+"/register", token, with(m, metadata{"jwks": nil, "jwks_uri": uri}), nil), 400, wrongMetadata)
			})
		})
	}
	t.Run("a body of another media type is invalid_request", func(t *testing.T) {
		s := s.in(t)
		for _, media := range []string{"application/x-www-form-urlencoded", "text/plain", "application/json; charset=latin1", ""} {
			s.refused(s.ask(http.MethodPost, s.issuer+"/register", token, m, http.Header{"Content-Type": {media}}), 400, "invalid_request")
		}
	})
	t.Run("what was refused burnt nothing: the token makes a client still", func(t *testing.T) {
		if got := s.in(t).ask(http.MethodPost, s.issuer+"/register", token, m, nil); got.status != 201 {
			t.Errorf("%d %s", got.status, got.raw)
		}
	})
}

// TestRegistrationOfTheSameKey: a public key is public, so that another client has it
// already keeps nobody from registering it, and what becomes of it there is nothing here.
func TestRegistrationOfTheSameKey(t *testing.T) {
	s := newRegStack(t)
	k := s.signer("k")
	first, second := s.register(wanted(k)), s.register(wanted(k))
	theirs := s.dir.Current().Client(second.id).SigningKey("k")
	s.must(s.dir.SetCredentialState(t.Context(), "op", theirs.ID, directory.Compromised))
	if mine := s.dir.Current().Client(first.id).SigningKey("k"); mine == nil || mine.ID == theirs.ID || !mine.UsableAt(time.Now()) {
		t.Errorf("%+v", mine)
	}
}

// in is s for a subtest.
func (s *regStack) in(t *testing.T) *regStack { return &regStack{s.stack, t, s.plain} }

// TestRegistrationIgnores: RFC 7591 §2: members that are not known are ignored;
// advisory 89: none of them is stored, whatever privilege it names.
func TestRegistrationIgnores(t *testing.T) {
	s := newRegStack(t)
	k := s.signer("k")
	privileged := metadata{
		"operator_role": "owner", "organisation": "rival", "client_id": "mine", "grants": []any{metadata{"resource": reservedURI, "scopes": []string{"admin"}}},
		"state": "suspended", "require_nonce": true, "tokens_after": 1, "client_secret": "s", "client_uri": "JavaScript:alert(1)", "logo_uri": "data:,", "contacts": []string{"a@b"},
		"policy_uri": "x", "tos_uri": "x", "OPERATOR_ROLE": "owner", "limits": metadata{"limited": false}, "registration_access_token": "hfr_x", "auth_method": "none",
	}
	a := s.ask(http.MethodPost, s.issuer+"/register", s.initial(), with(wanted(k), privileged), nil)
	if a.status != 201 {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	c := s.of(a)
	app := s.dir.Current().Client(c.id).Application
	if app.OperatorRole != "" || app.Organisation != s.org || c.id == "mine" || app.State != directory.Active || app.RequireNonce || len(app.Grants) != 1 || !app.TokensAfter.IsZero() {
		t.Errorf("%+v", app)
	}
	known := []string{"client_id", "client_id_issued_at", "registration_access_token", "registration_client_uri", "client_name", "token_endpoint_auth_method",
		"grant_types", "scope", "jwks", "tls_client_certificate_bound_access_tokens", "dpop_bound_access_tokens"}
	for name := range a.JSON {
		if !slices.Contains(known, name) {
			t.Errorf("the answer has %s", name)
		}
	}
	if strings.Contains(a.raw, "JavaScript") || a.text("registration_access_token") == "hfr_x" {
		t.Error(a.raw)
	}
	t.Run("on update too", func(t *testing.T) {
		s := s.in(t)
		delete(privileged, "client_secret")
		delete(privileged, "registration_access_token")
		got := s.ask(http.MethodPut, c.uri, c.token, with(with(wanted(k), privileged), metadata{"client_id": c.id}), s.assertion(c.id, k, nil))
		after := s.dir.Current().Client(c.id).Application
		if got.status != 200 || after.OperatorRole != "" || after.Organisation != s.org || after.RequireNonce || len(after.Grants) != 1 {
			t.Errorf("%d %s %+v", got.status, got.raw, after)
		}
	})
}

// TestInitialAccessTokens: table 4.5, "initial access token absent or bad".
func TestInitialAccessTokens(t *testing.T) {
	s := newRegStack(t)
	ctx := t.Context()
	k := s.signer("k")
	used := s.initial()
	if got := s.ask(http.MethodPost, s.issuer+"/register", used, wanted(s.signer("u")), nil); got.status != 201 {
		t.Fatal(got.raw)
	}
	var expired string
	s.before(time.Hour, func() {
		expired = s.initial(func(r *registration.InitialTokenRequest) { r.Life = 59 * time.Minute })
	})
	made, revoked, err := s.reg.CreateInitialToken(ctx, "operator", registration.InitialTokenRequest{Organisation: s.org, Limits: forPayments})
	s.must(err)
	_, err = s.reg.RevokeInitialToken(ctx, "operator", s.org, made.ID)
	s.must(err)
	gone, err := s.dir.CreateOrganisation(ctx, "system", directory.Organisation{Name: "Gone"})
	s.must(err)
	orphan := s.initial(func(r *registration.InitialTokenRequest) { r.Organisation, r.Limits = gone.ID, registration.Limits{} })
	s.must(s.dir.SetOrganisationState(ctx, "operator", gone.ID, directory.Suspended))
	own := s.register(wanted(s.signer("own")))
	for name, c := range map[string]struct {
		authorization []string
		status        int
		code          string
	}{
		"none":                           {nil, 401, ""},
		"another scheme":                 {[]string{"Basic YTpi"}, 401, ""},
		"DPoP":                           {[]string{"DPoP " + used}, 401, ""},
		"one that was never made":        {[]string{"Bearer hfi_" + strings.Repeat("A", 43)}, 401, "invalid_token"},
		"garbage":                        {[]string{"Bearer x"}, 401, "invalid_token"},
		"one without its last character": {[]string{"Bearer " + used[:len(used)-1]}, 401, "invalid_token"},
		"one that was used":              {[]string{"Bearer " + used}, 401, "invalid_token"},
		"one that has expired":           {[]string{"Bearer " + expired}, 401, "invalid_token"},
		"one that was revoked":           {[]string{"Bearer " + revoked}, 401, "invalid_token"},
		"one of an organisation that is suspended": {[]string{"Bearer " + orphan}, 401, "invalid_token"},
		"a registration access token":              {[]string{"Bearer " + own.token}, 401, "invalid_token"},
		"RFC 6750 §3.1: two headers":               {[]string{"Bearer " + used, "Bearer " + used}, 400, "invalid_request"},
		"RFC 6750 §3.1: a scheme without a token":  {[]string{"Bearer"}, 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			header := http.Header{}
			if c.authorization != nil {
				header["Authorization"] = c.authorization
			}
			s.unchanged(func() {
				got := s.ask(http.MethodPost, s.issuer+"/register", "", wanted(k), header)
				if c.code == "" {
					if got.status != 401 || got.raw != "{}" || got.header.Get("WWW-Authenticate") != "Bearer" {
						t.Errorf("%d %v %s", got.status, got.header, got.raw)
					}
					return
				}
				s.refused(got, c.status, c.code)
				if challenge := got.header.Get("WWW-Authenticate"); c.status == 401 && challenge != `Bearer error="invalid_token"` {
					t.Errorf("WWW-Authenticate %q", challenge)
				}
			})
		})
	}
	t.Run("one that was used names the way back to its client", func(t *testing.T) {
		s := s.in(t)
		got := s.ask(http.MethodPost, s.issuer+"/register", used, wanted(k), nil)
		if text := got.text("error_description"); !strings.Contains(text, s.issuer+"/register/app-") || !strings.Contains(text, "/recover") {
			t.Errorf("%s", got.raw)
		}
	})
	t.Run("RFC 6750 §2.3: a token in the query is refused", func(t *testing.T) {
		s := s.in(t)
		s.refused(s.ask(http.MethodPost, s.issuer+"/register?access_token="+url.QueryEscape(s.initial()), "", wanted(k), nil), 400, "invalid_request")
	})
	t.Run("a token of three uses makes three clients", func(t *testing.T) {
		s := s.in(t)
		three := s.initial(func(r *registration.InitialTokenRequest) { r.Uses = 3 })
		for i := range 4 {
			got := s.ask(http.MethodPost, s.issuer+"/register", three, wanted(s.signer(fmt.Sprint("three-", i))), nil)
			if (got.status == 201) != (i < 3) {
				t.Errorf("use %d: %d %s", i+1, got.status, got.raw)
			}
		}
	})
	t.Run("a token without limits gives what the roles of the organisation hold", func(t *testing.T) {
		s := s.in(t)
		free := s.initial(func(r *registration.InitialTokenRequest) { r.Limits, r.Uses = registration.Limits{}, 10 })
		ask := func(edit metadata) *reply {
			return s.ask(http.MethodPost, s.issuer+"/register", free, with(with(wanted(s.signer("")), metadata{"scope": nil}), edit), nil)
		}
		for name, c := range map[string]struct {
			edit   metadata
			status int
		}{
			"a scope of a role it holds":        {metadata{"scope": "reports"}, 201},
			"a role that it holds":              {metadata{"roles": []string{"reporter"}}, 201},
			"nothing":                           {nil, 201},
			"a scope of no role that it holds":  {metadata{"scope": "drafts"}, 400},
			"a role that it does not hold":      {metadata{"roles": []string{"editor"}}, 400},
			"a scope of the installation's own": {metadata{"scope": "admin"}, 400},
		} {
			if got := ask(c.edit); got.status != c.status {
				t.Errorf("%s: %d %s", name, got.status, got.raw)
			}
		}
	})
	t.Run("what is limited to nothing gives nothing", func(t *testing.T) {
		s := s.in(t)
		none := s.initial(func(r *registration.InitialTokenRequest) { r.Limits = registration.Limits{Limited: true} })
		s.refused(s.ask(http.MethodPost, s.issuer+"/register", none, with(wanted(k), metadata{"scope": "reports"}), nil), 400, wrongMetadata)
		if got := s.ask(http.MethodPost, s.issuer+"/register", none, with(wanted(s.signer("none")), metadata{"scope": nil}), nil); got.status != 201 || got.JSON["scope"] != nil {
			t.Errorf("%d %s", got.status, got.raw)
		}
	})
	t.Run("405 with Allow for a method that there is not", func(t *testing.T) {
		s := s.in(t)
		for at, allow := range map[string]string{s.issuer + "/register": "POST", own.uri: "DELETE, GET, HEAD, PUT", own.uri + "/recover": "POST"} {
			got := s.ask(http.MethodPatch, at, own.token, "{}", nil)
			if got.status != 405 || got.header.Get("Allow") != allow {
				t.Errorf("%s: %d Allow %q", at, got.status, got.header.Get("Allow"))
			}
		}
	})
}

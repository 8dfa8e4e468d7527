package conformance_test

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// metadata fetches the document and checks how it is served.
func (w *world) metadata(t testing.TB, path string) map[string]any {
	t.Helper()
	got := w.send(t, &request{client: w.plain, method: http.MethodGet, url: w.file.Issuer + path})
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" || got.json == nil {
		t.Fatalf("%s: %s", path, got)
	}
	return got.json
}

func TestDiscoveryEndpointVerification(t *testing.T) {
	w := start(t)
	document := w.metadata(t, "/.well-known/oauth-authorization-server")
	t.Run("RFC 8414 §2, §3: the document is valid", func(t *testing.T) {
		for _, fault := range metadataFaults(w.file.Issuer, document) {
			t.Error(fault)
		}
	})
	t.Run("FAPI 2.0 §5.3.2.1: openid-configuration says the same", func(t *testing.T) {
		if other := w.metadata(t, "/.well-known/openid-configuration"); !reflect.DeepEqual(other, document) {
			t.Errorf("%v", other)
		}
	})
	t.Run("FAPI 2.0 §5.3.2.1: it offers what the profile wants and nothing else", func(t *testing.T) {
		if document["tls_client_certificate_bound_access_tokens"] != true {
			t.Error("no certificate-bound access tokens")
		}
		for name, want := range map[string][]string{
			"grant_types_supported":                            {"client_credentials"},
			"token_endpoint_auth_methods_supported":            {"private_key_jwt", "self_signed_tls_client_auth", "tls_client_auth"},
			"token_endpoint_auth_signing_alg_values_supported": {"ES256", "Ed25519", "EdDSA", "PS256"},
			"dpop_signing_alg_values_supported":                {"ES256", "Ed25519", "EdDSA", "PS256"},
		} {
			got := texts(document[name])
			slices.SortFunc(got, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
			slices.SortFunc(want, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v", name, got)
			}
		}
	})
	t.Run("each endpoint that it names answers", func(t *testing.T) { checkEndpoints(t, w, document) })
	t.Run("no endpoint answers that it does not name", func(t *testing.T) { checkOtherEndpoints(t, w, document) })
	t.Run("jwks_uri: RFC 7517, FAPI 2.0 §5.4.1, §5.6.3", func(t *testing.T) { checkJWKS(t, w.jwks(t)) })
	t.Run("no grant works that it does not name", func(t *testing.T) { checkOtherGrants(t, w) })
	eachVariant(t, func(t *testing.T, w *world, a *application) { checkAlgorithms(t, w, a, document) })
	for _, method := range texts(document["token_endpoint_auth_methods_supported"]) {
		t.Run(method+" works at each endpoint", func(t *testing.T) { checkMethod(t, w, method) })
	}
	t.Run("no method works that it does not name", func(t *testing.T) { checkOtherMethods(t, w) })
}

// checkEndpoints: an endpoint that is there refuses an empty form for what is
// missing in it, not for its path or method.
func checkEndpoints(t *testing.T, w *world, document map[string]any) {
	urls := map[string]string{}
	for name, value := range document {
		if strings.HasSuffix(name, "_endpoint") {
			urls[name], _ = value.(string)
		}
	}
	for name, value := range document["mtls_endpoint_aliases"].(map[string]any) {
		urls["alias of "+name], _ = value.(string)
	}
	if len(urls) < 6 {
		t.Errorf("only %d endpoints: %v", len(urls), urls)
	}
	for name, url := range urls {
		got := w.send(t, &request{client: w.plain, method: http.MethodPost, url: url, header: http.Header{"Content-Type": {formType}}})
		if got.status != 400 && got.status != 401 {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// checkOtherEndpoints: where others have endpoints that we do not name, nothing
// answers, on neither listener.
func checkOtherEndpoints(t *testing.T, w *world, document map[string]any) {
	paths := []string{
		"/authorize", "/par", "/as/par.oauth2", "/request", "/userinfo", "/device_authorization", "/device", "/bc-authorize", "/ciba",
		"/logout", "/end_session", "/session/end", "/oauth2/token", "/token/", "/register", "/registration", "/login", "/.well-known/webfinger",
	}
	var named []any
	for _, value := range document {
		named = append(named, value)
	}
	for _, value := range document["mtls_endpoint_aliases"].(map[string]any) {
		named = append(named, value)
	}
	for _, base := range []string{w.file.Issuer, w.mtlsBase} {
		for _, path := range paths {
			if slices.ContainsFunc(named, func(url any) bool { return url == base+path }) {
				continue
			}
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				got := w.send(t, &request{client: w.plain, method: method, url: base + path})
				if got.status != http.StatusNotFound {
					t.Errorf("%s %s: %s", method, path, got)
				}
			}
		}
	}
}

// jwks is the server's key set.
func (w *world) jwks(t testing.TB) []claims {
	t.Helper()
	url, _ := w.metadata(t, "/.well-known/oauth-authorization-server")["jwks_uri"].(string)
	got := w.send(t, &request{client: w.plain, method: http.MethodGet, url: url})
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/jwk-set+json" {
		t.Fatal(got)
	}
	var set struct{ Keys []claims }
	must(t, json.Unmarshal([]byte(got.body), &set))
	return set.Keys
}

// checkJWKS: keys of enough bits, for signatures, each with a kid of its own and
// nothing private.
func checkJWKS(t *testing.T, keys []claims) {
	if len(keys) == 0 {
		t.Error("no keys")
	}
	kids := map[any]bool{}
	for _, k := range keys {
		if kid, _ := k["kid"].(string); kid == "" || kids[kid] {
			t.Errorf("kid %q is empty or there twice", kid)
		}
		kids[k["kid"]] = true
		if alg, _ := k["alg"].(string); !slices.Contains(fapiAlgs, alg) {
			t.Errorf("alg %v", k["alg"])
		}
		if k["use"] != "sig" {
			t.Errorf("use %v", k["use"])
		}
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if k[private] != nil {
				t.Errorf("the member %s is public", private)
			}
		}
		if bits := bitsOf(t, k); k["kty"] == "RSA" && bits < 2048 || k["kty"] != "RSA" && bits < 224 {
			t.Errorf("a key of %d bits: %v", bits, k)
		}
	}
}

// bitsOf is the size of a public JWK.
func bitsOf(t testing.TB, jwk claims) int {
	t.Helper()
	name := "x"
	if jwk["kty"] == "RSA" {
		name = "n"
	}
	text, _ := jwk[name].(string)
	number, err := base64.RawURLEncoding.DecodeString(text)
	must(t, err)
	if name == "n" {
		return new(big.Int).SetBytes(number).BitLen()
	}
	return 8 * len(number)
}

// checkAlgorithms: each algorithm that the document names works, for assertions
// and for proofs, and no other does.
func checkAlgorithms(t *testing.T, w *world, a *application, document map[string]any) {
	if a.key != nil {
		for _, alg := range texts(document["token_endpoint_auth_signing_alg_values_supported"]) {
			k := newKey(t, alg)
			own, kid := a.key, a.kid
			a.key, a.kid = k, a.register(t, k)
			a.token(t)
			a.key, a.kid = own, kid
		}
		for _, alg := range []string{"RS256", "ES384"} {
			jwk, err := json.Marshal(map[string]any(newKey(t, alg).jwk.with(claims{"alg": alg})))
			must(t, err)
			if _, err := w.admin.RegisterKey(t.Context(), a.id, admin.NewSigningKey{JWK: jwk}); err == nil {
				t.Errorf("a key for %s was registered", alg)
			}
		}
	}
	if a.proofKey == nil {
		return
	}
	own := a.proofKey
	defer func() { a.proofKey = own }()
	for _, alg := range texts(document["dpop_signing_alg_values_supported"]) {
		a.proofKey = newKey(t, alg)
		w.send(t, a.resourceRequest(t, a.token(t))).served()
	}
	for _, alg := range []string{"RS256", "ES384"} {
		a.proofKey = newKey(t, alg)
		w.send(t, a.tokenRequest(t)).refused(400, "invalid_dpop_proof")
	}
}

// checkMethod: token, introspection and revocation, on both listeners where the
// method needs no certificate.
func checkMethod(t *testing.T, w *world, method string) {
	a := w.application(t, variant{"", method, "mtls"})
	bases := []string{w.mtlsBase}
	if method == "private_key_jwt" {
		bases = append(bases, w.file.Issuer)
	}
	for _, base := range bases {
		token := a.token(t)
		got := w.send(t, &request{client: a.http, method: http.MethodPost, url: base + "/introspect", form: a.authenticated(t, "token", token)})
		if got.status != 200 || got.json["active"] != false { // it serves no resource
			t.Errorf("introspection: %s", got)
		}
		got = w.send(t, &request{client: a.http, method: http.MethodPost, url: base + "/revoke", form: a.authenticated(t, "token", token)})
		if got.status != 200 || got.body != "" {
			t.Errorf("revocation: %s", got)
		}
	}
}

// checkOtherMethods: secrets and nothing at all, at each endpoint.
func checkOtherMethods(t *testing.T, w *world) {
	a := w.application(t, variants[0])
	for name, change := range map[string]func(*request){
		"client_secret_post":  func(r *request) { r.form.Set("client_secret", "sesame") },
		"client_secret_basic": func(r *request) { r.header.Set("Authorization", "Basic eDp5"); r.form.Del("client_id") },
		"Bearer":              func(r *request) { r.header.Set("Authorization", "Bearer eDp5") },
		"none":                func(*request) {},
		"nothing":             func(r *request) { r.form.Del("client_id") },
	} {
		for _, path := range []string{"/token", "/introspect", "/revoke"} {
			r := a.tokenRequest(t)
			r.url = w.file.Issuer + path
			r.form.Set("token", "x")
			r.form.Del("client_assertion")
			r.form.Del("client_assertion_type")
			change(r)
			got := w.send(t, r)
			got.refused(401, "invalid_client")
			scheme, _, _ := strings.Cut(got.header.Get("WWW-Authenticate"), " ")
			if used, _, _ := strings.Cut(r.header.Get("Authorization"), " "); scheme != used { // RFC 6749 section 5.2
				t.Errorf("%s %s: WWW-Authenticate %q", name, path, got.header.Get("WWW-Authenticate"))
			}
		}
	}
	for _, alg := range []string{"none", "HS256", "RS256", "ES384"} {
		r := a.tokenRequest(t)
		r.form.Set("client_assertion", a.assertion(t, claims{"alg": alg}, nil))
		w.send(t, r).refused(401, "invalid_client")
	}
}

func checkOtherGrants(t *testing.T, w *world) {
	a := w.application(t, variants[0])
	for _, grant := range []string{
		"authorization_code", "password", "refresh_token", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:saml2-bearer",
		"urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba", "CLIENT_CREDENTIALS",
	} {
		r := a.tokenRequest(t)
		r.form.Set("grant_type", grant)
		w.send(t, r).refused(400, "unsupported_grant_type")
	}
}

// TestMetadataFaults: the check of the document finds what is wrong with one.
func TestMetadataFaults(t *testing.T) {
	w := start(t)
	good := w.metadata(t, "/.well-known/oauth-authorization-server")
	for name, change := range map[string]claims{
		"no token_endpoint":                 {"token_endpoint": nil},
		"no jwks_uri":                       {"jwks_uri": nil},
		"no response_types_supported":       {"response_types_supported": nil},
		"no grant_types_supported":          {"grant_types_supported": nil},
		"another issuer":                    {"issuer": w.file.Issuer + "/"},
		"an endpoint over http":             {"token_endpoint": "http://localhost/token"},
		"an endpoint with a fragment":       {"revocation_endpoint": "https://localhost/revoke#x"},
		"a grant without its endpoint":      {"grant_types_supported": []any{"authorization_code"}},
		"an endpoint without its grant":     {"authorization_endpoint": "https://localhost/authorize"},
		"private_key_jwt without alg":       {"token_endpoint_auth_signing_alg_values_supported": nil},
		"alg none":                          {"token_endpoint_auth_signing_alg_values_supported": []any{"none"}},
		"RS256 for proofs":                  {"dpop_signing_alg_values_supported": []any{"RS256"}},
		"a method that nobody knows":        {"token_endpoint_auth_methods_supported": []any{"sesame"}},
		"an empty list":                     {"dpop_signing_alg_values_supported": []any{}},
		"a value twice":                     {"dpop_signing_alg_values_supported": []any{"ES256", "ES256"}},
		"a text where a boolean is":         {"tls_client_certificate_bound_access_tokens": "true"},
		"an alias of nothing":               {"mtls_endpoint_aliases": map[string]any{"registration_endpoint": "https://localhost/register"}, "registration_endpoint": nil},
		"an alias that is the endpoint":     {"mtls_endpoint_aliases": map[string]any{"token_endpoint": good["token_endpoint"]}},
		"a member that nobody has heard of": {"sesame": true},
	} {
		if faults := metadataFaults(w.file.Issuer, claims(good).with(change)); len(faults) == 0 {
			t.Errorf("%s: nothing found", name)
		}
	}
}

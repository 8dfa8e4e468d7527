package conformance_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/server"
)

// The walk goes to every route of every listener with no credential, wrong ones,
// expired ones and the right one. The routes come from the tables that serve them,
// so that a new one is walked by itself: it is taken to need a token until it is
// listed here as one of the few that do not.

// openRoutes need no credential: they say what everybody may know.
var openRoutes = map[string][]string{
	"public": {
		"GET /.well-known/jwks.json", "GET /.well-known/oauth-authorization-server", "GET /.well-known/openid-configuration",
		"GET /.well-known/oauth-protected-resource/", "GET /roots.pem", "GET /audit/checkpoint-keys.json", "GET /.well-known/software-statement-keys.json",
	},
	"admin": {"GET /openapi.json", "GET /healthz", "GET /readyz", "GET /metrics", "GET /version"},
}

// clientRoutes authenticate an OAuth client by what is in the form.
var clientRoutes = []string{"POST /token", "POST /introspect", "POST /revoke"}

// gatewayRoutes of the public listener are for gateways: the feed's scope opens them.
var gatewayRoutes = []string{"GET /feed", "GET /audit/checkpoint"}

// walk is a world of its own: the right credential may change it.
type walk struct {
	*world
	operator, reader, payer, reporter *application
	old                               map[*application]string // tokens that have expired
	fresh                             map[*application]string
	expired, untrusted, wrongUsage    *tls.Certificate
}

func newWalk(t *testing.T) *walk {
	t.Helper()
	w, err := newWorld()
	must(t, err)
	t.Cleanup(func() { must(t, w.end()) })
	k := &walk{world: w, old: map[*application]string{}, fresh: map[*application]string{}}
	k.operator = w.operator(t)
	k.reader = w.application(t, byKey, func(a *admin.NewApplication) {
		a.Grants = append(a.Grants, admin.Grant{Resource: server.FeedResource(w.file.Issuer), Scopes: []string{server.FeedScope}})
	})
	k.payer = w.application(t, byKey)
	k.reporter = w.application(t, byCA, func(a *admin.NewApplication) {
		a.Grants = append(a.Grants, admin.Grant{Resource: w.file.GatewayURL + "/reports", Scopes: []string{"reports"}})
	})
	k.expired = k.reporter.issuedFor(t, newKey(t, "ES256"), 60)
	leaf, err := x509.ParseCertificate(k.reporter.certificate.Certificate[0])
	must(t, err)
	alike := func(usage x509.ExtKeyUsage) *tls.Certificate {
		return selfSigned(t, w.clock.Now(), func(c *x509.Certificate) {
			c.URIs, c.Subject, c.ExtKeyUsage = leaf.URIs, leaf.Subject, []x509.ExtKeyUsage{usage}
		})
	}
	k.untrusted, k.wrongUsage = alike(x509.ExtKeyUsageClientAuth), alike(x509.ExtKeyUsageServerAuth)
	k.tokens(t, k.old)
	w.pass(t, 301*time.Second)
	k.tokens(t, k.fresh)
	return k
}

func (k *walk) tokens(t *testing.T, into map[*application]string) {
	t.Helper()
	for a, scope := range map[*application]string{k.operator: k.file.OperatorScope, k.reader: server.FeedScope, k.payer: "payments", k.reporter: "reports"} {
		r := a.tokenRequest(t)
		r.form.Set("scope", scope)
		got := k.send(t, r)
		if into[a] = got.text("access_token"); into[a] == "" {
			t.Fatalf("%s: %s", scope, got)
		}
	}
}

// operator is the first start's, with the key from its file.
func (w *world) operator(t testing.TB) *application {
	t.Helper()
	text, err := os.ReadFile(w.file.OperatorKeyFile)
	must(t, err)
	block, _ := pem.Decode(text)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(t, err)
	return &application{
		world: w, variant: byKey, id: w.file.OperatorClientID, http: w.plain, proofKey: newKey(t, "ES256"),
		key: &key{alg: "ES256", private: private.(*ecdsa.PrivateKey)}, kid: w.file.OperatorKeyID,
	}
}

func TestRouteWalk(t *testing.T) {
	k := newWalk(t)
	bases := map[string]string{"public": k.file.Issuer, "mtls": k.mtlsBase, "admin": k.file.AdminURL}
	walked := 0
	for listener, patterns := range k.stack.Routes() {
		for _, pattern := range patterns {
			walked++
			method, path, _ := strings.Cut(pattern, " ")
			target := bases[listener] + parameter.ReplaceAllString(path, "nobody")
			t.Run("advisories 33 and 100, "+listener+": "+pattern, func(t *testing.T) {
				switch {
				case slices.Contains(openRoutes[listener], pattern):
					k.checkOpen(t, method, target)
				case slices.Contains(clientRoutes, pattern) && listener == "mtls":
					k.checkCertificate(t, target)
					k.checkClient(t, target)
				case slices.Contains(clientRoutes, pattern):
					k.checkClient(t, target)
				case strings.Contains(pattern, " /register"):
					k.checkRegistration(t, pattern, bases[listener])
				case listener == "admin":
					k.checkToken(t, k.operator, method, target)
				case pattern == "POST /enrol":
					k.checkEnrolment(t, target)
				case pattern == "GET /crl/{file}":
					k.checkOpen(t, method, k.listURL(t))
				case slices.Contains(gatewayRoutes, pattern):
					k.checkToken(t, k.reader, method, target)
				default:
					t.Errorf("nobody has said what the right credential of this route is: list it in walk_test.go")
				}
			})
		}
	}
	documents, resources := k.stack.GatewayRoutes()
	for _, path := range documents {
		walked++
		t.Run("advisories 33 and 100, gateway: "+path, func(t *testing.T) { k.checkOpen(t, http.MethodGet, k.file.GatewayURL+path) })
	}
	for _, path := range resources {
		walked++
		t.Run("advisories 33 and 100, gateway: "+path, func(t *testing.T) {
			a := k.payer
			if path == "/reports/" {
				a = k.reporter
			}
			k.checkToken(t, a, http.MethodGet, k.file.GatewayURL+path)
		})
	}
	if walked < 45 {
		t.Errorf("only %d routes were walked", walked)
	}
}

// parameter of a pattern.
var parameter = regexp.MustCompile(`\{[^}]*\}`)

// checkOpen: an open route answers, and makes no difference of what is shown to it.
func (k *walk) checkOpen(t *testing.T, method, target string) {
	if strings.HasSuffix(target, "/.well-known/oauth-protected-resource/") {
		target += "feed"
	}
	for name, header := range map[string]http.Header{
		"no credential": {}, "a wrong one": {"Authorization": {"Bearer sesame"}}, "a wrong proof": {"Dpop": {"sesame"}},
		"an expired one": {"Authorization": {"DPoP " + k.old[k.operator]}}, "a right one": {"Authorization": {"DPoP " + k.fresh[k.operator]}},
	} {
		got := k.send(t, &request{client: k.plain, method: method, url: target, header: header})
		if got.status != http.StatusOK || got.body == "" {
			t.Errorf("%s: %s", name, got)
		}
		if strings.Contains(got.body, k.payer.id) || strings.Contains(got.body, "PRIVATE KEY") {
			t.Errorf("%s: the answer names somebody", name)
		}
	}
}

// checkToken: a route of a resource, ours or behind the gateway.
func (k *walk) checkToken(t *testing.T, right *application, method, target string) {
	before := k.sequence(t)
	shown := func(a *application, token string) *request {
		r := &request{client: a.http, method: method, url: target, header: http.Header{"Authorization": {a.scheme() + " " + token}}}
		if a.proofKey != nil {
			r.header.Set("DPoP", a.proof(t, method, target, nil, claims{"ath": ath(token)}))
		}
		if method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
			r.body = "{"
			r.header.Set("Content-Type", "application/json")
		}
		return r
	}
	other := k.payer
	if right == k.payer {
		other = k.reader
	}
	bare := shown(right, k.fresh[right])
	bare.header.Del("Authorization")
	bare.header.Del("DPoP")
	plain := shown(right, k.fresh[right])
	plain.header.Del("DPoP")
	plain.header.Set("Authorization", "Bearer "+k.fresh[right])
	plain.client = k.plain
	forged := shown(right, flip(k.fresh[right], len(k.fresh[right])-10))
	for name, r := range map[string]*request{
		"no credential": bare, "an expired one": shown(right, k.old[right]), "no token": shown(right, "sesame"), "a forged one": forged,
		"one of another resource": shown(other, k.fresh[other]), "a stolen one": plain,
	} {
		got := k.send(t, r)
		if got.status != http.StatusUnauthorized || len(got.header.Values("WWW-Authenticate")) == 0 {
			t.Errorf("%s: %s (%s)", name, got, got.reason())
		}
		if code := got.text("error"); (code == "") != (name == "no credential") { // RFC 6750 section 3.1
			t.Errorf("%s: error %q", name, code)
		}
	}
	if after := k.sequence(t); after != before {
		t.Errorf("advisory 100: %d changes without a good credential", after-before)
	}
	got := k.send(t, shown(right, k.fresh[right]))
	if got.status == 401 || got.status == 403 || got.status >= 500 {
		t.Errorf("the right one: %s (%s)", got, got.reason())
	}
}

// listURL is where the issuing CA's list of revoked certificates is.
func (k *walk) listURL(t *testing.T) string {
	t.Helper()
	authority, err := k.admin.Authority(t.Context())
	must(t, err)
	return authority.Issuing[0].CRL
}

// checkEnrolment: what opens is an enrolment code, once.
func (k *walk) checkEnrolment(t *testing.T, target string) {
	private := newKey(t, "ES256").private
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	must(t, err)
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	made, err := k.admin.CreateEnrolmentCode(t.Context(), k.reporter.id, admin.NewCode{})
	must(t, err)
	revoked, err := k.admin.CreateEnrolmentCode(t.Context(), k.reporter.id, admin.NewCode{})
	must(t, err)
	_, err = k.admin.RevokeEnrolmentCode(t.Context(), k.reporter.id, revoked.ID)
	must(t, err)
	before := k.sequence(t)
	with := func(code string) *answer {
		body, err := json.Marshal(map[string]string{"code": code, "csr": csr})
		must(t, err)
		return k.send(t, &request{client: k.plain, method: http.MethodPost, url: target, body: string(body), header: http.Header{"Content-Type": {"application/json"}}})
	}
	for name, code := range map[string]string{
		"no credential": "none", "a wrong one": made.Code[:len(made.Code)-1] + "0", "a revoked one": revoked.Code, "its id": made.ID,
	} {
		if got := with(code); got.status != http.StatusBadRequest || got.text("error") != "invalid_grant" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if after := k.sequence(t); after != before {
		t.Errorf("advisory 100: %d changes without a good credential", after-before)
	}
	if got := with(made.Code); got.status != http.StatusOK || got.text("client_id") != k.reporter.id {
		t.Errorf("the right one: %s", got)
	}
}

// checkClient: an endpoint of the authorization server, with assertions.
func (k *walk) checkClient(t *testing.T, target string) {
	before := k.sequence(t)
	a := k.payer
	now := k.clock.Now().Unix()
	shown := func(header, payload claims) *request {
		r := a.tokenRequest(t)
		r.url = target
		r.header.Set("DPoP", a.proof(t, http.MethodPost, target, nil, nil))
		r.form.Set("token", "x")
		r.form.Set("client_assertion", a.assertion(t, header, payload))
		return r
	}
	none := shown(nil, nil)
	none.form.Del("client_assertion")
	none.form.Del("client_assertion_type")
	stranger := shown(nil, nil)
	header, payload := parts(t, stranger.form.Get("client_assertion"))
	stranger.form.Set("client_assertion", newKey(t, "ES256").compact(t, header, payload))
	for name, r := range map[string]*request{
		"no credential": none, "an expired one": shown(nil, claims{"exp": now - 60}), "another's key": stranger, "another's name": shown(nil, claims{"sub": k.reader.id}),
	} {
		got := k.send(t, r)
		if got.status != http.StatusUnauthorized || got.text("error") != "invalid_client" {
			t.Errorf("%s: %s (%s)", name, got, got.reason())
		}
	}
	if got := k.send(t, shown(nil, nil)); got.status != http.StatusOK {
		t.Errorf("the right one: %s (%s)", got, got.reason())
	}
	if after := k.sequence(t); after != before {
		t.Errorf("advisory 100: %d changes", after-before)
	}
}

// checkCertificate: the same with certificates.
func (k *walk) checkCertificate(t *testing.T, target string) {
	a := k.reporter
	for name, c := range map[string]*tls.Certificate{
		"no certificate": nil, "untrusted": k.untrusted, "expired": k.expired, "wrong EKU": k.wrongUsage, "right": a.certificate,
	} {
		client := k.client(c)
		r := &request{client: client, method: http.MethodPost, url: target, form: a.authenticated(t, "grant_type", "client_credentials", "scope", "reports", "token", "x")}
		got := k.send(t, r)
		client.CloseIdleConnections()
		if name == "right" && got.status != http.StatusOK || name != "right" && (got.status != http.StatusUnauthorized || got.text("error") != "invalid_client") {
			t.Errorf("%s: %s (%s)", name, got, got.reason())
		}
	}
}

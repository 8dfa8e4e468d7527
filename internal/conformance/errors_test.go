package conformance_test

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

// A row of an error table: what is wrong with an otherwise good request, and what
// the answer is. After the refusal nothing must have changed: no event in the audit,
// and the good request with the same assertion and the same proof goes through.
type row struct {
	name   string
	of     variant // the zero variant: private_key_jwt with DPoP
	change func(t *testing.T, a *application, r *request)
	status int
	code   string
	// challenge is the beginning of WWW-Authenticate; "" wants none.
	challenge string
	// nonce wants a DPoP-Nonce.
	nonce bool
	// over says why the good request does not go through afterwards.
	over string
}

var (
	byKey        = variants[0]
	byKeyBound   = variants[1]
	byCA         = variants[3]
	bySelfSigned = variant{"self-signed", "self_signed_tls_client_auth", "mtls"}
)

// runTable sends each row to the endpoint that good makes requests for.
func runTable(t *testing.T, rows []row, good func(t testing.TB, a *application) *request) {
	w := start(t)
	t.Cleanup(func() { must(t, w.advance(0)) })
	bodies := map[string]bool{}
	applications := map[variant]*application{}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			v := row.of
			if v.method == "" {
				v = byKey
			}
			a := applications[v]
			if a == nil || row.over != "" {
				a = w.application(t, v)
				a.http = w.client(a.certificate) // of no one test
			}
			if row.over == "" {
				applications[v] = a
			}
			r := good(t, a)
			bad := r.clone()
			row.change(t, a, bad)
			before := w.sequence(t)
			got := w.send(t, bad)
			got.refused(row.status, row.code)
			row.checkHeader(t, got)
			if after := w.sequence(t); after != before {
				t.Errorf("%d changes were made", after-before)
			}
			if got.status == http.StatusUnauthorized {
				bodies[got.body] = true // section 4: unknown client and bad credential read alike
			}
			if row.over != "" {
				return
			}
			if got := w.send(t, r); got.status != http.StatusOK {
				t.Errorf("the good request afterwards: %s (%s)", got, got.reason())
			}
		})
	}
	if len(bodies) > 1 {
		t.Errorf("%d ways to say invalid_client: %v", len(bodies), bodies)
	}
	for _, a := range applications {
		a.http.CloseIdleConnections()
	}
}

func (row *row) checkHeader(t *testing.T, got *answer) {
	t.Helper()
	challenge := got.header.Get("WWW-Authenticate")
	if (challenge == "") != (row.challenge == "") || !strings.HasPrefix(challenge, row.challenge) {
		t.Errorf("WWW-Authenticate %q", challenge)
	}
	if (got.header.Get("DPoP-Nonce") != "") != row.nonce {
		t.Errorf("DPoP-Nonce %q", got.header.Get("DPoP-Nonce"))
	}
	if (got.header.Get("Retry-After") != "") != (row.status == http.StatusServiceUnavailable) {
		t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
	}
	if (got.header.Get("Allow") != "") != (row.status == http.StatusMethodNotAllowed) {
		t.Errorf("Allow %q", got.header.Get("Allow"))
	}
}

// sequence is the number of the last change that the audit knows.
func (w *world) sequence(t testing.TB) int64 {
	t.Helper()
	for {
		page, err := w.admin.AuditEvents(t.Context(), w.lastEvent, 1000)
		must(t, err)
		if len(page.Items) == 0 {
			return w.lastEvent
		}
		w.lastEvent = page.Items[len(page.Items)-1].Sequence
	}
}

func set(name, value string) func(*testing.T, *application, *request) {
	return func(_ *testing.T, _ *application, r *request) { r.form.Set(name, value) }
}

func del(names ...string) func(*testing.T, *application, *request) {
	return func(_ *testing.T, _ *application, r *request) {
		for _, name := range names {
			r.form.Del(name)
		}
	}
}

// raw sends the form as it stands with more behind it.
func raw(more string) func(*testing.T, *application, *request) {
	return func(_ *testing.T, _ *application, r *request) {
		r.body, r.form = r.form.Encode()+more, nil
		r.header.Set("Content-Type", formType)
	}
}

func mediaType(lines ...string) func(*testing.T, *application, *request) {
	return func(_ *testing.T, _ *application, r *request) { r.header["Content-Type"] = lines }
}

func header(name string, lines ...string) func(*testing.T, *application, *request) {
	return func(_ *testing.T, _ *application, r *request) { r.header[http.CanonicalHeaderKey(name)] = lines }
}

func query(q string) func(*testing.T, *application, *request) {
	return func(_ *testing.T, _ *application, r *request) { r.url += "?" + q }
}

func asserted(header, payload claims) func(*testing.T, *application, *request) {
	return func(t *testing.T, a *application, r *request) {
		_, good := parts(t, r.form.Get("client_assertion"))
		r.form.Set("client_assertion", a.assertion(t, header, claims{"jti": good["jti"]}.and(payload)))
	}
}

// both applies one change after another.
func both(changes ...func(*testing.T, *application, *request)) func(*testing.T, *application, *request) {
	return func(t *testing.T, a *application, r *request) {
		for _, change := range changes {
			change(t, a, r)
		}
	}
}

// formRows are the rules of the request itself, for every endpoint that takes a form.
func formRows() []row {
	bad := func(name string, change func(*testing.T, *application, *request)) row {
		return row{name: name, change: change, status: 400, code: "invalid_request"}
	}
	rows := []row{
		bad("duplicated client_id", raw("&client_id=x")),
		bad("duplicated client_assertion", raw("&client_assertion=x")),
		bad("duplicated client_assertion_type", raw("&client_assertion_type="+url.QueryEscape(assertionType))),
		bad("a parameter that nobody knows, twice", raw("&sesame=1&sesame=1")),
		bad("advisory 26: two methods: assertion and client_secret", set("client_secret", "sesame")),
		bad("advisory 26: two methods: assertion and Basic", header("Authorization", "Basic eDp5")),
		bad("advisory 26: two methods: assertion and Bearer", header("Authorization", "Bearer eDp5")),
		bad("advisory 26: two methods: Basic and client_secret", both(del("client_assertion", "client_assertion_type"), header("Authorization", "Basic eDp5"), set("client_secret", "s"))),
		bad("advisory 26: two methods: Authorization twice", both(del("client_assertion", "client_assertion_type"), header("Authorization", "Basic eDp5", "Basic eDp5"))),
		bad("unknown client_assertion_type", set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")),
		bad("half of the pair: no client_assertion_type", del("client_assertion_type")),
		bad("half of the pair: no client_assertion", del("client_assertion")),
		bad("credentials in the query: client_secret", query("client_secret=sesame")),
		bad("credentials in the query: client_assertion", query("client_assertion=x")),
		bad("credentials in the query: client_id", query("client_id=x")),
		bad("credentials in the query: access_token", query("access_token=x")),
		bad("media type: JSON", mediaType("application/json")),
		bad("media type: text", mediaType("text/plain")),
		bad("media type: multipart", mediaType("multipart/form-data; boundary=x")),
		bad("media type: none", mediaType()),
		bad("media type: twice", mediaType(formType, formType)),
		bad("media type: another charset", mediaType(formType+"; charset=iso-8859-1")),
		bad("media type: two in one", mediaType(formType+", application/json")),
		bad("limits: 64 KiB and one byte", func(t *testing.T, a *application, r *request) {
			raw("")(t, a, r)
			r.body += "&pad=" + strings.Repeat("x", 64<<10-len(r.body)-len("&pad=")+1)
		}),
		bad("advisory 109: 101 parameters", raw(strings.Repeat("&p=", 101))),
		bad("a bad escape", raw("&p=%zz")),
		bad("half an escape", raw("&p=%4")),
		bad("a control character", raw("&p=%00")),
		bad("not UTF-8", raw("&p=%ff")),
		bad("a semicolon", raw("&p=1;scope=x")),
		bad("a value without a name", raw("&=x")),
	}
	return append(rows, row{name: "a certificate and no client_id", of: byCA, change: del("client_id"), status: 400, code: "invalid_request"})
}

// clientRows are the rules of client authentication, the same at each endpoint.
func clientRows(t *testing.T) []row {
	refused := func(name string, of variant, change func(*testing.T, *application, *request)) row {
		return row{name: name, of: of, change: change, status: 401, code: "invalid_client"}
	}
	basic := func(name string, change func(*testing.T, *application, *request)) row {
		r := refused(name, byKey, both(del("client_assertion", "client_assertion_type", "client_id"), change))
		r.challenge = `Basic realm="`
		return r
	}
	bearer := func(name string, change func(*testing.T, *application, *request)) row {
		r := basic(name, change)
		r.challenge = `Bearer realm="holdfast", error="invalid_token"` // RFC 7662 section 2.3
		return r
	}
	ended := func(name string, of variant, end func(t *testing.T, a *application) error) row {
		r := refused(name, of, func(t *testing.T, a *application, _ *request) { must(t, end(t, a)) })
		r.over = "the credential has ended"
		return r
	}
	now := start(t).clock.Now().Unix()
	return []row{
		refused("no client authentication", byKey, del("client_assertion", "client_assertion_type", "client_id")),
		refused("client_id alone", byKey, del("client_assertion", "client_assertion_type")),
		refused("unknown client", byKey, both(set("client_id", "nobody"), asserted(nil, claims{"iss": "nobody", "sub": "nobody"}))),
		refused("bad secret", byKey, both(del("client_assertion", "client_assertion_type"), set("client_secret", "sesame"))),
		basic("bad secret in Basic", header("Authorization", "Basic eDp5")),
		basic("Basic that is none", header("Authorization", "Basic !")),
		bearer("a bearer token", header("Authorization", "Bearer eDp5")),
		bearer("a bearer token, in lower case", header("Authorization", "bearer eDp5")),
		basic("an empty Authorization", header("Authorization", "")),

		ended("suspended application", byKey, func(t *testing.T, a *application) error {
			_, err := a.admin.SuspendApplication(t.Context(), a.id)
			return err
		}),
		ended("revoked application", byKey, func(t *testing.T, a *application) error {
			_, err := a.admin.RevokeApplication(t.Context(), a.id)
			return err
		}),
		ended("revoked key", byKey, revokeCredentials),
		ended("revoked certificate", byCA, revokeCredentials),
		ended("revoked certificate of its own", bySelfSigned, revokeCredentials),
		ended("suspended key", byKey, suspendCredentials),

		refused("assertion: not a JWS", byKey, set("client_assertion", "sesame")),
		refused("assertion: five parts", byKey, func(_ *testing.T, _ *application, r *request) {
			r.form.Set("client_assertion", r.form.Get("client_assertion")+".a.b")
		}),
		refused("assertion: bad signature", byKey, func(_ *testing.T, _ *application, r *request) {
			s := r.form.Get("client_assertion")
			r.form.Set("client_assertion", flip(s, len(s)-10))
		}),
		refused("assertion: unknown kid", byKey, asserted(claims{"kid": "nobody"}, nil)),
		refused("assertion: no kid, another key", byKey, func(t *testing.T, a *application, r *request) {
			header, payload := parts(t, r.form.Get("client_assertion"))
			r.form.Set("client_assertion", newKey(t, "ES256").compact(t, header.with(claims{"kid": nil}), payload))
		}),
		refused("assertion: alg none", byKey, asserted(claims{"alg": "none"}, nil)),
		refused("assertion: alg HS256", byKey, asserted(claims{"alg": "HS256"}, nil)),
		refused("assertion: typ of an access token", byKey, asserted(claims{"typ": "at+jwt"}, nil)),
		refused("assertion: iss is not client_id", byKey, asserted(nil, claims{"iss": "nobody"})),
		refused("assertion: sub is not client_id", byKey, asserted(nil, claims{"sub": "nobody"})),
		refused("assertion: aud is not the issuer", byKey, asserted(nil, claims{"aud": "https://other.example"})),
		refused("assertion: aud is a list", byKey, func(t *testing.T, a *application, r *request) {
			asserted(nil, claims{"aud": []string{a.file.Issuer}})(t, a, r)
		}),
		refused("assertion: expired", byKey, asserted(nil, claims{"exp": now - 300})),
		refused("assertion: no exp", byKey, asserted(nil, claims{"exp": nil})),
		refused("advisory 51: exp 10 years ahead", byKey, asserted(nil, claims{"exp": now + 10*365*86400})),
		refused("assertion: nbf 90 s ahead", byKey, func(t *testing.T, a *application, r *request) {
			asserted(nil, claims{"nbf": a.clock.Now().Unix() + 90})(t, a, r)
		}),
		refused("assertion: iat 90 s ahead", byKey, func(t *testing.T, a *application, r *request) {
			asserted(nil, claims{"iat": a.clock.Now().Unix() + 90})(t, a, r)
		}),
		refused("assertion: no jti", byKey, asserted(nil, claims{"jti": nil})),
		{name: "assertion: jti reused", change: func(t *testing.T, a *application, r *request) {
			first := a.tokenRequest(t)
			first.form.Set("client_assertion", r.form.Get("client_assertion"))
			if got := a.send(t, first); got.status != http.StatusOK {
				t.Fatal(got)
			}
		}, status: 401, code: "invalid_client", over: "used"},
		refused("assertion: members twice", byKey, func(t *testing.T, a *application, r *request) {
			pieces := strings.Split(r.form.Get("client_assertion"), ".")
			pieces[1] = b64([]byte(`{"iss":"` + a.id + `","iss":"` + a.id + `"}`))
			input := pieces[0] + "." + pieces[1]
			r.form.Set("client_assertion", input+"."+b64(a.key.signature(t, "ES256", input)))
		}),

		refused("certificate: absent", byCA, func(_ *testing.T, a *application, r *request) { r.client = a.plain }),
		refused("certificate: a stranger's, with the right name", byCA, func(t *testing.T, a *application, r *request) {
			leaf, err := x509.ParseCertificate(a.certificate.Certificate[0])
			must(t, err)
			r.client = a.client(selfSigned(t, a.clock.Now(), func(c *x509.Certificate) { c.URIs, c.Subject = leaf.URIs, leaf.Subject }))
			t.Cleanup(r.client.CloseIdleConnections)
		}),
		refused("certificate: another application's (SAN)", byCA, func(t *testing.T, a *application, r *request) {
			r.client = a.world.application(t, byCA).http
		}),
		refused("certificate: self-signed and not registered", bySelfSigned, func(t *testing.T, a *application, r *request) {
			r.client = a.client(selfSigned(t, a.clock.Now(), nil))
			t.Cleanup(r.client.CloseIdleConnections)
		}),
		refused("certificate: of the public listener", byCA, func(_ *testing.T, a *application, r *request) {
			r.url = strings.Replace(r.url, a.mtlsBase, a.file.Issuer, 1)
		}),

		refused("method: a certificate where private_key_jwt is registered", byKeyBound, del("client_assertion", "client_assertion_type")),
		refused("method: an assertion where a certificate is registered", byCA, func(t *testing.T, a *application, r *request) {
			k := newKey(t, "ES256")
			now := a.clock.Now().Unix()
			r.form.Set("client_assertion_type", assertionType)
			r.form.Set("client_assertion", k.compact(t, claims{"alg": "ES256", "kid": "x"},
				claims{"iss": a.id, "sub": a.id, "aud": a.file.Issuer, "jti": random(16), "exp": now + 60}))
		}),
		refused("method: a certificate of the CA where a registered one is meant", bySelfSigned, func(t *testing.T, a *application, r *request) {
			r.client = a.world.application(t, byCA).http
		}),
	}
}

func revokeCredentials(t *testing.T, a *application) error {
	return eachCredential(t, a, func(id string) error {
		_, err := a.admin.RevokeCredential(t.Context(), id)
		return err
	})
}

func suspendCredentials(t *testing.T, a *application) error {
	return eachCredential(t, a, func(id string) error {
		_, err := a.admin.SuspendCredential(t.Context(), id)
		return err
	})
}

func eachCredential(t *testing.T, a *application, do func(id string) error) error {
	t.Helper()
	page, err := a.admin.Credentials(t.Context(), a.id, adminclient.Page{})
	if err != nil || len(page.Items) == 0 {
		t.Fatal(page, err)
	}
	for _, c := range page.Items {
		if c.Kind == "dpop_key" { // named only because it was revoked
			continue
		}
		if err := do(c.ID); err != nil {
			return err
		}
	}
	return nil
}

// checkOutage: a node that does not know whether it is up to date answers 503 with
// Retry-After, and burns nothing.
func checkOutage(t *testing.T, good func(t testing.TB, a *application) *request) {
	w := start(t)
	a := w.application(t, byKey)
	for range 20 {
		r := good(t, a)
		w.clock.at.Add(11) // and no look at the database since
		got := w.send(t, r)
		must(t, w.advance(0))
		if got.status == http.StatusOK {
			continue // the database was asked in this very moment
		}
		got.refused(503, "temporarily_unavailable")
		if got.header.Get("Retry-After") == "" || got.reason() != "snapshot_stale" {
			t.Errorf("%s (%s)", got, got.reason())
		}
		if got = w.send(t, r); got.status != http.StatusOK {
			t.Errorf("the same request afterwards: %s", got)
		}
		return
	}
	t.Errorf("the snapshot never was old")
}

// checkMethods: every method but POST is 405 with Allow, and every other path 404.
func checkMethods(t *testing.T, path string) {
	w := start(t)
	for _, base := range []string{w.file.Issuer, w.mtlsBase} {
		for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "SESAME"} {
			got := w.send(t, &request{client: w.plain, method: method, url: base + path})
			if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "POST" {
				t.Errorf("%s: %s", method, got)
			}
			if method != http.MethodHead {
				got.refused(405, "invalid_request")
			}
		}
		for _, other := range []string{path + "/", path + "x", "/" + path, strings.ToUpper(path), "/x" + path, path + "%2f", "/%2e" + path} {
			w.send(t, &request{client: w.plain, method: http.MethodPost, url: base + other}).refused(404, "invalid_request")
		}
	}
}

func (w *world) waitFor(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so within %v: %s", patience, what)
		}
	}
}

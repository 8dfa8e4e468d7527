package httpmw_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/httpmw"
)

const issuerURL = "https://as.example"

// site is an API behind Require, on a real TLS listener.
type site struct {
	testing.TB
	*verifytest.Listener
	clock    *verifytest.Clock
	issuer   *verifytest.Issuer
	client   *verifytest.Client
	nonces   *dpop.Nonces
	resource string
	edge     *httpmw.Edge
	verifier *verify.Verifier
	policy   *verify.Policy
	reached  atomic.Int64
	header   atomic.Pointer[http.Header] // as the API saw it
}

func newSite(t testing.TB, change ...func(*verify.Config, *verify.Rules)) *site {
	t.Helper()
	clock := verifytest.NewClock()
	s := &site{
		TB: t, Listener: verifytest.Listen(t), clock: clock, issuer: verifytest.NewIssuer(t, clock, issuerURL, jose.ES256),
		client: verifytest.NewClient(t, clock), nonces: dpop.NewNonces([32]byte{1}),
	}
	s.resource = s.URL + "/payments"
	config := verify.Config{
		Issuers: []verify.Issuer{{URL: issuerURL, Algorithms: []string{"ES256"}}}, Keys: verify.NewStaticKeys(issuerURL, s.issuer.Keys(t)),
		Replay: verify.NewMemoryReplay(clock.Now, 1000), Nonces: s.nonces, StartedAt: clock.Now().Add(-time.Hour), Now: clock.Now,
	}
	rules := verify.Rules{
		Resource: s.resource, Scopes: []string{"payments"}, Binding: verify.BindEither, MetadataURL: httpmw.MetadataURL(s.URL, s.resource),
	}
	for _, f := range change {
		f(&config, &rules)
	}
	var err error
	if s.edge, err = httpmw.NewEdge(s.URL); err != nil {
		t.Fatal(err)
	}
	if s.verifier, err = verify.New(config); err != nil {
		t.Fatal(err)
	}
	if s.policy, err = s.verifier.NewPolicy(rules); err != nil {
		t.Fatal(err)
	}
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.reached.Add(1)
		header := r.Header.Clone()
		s.header.Store(&header)
		g, ok := httpmw.GrantFrom(r.Context())
		if !ok {
			t.Error("no grant in the context")
			return
		}
		_, _ = io.WriteString(w, g.ClientID)
	})
	s.Serve(t, httpmw.Require(s.verifier, func(*http.Request) *verify.Policy { return s.policy }, s.edge)(api))
	return s
}

func (s *site) token(bound cnf.Binding) string {
	return s.issuer.Token(s, s.issuer.Claims(s.resource, "payments", bound))
}

// do sends a request and reads the answer.
func (s *site) do(c *http.Client, path string, header http.Header) *http.Response {
	s.Helper()
	r, err := http.NewRequest("GET", s.URL+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Client", "a name that only begins like one of a certificate")
	for name, values := range header {
		r.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		r.Host = host
	}
	answer, err := c.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		s.Fatal(err)
	}
	answer.Body = io.NopCloser(strings.NewReader(string(body)))
	return answer
}

func body(r *http.Response) string {
	b, _ := io.ReadAll(r.Body)
	return string(b)
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func TestRequire(t *testing.T) {
	t.Run("RFC 8705 §3: a certificate-bound token over its certificate is served", func(t *testing.T) {
		s := newSite(t)
		c := s.Client(t, &s.client.Certificate)
		token := s.token(s.client.ToCertificate())
		for range 3 {
			if a := s.do(c, "/payments/1", bearer(token)); a.StatusCode != 200 || body(a) != "shop" || a.Header.Get("DPoP-Nonce") != "" {
				t.Errorf("%d %v", a.StatusCode, a.Header)
			}
		}
	})
	t.Run("advisory 33: every certificate but the bound one is refused", func(t *testing.T) {
		s := newSite(t)
		token := s.token(s.client.ToCertificate())
		usage := verifytest.Certificate(t, &x509.Certificate{
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		for name, cert := range map[string]*tls.Certificate{
			"none": nil, "a stranger's": &verifytest.NewClient(t, s.clock).Certificate, "of another usage": &usage,
			"expired": &verifytest.NewClientValid(t, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)).Certificate,
		} {
			a := s.do(s.Client(t, cert), "/payments/1", bearer(token))
			if a.StatusCode != 401 || a.Header.Get("Www-Authenticate") != `Bearer error="invalid_token", resource_metadata="`+httpmw.MetadataURL(s.URL, s.resource)+`"` {
				t.Errorf("%s: %d %v", name, a.StatusCode, a.Header)
			}
		}
		if n := s.reached.Load(); n != 0 {
			t.Errorf("the API was reached %d times", n)
		}
	})
	t.Run("promise 6: a bound certificate that expires on an open connection", func(t *testing.T) {
		s := newSite(t)
		s.client = verifytest.NewClientValid(t, s.clock.Now().Add(-time.Hour), s.clock.Now().Add(time.Minute))
		c := s.Client(t, &s.client.Certificate)
		token := s.token(s.client.ToCertificate())
		if a := s.do(c, "/payments/1", bearer(token)); a.StatusCode != 200 {
			t.Fatal(a.StatusCode)
		}
		s.clock.Advance(61 * time.Second)
		if a := s.do(c, "/payments/1", bearer(token)); a.StatusCode != 401 {
			t.Error(a.StatusCode)
		}
	})
	t.Run("attack 1, advisory 71: a certificate in a header is not believed and not passed on", func(t *testing.T) {
		s := newSite(t)
		other := s.token(verifytest.NewClient(t, s.clock).ToCertificate())
		own := s.token(s.client.ToCertificate())
		for _, name := range []string{
			"Client-Cert", "client_cert", "Client-Cert-Chain", "X-Client-Cert", "X-Forwarded-Client-Cert", "X_FORWARDED_CLIENT_CERT",
			"X-Forwarded-Tls-Client-Cert", "X-SSL-Cert", "Ssl-Client-Cert", "ssl_client_cert", "X-Amzn-Mtls-Clientcert", "X-Arr-Clientcert", "Cf-Client-Cert-Der-Base64", "X-Tls-Client-Cert",
			"Client.Cert", "client~cert", "X.SSL!Cert",
		} {
			header := bearer(other)
			header[name] = []string{":MIIB:"}
			if a := s.do(s.Client(t, nil), "/payments/1", header); a.StatusCode != 401 {
				t.Errorf("%s: %d", name, a.StatusCode)
			}
			header = bearer(own)
			header[name] = []string{":MIIB:"}
			if a := s.do(s.Client(t, &s.client.Certificate), "/payments/1", header); a.StatusCode != 200 {
				t.Errorf("%s: %d", name, a.StatusCode)
			}
			for seen, values := range *s.header.Load() {
				if slices.Contains(values, ":MIIB:") {
					t.Errorf("the API saw %s", seen)
				}
			}
		}
	})
	t.Run("RFC 9449 §8.2: an answer to a proof carries the next nonce, for scripts too", func(t *testing.T) {
		s := newSite(t)
		token := s.token(s.client.ToKey())
		a := s.do(s.Client(t, nil), "/payments/1?a=1", s.dpop(token, s.URL+"/payments/1", ""))
		nonce := a.Header.Get("DPoP-Nonce")
		if a.StatusCode != 200 || !s.nonces.Check(s.clock.Now(), nonce, s.client.Prover.JKT(), time.Time{}) ||
			a.Header.Get("Access-Control-Expose-Headers") != "DPoP-Nonce" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	})
	t.Run("attack 6: htu is the configured URL with the client's path, in any equal spelling", func(t *testing.T) {
		s := newSite(t)
		token := s.token(s.client.ToKey())
		for url, want := range map[string]int{
			s.URL + "/payments/%41": 200, s.URL + "/payments/A": 200, strings.ToUpper(s.URL) + "/payments/A": 200,
			s.URL + "/payments/a": 401, "https://127.0.0.1" + s.Addr[strings.LastIndex(s.Addr, ":"):] + "/payments/A": 401, "http" + s.URL[5:] + "/payments/A": 401,
		} {
			if a := s.do(s.Client(t, nil), "/payments/A", s.dpop(token, url, "")); a.StatusCode != want {
				t.Errorf("%s: %d, want %d", url, a.StatusCode, want)
			}
		}
		a := s.do(s.Client(t, nil), "/payments/a%2Fb", s.dpop(token, s.URL+"/payments/a/b", ""))
		if a.StatusCode != 401 {
			t.Errorf("an escaped slash is a slash: %d", a.StatusCode)
		}
	})
	t.Run("advisory 76: the host of the request takes no part in htu", func(t *testing.T) {
		s := newSite(t)
		token := s.token(s.client.ToKey())
		header := s.dpop(token, "https://evil.example/payments/1", "")
		header["X-Forwarded-Host"] = []string{"evil.example"}
		header["Forwarded"] = []string{"host=evil.example"}
		if a := s.do(s.Client(t, nil), "/payments/1", header); a.StatusCode != 401 {
			t.Error(a.StatusCode)
		}
	})
	t.Run("RFC 9449 §9: use_dpop_nonce comes with a nonce and no-store", func(t *testing.T) {
		s := newSite(t, func(_ *verify.Config, r *verify.Rules) { r.Nonce = verify.NonceAlways })
		token := s.token(s.client.ToKey())
		c := s.Client(t, nil)
		a := s.do(c, "/payments/1", s.dpop(token, s.URL+"/payments/1", ""))
		if a.StatusCode != 401 || !strings.HasPrefix(a.Header.Get("Www-Authenticate"), `DPoP error="use_dpop_nonce", algs=`) ||
			a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Access-Control-Expose-Headers") != "DPoP-Nonce, WWW-Authenticate" {
			t.Fatalf("%d %v", a.StatusCode, a.Header)
		}
		if a = s.do(c, "/payments/1", s.dpop(token, s.URL+"/payments/1", a.Header.Get("DPoP-Nonce"))); a.StatusCode != 200 {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	})
	t.Run("attack 9: the same proof twice", func(t *testing.T) {
		s := newSite(t)
		header := s.dpop(s.token(s.client.ToKey()), s.URL+"/payments/1", "")
		c := s.Client(t, nil)
		first, second := s.do(c, "/payments/1", header), s.do(c, "/payments/1", header)
		if first.StatusCode != 200 || second.StatusCode != 401 || !strings.HasPrefix(second.Header.Get("Www-Authenticate"), `DPoP error="invalid_dpop_proof"`) {
			t.Errorf("%d, %d", first.StatusCode, second.StatusCode)
		}
	})
	t.Run("RFC 6750 §3: no credential gets challenges and no error code", func(t *testing.T) {
		s := newSite(t)
		a := s.do(s.Client(t, nil), "/payments/1", nil)
		lines := a.Header["Www-Authenticate"]
		if a.StatusCode != 401 || len(lines) != 2 || !strings.HasPrefix(lines[0], "DPoP algs=") || !strings.HasPrefix(lines[1], "Bearer scope=") ||
			strings.Contains(strings.Join(lines, ""), "error") || body(a) != "" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	})
	t.Run("advisory 81: two lines of one field", func(t *testing.T) {
		s := newSite(t)
		header := s.dpop(s.token(s.client.ToKey()), s.URL+"/payments/1", "")
		for _, name := range []string{"Authorization", "Dpop"} {
			twice := header.Clone()
			twice.Add(name, header.Get(name))
			if a := s.do(s.Client(t, nil), "/payments/1", twice); a.StatusCode != 400 || body(a) != `{"error":"invalid_request"}`+"\n" {
				t.Errorf("%s: %d", name, a.StatusCode)
			}
		}
	})
	t.Run("RFC 6750 §2.3: a token in the query is 400, however it is written", func(t *testing.T) {
		s := newSite(t)
		c := s.Client(t, &s.client.Certificate)
		token := s.token(s.client.ToCertificate())
		for _, query := range []string{"access_token=" + token, "a=1&access_token=x", "access%5Ftoken=x", "access_token", "a;access_token=x", "%61ccess_token=x&a=1"} {
			if a := s.do(c, "/payments/1?"+query, bearer(token)); a.StatusCode != 400 {
				t.Errorf("%s: %d", query, a.StatusCode)
			}
		}
		for _, query := range []string{"", "a=access_token", "my_access_token=x", "access_token%=x", "Access_Token=x"} {
			if a := s.do(c, "/payments/1?"+query, bearer(token)); a.StatusCode != 200 {
				t.Errorf("%s: %d", query, a.StatusCode)
			}
		}
	})
	t.Run("attack 15: a token in the query alone opens nothing", func(t *testing.T) {
		s := newSite(t)
		a := s.do(s.Client(t, &s.client.Certificate), "/payments/1?access_token="+s.token(s.client.ToCertificate()), nil)
		if a.StatusCode != 400 || s.reached.Load() != 0 {
			t.Errorf("%d, reached %d times", a.StatusCode, s.reached.Load())
		}
	})
	t.Run("503 has Retry-After and no challenge", func(t *testing.T) {
		s := newSite(t, func(c *verify.Config, _ *verify.Rules) { c.Keys = verify.NewStaticKeys(issuerURL, nil) })
		a := s.do(s.Client(t, &s.client.Certificate), "/payments/1", bearer(s.token(s.client.ToCertificate())))
		if a.StatusCode != 503 || a.Header.Get("Retry-After") != "10" || a.Header.Get("Www-Authenticate") != "" {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	})
	t.Run("a request that no policy is for is refused", func(t *testing.T) {
		s := newSite(t)
		s.policy = nil
		a := s.do(s.Client(t, &s.client.Certificate), "/payments/1", bearer(s.token(s.client.ToCertificate())))
		if a.StatusCode != 503 || s.reached.Load() != 0 {
			t.Errorf("%d, reached %d times", a.StatusCode, s.reached.Load())
		}
	})
	t.Run("no grant without Require", func(t *testing.T) {
		if g, ok := httpmw.GrantFrom(t.Context()); ok || g != nil {
			t.Error("a grant from nowhere")
		}
	})
}

func (s *site) dpop(token, url, nonce string) http.Header {
	s.Helper()
	return http.Header{"Authorization": {"DPoP " + token}, "Dpop": {s.client.Proof(s, s.clock.Now(), "GET", url, token, nonce)}}
}

func TestMisdirected(t *testing.T) {
	s := newSite(t)
	token := s.token(s.client.ToCertificate())
	_, port, _ := strings.Cut(s.Addr, ":")
	for _, tt := range []struct {
		name, serverName, host string
		want                   int
	}{
		{"the same host", "localhost", "localhost:" + port, 200},
		{"the port is ignored", "localhost", "localhost:1", 200},
		{"case and the root's dot are ignored", "localhost", "LocalHost.:" + port, 200},
		{"advisory 64: SNI in capitals", "LOCALHOST", "localhost", 200},
		{"attack 20: another host of ours", "localhost", "other.localhost", 421},
		{"another host in the handshake", "other.localhost", "localhost:" + port, 421},
		{"an address after a name", "localhost", "127.0.0.1:" + port, 421},
		{"no name and an address", "127.0.0.1", "127.0.0.1:" + port, 200},
		{"no name and an IPv6 address", "127.0.0.1", "[::1]:" + port, 200},
		{"advisory 64: no name and another name in Host", "127.0.0.1", "other.localhost:" + port, 421},
		{"no name and another name without a dot in Host", "127.0.0.1", "intranet:" + port, 421},
		{"RFC 6066 §3: no name and our own host, which has no dot", "127.0.0.1", "LocalHost.:" + port, 200},
		{"a name that begins with the other", "localhost", "localhost.evil.example", 421},
	} {
		for _, protocol := range []string{"http/1.1", "h2"} {
			t.Run(tt.name+", "+protocol, func(t *testing.T) {
				config := s.ClientConfig(&s.client.Certificate)
				config.ServerName = tt.serverName
				transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: protocol == "h2"}
				defer transport.CloseIdleConnections()
				a := s.do(&http.Client{Transport: transport}, "/payments/1", http.Header{"Authorization": {"Bearer " + token}, "Host": {tt.host}})
				if a.StatusCode != tt.want {
					t.Errorf("%d, want %d", a.StatusCode, tt.want)
				}
				if tt.want == 421 && protocol == "http/1.1" && !a.Close {
					t.Error("the connection stays open")
				}
			})
		}
	}
	for _, tt := range []struct {
		origin, host string
		good         bool
	}{
		{"https://api.example.com", "api.example.com", false}, // whoever has this name can send it
		{"https://api.example.com", "", false},
		{"https://api", "api", true},
		{"https://api", "", false},
		{"https://[::1]:8443", "::1", false},
		{"https://[::1]:8443", "[::1]:8443", true},
	} {
		t.Run("advisory 64: no name in the handshake, "+tt.host+" at "+tt.origin, func(t *testing.T) {
			edge, err := httpmw.NewEdge(tt.origin)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "https://x/", nil)
			r.Host, r.TLS = tt.host, &tls.ConnectionState{HandshakeComplete: true}
			if _, err := edge.Collect(r); (err == nil) != tt.good {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("a request that did not come over TLS", func(t *testing.T) {
		r := httptest.NewRequest("GET", "http://localhost/payments/1", nil)
		r.TLS = nil
		_, err := s.edge.Collect(r)
		if e, ok := err.(*verify.Error); !ok || e.Status != 421 || e.Reason != verify.Misdirected {
			t.Errorf("%v", err)
		}
	})
}

// TestFraming speaks HTTP/1.1 by hand.
func TestFraming(t *testing.T) {
	s := newSite(t)
	token := s.token(s.client.ToCertificate())
	head := "Host: localhost\r\nAuthorization: Bearer " + token + "\r\n"
	for name, raw := range map[string]string{
		"advisory 82: Transfer-Encoding and Content-Length": "POST /payments/1 HTTP/1.1\r\n" + head + "Content-Length: 4\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"advisory 82: a folded line":                        "GET /payments/1 HTTP/1.1\r\nHost: localhost\r\n Authorization: x\r\n\r\n",
		"advisory 72: a space after a field's name":         "GET /payments/1 HTTP/1.1\r\n" + head + "Holdfast-Client-Id : x\r\n\r\n",
		"two hosts":                          "GET /payments/1 HTTP/1.1\r\n" + head + "Host: other.localhost\r\n\r\n",
		"advisory 8: a header beyond 32 KiB": "GET /payments/1 HTTP/1.1\r\n" + head + "X: " + strings.Repeat("a", 64<<10) + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", s.Addr, s.ClientConfig(&s.client.Certificate))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(conn, raw) // the server may have answered before all was sent
			a, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = a.Body.Close()
			if a.StatusCode != 400 && a.StatusCode != 431 && a.StatusCode != 501 {
				t.Errorf("status %d", a.StatusCode)
			}
		})
	}
	if n := s.reached.Load(); n != 0 {
		t.Errorf("the API was reached %d times", n)
	}
}

func TestEdge(t *testing.T) {
	for _, bad := range []string{"", "localhost", "http://localhost", "https://", "https://localhost/", "https://localhost/x", "https://u@localhost", "https://localhost?", "https://localhost#x", "https://a b", "HTTPS://localhost"} {
		if e, err := httpmw.NewEdge(bad); err == nil || e != nil {
			t.Errorf("%q accepted", bad)
		}
	}
	for _, good := range []string{"https://localhost", "https://api.example:8443", "https://[::1]:8443"} {
		if _, err := httpmw.NewEdge(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestWriteError(t *testing.T) {
	w := httptest.NewRecorder()
	httpmw.WriteError(w, io.ErrUnexpectedEOF)
	if w.Code != 500 || w.Body.String() != `{"error":"server_error"}`+"\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	httpmw.WriteError(w, &verify.Error{Status: 503, RetryAfter: 1500 * time.Millisecond})
	if w.Header().Get("Retry-After") != "2" {
		t.Errorf("%v", w.Header())
	}
}

func TestMetadata(t *testing.T) {
	s := newSite(t)
	policy := func(resource string, binding verify.BindingRule, scopes ...string) *verify.Policy {
		t.Helper()
		p, err := s.verifier.NewPolicy(verify.Rules{Resource: resource, Binding: binding, Scopes: scopes})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	m := httpmw.NewMetadata(s.verifier, s.edge,
		policy(s.URL+"/payments", verify.BindEither, "payments"), policy(s.URL+"/payments", verify.BindDPoP, "payments.write", "payments"),
		policy(s.URL+"/reports", verify.BindMTLS, "reports"), policy(s.URL+"/keys", verify.BindDPoP), policy(s.URL, verify.BindMTLS),
		policy("https://elsewhere.example/x", verify.BindMTLS))
	read := func(method, path string) (int, map[string]any) {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		var d map[string]any
		_ = json.Unmarshal(w.Body.Bytes(), &d)
		return w.Code, d
	}
	const wellKnown = "/.well-known/oauth-protected-resource"
	algs := []any{"ES256", "PS256", "EdDSA", "Ed25519"}
	for path, want := range map[string]map[string]any{
		"/payments": {"resource": s.URL + "/payments", "scopes_supported": []any{"payments", "payments.write"},
			"tls_client_certificate_bound_access_tokens": true, "dpop_bound_access_tokens_required": false, "dpop_signing_alg_values_supported": algs},
		"/reports": {"resource": s.URL + "/reports", "scopes_supported": []any{"reports"},
			"tls_client_certificate_bound_access_tokens": true, "dpop_bound_access_tokens_required": false},
		"/keys": {"resource": s.URL + "/keys", "tls_client_certificate_bound_access_tokens": false,
			"dpop_bound_access_tokens_required": true, "dpop_signing_alg_values_supported": algs},
		"": {"resource": s.URL, "tls_client_certificate_bound_access_tokens": true, "dpop_bound_access_tokens_required": false},
	} {
		want["authorization_servers"], want["bearer_methods_supported"] = []any{issuerURL}, []any{"header"}
		code, got := read("GET", wellKnown+path)
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if code != 200 || string(a) != string(b) {
			t.Errorf("%s: %d\n got %s\nwant %s", path, code, a, b)
		}
		if !m.Has(wellKnown + path) {
			t.Errorf("Has(%s)", path)
		}
	}
	if code, _ := read("GET", wellKnown+"/x"); code != 404 || m.Has(wellKnown+"/x") {
		t.Errorf("a resource that is not ours: %d", code)
	}
	if code, _ := read("HEAD", wellKnown+"/payments"); code != 200 {
		t.Errorf("HEAD: %d", code)
	}
	if code, _ := read("POST", wellKnown+"/payments"); code != 405 {
		t.Errorf("POST: %d", code)
	}
	for resource, want := range map[string]string{
		"https://a.example": "https://a.example" + wellKnown, "https://a.example/": "https://a.example" + wellKnown,
		"https://a.example/x": "https://a.example" + wellKnown + "/x", "https://a.example/x/": "https://a.example" + wellKnown + "/x/",
		"https://a.example.evil": "", "https://b.example/x": "", "https://a.example/x?y": "", "urn:x": "", "/x": "",
	} {
		if got := httpmw.MetadataURL("https://a.example", resource); got != want {
			t.Errorf("%s: %q, want %q", resource, got, want)
		}
	}
}

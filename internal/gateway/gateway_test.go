package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
)

func TestForward(t *testing.T) {
	t.Run("a granted request reaches the upstream with who calls, and without token and proof", func(t *testing.T) {
		s := newStand(t)
		a := s.call(call{method: "POST", target: "/payments/1?a=1&b=%20&c", body: strings.NewReader("hello"), header: http.Header{"X-Own": {"1"}}})
		if a.StatusCode != 200 || a.body != "upstream" {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		r := s.upstream.last()
		h := r.Header
		if r.Method != "POST" || r.RequestURI != "/payments/1?a=1&b=%20&c" || r.Host != strings.TrimPrefix(s.upstream.URL, "http://") || h.Get("X-Own") != "1" {
			t.Errorf("%s %s to %s, %v", r.Method, r.RequestURI, r.Host, h)
		}
		for name, want := range map[string]string{
			"Holdfast-Client-Id": "shop", "Holdfast-Organisation": "acme", "Holdfast-Scope": "payments", "Holdfast-Binding": "mtls",
			"Holdfast-Request-Id": a.Header.Get("Request-Id"), "Authorization": "", "Dpop": "", "X-Forwarded-For": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		e := a.event
		if e.Listener != "gateway" || e.Route != "/payments/" || e.Status != 200 || e.Outcome != "served" || e.ClientID != "shop" || e.Organisation != "acme" ||
			e.CredentialID != "cred-1" || e.Binding != "mtls" || e.Resource != s.URL+"/payments" || e.TokenID != "token-1" || e.RequestID != a.Header.Get("Request-Id") {
			t.Errorf("event %+v", e)
		}
	})
	t.Run("Holdfast-Grant is signed once for a token, for its upstream, and ends with it", func(t *testing.T) {
		s := newStand(t)
		token := s.token(s.client.ToCertificate())
		header := http.Header{"Authorization": {"Bearer " + token}}
		var wg sync.WaitGroup
		c := s.mtlsClient()
		for range 8 {
			wg.Go(func() { s.call(call{client: c, header: header}) })
		}
		wg.Wait()
		s.clock.Advance(time.Minute)
		s.call(call{client: c, header: header})
		first := s.upstream.last().Header.Get("Holdfast-Grant")
		for _, r := range s.upstream.seen {
			if r.Header.Get("Holdfast-Grant") != first {
				t.Fatal("signed again")
			}
		}
		typ, claims := s.claimsOf(first)
		issued := s.clock.Now().Add(-time.Minute)
		want := map[string]any{
			"iss": s.URL, "aud": s.upstream.URL, "client_id": "shop", "organisation": "acme", "scope": "payments", "credential_id": "cred-1",
			"iat": float64(issued.Unix()), "exp": float64(issued.Add(5 * time.Minute).Unix()), "jti": claims["jti"],
		}
		if typ != "holdfast-grant+jwt" || !maps.Equal(claims, want) || len(claims["jti"].(string)) < 20 {
			t.Errorf("%s %v\nwant %v", typ, claims, want)
		}
		s.call(call{client: c})
		if s.upstream.last().Header.Get("Holdfast-Grant") == first {
			t.Error("one grant for two tokens")
		}
	})
	t.Run("a token bound to a key, with a proof, gets the next nonce and the upstream's own is dropped", func(t *testing.T) {
		s := newStand(t)
		s.upstream.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("DPoP-Nonce", "upstream")
			w.WriteHeader(http.StatusEarlyHints) // net/http clears the fields so far
			w.Header().Set("DPoP-Nonce", "upstream")
			w.Header().Set("Request-Id", "upstream")
			w.WriteHeader(201)
		}
		token := s.token(s.client.ToKey())
		a := s.call(call{client: s.Client(t, nil), header: s.dpop(token, "GET", s.URL+"/payments/1", "")})
		nonces := a.Header["Dpop-Nonce"]
		if a.StatusCode != 201 || len(nonces) != 1 || !s.nonces.Check(s.clock.Now(), nonces[0], s.client.Prover.JKT(), time.Time{}) {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
		if len(a.Header["Request-Id"]) != 1 || a.Header.Get("Request-Id") != a.event.RequestID || a.Header.Get("Access-Control-Expose-Headers") != "DPoP-Nonce" {
			t.Errorf("%v", a.Header)
		}
		if h := s.upstream.last().Header; h.Get("Holdfast-Binding") != "dpop" || h.Get("Dpop") != "" || h.Get("Authorization") != "" {
			t.Errorf("upstream saw %v", h)
		}
	})
	t.Run("an upstream's refusal is passed on as served", func(t *testing.T) {
		s := newStand(t)
		s.upstream.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }
		if a := s.call(call{}); a.StatusCode != 404 || a.event.Outcome != "served" {
			t.Errorf("%d %+v", a.StatusCode, a.event)
		}
	})
	t.Run("a token without organisation has no field for it", func(t *testing.T) {
		s := newStand(t)
		token := s.issuer.Token(t, s.issuer.Claims(s.URL+"/payments", "payments", s.client.ToCertificate()).With(verifytest.Claims{"organisation": nil}))
		s.call(call{header: http.Header{"Authorization": {"Bearer " + token}, "Holdfast-Organisation": {"evil"}}})
		if _, ok := s.upstream.last().Header["Holdfast-Organisation"]; ok {
			t.Error("the client's own passed")
		}
	})
	t.Run("attack 30: an answer is passed on as it comes", func(t *testing.T) {
		s := newStand(t)
		release := make(chan struct{})
		s.upstream.answer = func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "first\n")
			_ = http.NewResponseController(w).Flush()
			<-release
		}
		r, err := http.NewRequest("GET", s.URL+"/payments/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.token(s.client.ToCertificate()))
		a, err := s.mtlsClient().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(a.Body).ReadString('\n')
		close(release)
		_ = a.Body.Close()
		if err != nil || line != "first\n" {
			t.Errorf("%q, %v", line, err)
		}
	})
	t.Run("a prefix is taken off where the route says so", func(t *testing.T) {
		s := newStand(t, func(s *stand) { s.config.Routes[0].StripPrefix = "/payments" })
		for target, want := range map[string]string{
			"/payments/": "/", "/payments/a%20b/c?x": "/a%20b/c?x", "/payments/%7Ea": "/%7Ea", "/payments/a,b;c": "/a,b;c",
		} {
			if a := s.call(call{target: target}); a.StatusCode != 200 || s.upstream.last().RequestURI != want {
				t.Errorf("%s: %d, upstream saw %s", target, a.StatusCode, s.upstream.last().RequestURI)
			}
		}
	})
	t.Run("a query is passed on byte for byte, whatever it holds", func(t *testing.T) {
		s := newStand(t)
		for _, query := range []string{strings.Repeat("&", 10_001), "b=%7e&a=1&&b", "=", ""} {
			a := s.call(call{target: "/payments/1?" + query})
			if a.StatusCode != 200 || s.upstream.last().RequestURI != "/payments/1?"+query {
				t.Errorf("%.20s: %d, upstream saw %.30s", query, a.StatusCode, s.upstream.last().RequestURI)
			}
		}
	})
	t.Run("the whole path of a route can be its prefix", func(t *testing.T) {
		s := newStand(t, func(s *stand) { s.config.Routes[0].Path, s.config.Routes[0].StripPrefix = "/payments", "/payments" })
		if a := s.call(call{target: "/payments"}); a.StatusCode != 200 || s.upstream.last().RequestURI != "/" {
			t.Errorf("%d, upstream saw %s", a.StatusCode, s.upstream.last().RequestURI)
		}
	})
}

func TestRefusals(t *testing.T) {
	s := newStand(t)
	own := s.token(s.client.ToCertificate())
	key := s.token(s.client.ToKey())
	with := func(authorization string) http.Header { return http.Header{"Authorization": {authorization}} }
	expired := s.issuer.Token(t, s.issuer.Claims(s.URL+"/payments", "payments", s.client.ToCertificate()).With(verifytest.Claims{"exp": s.clock.Now().Unix()}))
	unbound := s.issuer.Token(t, s.issuer.Claims(s.URL+"/payments", "payments", s.client.ToCertificate()).With(verifytest.Claims{"cnf": nil}))
	for _, tt := range []struct {
		name   string
		call   call
		status int
		reason string
		client string // in the event
	}{
		{"no token", call{bare: true}, 401, "no_credential", ""},
		{"promise 1: a stolen token without its certificate", call{header: with("Bearer " + own), client: s.Client(t, nil)}, 401, "no_client_cert", "shop"},
		{"a stolen token over the thief's certificate", call{header: with("Bearer " + own), client: s.Client(t, &verifytest.NewClient(t, s.clock).Certificate)}, 401, "binding_foreign", "shop"},
		{"a stolen token with a pasted Client-Cert", call{header: http.Header{"Authorization": {"Bearer " + own}, "Client-Cert": {":MIIB:"}}, client: s.Client(t, nil)}, 401, "untrusted_edge", "shop"},
		{"a DPoP-bound token as Bearer", call{header: with("Bearer " + key)}, 401, "wrong_scheme", "shop"},
		{"a DPoP-bound token without proof", call{header: with("DPoP " + key)}, 401, "proof_missing", "shop"},
		{"an expired token", call{header: with("Bearer " + expired)}, 401, "expired", "shop"},
		{"an unbound token", call{header: with("Bearer " + unbound)}, 401, "not_bound", "shop"},
		{"a token for another route", call{target: "/reports/1", header: with("Bearer " + own)}, 401, "wrong_audience", "shop"},
		{"advisory 79: a health check's User-Agent", call{bare: true, header: http.Header{"User-Agent": {"GoogleHC/1.0"}}}, 401, "no_credential", ""},
		{"attack 27: OPTIONS", call{method: "OPTIONS", bare: true}, 401, "no_credential", ""},
		{"advisory 81: two tokens", call{header: http.Header{"Authorization": {"Bearer " + own, "Bearer " + own}}}, 400, "multiple_credentials", ""},
		{"a token in the query", call{target: "/payments/1?access_token=x"}, 400, "query_token", ""},
		{"attack 20: another host", call{host: "other.localhost"}, 421, "misdirected", ""},
		{"a path that no route is for", call{target: "/"}, 404, "no_route", ""},
		{"design: an escaped slash is 400 before routing", call{target: "/nowhere%2fx"}, 400, "path_ambiguous", ""},
		{"a path beside a route's", call{target: "/payments"}, 404, "no_route", ""},
		{"a path that begins like a route's", call{target: "/paymentsx/1"}, 404, "no_route", ""},
		{"attack 24: TRACE", call{method: "TRACE"}, 501, "method_refused", ""},
		{"attack 24: Upgrade to h2c", call{header: http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "HTTP2-Settings": {"AAMAAABkAAQAAP__"}}, client: s.http1()}, 501, "upgrade_refused", ""},
		{"attack 23: Upgrade to websocket", call{header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, client: s.http1()}, 501, "upgrade_refused", ""},
		{"Upgrade without Connection", call{header: http.Header{"Upgrade": {"h2c"}}, client: s.http1()}, 501, "upgrade_refused", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.TB = t
			a := s.call(tt.call)
			e := a.event
			if a.StatusCode != tt.status || e.Reason != tt.reason || e.ClientID != tt.client || e.Status != tt.status || e.Outcome != "refused" {
				t.Errorf("%d %s, event %+v", a.StatusCode, a.body, e)
			}
			if a.StatusCode != 401 || tt.reason != "no_credential" {
				if !strings.HasPrefix(a.body, `{"error":"`) || e.Error == "" {
					t.Errorf("body %q, event's error %q", a.body, e.Error)
				}
			}
			if a.StatusCode == 401 && !strings.Contains(strings.Join(a.Header["Www-Authenticate"], ""), `resource_metadata="`+s.URL+"/.well-known/oauth-protected-resource/") {
				t.Errorf("challenges %q", a.Header["Www-Authenticate"])
			}
		})
	}
	t.Run("the event says what was wrong with a token, in words that hold none of it", func(t *testing.T) {
		s.TB = t
		a := s.call(call{header: with("Bearer " + own[:len(own)-1])})
		if a.event.Reason != "token_malformed" || a.event.Cause == "" || strings.Contains(a.event.Cause, own[:8]) {
			t.Errorf("%+v", a.event)
		}
	})
	t.Run("a token whose scope is too small", func(t *testing.T) {
		s.TB = t
		token := s.issuer.Token(t, s.issuer.Claims(s.URL+"/payments", "payments.read", s.client.ToCertificate()))
		a := s.call(call{header: with("Bearer " + token)})
		if a.StatusCode != 403 || !strings.HasPrefix(a.Header.Get("Www-Authenticate"), `Bearer error="insufficient_scope", scope="payments"`) {
			t.Errorf("%d %v", a.StatusCode, a.Header)
		}
	})
	if n := s.upstream.count(); n != 0 {
		t.Errorf("the upstream was reached %d times", n)
	}
	t.Run("no token, key or proof is in the log", func(t *testing.T) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, secret := range []string{own, key, own[strings.LastIndexByte(own, '.')+1:], "MIIB"} {
			if bytes.Contains(s.log.Bytes(), []byte(secret)) {
				t.Error("found one")
			}
		}
	})
}

// http1 is a client with the certificate that speaks HTTP/1.1.
func (s *stand) http1() *http.Client {
	transport := &http.Transport{TLSClientConfig: s.ClientConfig(&s.client.Certificate)}
	s.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// raw sends bytes over TLS and reads one answer.
func (s *stand) raw(request string) *http.Response {
	s.Helper()
	conn, err := tls.Dial("tcp", s.Addr, s.ClientConfig(&s.client.Certificate))
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, request) // the server may have answered before all was sent
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.Fatal(err)
	}
	_ = a.Body.Close()
	return a
}

func TestFraming(t *testing.T) {
	s := newStand(t)
	auth := "Host: localhost\r\nAuthorization: Bearer " + s.token(s.client.ToCertificate()) + "\r\n"
	for name, tt := range map[string]struct {
		request string
		status  []int
	}{
		"attack 24, advisory 56: CONNECT":                   {"CONNECT localhost:443 HTTP/1.1\r\n" + auth + "\r\n", []int{501}},
		"a target in absolute form":                         {"GET https://localhost/payments/1 HTTP/1.1\r\n" + auth + "\r\n", []int{400}},
		"a target of a star":                                {"OPTIONS * HTTP/1.1\r\n" + auth + "\r\n", []int{400}},
		"a broken escape":                                   {"GET /payments/%zz HTTP/1.1\r\n" + auth + "\r\n", []int{400}},
		"a cut escape":                                      {"GET /payments/%2 HTTP/1.1\r\n" + auth + "\r\n", []int{400}},
		"two slashes at the start":                          {"GET //payments/a HTTP/1.1\r\n" + auth + "\r\n", []int{400}},
		"a backslash":                                       {"GET /payments/..\\admin HTTP/1.1\r\n" + auth + "\r\n", []int{400}},
		"a target that is not ASCII":                        {"GET /payments/\xc0\xae HTTP/1.1\r\n" + auth + "\r\n", []int{400}},
		"advisory 82: Transfer-Encoding and Content-Length": {"POST /payments/1 HTTP/1.1\r\n" + auth + "Content-Length: 4\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", []int{400, 501}},
		"advisory 82: a folded line":                        {"GET /payments/1 HTTP/1.1\r\n" + auth + "X: a\r\n b\r\nHoldfast-Client-Id\r\n\r\n", []int{400}},
		"advisory 72: a space after a field's name":         {"GET /payments/1 HTTP/1.1\r\n" + auth + "Holdfast-Client-Id : x\r\n\r\n", []int{400}},
		"a field's name with a byte beyond ASCII":           {"GET /payments/1 HTTP/1.1\r\n" + auth + "Holdfast\xadClient-Id: x\r\n\r\n", []int{400}},
	} {
		t.Run(name, func(t *testing.T) {
			s.TB = t
			if a := s.raw(tt.request); !slices.Contains(tt.status, a.StatusCode) {
				t.Errorf("status %d", a.StatusCode)
			}
		})
	}
	t.Run("advisory 82: a bare line feed in a chunk", func(t *testing.T) {
		s.TB = t
		a := s.raw("POST /payments/1 HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\n2;\n\r\nab\r\n0\r\n\r\n")
		if a.StatusCode < 400 {
			t.Errorf("status %d", a.StatusCode)
		}
	})
	if n := s.upstream.count(); n != 0 {
		t.Errorf("the upstream was reached %d times", n)
	}
}

func TestHeaders(t *testing.T) {
	t.Run("attack 3, advisories 71 to 76: every spelling of what a client may not say is removed", func(t *testing.T) {
		s := newStand(t)
		forged := http.Header{}
		for _, name := range []string{
			"Holdfast-Client-Id", "holdfast-client-id", "HOLDFAST-CLIENT-ID", "Holdfast_Client_Id", "holdfast_client-id", "X-Holdfast-Client-Id", "X_Holdfast_Client_Id",
			"x-holdfast_grant", "Holdfast-Organisation", "Holdfast-Scope", "Holdfast-Binding", "Holdfast-Grant", "Holdfast-Request-Id", "Holdfast-Anything",
			"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Port", "X_Forwarded_For",
			"Forwarded", "forwarded", "X-Real-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Method-Override", "X_HTTP_Method",
			"Client-Cert", "Client_Cert", "Client-Cert-Chain", "X-Forwarded-Client-Cert", "X-SSL-Client-Cert", "X_SSL_Cert", "ssl-client-cert", "SSL_CLIENT_S_DN", "Dpop_", "Authorization-X",
			"Holdfast.Client.Id", "Holdfast~Client-Id", "Holdfast!Client|Id", "X.Forwarded.For", "X'Real`Ip", "Client.Cert", "X^SSL*Cert", "Remote-User", "REMOTE.USER", "Remote-Addr",
			"X-Envoy-Original-Path", "X-Host", "X-Http-Host-Override", "Proxy", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "X-Cluster-Client-Ip",
		} {
			forged[name] = []string{"evil", "evil"}
		}
		a := s.call(call{header: forged, client: s.http1()})
		if a.StatusCode != 200 {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		for name, values := range s.upstream.last().Header {
			if slices.Contains(values, "evil") {
				t.Errorf("%s passed", name)
			}
			if strings.HasPrefix(name, "Holdfast-") && len(values) != 1 {
				t.Errorf("%s is there %d times", name, len(values))
			}
		}
	})
	t.Run("advisory 73, attack 4: Connection cannot name our fields away", func(t *testing.T) {
		s := newStand(t)
		a := s.call(call{client: s.http1(), header: http.Header{
			"Connection": {"Holdfast-Client-Id, holdfast-grant, close", "Holdfast-Binding"}, "Holdfast-Client-Id": {"evil"},
		}})
		h := s.upstream.last().Header
		if a.StatusCode != 200 || h.Get("Holdfast-Client-Id") != "shop" || h.Get("Holdfast-Grant") == "" || h.Get("Holdfast-Binding") != "mtls" {
			t.Errorf("%d, upstream saw %v", a.StatusCode, h)
		}
	})
	t.Run("a trailer of the client's is not passed on", func(t *testing.T) {
		s := newStand(t)
		r, err := http.NewRequest("POST", s.URL+"/payments/1", io.NopCloser(strings.NewReader("body")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.token(s.client.ToCertificate()))
		r.Trailer = http.Header{"Holdfast-Client-Id": {"evil"}, "X-Own": {"1"}}
		a, err := s.http1().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Body.Close()
		if got := s.upstream.last().Trailer; len(got) != 0 {
			t.Errorf("the upstream saw %v", got)
		}
	})
}

func TestPaths(t *testing.T) {
	s := newStand(t, func(s *stand) {
		other := s.config.Routes[1]
		other.Path, other.Resource, other.AllowEncodedPaths = "/open/", s.URL+"/payments", true
		other.Scopes = []string{"payments"}
		whole := s.config.Routes[0]
		whole.Path, whole.AllowEncodedPaths = "/", true
		exact := s.config.Routes[0]
		exact.Path = "/payments/Status"
		s.config.Routes = append(s.config.Routes, other, whole, exact)
	})
	for target, want := range map[string]int{
		"/payments/1": 200, "/payments/": 200, "/payments/a/b/": 200, "/payments/...": 200, "/payments/.a": 200, "/payments/a..": 200, "/payments/..a": 200,
		"/payments/%2e%2e%2e": 200, "/payments/a;b=c": 200, "/payments/%E2%82%AC": 200, "/payments/a%20b": 200, "/payments/a:b@c!$&'()*+,=~": 200,
		"/payments/.": 400, "/payments/..": 400, "/payments/./a": 400, "/payments/../reports/1": 400, "/payments/..;/reports/1": 400, "/payments/.;a": 400,
		"/payments/%2e": 400, "/payments/%2E%2e/x": 400, "/payments/.%2e/x": 400, "/payments/%2e./x": 400, "/payments/..%3b/x": 400, "/payments/%2e%2e;x=y/z": 400,
		"/..": 400, "/.": 400, "/payments/..?a": 400,
		"/payments/a%2fb": 400, "/payments/a%2Fb": 400, "/payments/a%5cb": 400, "/payments/a%5Cb": 400, "/payments//a": 400, "/payments/a//": 400,
		"/payments/a%00": 400, "/payments/a|b": 400, "/payments/[a]": 400, "/payments/a\"b": 400,
		"/payments/1?a=1;b=2": 400, "/payments/1?a=%": 400, "/payments/1?a=%2": 400, "/payments/1?a=%zz": 400, "/payments/1?a=%2F&b=%00&c=../..": 200, "/payments/1?": 200, "/payments/1?a=?/": 200,
		"/payments/1?%zz=1": 400,
		// opted in: escaped slashes and empty segments, never dots
		"/open/a%2fb": 200, "/open/a%5Cb": 200, "/open/a//b": 200, "/open/a/": 200, "/open/a%2f..": 400, "/open/..%2fa": 400, "/open/a%5c..%5cb": 400, "/open/%2e%2e%2fa": 400, "/open/a%2f%00": 400,
		// readings that belong to another route
		"/x": 200, "/%6fpen/x": 400, "/OPEN/x": 400, "/open;a/x": 400, "/x%2fy": 200, "/open%2fx": 400, "/%2fopen/x": 400, "/open%3ba/x": 400, "/OPEN%5cx": 400,
		"/payments/Status": 200, "/payments/status": 400, "/payments/Statu%73": 400, "/payments/Status;a": 400, "/payments/Status/": 200,
	} {
		t.Run(target, func(t *testing.T) {
			s.TB = t
			before := s.upstream.count()
			a := s.call(call{target: target, client: s.http1()})
			if a.StatusCode != want {
				t.Fatalf("%d, want %d (%s)", a.StatusCode, want, a.event.Reason)
			}
			if want == 200 {
				if got := s.upstream.last().RequestURI; got != target {
					t.Errorf("advisory 77: the upstream saw %q", got)
				}
			} else if s.upstream.count() != before || a.event.Reason != "path_ambiguous" && a.event.Reason != "query_ambiguous" && a.event.Reason != "" {
				t.Errorf("reached, or reason %q", a.event.Reason)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Run("the longest path decides, then the method; a method that no route has is 405", func(t *testing.T) {
		s := newStand(t, func(s *stand) {
			read, write := s.config.Routes[0], s.config.Routes[0]
			read.Path, read.Methods = "/payments/x/", []string{"GET", "HEAD"}
			write.Path, write.Methods, write.Scopes = "/payments/x/", []string{"POST"}, []string{"payments.write"}
			s.config.Routes = append(s.config.Routes, read, write)
		})
		for _, tt := range []struct {
			method, target string
			want           int
		}{{"GET", "/payments/x/1", 200}, {"POST", "/payments/x/1", 403}, {"DELETE", "/payments/x/1", 405}, {"get", "/payments/x/1", 405}, {"DELETE", "/payments/1", 200}, {"POST", "/payments/x", 200}} {
			a := s.call(call{method: tt.method, target: tt.target})
			if a.StatusCode != tt.want || tt.want == 405 && (a.Header.Get("Allow") != "GET, HEAD, POST" || a.event.Reason != "wrong_method") {
				t.Errorf("%s %s: %d, want %d; %v", tt.method, tt.target, a.StatusCode, tt.want, a.Header)
			}
		}
	})
	t.Run("advisory 78: many routes, in any order, the same verdict", func(t *testing.T) {
		s := newStand(t, func(s *stand) {
			for i := range 200 {
				r := s.config.Routes[1]
				r.Path = "/r" + strconv.Itoa(i) + "/"
				s.config.Routes = append(s.config.Routes, r)
			}
		})
		for i := range 200 {
			n := strconv.Itoa(i)
			if a := s.call(call{target: "/r" + n + "/x"}); a.event.Route != "/r"+n+"/" || a.event.Reason != "wrong_audience" {
				t.Errorf("%s: %+v", n, a.event)
			}
			if a := s.call(call{target: "/R" + n + "/x"}); a.StatusCode != 400 {
				t.Errorf("/R%s/x: %d", n, a.StatusCode)
			}
		}
	})
}

func TestDocuments(t *testing.T) {
	s := newStand(t)
	anyone := s.Client(t, nil)
	t.Run("the keys of Holdfast-Grant", func(t *testing.T) {
		s.TB = t
		a := s.call(call{client: anyone, bare: true, target: "/.well-known/jwks.json"})
		keys, err := jose.ParseJWKSet([]byte(a.body), 10)
		if a.StatusCode != 200 || err != nil || len(keys) != 1 || keys[0].KeyID() != "gateway-1" ||
			a.Header.Get("Cache-Control") != "max-age=300" || a.Header.Get("Content-Type") != "application/jwk-set+json" {
			t.Errorf("%d %v %v %s", a.StatusCode, err, a.Header, a.body)
		}
		if a.event.Route != "/.well-known/jwks.json" {
			t.Errorf("%+v", a.event)
		}
	})
	t.Run("RFC 9728: the document that the challenge names", func(t *testing.T) {
		s.TB = t
		for _, path := range []string{"/payments/1", "/reports/1"} {
			challenge := s.call(call{client: anyone, bare: true, target: path}).Header.Get("Www-Authenticate")
			_, url, _ := strings.Cut(challenge, `resource_metadata="`)
			a := s.call(call{client: anyone, bare: true, target: strings.TrimPrefix(strings.TrimSuffix(url, `"`), s.URL)})
			var d struct {
				Resource             string   `json:"resource"`
				AuthorizationServers []string `json:"authorization_servers"`
			}
			if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.StatusCode != 200 || d.Resource != s.URL+path[:len(path)-2] || !slices.Equal(d.AuthorizationServers, []string{issuerURL}) {
				t.Errorf("%s: %d %s", challenge, a.StatusCode, a.body)
			}
		}
	})
	t.Run("only GET and HEAD, and nothing else is open", func(t *testing.T) {
		s.TB = t
		for _, tt := range []struct {
			method, target string
			want           int
		}{
			{"HEAD", "/.well-known/jwks.json", 200}, {"POST", "/.well-known/jwks.json", 405}, {"DELETE", "/.well-known/oauth-protected-resource/payments", 405},
			{"GET", "/.well-known/oauth-protected-resource", 404}, {"GET", "/.well-known/jwks.json/", 404}, {"GET", "/.well-known/", 404},
			{"GET", "/.well-known/../payments/1", 400}, {"GET", "/.well-known/acme-challenge/x", 404},
		} {
			a := s.call(call{client: anyone, bare: true, method: tt.method, target: tt.target})
			if a.StatusCode != tt.want || tt.want == 405 && a.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", tt.method, tt.target, a.StatusCode)
			}
		}
		if a := s.call(call{client: anyone, bare: true, host: "other.localhost", target: "/.well-known/jwks.json"}); a.StatusCode != 421 {
			t.Errorf("another host: %d", a.StatusCode)
		}
	})
}

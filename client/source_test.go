package client_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

func TestToken(t *testing.T) {
	t.Run("private_key_jwt with DPoP", func(t *testing.T) {
		w := newWorld(t)
		got, err := w.source(w.config()).Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.Type != "DPoP" || got.Scope != "payments" || w.tokens[got.Value] == "" {
			t.Errorf("got %v", got)
		}
		form := w.requests[0].Form
		if form.Get("grant_type") != "client_credentials" || form.Get("resource") != "https://api.example.com/payments" || w.requests[0].Host != strings.TrimPrefix(w.public.URL, "https://") {
			t.Errorf("asked with %v", form)
		}
	})
	t.Run("RFC 8705 §5: with a certificate the alias is asked, with its proof for the alias", func(t *testing.T) {
		w := newWorld(t)
		c := w.config()
		c.Credentials.Certificate = w.clientCertificate()
		got, err := w.source(c).Token(t.Context())
		if err != nil || got.Type != "DPoP" {
			t.Fatal(got, err)
		}
		if w.requests[0].Host != strings.TrimPrefix(w.mtls.URL, "https://") {
			t.Errorf("asked %s", w.requests[0].Host)
		}
	})
	t.Run("a certificate alone authenticates and binds", func(t *testing.T) {
		w := newWorld(t)
		c := w.config()
		c.Credentials = client.Credentials{ClientID: "acme", Certificate: w.clientCertificate()}
		c.Scope, c.Resource = "", ""
		got, err := w.source(c).Token(t.Context())
		if err != nil || got.Type != "Bearer" {
			t.Fatal(got, err)
		}
		form := w.requests[0].Form
		if len(form) != 2 || w.tokens[got.Value] == "" {
			t.Errorf("asked with %v", form)
		}
	})
	t.Run("a server without aliases is asked at its token endpoint", func(t *testing.T) {
		w := newWorld(t)
		w.metadata = func(m map[string]any) { delete(m, "mtls_endpoint_aliases") }
		c := w.config()
		c.Credentials.Certificate = w.clientCertificate()
		if _, err := w.source(c).Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.requests[0].Host != strings.TrimPrefix(w.public.URL, "https://") {
			t.Errorf("asked %s", w.requests[0].Host)
		}
	})
	t.Run("RFC 9449 §8: a demand for a nonce is met once, with a fresh assertion, and the nonce is kept", func(t *testing.T) {
		w := newWorld(t)
		w.nonce = "n-1"
		s := w.source(w.config())
		first, err := s.Token(t.Context())
		if err != nil || w.countRequests() != 2 {
			t.Fatal(w.countRequests(), err)
		}
		s.Forget(first.Value)
		if _, err := s.Token(t.Context()); err != nil || w.countRequests() != 3 {
			t.Fatal(w.countRequests(), err)
		}
	})
	t.Run("a server that goes on demanding is refused", func(t *testing.T) {
		w := newWorld(t)
		w.answer = func(rw http.ResponseWriter) bool {
			rw.Header().Set("DPoP-Nonce", rand.Text())
			refuse(rw, 400, "use_dpop_nonce")
			return true
		}
		var refusal *client.Error
		if _, err := w.source(w.config()).Token(t.Context()); !errors.As(err, &refusal) || refusal.Code != "use_dpop_nonce" || w.countRequests() != 2 {
			t.Errorf("%d requests, %v", w.countRequests(), err)
		}
	})
	t.Run("a demand without a nonce is not repeated", func(t *testing.T) {
		w := newWorld(t)
		w.answer = func(rw http.ResponseWriter) bool { refuse(rw, 400, "use_dpop_nonce"); return true }
		if _, err := w.source(w.config()).Token(t.Context()); err == nil || w.countRequests() != 1 {
			t.Errorf("%d requests, %v", w.countRequests(), err)
		}
	})
	t.Run("a refusal is an *Error and says what the server said", func(t *testing.T) {
		w := newWorld(t)
		c := w.config()
		c.Credentials.ClientID = "stranger"
		_, err := w.source(c).Token(t.Context())
		var refusal *client.Error
		if !errors.As(err, &refusal) || refusal.Status != 401 || refusal.Code != "invalid_client" || refusal.Description != "because" {
			t.Errorf("got %v", err)
		}
		if got := err.Error(); got != `authorization server answers 401 "invalid_client": "because"` {
			t.Errorf("words: %s", got)
		}
	})
}

func TestTokenLife(t *testing.T) {
	t.Run("a token is kept for half its life", func(t *testing.T) {
		w := newWorld(t)
		s := w.source(w.config())
		first := must(t, s)
		w.pass(140 * time.Second)
		if must(t, s) != first || w.countRequests() != 1 {
			t.Error("asked too early")
		}
		w.pass(20 * time.Second)
		if must(t, s) == first || w.countRequests() != 2 {
			t.Error("not renewed")
		}
	})
	t.Run("while the server cannot be reached the old token serves, and the server is left alone for a while", func(t *testing.T) {
		w := newWorld(t)
		s := w.source(w.config())
		first := must(t, s)
		w.pass(160 * time.Second)
		w.do(func() { w.answer = func(rw http.ResponseWriter) bool { rw.WriteHeader(503); return true } })
		for range 3 {
			if must(t, s) != first {
				t.Error("another token")
			}
		}
		if n := w.countRequests(); n != 2 {
			t.Errorf("%d requests", n)
		}
		w.pass(6 * time.Second)
		if must(t, s) != first || w.countRequests() != 3 {
			t.Error("not asked again")
		}
		w.pass(130 * time.Second) // 296 s
		var refusal *client.Error
		if _, err := s.Token(t.Context()); !errors.As(err, &refusal) || refusal.Status != 503 {
			t.Errorf("a token at its end was used: %v", err)
		}
		w.do(func() { w.answer = nil })
		if must(t, s) == first {
			t.Error("the old token")
		}
	})
	t.Run("a refusal is not covered up with the old token", func(t *testing.T) {
		w := newWorld(t)
		s := w.source(w.config())
		must(t, s)
		w.pass(160 * time.Second)
		w.do(func() {
			w.answer = func(rw http.ResponseWriter) bool { refuse(rw, 401, "invalid_client"); return true }
		})
		var refusal *client.Error
		if _, err := s.Token(t.Context()); !errors.As(err, &refusal) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an unusable answer is not covered up either", func(t *testing.T) {
		w := newWorld(t)
		s := w.source(w.config())
		must(t, s)
		w.pass(160 * time.Second)
		w.do(func() { w.answer = func(rw http.ResponseWriter) bool { rw.Write([]byte("{}")); return true } })
		if _, err := s.Token(t.Context()); !errors.Is(err, client.ErrAnswer) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("many callers at once ask once", func(t *testing.T) {
		w := newWorld(t)
		s := w.source(w.config())
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if _, err := s.Token(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := w.countRequests(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("while one caller renews, the others do not wait", func(t *testing.T) {
		w := newWorld(t)
		s := w.source(w.config())
		first := must(t, s)
		w.pass(160 * time.Second)
		asked, goOn := make(chan struct{}), make(chan struct{})
		w.do(func() { w.answer = func(http.ResponseWriter) bool { close(asked); <-goOn; return false } })
		renewed := make(chan client.Token)
		go func() { got, _ := s.Token(context.Background()); renewed <- got }()
		<-asked
		if must(t, s) != first {
			t.Error("not the old token")
		}
		close(goOn)
		if next := <-renewed; next == first || must(t, s) != next {
			t.Error("not renewed")
		}
	})
	t.Run("a caller that gives up does not wait for another's token", func(t *testing.T) {
		w := newWorld(t)
		s := w.source(w.config())
		asked, goOn := make(chan struct{}), make(chan struct{})
		w.answer = func(http.ResponseWriter) bool { close(asked); <-goOn; return false }
		done := make(chan error)
		go func() { _, err := s.Token(context.Background()); done <- err }()
		<-asked
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Token(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(goOn)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("a token that was refused is forgotten, another is not", func(t *testing.T) {
		w := newWorld(t)
		s := w.source(w.config())
		first := must(t, s)
		s.Forget("another")
		if must(t, s) != first {
			t.Error("forgotten")
		}
		s.Forget(first.Value)
		if must(t, s) == first {
			t.Error("kept")
		}
	})
}

func must(t *testing.T, s *client.Source) client.Token {
	t.Helper()
	token, err := s.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAnswer(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct{ name, body string }{
		{"nothing", ``},
		{"no object", `[]`},
		{"no token", `{"token_type":"DPoP","expires_in":300}`},
		{"an empty token", `{"access_token":"","token_type":"DPoP","expires_in":300}`},
		{"a token with a line break", `{"access_token":"a\r\nb","token_type":"DPoP","expires_in":300}`},
		{"a token of 9 KiB", `{"access_token":"` + strings.Repeat("a", 9<<10) + `","token_type":"DPoP","expires_in":300}`},
		{"a token twice", `{"access_token":"a","access_token":"b","token_type":"DPoP","expires_in":300}`},
		{"RFC 9449 §5: a Bearer token, which is not bound", `{"access_token":"a","token_type":"Bearer","expires_in":300}`},
		{"no type", `{"access_token":"a","expires_in":300}`},
		{"no expiry", `{"access_token":"a","token_type":"DPoP"}`},
		{"an expiry as text", `{"access_token":"a","token_type":"DPoP","expires_in":"300"}`},
		{"an expiry that has passed", `{"access_token":"a","token_type":"DPoP","expires_in":-1}`},
		{"an expiry of two days", `{"access_token":"a","token_type":"DPoP","expires_in":172800}`},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			a := &client.Answer{Status: 200, Body: []byte(c.body)}
			if got, err := a.Token(now, "DPoP"); !errors.Is(err, client.ErrAnswer) || got != (client.Token{}) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	t.Run("a token's life is counted from before it was asked for", func(t *testing.T) {
		a := &client.Answer{Status: 200, Body: []byte(`{"access_token":"eyJ.a-_~+/=","token_type":"dpop","expires_in":300,"scope":"a b","x":{}}`)}
		got, err := a.Token(now, "DPoP")
		if err != nil || got.Type != "DPoP" || got.Scope != "a b" || !got.Expires.Equal(now.Add(300*time.Second)) {
			t.Errorf("got %v, %v", got, err)
		}
		for _, shown := range []string{fmt.Sprint(got), fmt.Sprintf("%+v %#v", got, got)} {
			if strings.Contains(shown, "eyJ") {
				t.Errorf("shown: %s", shown)
			}
		}
	})
	t.Run("a refusal without an OAuth body is its status", func(t *testing.T) {
		for _, body := range []string{"", "<html>", `{"error":5}`, `{"error":"a","error":"b"}`} {
			_, err := (&client.Answer{Status: 502, Body: []byte(body), Header: http.Header{"Retry-After": {"7"}}}).Token(now, "DPoP")
			var refusal *client.Error
			if !errors.As(err, &refusal) || *refusal != (client.Error{Status: 502, RetryAfter: 7 * time.Second}) || err.Error() != "authorization server answers 502" {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("a code without description", func(t *testing.T) {
		err := &client.Error{Status: 400, Code: "invalid_scope\n"}
		if got := err.Error(); got != `authorization server answers 400 "invalid_scope\n"` {
			t.Errorf("words: %s", got)
		}
	})
	t.Run("a nonce that comes twice or is endless is none", func(t *testing.T) {
		for _, values := range [][]string{{"a", "b"}, {strings.Repeat("a", 257)}, nil} {
			if got := (&client.Answer{Header: http.Header{"Dpop-Nonce": values}}).Nonce(); got != "" {
				t.Errorf("got %q", got)
			}
		}
	})
}

func TestRequest(t *testing.T) {
	w := newWorld(t)
	s := w.source(w.config())
	httpClient, err := client.NewHTTP(w.roots, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer httpClient.CloseIdleConnections()
	t.Run("a kept request can be sent again, byte for byte, which a server refuses", func(t *testing.T) {
		request, err := s.Request()
		if err != nil {
			t.Fatal(err)
		}
		first, err := request.Send(t.Context(), httpClient)
		if err != nil || first.Status != 200 {
			t.Fatal(first, err)
		}
		second, err := request.Send(t.Context(), httpClient)
		if err != nil || second.Status != 400 || !bytes.Contains(second.Body, []byte("invalid_dpop_proof")) {
			t.Errorf("got %+v, %v", second, err)
		}
		request.Proof = ""
		third, err := request.Send(t.Context(), httpClient)
		if err != nil || third.Status != 401 || !bytes.Contains(third.Body, []byte("invalid_client")) {
			t.Errorf("got %+v, %v", third, err)
		}
	})
	t.Run("not over http", func(t *testing.T) {
		if _, err := (client.Request{Endpoint: "http://localhost/token"}).Send(t.Context(), httpClient); !errors.Is(err, client.ErrInsecure) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not where a redirect points", func(t *testing.T) {
		w.do(func() {
			w.answer = func(rw http.ResponseWriter) bool {
				rw.Header().Set("Location", w.mtls.URL+"/token")
				rw.WriteHeader(307)
				return true
			}
		})
		defer w.do(func() { w.answer = nil })
		before := w.countRequests()
		request, err := s.Request()
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := request.Send(t.Context(), httpClient); err != nil || answer.Status != 307 || w.countRequests() != before+1 {
			t.Errorf("got %+v, %v", answer, err)
		}
	})
	t.Run("an endless answer is refused", func(t *testing.T) {
		w.do(func() {
			w.answer = func(rw http.ResponseWriter) bool { rw.Write(bytes.Repeat([]byte("x"), 65<<10)); return true }
		})
		defer w.do(func() { w.answer = nil })
		if _, err := s.Token(t.Context()); !errors.Is(err, client.ErrAnswer) {
			t.Errorf("got %v", err)
		}
	})
}

func TestNewAssertion(t *testing.T) {
	key := newKey(t)
	signer, err := client.NewSigner(key, "ES256", "k1")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1700000000, 0)
	t.Run("RFC 7523 §3: its claims", func(t *testing.T) {
		raw, err := client.NewAssertion(now, bytes.NewReader(make([]byte, 16)), signer, `ac"me`, "https://as.example.com")
		if err != nil {
			t.Fatal(err)
		}
		m, err := jose.Parse(raw, 4<<10)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Verify(signer.Public()); err != nil || m.Header.KeyID != "k1" || m.Header.Type != "client-authentication+jwt" {
			t.Errorf("header %+v, %v", m.Header, err)
		}
		want := `{"iss":"ac\"me","sub":"ac\"me","aud":"https://as.example.com","jti":"AAAAAAAAAAAAAAAAAAAAAA","iat":1700000000,"exp":1700000060}`
		if string(m.Payload) != want {
			t.Errorf("got %s", m.Payload)
		}
	})
	t.Run("without randomness there is none", func(t *testing.T) {
		if raw, err := client.NewAssertion(now, bytes.NewReader(nil), signer, "acme", "https://as.example.com"); err == nil || raw != "" {
			t.Errorf("got %q, %v", raw, err)
		}
	})
}

func TestNewSource(t *testing.T) {
	w := newWorld(t)
	good := w.config()
	for name, change := range map[string]func(c *client.Config){
		"no client_id":                           func(c *client.Config) { c.Credentials.ClientID = "" },
		"nothing to authenticate with":           func(c *client.Config) { c.Credentials.Assertion = nil },
		"promise 1: nothing to bind a token to":  func(c *client.Config) { c.Credentials.DPoP = nil },
		"the metadata of another issuer":         func(c *client.Config) { c.Issuer = "https://other.example.com" },
		"no issuer":                              func(c *client.Config) { c.Issuer = "" },
		"a client without any way to show a key": func(c *client.Config) { c.Credentials = client.Credentials{ClientID: "acme"} },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			change(&c)
			if _, err := client.NewSource(c, client.Metadata{Issuer: w.public.URL, Endpoints: client.Endpoints{TokenEndpoint: w.public.URL + "/token"}}, http.DefaultClient); err == nil {
				t.Error("accepted")
			}
			if _, err := client.New(t.Context(), c); err == nil {
				t.Error("New accepted")
			}
		})
	}
	t.Run("metadata without an issuer are nobody's", func(t *testing.T) {
		c := good
		c.Issuer = ""
		if _, err := client.NewSource(c, client.Metadata{}, http.DefaultClient); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("New needs roots", func(t *testing.T) {
		c := good
		c.Roots = nil
		if _, err := client.New(t.Context(), c); err == nil {
			t.Error("accepted")
		}
	})
}

// TestTraceTellsNoSecret plays a whole exchange and looks for what went over the wire.
func TestTraceTellsNoSecret(t *testing.T) {
	w := newWorld(t)
	w.nonce, w.apiNonce = "nonce-of-the-server", "nonce-of-the-api"
	c := w.config()
	var mu sync.Mutex
	var told strings.Builder
	steps := map[string]bool{}
	c.Trace = func(step, detail string) {
		mu.Lock()
		defer mu.Unlock()
		steps[step] = true
		told.WriteString(step + ": " + detail + "\n")
	}
	if status, body := get(t, w.newClient(c), w.public.URL+"/api/a?secret=in-the-query"); status != 200 || body != "served" {
		t.Fatal(status, body)
	}
	for _, step := range []string{"discovery", "assertion", "proof", "token", "call"} {
		if !steps[step] {
			t.Errorf("step %s was not told", step)
		}
	}
	secrets := []string{"nonce-of-the-server", "nonce-of-the-api", "in-the-query"}
	for token := range w.tokens {
		secrets = append(secrets, token, hash(token))
	}
	for _, r := range w.requests {
		secrets = append(secrets, r.Form.Get("client_assertion"), r.Header.Get("DPoP"))
	}
	for jti := range w.used {
		secrets = append(secrets, jti[1:])
	}
	for _, secret := range secrets {
		if strings.Contains(told.String(), secret) {
			t.Errorf("told: %s", secret)
		}
	}
	if !strings.Contains(told.String(), "alg ES256, kid "+c.Credentials.Assertion.Public().KeyID()+", aud "+w.public.URL+", exp in 60 s") {
		t.Errorf("told:\n%s", &told)
	}
}

func BenchmarkRequest(b *testing.B) {
	w := newWorld(b)
	s := w.source(w.config())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Request(); err != nil {
			b.Fatal(err)
		}
	}
}

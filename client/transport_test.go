package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/client"
)

func TestTransport(t *testing.T) {
	t.Run("a DPoP-bound token and a proof for the very request", func(t *testing.T) {
		w := newWorld(t)
		api := w.newClient(w.config())
		for _, path := range []string{"/api/", "/api/a%2Fb?x=1#f", "/api/ü"} {
			if status, body := get(t, api, w.public.URL+path); status != 200 || body != "served" {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		if n := w.countRequests(); n != 1 {
			t.Errorf("%d token requests", n)
		}
	})
	t.Run("a certificate-bound token over the connection of its certificate", func(t *testing.T) {
		w := newWorld(t)
		c := w.config()
		c.Credentials = client.Credentials{ClientID: "acme", Certificate: w.clientCertificate()}
		if status, body := get(t, w.newClient(c), w.mtls.URL+"/api/a"); status != 200 || body != "served" {
			t.Errorf("%d %s", status, body)
		}
	})
	t.Run("the caller's request stays as it was, and cannot bring credentials of its own", func(t *testing.T) {
		w := newWorld(t)
		r, err := http.NewRequest("GET", w.public.URL+"/api/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = []string{"Basic x"}
		r.Header["Dpop"] = []string{"a", "b"}
		answer, err := w.newClient(w.config()).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 200 || r.Header.Get("Authorization") != "Basic x" || len(r.Header["Dpop"]) != 2 {
			t.Errorf("%d, %v", answer.StatusCode, r.Header)
		}
	})
	t.Run("a mTLS client's own DPoP field is not sent", func(t *testing.T) {
		w := newWorld(t)
		c := w.config()
		c.Credentials = client.Credentials{ClientID: "acme", Certificate: w.clientCertificate()}
		w.apiAnswer = func(rw http.ResponseWriter, r *http.Request) bool {
			if len(r.Header["Dpop"]) != 0 {
				t.Error("sent")
			}
			return false
		}
		r, err := http.NewRequest("GET", w.mtls.URL+"/api/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("DPoP", "x")
		answer, err := w.newClient(c).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	})
}

func TestTransportNonce(t *testing.T) {
	post := func(t *testing.T, api *http.Client, target string, body io.Reader) (*http.Response, error) {
		t.Helper()
		answer, err := api.Post(target, "text/plain", body)
		if err == nil {
			answer.Body.Close()
		}
		return answer, err
	}
	t.Run("RFC 9449 §9: a demand is met once, with the body again, and the nonce is kept for the origin", func(t *testing.T) {
		w := newWorld(t)
		w.apiNonce = "n-1"
		asked := 0
		w.apiAnswer = func(http.ResponseWriter, *http.Request) bool { asked++; return false }
		api := w.newClient(w.config())
		for range 2 {
			if answer, err := post(t, api, w.public.URL+"/api/a", strings.NewReader("hello")); err != nil || answer.StatusCode != 200 {
				t.Fatal(answer, err)
			}
		}
		if want := []string{"POST /api/a hello", "POST /api/a hello"}; !slices.Equal(w.calls, want) || asked != 3 {
			t.Errorf("%d requests, served %q", asked, w.calls)
		}
		// The other listener is another origin.
		if status, _ := get(t, api, w.mtls.URL+"/api/a"); status != 200 || asked != 5 {
			t.Errorf("status %d, %d requests", status, asked)
		}
	})
	t.Run("a nonce that comes with 200 is used next", func(t *testing.T) {
		w := newWorld(t)
		api := w.newClient(w.config())
		w.apiAnswer = func(rw http.ResponseWriter, _ *http.Request) bool { rw.Header().Set("DPoP-Nonce", "n-2"); return false }
		get(t, api, w.public.URL+"/api/a")
		asked := 0
		w.do(func() {
			w.apiNonce = "n-2"
			w.apiAnswer = func(http.ResponseWriter, *http.Request) bool { asked++; return false }
		})
		if status, _ := get(t, api, w.public.URL+"/api/a"); status != 200 || asked != 1 {
			t.Errorf("status %d, %d requests", status, asked)
		}
	})
	t.Run("a body that cannot be sent again is not: the 401 is the caller's", func(t *testing.T) {
		w := newWorld(t)
		w.apiNonce = "n-1"
		answer, err := post(t, w.newClient(w.config()), w.public.URL+"/api/a", io.MultiReader(strings.NewReader("once")))
		if err != nil || answer.StatusCode != 401 || len(w.calls) != 0 {
			t.Errorf("got %v, %v, %q", answer, err, w.calls)
		}
	})
	t.Run("an API that goes on demanding is answered twice and no more", func(t *testing.T) {
		w := newWorld(t)
		asked := 0
		w.apiAnswer = func(rw http.ResponseWriter, _ *http.Request) bool {
			asked++
			rw.Header().Set("DPoP-Nonce", strings.Repeat("n", asked))
			rw.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			rw.WriteHeader(401)
			return true
		}
		if status, _ := get(t, w.newClient(w.config()), w.public.URL+"/api/a"); status != 401 || asked != 2 {
			t.Errorf("status %d, %d requests", status, asked)
		}
	})
	for name, header := range map[string]http.Header{
		"without a nonce":   {"Www-Authenticate": {`DPoP error="use_dpop_nonce"`}},
		"another 401":       {"Www-Authenticate": {`DPoP error="invalid_dpop_proof"`}, "Dpop-Nonce": {"n"}},
		"without challenge": {"Dpop-Nonce": {"n"}},
	} {
		t.Run("a demand "+name+" is not repeated", func(t *testing.T) {
			w := newWorld(t)
			asked := 0
			w.apiAnswer = func(rw http.ResponseWriter, _ *http.Request) bool {
				asked++
				for k, v := range header {
					rw.Header()[k] = v
				}
				rw.WriteHeader(401)
				return true
			}
			if status, _ := get(t, w.newClient(w.config()), w.public.URL+"/api/a"); status != 401 || asked != 1 {
				t.Errorf("status %d, %d requests", status, asked)
			}
		})
	}
	t.Run("nonces are bounded", func(t *testing.T) {
		w := newWorld(t)
		transport := client.NewTransport(w.source(w.config()))
		for i := range 3 * client.MaxOrigins {
			client.KeepNonce(transport, "https://h"+strings.Repeat("x", i), "n")
		}
		if n := client.CountNonces(transport); n > client.MaxOrigins {
			t.Errorf("%d nonces", n)
		}
	})
}

func TestTransportRefusals(t *testing.T) {
	t.Run("a token is never sent over http", func(t *testing.T) {
		w := newWorld(t)
		plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
		defer plain.Close()
		body := &closed{Reader: strings.NewReader("x")}
		_, err := w.newClient(w.config()).Post(plain.URL, "text/plain", body)
		if !errors.Is(err, client.ErrInsecure) || !body.closed || w.countRequests() != 0 {
			t.Errorf("got %v, body closed %v, %d token requests", err, body.closed, w.countRequests())
		}
	})
	t.Run("a redirect within the origin is followed with a proof of its own", func(t *testing.T) {
		w := newWorld(t)
		w.apiAnswer = func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/api/old" {
				http.Redirect(rw, r, strings.Replace(w.public.URL, "localhost", "LOCALHOST", 1)+"/api/new", http.StatusTemporaryRedirect)
				return true
			}
			return false
		}
		if status, body := get(t, w.newClient(w.config()), w.public.URL+"/api/old"); status != 200 || body != "served" {
			t.Errorf("%d %s", status, body)
		}
	})
	for name, to := range map[string]func(w *world) string{
		"another host": func(w *world) string { return strings.Replace(w.public.URL, "localhost", "127.0.0.1", 1) + "/api/new" },
		"another port": func(w *world) string { return w.mtls.URL + "/api/new" },
	} {
		t.Run("a token is never sent to "+name+" that a redirect names", func(t *testing.T) {
			w := newWorld(t)
			reached := false
			w.apiAnswer = func(rw http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/api/old" {
					http.Redirect(rw, r, to(w), http.StatusTemporaryRedirect)
					return true
				}
				reached = true
				return false
			}
			if _, err := w.newClient(w.config()).Get(w.public.URL + "/api/old"); !errors.Is(err, client.ErrRedirected) || reached {
				t.Errorf("got %v, reached %v", err, reached)
			}
		})
	}
	t.Run("nor to http", func(t *testing.T) {
		w := newWorld(t)
		w.apiAnswer = func(rw http.ResponseWriter, r *http.Request) bool {
			http.Redirect(rw, r, strings.Replace(w.public.URL, "https", "http", 1)+"/api/new", http.StatusFound)
			return true
		}
		if _, err := w.newClient(w.config()).Get(w.public.URL + "/api/old"); !errors.Is(err, client.ErrInsecure) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a redirect of unknown origin is not followed", func(t *testing.T) {
		w := newWorld(t)
		r := httptest.NewRequest("GET", w.public.URL+"/api/a", nil)
		r.Response = &http.Response{}
		if _, err := client.NewTransport(w.source(w.config())).RoundTrip(r); !errors.Is(err, client.ErrRedirected) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("without a token nothing is sent, and the reason is the server's", func(t *testing.T) {
		w := newWorld(t)
		c := w.config()
		c.Credentials.ClientID = "stranger"
		w.apiAnswer = func(http.ResponseWriter, *http.Request) bool { t.Error("asked"); return false }
		body := &closed{Reader: strings.NewReader("x")}
		_, err := w.newClient(c).Post(w.public.URL+"/api/a", "text/plain", body)
		var refusal *client.Error
		var wrapped *url.Error
		if !errors.As(err, &wrapped) || !errors.As(err, &refusal) || refusal.Code != "invalid_client" || !body.closed {
			t.Errorf("got %v, body closed %v", err, body.closed)
		}
	})
	t.Run("a token that the API refuses is not repeated, but the next call has another", func(t *testing.T) {
		w := newWorld(t)
		api := w.newClient(w.config())
		get(t, api, w.public.URL+"/api/a")
		w.do(func() { clear(w.tokens) })
		if status, _ := get(t, api, w.public.URL+"/api/a"); status != 401 {
			t.Errorf("status %d", status)
		}
		if n := w.countRequests(); n != 1 {
			t.Errorf("%d token requests", n)
		}
		if status, _ := get(t, api, w.public.URL+"/api/a"); status != 200 || w.countRequests() != 2 {
			t.Errorf("status %d, %d token requests", status, w.countRequests())
		}
	})
	t.Run("an API that is not there is an error", func(t *testing.T) {
		w := newWorld(t)
		if _, err := w.newClient(w.config()).Get("https://localhost:1/"); err == nil {
			t.Error("no error")
		}
	})
}

// closed tells whether a body was closed.
type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error { c.closed = true; return nil }

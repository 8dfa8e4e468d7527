package client_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/client"
)

func TestDiscover(t *testing.T) {
	w := newWorld(t)
	httpClient, err := client.NewHTTP(w.roots, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer httpClient.CloseIdleConnections()
	t.Run("RFC 8414: endpoints and RFC 8705 §5: their aliases", func(t *testing.T) {
		m, err := client.Discover(t.Context(), httpClient, w.public.URL)
		if err != nil {
			t.Fatal(err)
		}
		if m.Issuer != w.public.URL || m.TokenEndpoint != w.public.URL+"/token" || m.MTLS.TokenEndpoint != w.mtls.URL+"/token" || m.JWKSURI != w.public.URL+"/jwks" || m.RevocationEndpoint != "" {
			t.Errorf("got %+v", m)
		}
	})
	t.Run("RFC 8414 §3.1: the path of an issuer follows the well-known part", func(t *testing.T) {
		w.metadata = func(m map[string]any) { m["issuer"] = w.public.URL + "/tenant" }
		defer func() { w.metadata = nil }()
		if _, err := client.Discover(t.Context(), httpClient, w.public.URL+"/tenant"); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		name     string
		metadata func(m map[string]any)
	}{
		{"advisory 41: another issuer", func(m map[string]any) { m["issuer"] = "https://evil.example.com" }},
		{"advisory 41: the issuer with a slash more", func(m map[string]any) { m["issuer"] = w.public.URL + "/" }},
		{"no issuer", func(m map[string]any) { delete(m, "issuer") }},
		{"no token endpoint", func(m map[string]any) { delete(m, "token_endpoint") }},
		{"a token endpoint that is a number", func(m map[string]any) { m["token_endpoint"] = 1 }},
		{"a token endpoint over http", func(m map[string]any) { m["token_endpoint"] = "http://localhost/token" }},
		{"a token endpoint without host", func(m map[string]any) { m["token_endpoint"] = "https:/token" }},
		{"a token endpoint with a user name", func(m map[string]any) { m["token_endpoint"] = "https://a@localhost/token" }},
		{"a token endpoint that is no URL", func(m map[string]any) { m["token_endpoint"] = "https://[" }},
		{"a revocation endpoint over http", func(m map[string]any) { m["revocation_endpoint"] = "http://localhost/r" }},
		{"an introspection endpoint over http", func(m map[string]any) { m["introspection_endpoint"] = "http://localhost/i" }},
		{"keys over http", func(m map[string]any) { m["jwks_uri"] = "http://localhost/jwks" }},
		{"an alias over http", func(m map[string]any) {
			m["mtls_endpoint_aliases"] = map[string]any{"token_endpoint": "http://localhost/token"}
		}},
		{"aliases that are a list", func(m map[string]any) { m["mtls_endpoint_aliases"] = []string{} }},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			w.metadata = c.metadata
			defer func() { w.metadata = nil }()
			if m, err := client.Discover(t.Context(), httpClient, w.public.URL); !errors.Is(err, client.ErrAnswer) || m != (client.Metadata{}) {
				t.Errorf("got %+v, %v", m, err)
			}
		})
	}
	document := func(text string) string {
		return `{"issuer":"` + w.public.URL + `","token_endpoint":"` + w.public.URL + `/token"` + text + `}`
	}
	for _, c := range []struct {
		name string
		give http.HandlerFunc
	}{
		{"a redirect, to the right document even", func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, w.mtls.URL+"/.well-known/oauth-authorization-server/x", http.StatusFound)
		}},
		{"status 404 with the right document", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(404)
			io.WriteString(rw, document(""))
		}},
		{"text/html", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			io.WriteString(rw, document(""))
		}},
		{"advisory 87: more than a megabyte", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			io.WriteString(rw, document(`,"x":"`+strings.Repeat("x", 1<<20)+`"`))
		}},
		{"advisory 108: a member twice", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			io.WriteString(rw, document(`,"token_endpoint":"https://evil.example.com/token"`))
		}},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			w.document = c.give
			defer func() { w.document = nil }()
			if _, err := client.Discover(t.Context(), httpClient, w.public.URL); !errors.Is(err, client.ErrAnswer) {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, issuer := range []string{"", "http://localhost", "localhost", "https://", "https://a@localhost", w.public.URL + "?a", w.public.URL + "?", w.public.URL + "#", "https://["} {
		t.Run("the issuer "+issuer+" is refused before anything is sent", func(t *testing.T) {
			w.document = func(http.ResponseWriter, *http.Request) { t.Error("asked") }
			defer func() { w.document = nil }()
			if _, err := client.Discover(t.Context(), httpClient, issuer); err == nil || !strings.Contains(err.Error(), "issuer") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a server that is not there is an error", func(t *testing.T) {
		if _, err := client.Discover(t.Context(), httpClient, "https://localhost:1"); err == nil {
			t.Error("no error")
		}
	})
	t.Run("an answer that breaks off is an error", func(t *testing.T) {
		w.document = func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.Header().Set("Content-Length", "1000")
			io.WriteString(rw, document(""))
		}
		defer func() { w.document = nil }()
		if _, err := client.Discover(t.Context(), httpClient, w.public.URL); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
	})
}

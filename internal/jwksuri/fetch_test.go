package jwksuri

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/outbound"
)

var loopback = outbound.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// real is a source that calls real sockets, and a server of the test's.
func real(t *testing.T, h http.HandlerFunc) (*Source, *httptest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	s, err := New(Config{Dialer: &outbound.Dialer{Policy: loopback}, Roots: roots, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s, server
}

func TestFetch(t *testing.T) {
	good := setOf(t, "k")
	s, server := real(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Accept-Encoding") != "" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write(good)
	})
	set, life, err := s.fetch(t.Context(), server.URL+"/keys")
	if err != nil || set.ByID("k") == nil || life != maxRefresh {
		t.Fatalf("%v %s %v", set, life, err)
	}
	t.Run("no proxy of the environment is used", func(t *testing.T) {
		if s.http.Transport.(*http.Transport).Proxy != nil {
			t.Error("a proxy")
		}
	})
	t.Run("each fetch calls by itself", func(t *testing.T) {
		var calls atomic.Int64
		s.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			calls.Add(1)
			return (&outbound.Dialer{Policy: loopback}).DialContext(ctx, network, address)
		}
		for range 3 {
			if _, _, err := s.fetch(t.Context(), server.URL); err != nil {
				t.Fatal(err)
			}
		}
		if calls.Load() != 3 {
			t.Errorf("%d calls for 3 fetches", calls.Load())
		}
	})
}

func TestFetchRefuses(t *testing.T) {
	var inside atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { inside.Add(1) }))
	defer target.Close()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(bytes.Repeat([]byte("secret "), 1<<20))
	_ = z.Close()
	endless := func(w http.ResponseWriter, piece string) {
		for {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
	}
	cases := []struct {
		name, says string
		serve      http.HandlerFunc
	}{
		{"advisory 87: an endless body", "more than 65536 bytes", func(w http.ResponseWriter, _ *http.Request) { endless(w, strings.Repeat("secret", 1000)) }},
		{"advisory 87: a body of 100 MB by its length", "more than 65536 bytes", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(100<<20))
			endless(w, strings.Repeat("secret", 1000))
		}},
		{"advisory 87: gzip although nobody asked for it", "an encoded body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		}},
		{"a header without end", "does not answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("secret", 10_000))
			_, _ = w.Write([]byte("{}"))
		}},
		{"advisories 41 and 85: a redirect, also to the inside", "status 302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.URL, http.StatusFound) }},
		{"advisory 85: a redirect that keeps the method", "status 307", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
		}},
		{"advisory 86: a body that is no key set", "read keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret: root password") }},
		{"advisory 86: an error of the server", "status 500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "secret", http.StatusInternalServerError) }},
		{"advisory 86: what is no HTTP", "does not answer", func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(c, "secret: 220 mail.example ESMTP\r\n")
				_ = c.Close()
			}
		}},
		{"a body that breaks off", "does not answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"keys":[`)
			panic(http.ErrAbortHandler)
		}},
		{"204", "status 204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, server := real(t, c.serve)
			started := time.Now()
			set, _, err := s.fetch(t.Context(), server.URL)
			if err == nil || set != nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), server.URL) {
				t.Errorf("got %v, %v", set, err)
			}
			if time.Since(started) > 3*fetchTimeout {
				t.Errorf("took %s", time.Since(started))
			}
		})
	}
	t.Run("advisory 87: 1 byte a second", func(t *testing.T) {
		t.Parallel()
		s, server := real(t, func(w http.ResponseWriter, r *http.Request) {
			for {
				select {
				case <-r.Context().Done():
					return
				case <-time.After(time.Second):
				}
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
			}
		})
		started := time.Now()
		_, _, err := s.fetch(t.Context(), server.URL)
		if err == nil || !strings.Contains(err.Error(), "within 5s") || time.Since(started) > 3*fetchTimeout {
			t.Errorf("%v after %s", err, time.Since(started))
		}
	})
	t.Run("advisory 84: other schemes", func(t *testing.T) {
		s, _ := real(t, func(http.ResponseWriter, *http.Request) {})
		for _, uri := range []string{target.URL, "file:///etc/passwd", "data:,x", "ftp://127.0.0.1/", "https://%zz/", ""} {
			if _, _, err := s.fetch(t.Context(), uri); err == nil || !strings.Contains(err.Error(), "not an https URL") {
				t.Errorf("%s: %v", uri, err)
			}
		}
	})
	t.Run("advisory 84: a name that has become an address inside", func(t *testing.T) {
		s, server := real(t, func(w http.ResponseWriter, _ *http.Request) { inside.Add(1) })
		s.http.Transport.(*http.Transport).DialContext = (&outbound.Dialer{Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:169.254.169.254"), netip.MustParseAddr("64:ff9b::7f00:1")}, nil
		}}).DialContext
		_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
		if _, _, err := s.fetch(t.Context(), "https://example.com:"+port); err == nil || !strings.Contains(err.Error(), "not public") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a server whose certificate is not trusted, or another's", func(t *testing.T) {
		s, _ := real(t, func(http.ResponseWriter, *http.Request) {})
		stranger := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) }))
		stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
		stranger.StartTLS()
		defer stranger.Close()
		s.http.Transport.(*http.Transport).TLSClientConfig.RootCAs = x509.NewCertPool()
		if _, _, err := s.fetch(t.Context(), stranger.URL); err == nil || !strings.Contains(err.Error(), "not trusted") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a name that is not there", func(t *testing.T) {
		s, _ := real(t, func(http.ResponseWriter, *http.Request) {})
		s.http.Transport.(*http.Transport).DialContext = (&outbound.Dialer{Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "no such host", Name: name, Server: "secret"}
		}}).DialContext
		if _, _, err := s.fetch(t.Context(), "https://keys.example/"); err == nil || !strings.Contains(err.Error(), "no address was found") || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nobody is there", func(t *testing.T) {
		s, server := real(t, func(http.ResponseWriter, *http.Request) {})
		server.Close()
		if _, _, err := s.fetch(t.Context(), server.URL); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
			t.Errorf("got %v", err)
		}
	})
	if inside.Load() != 0 {
		t.Errorf("the inside was called %d times", inside.Load())
	}
}

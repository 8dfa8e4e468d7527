package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/web"
)

// BenchmarkProxy is one request over a TLS connection that is open: through the
// gateway with a bound token that is known, and through the same reverse proxy
// without any check.
func BenchmarkProxy(b *testing.B) {
	run := func(b *testing.B, c *http.Client, url string, header func() http.Header) {
		b.ReportAllocs()
		for b.Loop() {
			r, err := http.NewRequest("GET", url+"/payments/1", nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Header = header()
			a, err := c.Do(r)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, a.Body)
			_ = a.Body.Close()
			if a.StatusCode != 200 {
				b.Fatal(a.StatusCode)
			}
		}
	}
	quiet := func(s *stand) {
		s.upstream.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "upstream") })
		s.config.Observe = func(*web.Event) {}
	}
	b.Run("mtls", func(b *testing.B) {
		s := newStand(b, quiet)
		header := http.Header{"Authorization": {"Bearer " + s.token(s.client.ToCertificate())}}
		run(b, s.http1(), s.URL, func() http.Header { return header.Clone() })
	})
	b.Run("dpop", func(b *testing.B) {
		s := newStand(b, quiet)
		token := s.token(s.client.ToKey())
		run(b, s.http1(), s.URL, func() http.Header { return s.dpop(token, "GET", s.URL+"/payments/1", "") })
	})
	b.Run("without a check", func(b *testing.B) {
		s := prepare(b, quiet)
		target, err := url.Parse(s.upstream.URL)
		if err != nil {
			b.Fatal(err)
		}
		s.Serve(b, &httputil.ReverseProxy{
			Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(target) },
			Transport: &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true},
		})
		header := http.Header{"Authorization": {"Bearer " + s.token(s.client.ToCertificate())}}
		run(b, s.http1(), s.URL, func() http.Header { return header.Clone() })
	})
}

// BenchmarkRefusal is a request with a known token and no certificate.
func BenchmarkRefusal(b *testing.B) {
	s := newStand(b, func(s *stand) { s.config.Observe = nil })
	r := httptest.NewRequest("GET", s.URL+"/payments/1", nil)
	r.RequestURI = "/payments/1"
	r.TLS.ServerName = "localhost"
	r.Header.Set("Authorization", "Bearer "+s.token(s.client.ToCertificate()))
	b.ReportAllocs()
	for b.Loop() {
		s.gateway.ServeHTTP(httptest.NewRecorder(), r)
	}
}

package as_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/as"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/mtls"
)

// always is a token.Uses for which everything is the first use.
type always struct{}

func (always) FirstUse(context.Context, ...token.Use) error { return nil }

// sink is a ResponseWriter that keeps the status.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// body is a request body that can be read again.
type body struct{ bytes.Reader }

func (*body) Close() error { return nil }

// benchmarkToken sends one request again and again through the whole table.
func benchmarkToken(b *testing.B, w *world, c call) {
	config := w.config()
	config.Uses = always{}
	config.Used = directory.NewLastUses().Note
	s, err := as.New(config)
	if err != nil {
		b.Fatal(err)
	}
	routes := s.PublicRoutes()
	if c.mtls {
		routes = s.MTLSRoutes()
	}
	table := web.NewTable(web.Options{Listener: "bench", Now: func() time.Time { return w.Now },
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Render: as.Render}, routes)
	form := []byte(c.form.Encode())
	r, err := http.NewRequestWithContext(mtls.WithConn(context.Background()), http.MethodPost, "/token", nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, lines := range c.header {
		r.Header[name] = lines
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.ContentLength = int64(len(form))
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: c.peer}
	out := &sink{header: http.Header{}}
	in := &body{}
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(form)
		r.Body = in
		clear(out.header)
		table.ServeHTTP(out, r)
		if out.status != http.StatusOK {
			b.Fatal(out.status)
		}
	}
}

func BenchmarkTokenByAssertionAndDPoP(b *testing.B) {
	w := newWorld(b)
	benchmarkToken(b, w, w.dpopCall(w.NewSigner(jose.ES256, "")))
}

func BenchmarkTokenByAssertionBoundToCertificate(b *testing.B) {
	w := newWorld(b)
	benchmarkToken(b, w, call{mtls: true, form: w.tokenForm("jwt-mtls"), peer: []*x509.Certificate{w.SelfSigned("jwt-mtls").Certificate}})
}

func BenchmarkTokenByCertificate(b *testing.B) {
	w := newWorld(b)
	benchmarkToken(b, w, call{mtls: true, form: w.tokenForm("tls-mtls", "resource", authtest.Payments), peer: []*x509.Certificate{w.Issue("tls-mtls").Certificate}})
}

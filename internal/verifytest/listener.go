package verifytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/mtls"
)

// Listener is a real TLS listener on loopback that asks for client certificates,
// known as localhost and 127.0.0.1.
type Listener struct {
	URL   string // https://localhost:port
	Addr  string // 127.0.0.1:port
	Roots *x509.CertPool

	listener    net.Listener
	certificate tls.Certificate
}

// Listen opens a listener; Serve answers.
func Listen(t testing.TB) *Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Listener{Addr: listener.Addr().String(), Roots: x509.NewCertPool(), listener: listener}
	_, port, _ := net.SplitHostPort(l.Addr)
	l.URL = "https://localhost:" + port
	l.certificate = ServerCertificate(t, "localhost", "other.localhost")
	l.Roots.AddCert(l.certificate.Leaf)
	return l
}

// ServerCertificate makes a self-signed certificate for these names and 127.0.0.1.
func ServerCertificate(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	return Certificate(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// Serve answers with h until the test ends.
func (l *Listener) Serve(t testing.TB, h http.Handler) {
	t.Helper()
	config := mtls.ServerConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &l.certificate, nil }, true)
	server := web.NewServer(h, config, slog.New(slog.NewTextHandler(io.Discard, nil)))
	server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return mtls.WithConn(ctx) }
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(l.listener, "", "")
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// Client makes an HTTP client that shows certificate; nil for none.
func (l *Listener) Client(t testing.TB, certificate *tls.Certificate) *http.Client {
	t.Helper()
	config := l.ClientConfig(certificate)
	transport := &http.Transport{TLSClientConfig: config, DisableCompression: true, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// ClientConfig is the TLS configuration of Client.
func (l *Listener) ClientConfig(certificate *tls.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: l.Roots, ServerName: "localhost"}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	return config
}

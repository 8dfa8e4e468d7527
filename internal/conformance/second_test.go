package conformance_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/server"
)

var errShortKey = errors.New("the server's key is too short")

// second is another gateway before the same API: its certificate is RSA, and
// clients know it by a URL without a port.
type second struct {
	address string
	roots   *x509.CertPool
}

// secondURL is how proofs may name the second gateway, or with ":443".
const secondURL = "https://localhost"

// secondGateway runs until the test ends, from the first one's configuration file.
func (w *world) secondGateway(t *testing.T) *second {
	t.Helper()
	dir := t.TempDir()
	certificate, key, roots := rsaCertificate(t, w.clock.Now())
	files := map[string][]byte{"tls.crt": certificate, "tls.key": key}
	text, err := os.ReadFile(filepath.Join(w.dir, "gateway.yaml"))
	must(t, err)
	yaml := strings.ReplaceAll(string(text), "gateway_url: "+w.file.GatewayURL, "gateway_url: "+secondURL)
	yaml = strings.ReplaceAll(yaml, filepath.Join(w.dir, "gateway.crt"), filepath.Join(dir, "tls.crt"))
	yaml = strings.ReplaceAll(yaml, filepath.Join(w.dir, "gateway.key"), filepath.Join(dir, "tls.key"))
	files["gateway.yaml"] = []byte(yaml)
	for name, data := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	cfg, err := config.LoadGateway(filepath.Join(dir, "gateway.yaml"), nil, nil)
	must(t, err)
	g, err := server.OpenGateway(cfg, server.Process{Now: w.clock.Now, Log: slog.New(slog.NewJSONHandler(w.events, nil)), Version: "second"})
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := g.Run(ctx, l); err != nil {
			t.Errorf("second gateway: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); g.Ready() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(g.Ready())
		}
	}
	return &second{address: l.Addr().String(), roots: roots}
}

// rsaCertificate is a server's certificate with an RSA key of 2048 bits.
func rsaCertificate(t *testing.T, now time.Time) (certificate, key []byte, roots *x509.CertPool) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	roots = x509.NewCertPool()
	roots.AddCert(leaf)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), roots
}

// clientOf reaches the second gateway by its URL, with the application's
// certificate.
func (a *application) clientOf(t testing.TB, s *second) *request {
	t.Helper()
	config := &tls.Config{RootCAs: s.roots, Time: a.clock.Now, MinVersion: tls.VersionTLS12}
	if a.certificate != nil {
		config.Certificates = []tls.Certificate{*a.certificate}
	}
	c := a.clientAt(s.address, config)
	t.Cleanup(c.CloseIdleConnections)
	return &request{client: c}
}

// portless is another authorization server, whose issuer has no port, and its first
// operator, who is an application with a key and tokens bound by DPoP.
func (w *world) portless(t *testing.T) *application {
	t.Helper()
	dir := t.TempDir()
	yaml := "issuer: " + secondURL + "\nmtls_url: https://localhost:8444\nadmin_url: https://localhost:8445\n" +
		"listen: {public: \"127.0.0.1:0\", mtls: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\n" +
		"database: " + filepath.Join(dir, "holdfast.db") + "\nkey_encryption_key_file: " + filepath.Join(dir, "kek") + "\n"
	must(t, os.WriteFile(filepath.Join(dir, "holdfast.yaml"), []byte(yaml), 0o600))
	cfg, err := config.LoadServe(filepath.Join(dir, "holdfast.yaml"), nil, nil)
	must(t, err)
	first, err := server.Init(t.Context(), cfg, server.FirstStart{TrustDomain: "second.example", OperatorKeyFile: filepath.Join(dir, "operator.key"), Now: w.clock.Now})
	must(t, err)
	s, err := server.Open(t.Context(), cfg, server.Process{Now: w.clock.Now, Log: slog.New(slog.NewJSONHandler(w.events, nil)), Version: "second"})
	must(t, err)
	l, err := server.Listen(t.Context(), cfg)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx, l); err != nil {
			t.Errorf("second server: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	other := *w
	other.file.Issuer, other.file.OperatorClientID, other.file.OperatorKeyFile = secondURL, first.ClientID, first.KeyFile
	other.file.OperatorKeyID, other.file.OperatorScope = first.KeyID, first.Scope
	a := other.operator(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.RootPEM())
	a.http = w.clientAt(l.Public.Addr().String(), &tls.Config{RootCAs: roots, Time: w.clock.Now, MinVersion: tls.VersionTLS12})
	t.Cleanup(a.http.CloseIdleConnections)
	return a
}

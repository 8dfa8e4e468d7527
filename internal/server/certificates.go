package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// certificates is the server's own TLS certificate: from files, or issued by our
// CA and renewed half way through its life.
type certificates struct {
	current atomic.Pointer[tls.Certificate]
	issue   func(context.Context) (*tls.Certificate, error) // nil: from files
	now     func() time.Time
}

func openCertificates(ctx context.Context, cfg *config.Serve, authority *ca.Authority, look bool, now func() time.Time) (*certificates, error) {
	c := &certificates{now: now}
	if cfg.TLS.CertificateFile != "" {
		cert, err := tls.LoadX509KeyPair(cfg.TLS.CertificateFile, cfg.TLS.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("TLS certificate %s: %w", cfg.TLS.CertificateFile, err)
		}
		c.current.Store(&cert)
		return c, nil
	}
	names, err := hosts(cfg.Issuer, cfg.MTLSURL, cfg.AdminURL)
	if err != nil {
		return nil, err
	}
	if look {
		return c, nil // a certificate would be written down
	}
	c.issue = func(ctx context.Context) (*tls.Certificate, error) { return authority.Listener(ctx, names) }
	return c, c.renew(ctx)
}

// For is the tls.Config.GetCertificate of every listener.
func (c *certificates) For(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// renew issues a new certificate when half of the present one's life has passed.
// A certificate from a file is the operator's to renew.
func (c *certificates) renew(ctx context.Context) error {
	if c.issue == nil {
		return nil
	}
	if cert := c.current.Load(); cert != nil {
		leaf := cert.Leaf
		if c.now().Before(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)) {
			return nil
		}
	}
	cert, err := c.issue(ctx)
	if err != nil {
		return err
	}
	c.current.Store(cert)
	return nil
}

// hosts are the names and addresses in the URLs, each once.
func hosts(urls ...string) (names []string, err error) {
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return nil, err
		}
		if h := u.Hostname(); !slices.Contains(names, h) {
			names = append(names, h)
		}
	}
	return names, nil
}

// RootPEM is the root certificates, the newest first: they verify client
// certificates that we issued and, without certificates from files, our TLS.
func (s *Server) RootPEM() []byte {
	var text []byte
	for _, root := range s.authority.Roots() {
		text = append(text, certificatePEM(root)...)
	}
	return text
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// serveRoots gives the root to whoever trusts this server already, or checks the
// certificate's fingerprint by another way.
func (s *Server) serveRoots(w http.ResponseWriter, _ *web.Request) error {
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Header().Set("Cache-Control", "max-age=300")
	_, err := w.Write(s.RootPEM())
	return err
}

// IssueTLS makes a certificate for another part of the same installation: PEM
// chain and PKCS#8 PEM key. It is for parts that run in this process.
func (s *Server) IssueTLS(ctx context.Context, names ...string) (chain, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	certificates, err := s.authority.IssueListener(ctx, private.Public(), names)
	if err != nil {
		return nil, nil, err
	}
	for _, der := range certificates {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

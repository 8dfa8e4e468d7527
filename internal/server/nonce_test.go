package server

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/verify"
)

// pemFiles writes the client's certificate and its key.
func pemFiles(t *testing.T, c *verifytest.Client) (certificate, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.Certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for file, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: c.Certificate.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// TestGatewayNonces looks at gateways of one configuration.
func TestGatewayNonces(t *testing.T) {
	const issuerURL, url = "https://as.example", "https://api.example/payments"
	clock := verifytest.NewClock()
	issuer, caller := verifytest.NewIssuer(t, clock, issuerURL, jose.ES256), verifytest.NewClient(t, clock)
	certificate, key := pemFiles(t, verifytest.NewClient(t, clock))
	cfg := &config.Gateway{
		GatewayURL: "https://api.example", Issuer: issuerURL, FeedURL: issuerURL + "/feed", CAFile: certificate,
		TLS:    config.GatewayTLS{CertificateFile: certificate, KeyFile: key},
		Client: config.GatewayClient{ClientID: "gateway", KeyFile: key, KID: "gateway-1"},
		Routes: []config.Route{{
			Path: "/payments", Resource: url, Scopes: []string{"payments"}, Binding: string(verify.BindEither), Nonce: string(verify.NonceOnDoubt),
			MaxRevocationLag: time.Minute, Upstream: "http://127.0.0.1:1", UpstreamCAFile: certificate,
		}},
	}
	start := func(cfg *config.Gateway) *verify.Verifier {
		t.Helper()
		g, err := OpenGateway(cfg, Process{Now: clock.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		trust := g.trust
		trust.Keys, trust.Revocation = verify.NewStaticKeys(issuerURL, issuer.Keys(t)), nil // there is no server
		v, err := verify.New(trust)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	// call sends a fresh proof with nonce; it returns why not, and the next nonce.
	call := func(v *verify.Verifier, nonce string) (verify.Reason, string) {
		t.Helper()
		p, err := v.NewPolicy(verify.Rules{Resource: url, Scopes: []string{"payments"}, Binding: verify.BindEither})
		if err != nil {
			t.Fatal(err)
		}
		token := issuer.Token(t, issuer.Claims(url, "payments", caller.ToKey()))
		g, err := v.Verify(t.Context(), &verify.Request{
			Method: "GET", URL: url, Authorization: []string{"DPoP " + token}, DPoP: []string{caller.Proof(t, clock.Now(), "GET", url, token, nonce)},
		}, p)
		if refused, ok := errors.AsType[*verify.Error](err); ok {
			return refused.Reason, refused.Nonce
		}
		return "", g.Nonce
	}
	one, other := start(cfg), start(cfg)
	clock.Advance(101 * time.Second)
	_, nonce := call(one, "")
	if reason, _ := call(other, nonce); reason != "" {
		t.Errorf("another gateway's nonce: %s", reason)
	}
	clock.Advance(time.Second)
	restarted := start(cfg)
	for _, wait := range []time.Duration{0, 99 * time.Second} {
		clock.Advance(wait)
		if reason, _ := call(restarted, nonce); reason != verify.NonceRequired {
			t.Errorf("%v after a restart, a nonce of before: %q", wait, reason)
		}
	}
	clock.Advance(time.Second)
	if reason, _ := call(restarted, nonce); reason != "" {
		t.Errorf("100 s after a restart: %s", reason)
	}
	_, cfg.Client.KeyFile = pemFiles(t, verifytest.NewClient(t, clock))
	stranger := start(cfg)
	clock.Advance(101 * time.Second)
	if reason, _ := call(stranger, nonce); reason != verify.NonceRequired {
		t.Errorf("a gateway with another client key: %q", reason)
	}
}

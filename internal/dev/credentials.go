package dev

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// localKey reads the private key in the file, or makes one there.
func localKey(file string) (crypto.Signer, error) {
	data, err := os.ReadFile(file)
	if err == nil {
		return jose.ParsePrivateKeyPEM(data)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return nil, err
	}
	if data, err = jose.MarshalPrivateKeyPEM(key); err != nil {
		return nil, err
	}
	return key, replaceFile(file, data)
}

// signingKey has the public half of the key in the file registered, once.
func (w *world) signingKey(ctx context.Context, clientID, file string) (kid string, err error) {
	key, err := localKey(file)
	if err != nil {
		return "", err
	}
	public, err := jose.NewPublicKey(key.Public(), jose.ES256, "")
	if err != nil {
		return "", err
	}
	have, err := w.admin.Credentials(ctx, clientID, adminclient.Page{Limit: listLimit})
	if err != nil {
		return "", err
	}
	for _, c := range have.Items {
		if c.Kind == "signing_key" && c.KeyID == public.KeyID() {
			return c.KeyID, nil
		}
	}
	c, err := w.admin.RegisterKey(ctx, clientID, admin.NewSigningKey{JWK: public.JWK()})
	return c.KeyID, err
}

// certificate gets an application its certificate: its own, registered, or one
// for a CSR. One that is there and lasts another day is kept.
func (w *world) certificate(ctx context.Context, app admin.Application, s sample, c FileClient) error {
	if lasts(c, w.Now()) {
		return nil
	}
	key, err := localKey(c.CertKeyFile)
	if err != nil {
		return err
	}
	if s.authMethod == "self_signed_tls_client_auth" {
		chain, err := ownCertificate(key, s.name, w.Now())
		if err != nil {
			return err
		}
		if _, err := w.admin.RegisterCertificate(ctx, app.ClientID, string(chain)); err != nil {
			return err
		}
		return replaceFile(c.CertFile, chain)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	issued, err := w.admin.IssueCertificate(ctx, app.ClientID, admin.NewRequest{
		CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
	})
	if err != nil {
		return err
	}
	return replaceFile(c.CertFile, []byte(issued.Chain))
}

// lasts tells whether the client has a certificate with its key for another day.
func lasts(c FileClient, now time.Time) bool {
	cert, err := tls.LoadX509KeyPair(c.CertFile, c.CertKeyFile)
	return err == nil && now.Add(24*time.Hour).Before(cert.Leaf.NotAfter)
}

// ownCertificate is a certificate that nobody else vouches for (RFC 8705 section 2.2).
func ownCertificate(key crypto.Signer, name string, now time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-5 * time.Minute), NotAfter: now.Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

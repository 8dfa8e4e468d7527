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

	"github.com/holdfast-auth/holdfast/cnf"
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
	return newKey(file)
}

// newKey makes a private key and puts it in the file.
func newKey(file string) (crypto.Signer, error) {
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return nil, err
	}
	data, err := jose.MarshalPrivateKeyPEM(key)
	if err != nil {
		return nil, err
	}
	return key, replaceFile(file, data)
}

// active is the state of what may be used; whatever else a user made of a sample
// is replaced.
const active = "active"

// signingKey has the public half of the key in the file registered. A key that is
// no longer active makes way for a new one.
func (w *world) signingKey(ctx context.Context, clientID, file string) (kid string, err error) {
	for {
		key, err := localKey(file)
		if err != nil {
			return "", err
		}
		public, err := jose.NewPublicKey(key.Public(), jose.ES256, "")
		if err != nil {
			return "", err
		}
		switch state, err := w.stateOf(ctx, clientID, public.KeyID()); {
		case err != nil:
			return "", err
		case state == active:
			return public.KeyID(), nil
		case state == "":
			c, err := w.admin.RegisterKey(ctx, clientID, admin.NewSigningKey{JWK: public.JWK()})
			return c.KeyID, err
		}
		if err := os.Remove(file); err != nil {
			return "", err
		}
	}
}

// stateOf is the state of the application's credential with this thumbprint, ""
// when it has none.
func (w *world) stateOf(ctx context.Context, clientID, thumbprint string) (string, error) {
	have, err := w.admin.Credentials(ctx, clientID, adminclient.Page{Limit: listLimit})
	if err != nil {
		return "", err
	}
	for _, c := range have.Items {
		if c.Thumbprint == thumbprint {
			return c.State, nil
		}
	}
	return "", nil
}

// certificate gets an application its certificate: its own, registered, or one
// for a CSR. One that is there, active, and lasts another day is kept.
func (w *world) certificate(ctx context.Context, app admin.Application, s sample, c FileClient) error {
	if thumbprint, ok := lasting(c, w.Now()); ok {
		if state, err := w.stateOf(ctx, app.ClientID, thumbprint); err != nil || state == active {
			return err
		}
	}
	key, err := newKey(c.CertKeyFile) // the last one may have been revoked
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

// lasting is the thumbprint of the client's certificate, if it has its key and
// another day to live.
func lasting(c FileClient, now time.Time) (thumbprint string, ok bool) {
	cert, err := tls.LoadX509KeyPair(c.CertFile, c.CertKeyFile)
	if err != nil || !now.Add(24*time.Hour).Before(cert.Leaf.NotAfter) {
		return "", false
	}
	return cnf.CertificateThumbprint(cert.Leaf.Raw).String(), true
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

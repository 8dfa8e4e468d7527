package demo

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// Step 3: two consumers of one organisation, one by key and one by certificate.
// Both make their private keys here; what goes in is a public JWK and a CSR.
func (s *story) enrol(ctx context.Context) ([]Observation, error) {
	org, err := s.createOrganisation(ctx, "consumer of the demo")
	if err != nil {
		return nil, err
	}
	byKey, err := s.createApplication(ctx, org, "demo consumer by key", "private_key_jwt", "dpop")
	if err != nil {
		return nil, err
	}
	byCertificate, err := s.createApplication(ctx, org, "demo consumer by certificate", "tls_client_auth", "mtls")
	if err != nil {
		return nil, err
	}
	s.app = &consumer{clientID: byKey, issuer: s.world.Issuer, tokenEndpoint: s.world.TokenEndpoint, scope: "payments", resource: s.world.GatewayURL + "/payments"}
	s.certApp = &consumer{clientID: byCertificate, issuer: s.world.Issuer, tokenEndpoint: s.world.MTLSTokenEndpoint, scope: "payments", resource: s.world.GatewayURL + "/payments"}
	return s.credentials(ctx)
}

// credentials gives both consumers new ones.
func (s *story) credentials(ctx context.Context) ([]Observation, error) {
	key, err := s.registerKey(ctx)
	if err != nil {
		return []Observation{key}, err
	}
	certificate, err := s.requestCertificate(ctx)
	return []Observation{key, certificate}, err
}

// enrolAgain replaces what step 8 revoked, and gets both consumers new tokens.
func (s *story) enrolAgain(ctx context.Context) ([]Observation, error) {
	seen, err := s.credentials(ctx)
	if err != nil {
		return seen, err
	}
	for _, c := range []*consumer{s.app, s.certApp} {
		got, err := c.fetchToken(ctx, s)
		seen = append(seen, got)
		if err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// registerKey makes the keys of the consumer by key and registers the public
// half of the one that signs assertions. The DPoP key needs no registration.
func (s *story) registerKey(ctx context.Context) (Observation, error) {
	o := Observation{Did: "a key made locally; its public JWK registered for application " + s.app.clientID}
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return o, err
	}
	if s.app.assertion, err = jose.NewSigner(key, jose.ES256, ""); err != nil {
		return o, err
	}
	proofKey, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return o, err
	}
	if s.app.prover, err = dpop.NewProver(proofKey); err != nil {
		return o, err
	}
	s.app.http, s.app.nonce = s.certificateClient(nil), ""
	s.appKey, err = s.register(ctx, s.app.clientID, s.app.assertion.Public().JWK())
	o.Detail = "credential " + s.appKey + ", kid " + s.app.assertion.Public().KeyID()
	return o, err
}

// requestCertificate makes the key of the consumer by certificate and sends a
// CSR, which proves that we hold the key and names nobody: the directory does.
func (s *story) requestCertificate(ctx context.Context) (Observation, error) {
	o := Observation{Did: "a key made locally; its CSR sent for application " + s.certApp.clientID}
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return o, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return o, err
	}
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	credential, chain, err := s.issue(ctx, s.certApp.clientID, csr)
	if err != nil {
		return o, err
	}
	cert, err := certificateOf(chain, key)
	if err != nil {
		return o, err
	}
	s.certCred = credential
	s.certApp.http, s.certApp.certificate = s.certificateClient(cert), cert.Certificate[0]
	o.Detail = fmt.Sprintf("credential %s, %s, until %s", credential, cert.Leaf.URIs[0], cert.Leaf.NotAfter.UTC().Format(time.RFC3339))
	return o, nil
}

// certificateOf joins a PEM chain with the key that never left us.
func certificateOf(chain []byte, key crypto.Signer) (*tls.Certificate, error) {
	cert := &tls.Certificate{PrivateKey: key}
	for rest := chain; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		cert.Certificate = append(cert.Certificate, block.Bytes)
	}
	if len(cert.Certificate) == 0 {
		return nil, errors.New("the CA sent no certificate")
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil, err
	}
	if len(leaf.URIs) != 1 {
		return nil, errors.New("the certificate names nobody")
	}
	cert.Leaf = leaf
	return cert, nil
}

// thiefsCertificate is a certificate that the thief made: anybody can, with
// whatever name.
func thiefsCertificate(now time.Time) (*tls.Certificate, error) {
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "demo consumer by certificate"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

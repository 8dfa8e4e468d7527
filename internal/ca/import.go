package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

// Request makes a key for a new issuing CA, here, and a CSR (PEM) for whoever has
// the root's key.
func (a *Authority) Request(ctx context.Context, actor string) (id string, csr []byte, err error) {
	key, err := newKey(keyring.IssuingRequest)
	if err != nil {
		return "", nil, err
	}
	key.ID = strings.ToLower(rand.Text())
	basic, err := asn1.Marshal(struct {
		CA      bool
		PathLen int
	}{true, 0})
	if err != nil {
		return "", nil, err
	}
	usage, err := asn1.Marshal(asn1.BitString{Bytes: []byte{0x06}, BitLength: 7}) // keyCertSign, cRLSign
	if err != nil {
		return "", nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: authorityName(a.TrustDomain, "issuing"),
		ExtraExtensions: []pkix.Extension{
			{Id: oidBasicConstraints, Critical: true, Value: basic}, {Id: oidKeyUsage, Critical: true, Value: usage},
		},
	}, key.Signer)
	if err != nil {
		return "", nil, err
	}
	if err := a.Ring.Create(ctx, actor, false, key); err != nil {
		return "", nil, err
	}
	return key.ID, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// Import installs the issuing CA that was made of a Request: certificates is its
// certificate and, if this installation does not know it yet, the root's, PEM. It
// returns the id of the new CA's key and from when it signs.
//
// Errors: *directory.InvalidError for certificate, directory.ErrExists.
func (a *Authority) Import(ctx context.Context, actor string, certificates []byte) (id string, from time.Time, err error) {
	issuing, root, err := a.imported(ctx, certificates)
	if err != nil {
		return "", from, err
	}
	keys := []keyring.Key{issuing}
	if root != nil {
		keys = append(keys, *root)
	}
	if err := a.Ring.Create(ctx, actor, false, keys...); err != nil {
		return "", from, err
	}
	return issuing.ID, issuing.NotBefore, a.Reload(ctx)
}

// Import is what an import would install.
type Import struct {
	Issuer Issuer            // without a list of revoked certificates, which it gets with its first
	Root   *x509.Certificate // nil where it is known already
}

// ForeseeImport decides an import by every rule and installs nothing. Errors are
// those of Authority.Import.
func (a *Authority) ForeseeImport(ctx context.Context, certificates []byte) (would Import, err error) {
	issuing, root, err := a.imported(ctx, certificates)
	if err != nil {
		return would, err
	}
	there, err := a.Ring.Keys(ctx, keyring.Issuing)
	if err != nil {
		return would, err
	}
	if slices.ContainsFunc(there, func(k keyring.Key) bool { return k.ID == issuing.ID }) {
		return would, fmt.Errorf("issuing CA %s: %w", issuing.ID, directory.ErrExists)
	}
	would.Issuer = Issuer{ID: issuing.ID, Certificate: issuing.Certificate, SignsFrom: issuing.NotBefore, Available: true}
	if root != nil {
		would.Root = root.Certificate
	}
	return would, nil
}

// imported checks the certificates and makes of them the keys of the ring: the
// root is nil where it is known.
func (a *Authority) imported(ctx context.Context, certificates []byte) (issuing keyring.Key, root *keyring.Key, err error) {
	chain, err := parseChain("certificate", certificates)
	if err != nil {
		return issuing, nil, err
	}
	requests, err := a.Ring.Keys(ctx, keyring.IssuingRequest)
	if err != nil {
		return issuing, nil, err
	}
	i := slices.IndexFunc(requests, func(k keyring.Key) bool { return samePublic(k.Signer, chain[0]) })
	if i < 0 {
		return issuing, nil, &directory.InvalidError{Field: "certificate", Reason: "is of a key that was not made here (holdfast ca csr makes one)"}
	}
	now := a.Now()
	if issuing, root, err = authorities(now, requests[i].Signer, chain, a.Roots()); err != nil {
		return issuing, nil, err
	}
	issuing.ID, issuing.NotBefore = requests[i].ID+"i", a.signsFrom(now, importAhead)
	return issuing, root, nil
}

// Adopt makes the authority of a first start from an operator's own: the issuing
// CA's certificate and key, and the certificate of the root, whose key stays
// where it is. All is PEM. Errors are *directory.InvalidError and directory.ErrExists.
func Adopt(ctx context.Context, ring *keyring.Ring, issuingCertificate, issuingKey, rootCertificate []byte) error {
	chain, err := parseChain("certificate", issuingCertificate)
	if err != nil {
		return err
	}
	anchors, err := parseChain("root", rootCertificate)
	if err != nil {
		return err
	}
	if len(anchors) != 1 {
		return &directory.InvalidError{Field: "root", Reason: "is more than one certificate"}
	}
	signer, err := jose.ParsePrivateKeyPEM(issuingKey)
	if err != nil {
		return &directory.InvalidError{Field: "key", Reason: "is not a private key in PKCS#8 PEM: P-256, Ed25519 or RSA of 2048 to 4096 bits"}
	}
	if !samePublic(signer, chain[0]) {
		return &directory.InvalidError{Field: "key", Reason: "is not that of the issuing certificate"}
	}
	issuing, root, err := authorities(ring.Now(), signer, append(chain[:1:1], anchors[0]), nil)
	if err != nil {
		return err
	}
	return ring.Create(ctx, "system", true, *root, issuing)
}

// authorities checks an imported issuing CA up to a root: one that is known, or
// the last of the chain, which is then new.
func authorities(now time.Time, signer crypto.Signer, chain, known []*x509.Certificate) (issuing keyring.Key, root *keyring.Key, err error) {
	c := chain[0]
	anchor := rootOf(c, known)
	if anchor == nil {
		anchor = rootOf(c, chain[1:])
		if anchor == nil {
			return issuing, nil, &directory.InvalidError{Field: "certificate", Reason: "was not signed by the root"}
		}
		root = &keyring.Key{Purpose: keyring.Root, Offline: true, Certificate: anchor, NotBefore: anchor.NotBefore, NotAfter: anchor.NotAfter}
	}
	if err := lintRoot(now, anchor); err != nil {
		return issuing, nil, err
	}
	if err := lintAuthority(now, c, anchor); err != nil {
		return issuing, nil, err
	}
	return keyring.Key{Purpose: keyring.Issuing, Signer: signer, Certificate: c, NotBefore: c.NotBefore, NotAfter: c.NotAfter}, root, nil
}

func samePublic(signer crypto.Signer, c *x509.Certificate) bool {
	key, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(c.PublicKey)
}

const (
	maxPEM   = 64 << 10
	maxChain = 5
)

// parseChain reads PEM certificates and nothing else: the CA's first.
func parseChain(field string, text []byte) (chain []*x509.Certificate, err error) {
	bad := func(reason string) ([]*x509.Certificate, error) {
		return nil, &directory.InvalidError{Field: field, Reason: reason}
	}
	if len(text) > maxPEM {
		return bad("larger than 64 KiB")
	}
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if !bytes.HasPrefix(rest, []byte("-----BEGIN")) {
			return bad("not PEM")
		}
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return bad("not a PEM block of a certificate")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return bad("not an X.509 certificate")
		}
		if chain = append(chain, c); len(chain) > maxChain {
			return bad("more than 5 certificates")
		}
	}
	if len(chain) == 0 {
		return bad("has no certificate")
	}
	return chain, nil
}

package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// IssueClient issues a certificate to an application for the key in csr (PEM or
// DER, PKCS#10, its signature proves possession of the key). Subject and SANs
// come from the directory, never from the CSR; a CSR that asks for a name other
// than the application's own is refused. life is at most MaxClientLife, and the
// certificate ends with the issuing CA at the latest. The chain is leaf first,
// without the root.
//
// Errors: *directory.InvalidError for csr and life, directory.ErrState for an
// application that is not live or does not use our certificates, ErrClosed.
func (a *Authority) IssueClient(ctx context.Context, actor string, c *directory.Client, csr []byte, life time.Duration) (directory.Credential, [][]byte, error) {
	if !c.Live || c.AuthMethod == directory.SelfSignedTLSClientAuth {
		return directory.Credential{}, nil, fmt.Errorf("issue certificate for %s: %w", c.ClientID, directory.ErrState)
	}
	if life <= 0 || life > MaxClientLife {
		return directory.Credential{}, nil, &directory.InvalidError{Field: "life", Reason: "not between 1 s and 90 days"}
	}
	uri := directory.SPIFFEID(a.trustDomain, c.Organisation, c.ClientID)
	request, err := parseCSR(csr, uri)
	if err != nil {
		return directory.Credential{}, nil, err
	}
	if c.EndedKey(request.PublicKey) {
		return directory.Credential{}, nil, badCSR("its key was revoked or compromised")
	}
	now := a.now()
	by, err := a.issuerAt(now)
	if err != nil {
		return directory.Credential{}, nil, err
	}
	p, err := prepare(by, now, life, c, uri, request.PublicKey)
	if err != nil {
		return directory.Credential{}, nil, fmt.Errorf("prepare certificate for %s: %w", c.ClientID, err)
	}
	credential := directory.Credential{
		ID:        directory.NewCredentialID(),
		ClientID:  c.ClientID,
		Kind:      directory.Certificate,
		State:     directory.Active,
		Issued:    true,
		Created:   now,
		NotBefore: p.template.NotBefore,
		NotAfter:  p.template.NotAfter,
	}
	serial := hex.EncodeToString(p.template.SerialNumber.Bytes())
	err = a.store.BeginIssue(ctx, Intent{
		Serial:       serial,
		ClientID:     c.ClientID,
		CredentialID: credential.ID,
		CSRHash:      sha256.Sum256(request.Raw),
		TBSHash:      p.tbs,
		At:           now,
	})
	if err != nil {
		return directory.Credential{}, nil, fmt.Errorf("store intent to issue %s: %w", serial, err)
	}
	leaf, err := p.issue(by)
	if err != nil {
		return directory.Credential{}, nil, fmt.Errorf("issue %s: %w", serial, err)
	}
	credential.Certificate, credential.Thumbprint = leaf.Raw, cnf.CertificateThumbprint(leaf.Raw)
	if err := a.store.FinishIssue(ctx, issued(actor, c, credential, serial), serial, credential); err != nil {
		return directory.Credential{}, nil, fmt.Errorf("store certificate %s: %w", serial, err)
	}
	return credential, [][]byte{leaf.Raw, by.certificate.Raw}, nil
}

// issued is the audit event of a certificate.
func issued(actor string, c *directory.Client, credential directory.Credential, serial string) audit.Event {
	return audit.Event{
		At:           credential.Created,
		Actor:        actor,
		Action:       "certificate.issued",
		Organisation: string(c.Organisation),
		Subject:      string(credential.ID),
		// Hexadecimal, base64url, an id and a number: nothing to escape.
		Detail: `{"client_id":"` + string(c.ClientID) + `","serial":"` + serial +
			`","x5t#S256":"` + credential.Thumbprint.String() +
			`","not_after":` + strconv.FormatInt(credential.NotAfter.Unix(), 10) + `}`,
	}
}

// prepared is a certificate that was made by a throw-away key and found good:
// only what has the same TBSCertificate may be signed by the real one.
type prepared struct {
	template *x509.Certificate
	key      crypto.PublicKey
	tbs      [sha256.Size]byte
}

func prepare(by issuer, now time.Time, life time.Duration, c *directory.Client, uri string, key crypto.PublicKey) (prepared, error) {
	name, err := url.Parse(uri)
	if err != nil {
		return prepared{}, err
	}
	notAfter := now.Add(life)
	if by.certificate.NotAfter.Before(notAfter) {
		notAfter = by.certificate.NotAfter
	}
	t, err := template(now, notAfter, key)
	if err != nil {
		return prepared{}, err
	}
	t.Subject = pkix.Name{CommonName: commonName(c.Name), Organization: []string{string(c.Organisation)}} // for people
	t.URIs = []*url.URL{name}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

	throwAway, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return prepared{}, err
	}
	parent := *by.certificate
	parent.PublicKey = throwAway.Public()
	twin, err := sign(t, &parent, key, throwAway)
	if err != nil {
		return prepared{}, err
	}
	if err := lint(twin, t, key, uri); err != nil {
		return prepared{}, err
	}
	return prepared{template: t, key: key, tbs: sha256.Sum256(twin.RawTBSCertificate)}, nil
}

// commonName cuts a name at the 64 characters that X.520 allows.
func commonName(name string) string {
	n := 0
	for i := range name {
		if n++; n > 64 {
			return name[:i]
		}
	}
	return name
}

// issue signs, and gives out nothing but what was prepared.
func (p prepared) issue(by issuer) (*x509.Certificate, error) {
	leaf, err := sign(p.template, by.certificate, p.key, by.signer)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(leaf.RawTBSCertificate) != p.tbs {
		return nil, ErrLint
	}
	return leaf, nil
}

// IssueServer signs a server certificate for our own listeners: DNS names and IP
// addresses, 90 days (the issuing CA's end at the latest), ExtKeyUsage
// serverAuth. It is not stored. The chain is leaf first, without the root.
func (a *Authority) IssueServer(key crypto.PublicKey, names []string) (chain [][]byte, err error) {
	if len(names) == 0 {
		return nil, errors.New("issue server certificate: no names")
	}
	if _, err := jose.NewPublicKey(key, "", ""); err != nil {
		return nil, fmt.Errorf("issue server certificate: %w", err)
	}
	now := a.now()
	by, err := a.issuerAt(now)
	if err != nil {
		return nil, err
	}
	notAfter := now.Add(ServerLife)
	if by.certificate.NotAfter.Before(notAfter) {
		notAfter = by.certificate.NotAfter
	}
	t, err := template(now, notAfter, key)
	if err != nil {
		return nil, err
	}
	t.Subject = pkix.Name{CommonName: "Holdfast server", Organization: []string{a.trustDomain}}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	leaf, err := sign(t, by.certificate, key, by.signer)
	if err != nil {
		return nil, fmt.Errorf("issue server certificate: %w", err)
	}
	return [][]byte{leaf.Raw, by.certificate.Raw}, nil
}

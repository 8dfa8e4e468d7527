package clientauth

import (
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/mtls"
)

// authenticateCertificate is tls_client_auth and self_signed_tls_client_auth
// (RFC 8705 section 2). client_id says who must own the certificate; the
// certificate never says who calls.
func (a *Authenticator) authenticateCertificate(now time.Time, s *directory.Snapshot, t Attempt) (*Authenticated, error) {
	client := s.Client(directory.ClientID(t.Form.Value("client_id")))
	shown := t.Peer != nil || t.PeerErr != nil
	switch {
	case client == nil:
		return nil, unauthenticated(nil, ReasonClientUnknown, nil)
	case !client.Live:
		return nil, unauthenticated(client, ReasonClientNotLive, nil)
	case client.AuthMethod == directory.PrivateKeyJWT && !shown:
		return nil, unauthenticated(client, ReasonAssertionMissing, nil)
	case client.AuthMethod != directory.TLSClientAuth && client.AuthMethod != directory.SelfSignedTLSClientAuth:
		return nil, unauthenticated(client, ReasonMethodNotRegistered, nil)
	case t.PeerErr != nil:
		return nil, unauthenticated(client, ReasonCertificateUnusable, t.PeerErr)
	case t.Peer == nil:
		return nil, unauthenticated(client, ReasonCertificateMissing, nil)
	}
	credential, err := a.RecogniseCertificate(now, s, client, t.Peer)
	if err != nil {
		return nil, err
	}
	if !authenticates(client.AuthMethod, credential) {
		return nil, unauthenticated(client, ReasonMethodNotRegistered, nil)
	}
	return &Authenticated{Client: client, Credential: credential, Method: client.AuthMethod}, nil
}

// authenticates tells whether the method is that of the credential that a
// certificate is: for tls_client_auth an authority vouches, ours or one of the
// organisation's; for self_signed_tls_client_auth a key was registered.
func authenticates(m directory.AuthMethod, c *directory.Credential) bool {
	vouched := c.Issued || c.Kind == directory.TrustedCertificate
	return vouched == (m == directory.TLSClientAuth)
}

// RecogniseCertificate finds the credential that the peer's certificate is: one
// of this client's, usable at now. It has a record, and where our CA issued it, a
// chain to the pool and the client's URI SAN; or it chains to a CA of the
// client's organisation and has the client's registered name; or its key is a
// registered one. Used for authentication and for binding. Every refusal is a
// *Refusal.
func (a *Authenticator) RecogniseCertificate(now time.Time, s *directory.Snapshot, c *directory.Client, p *mtls.Peer) (*directory.Credential, error) {
	credential := c.Certificate(p.Thumbprint())
	if credential == nil {
		return a.recogniseUnrecorded(now, s, c, p)
	}
	if err := p.ValidAt(now); err != nil {
		return nil, unauthenticated(c, ReasonCertificateExpired, err)
	}
	if !credential.UsableAt(now) {
		return nil, unauthenticated(c, ReasonCertificateNotAccepted, nil)
	}
	if !credential.Issued {
		return credential, nil
	}
	if err := a.Pool(c.Organisation).Verify(now, p); err != nil { // a nil pool trusts nobody
		return nil, unauthenticated(c, reasonOfChain(err), err)
	}
	if !onlyName(p.Leaf(), directory.SPIFFEID(a.TrustDomain, c.Organisation, c.ClientID)) {
		return nil, unauthenticated(c, ReasonCertificateSAN, nil)
	}
	return credential, nil
}

// recogniseUnrecorded is for a certificate without a record of its own. That
// another application registered it decides nothing, as a certificate is public: it
// only words the refusal of one that is not this application's.
func (a *Authenticator) recogniseUnrecorded(now time.Time, s *directory.Snapshot, c *directory.Client, p *mtls.Peer) (*directory.Credential, error) {
	named := c.TLSName != directory.TLSName{}
	if !named && !hasKeys(c) {
		return nil, unauthenticated(c, reasonOfUnknown(s, ReasonCertificateUnknown, p.Thumbprint()), nil)
	}
	// It may have a record since it was revoked.
	record := s.Credential(directory.UnregisteredCertificate(c.ClientID, p.Thumbprint()))
	if record != nil && !record.State.Accepted() || c.EndedThumbprint(p.Thumbprint()) || c.EndedKey(p.Leaf().PublicKey) {
		return nil, unauthenticated(c, ReasonCertificateNotAccepted, nil)
	}
	if named {
		return a.recogniseName(now, s, c, p)
	}
	return a.recogniseKey(now, s, c, p)
}

// recogniseName is RFC 8705 section 2.1: a chain to a CA of the application's own
// organisation, and the one registered name.
func (a *Authenticator) recogniseName(now time.Time, s *directory.Snapshot, c *directory.Client, p *mtls.Peer) (*directory.Credential, error) {
	leaf := p.Leaf()
	if err := a.anchors.pool(s.Organisation(c.Organisation)).Verify(now, p); err != nil { // a nil pool trusts nobody
		return nil, unauthenticated(c, reasonOfUnknown(s, reasonOfChain(err), p.Thumbprint()), err)
	}
	// The pool takes a certificate that names no usage for one that is good for
	// everything. A CA that is not ours issues for other ends too, so ours is named.
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return nil, unauthenticated(c, ReasonCertificateUsage, mtls.ErrUsage)
	}
	found, err := hasName(leaf, c.TLSName)
	if !found {
		return nil, unauthenticated(c, reasonOfUnknown(s, ReasonCertificateSAN, p.Thumbprint()), err)
	}
	return &directory.Credential{
		ID: directory.UnregisteredCertificate(c.ClientID, p.Thumbprint()), ClientID: c.ClientID, Kind: directory.TrustedCertificate,
		State: directory.Active, Thumbprint: p.Thumbprint(), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}, nil
}

// reasonOfUnknown tells a certificate that is another application's, by itself or by
// its key, from one that is nobody's.
func reasonOfUnknown(s *directory.Snapshot, reason string, thumbprints ...cnf.Thumbprint) string {
	switch reason {
	case ReasonCertificateUnknown, ReasonCertificateUntrusted, ReasonCertificateSAN:
		for _, t := range thumbprints {
			if s.CredentialByThumbprint(t) != nil {
				return ReasonCertificateForeign
			}
		}
	}
	return reason
}

func reasonOfChain(err error) string {
	switch {
	case errors.Is(err, mtls.ErrExpired), errors.Is(err, mtls.ErrNotYetValid):
		return ReasonCertificateExpired
	case errors.Is(err, mtls.ErrUsage):
		return ReasonCertificateUsage
	}
	return ReasonCertificateUntrusted
}

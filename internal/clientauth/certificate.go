package clientauth

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"time"

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
	// A certificate that our CA issued is tls_client_auth, one registered by key
	// is self_signed_tls_client_auth; neither does for the other.
	if credential.Issued != (client.AuthMethod == directory.TLSClientAuth) {
		return nil, unauthenticated(client, ReasonMethodNotRegistered, nil)
	}
	return &Authenticated{Client: client, Credential: credential, Method: client.AuthMethod}, nil
}

// RecogniseCertificate finds the credential that the peer's certificate is: one
// of this client's, usable at now, and where our CA issued it, with a chain to
// the pool and the client's URI SAN. Used for authentication and for binding.
// Every refusal is a *Refusal.
func (a *Authenticator) RecogniseCertificate(now time.Time, s *directory.Snapshot, c *directory.Client, p *mtls.Peer) (*directory.Credential, error) {
	credential := c.Certificate(p.Thumbprint())
	if credential == nil {
		if s.CredentialByThumbprint(p.Thumbprint()) != nil {
			return nil, unauthenticated(c, ReasonCertificateForeign, nil)
		}
		return nil, unauthenticated(c, ReasonCertificateUnknown, nil)
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
	if !onlyName(p, directory.SPIFFEID(a.TrustDomain, c.Organisation, c.ClientID)) {
		return nil, unauthenticated(c, ReasonCertificateSAN, nil)
	}
	return credential, nil
}

func reasonOfChain(err error) string {
	if errors.Is(err, mtls.ErrExpired) || errors.Is(err, mtls.ErrNotYetValid) {
		return ReasonCertificateExpired
	}
	return ReasonCertificateUntrusted
}

// onlyName tells whether the certificate's SAN extension is exactly the one URI
// want: no other name, of whatever kind, and no other spelling.
func onlyName(p *mtls.Peer, want string) bool {
	uri := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: uniformResourceIdentifier, Bytes: []byte(want)}
	names, _ := asn1.Marshal([]asn1.RawValue{uri}) // never fails, and no extension equals nothing
	for _, e := range p.Leaf().Extensions {
		if e.Id.Equal(subjectAltName) {
			return bytes.Equal(e.Value, names)
		}
	}
	return false
}

// uniformResourceIdentifier is the tag of a URI in GeneralName (RFC 5280 section 4.2.1.6).
const uniformResourceIdentifier = 6

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

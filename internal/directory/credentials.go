package directory

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// maxCertificate is the most that a certificate may have, in bytes of DER.
const maxCertificate = 64 << 10

// RegisterKey makes an active signing-key credential of a public key. A zero
// notAfter is no bound. With self_signed_tls_client_auth it signs no assertions:
// certificates of this key are the application's (RFC 8705 section 2.2).
func (d *Directory) RegisterKey(ctx context.Context, actor string, client ClientID, key *jose.PublicKey, notAfter time.Time) (Credential, error) {
	if key == nil {
		return Credential{}, invalid("key", "is missing")
	}
	c := Credential{
		ID: NewCredentialID(), ClientID: client, Kind: SigningKey, State: Active,
		Key: key, Thumbprint: key.Thumbprint(), NotAfter: notAfter,
	}
	return d.register(ctx, actor, c, facts{"kid": key.KeyID(), "alg": key.Algorithm()}, func(of *Client, now time.Time) error {
		return checkSigningKey(of, &c, now)
	})
}

func checkSigningKey(of *Client, c *Credential, now time.Time) error {
	switch {
	case of.AuthMethod == TLSClientAuth:
		return invalid("key", "a %s application has no keys", of.AuthMethod)
	case of.JWKSURI != "":
		return invalid("key", "the application's keys are those at its jwks_uri")
	case !c.NotAfter.IsZero() && !now.Before(c.NotAfter):
		return invalid("not_after", "is not in the future")
	case of.EndedKey(c.Key.Crypto()):
		return invalid("key", "was revoked or compromised")
	}
	return nil
}

// RegisterCertificate makes an active certificate credential of a certificate
// that the application made itself (self_signed_tls_client_auth, or the binding
// certificate of a private_key_jwt client).
func (d *Directory) RegisterCertificate(ctx context.Context, actor string, client ClientID, der []byte) (Credential, error) {
	certificate, err := parseCertificate(der)
	if err != nil {
		return Credential{}, err
	}
	c := Credential{
		ID: NewCredentialID(), ClientID: client, Kind: Certificate, State: Active,
		Thumbprint: cnf.CertificateThumbprint(der), Certificate: slices.Clone(der),
		NotBefore: certificate.NotBefore.UTC(), NotAfter: certificate.NotAfter.UTC(),
	}
	return d.register(ctx, actor, c, facts{}, func(of *Client, now time.Time) error {
		return checkCertificate(of, certificate, now)
	})
}

func checkCertificate(of *Client, certificate *x509.Certificate, now time.Time) error {
	switch {
	case of.AuthMethod == TLSClientAuth:
		return invalid("certificate", "a %s application has its certificates from our CA", of.AuthMethod)
	case !now.Before(certificate.NotAfter):
		return invalid("certificate", "has expired")
	case of.EndedThumbprint(cnf.CertificateThumbprint(certificate.Raw)):
		return invalid("certificate", "was revoked or compromised")
	case of.EndedKey(certificate.PublicKey):
		return invalid("certificate", "has a key that was revoked or compromised")
	}
	return nil
}

// parseCertificate reads a certificate that stands for itself: what its issuer
// says of it does not count, so only its key and its own signature are looked at.
func parseCertificate(der []byte) (*x509.Certificate, error) {
	if len(der) > maxCertificate {
		return nil, invalid("certificate", "must have at most %d bytes", maxCertificate)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, invalid("certificate", "is not an X.509 certificate in DER")
	}
	if _, err := jose.NewPublicKey(c.PublicKey, "", ""); err != nil {
		return nil, invalid("certificate", "must have a P-256, an Ed25519 or an RSA key of 2048 to 4096 bits")
	}
	if !c.NotBefore.Before(c.NotAfter) {
		return nil, invalid("certificate", "is never valid")
	}
	if string(c.RawIssuer) == string(c.RawSubject) {
		if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
			return nil, invalid("certificate", "does not bear its own signature")
		}
	} else if c.IsCA {
		return nil, invalid("certificate", "is that of a certificate authority")
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return nil, invalid("certificate", "its extended key usage excludes client authentication")
	}
	return c, nil
}

// register stores a new credential after the check that its kind needs.
func (d *Directory) register(ctx context.Context, actor string, c Credential, detail facts, check func(*Client, time.Time) error) (Credential, error) {
	detail["client_id"], detail["kind"], detail["thumbprint"] = c.ClientID, c.Kind, c.Thumbprint.String()
	if !c.NotAfter.IsZero() {
		detail["not_after"] = c.NotAfter.Unix()
	}
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		of, err := owner(s, c.ClientID)
		if err != nil {
			return audit.Event{}, nil, err
		}
		if err := check(of, now); err != nil {
			return audit.Event{}, nil, err
		}
		c.Created = now
		e, err := event(actor, "credential.registered", now, of.Organisation, string(c.ID), detail)
		return e, &step{Delta{Credentials: []Credential{c}}, func(ctx context.Context, e audit.Event) error { return d.store.CreateCredential(ctx, e, c) }}, err
	})
	return inForce(c, d.Current().Credential(c.ID), err)
}

// owner finds an application that may have a new credential.
func owner(s *Snapshot, id ClientID) (*Client, error) {
	of := s.Client(id)
	if of == nil {
		return nil, fmt.Errorf("application %q: %w", id, ErrNotFound)
	}
	if of.State == Revoked {
		return nil, fmt.Errorf("application %s is revoked: %w", id, ErrState)
	}
	return of, nil
}

// Guard is a further rule of a change. It looks at the snapshot that the change
// is decided on, so that two changes at once cannot both pass it.
type Guard func(s *Snapshot, now time.Time) error

// SetCredentialState suspends, resumes, retires, revokes or marks as compromised.
func (d *Directory) SetCredentialState(ctx context.Context, actor string, id CredentialID, to State, guards ...Guard) error {
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		c := s.Credential(id)
		if c == nil {
			return audit.Event{}, nil, fmt.Errorf("credential %q: %w", id, ErrNotFound)
		}
		of := s.Client(c.ClientID)
		if err := checkCredentialMove(c, of, to, now); err != nil {
			return audit.Event{}, nil, err
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, action("credential", c.State, to), now, of.Organisation, string(id),
			facts{"client_id": c.ClientID, "kind": c.Kind, "thumbprint": c.Thumbprint.String(), "from": c.State})
		next := *c
		next.State, next.TokensAfter = to, endTokens(c.TokensAfter, to, now)
		return e, d.put(Delta{Credentials: []Credential{next}}), err
	})
}

// RevokeDPoPKey revokes a DPoP key of an application by its jkt. One that is
// revoked already is returned as it is.
func (d *Directory) RevokeDPoPKey(ctx context.Context, actor string, client ClientID, jkt cnf.Thumbprint) (Credential, error) {
	c := Credential{ID: NewCredentialID(), ClientID: client, Kind: DPoPKey, State: Revoked, Thumbprint: jkt}
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		of := s.Client(client)
		if of == nil {
			return audit.Event{}, nil, fmt.Errorf("application %q: %w", client, ErrNotFound)
		}
		if known, ok := s.unregistered.get(clientKey{client, jkt}); ok {
			c = *known
			return audit.Event{}, nil, errDone
		}
		c.Created = now
		e, err := event(actor, "credential.revoked", now, of.Organisation, string(c.ID),
			facts{"client_id": client, "kind": DPoPKey, "thumbprint": jkt.String()})
		return e, &step{Delta{Credentials: []Credential{c}}, func(ctx context.Context, e audit.Event) error { return d.store.CreateCredential(ctx, e, c) }}, err
	})
	return inForce(c, d.Current().Credential(c.ID), err)
}

func pass(guards []Guard, s *Snapshot, now time.Time) error {
	for _, g := range guards {
		if err := g(s, now); err != nil {
			return err
		}
	}
	return nil
}

package clientauth

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/jwksuri"
	"github.com/holdfast-auth/holdfast/mtls"
)

// Published is what applications publish at their jwks_uri, as *jwksuri.Source
// has it.
type Published interface {
	// Keys are those at hand; nil when there are none, or none that are fresh enough.
	Keys(p jwksuri.Place) *jwksuri.Set
	// Want waits, 250 ms at most, for a key that Keys did not have. It tells
	// whether there is something new to decide on. name is what is looked for.
	Want(ctx context.Context, p jwksuri.Place, name string) bool
}

// AuthenticateRequest is Authenticate, and when a key is missing that the client
// may have published meanwhile, Authenticate once more after a look.
func (a *Authenticator) AuthenticateRequest(ctx context.Context, now time.Time, s *directory.Snapshot, t Attempt) (*Authenticated, error) {
	caller, err := a.Authenticate(now, s, t)
	if err == nil || a.Published == nil {
		return caller, err
	}
	r, ok := errors.AsType[*Refusal](err)
	if !ok || r.missing == nil || !a.Published.Want(ctx, r.missing.place, r.missing.name) {
		return nil, err
	}
	return a.Authenticate(now, s, t)
}

// missing is a key that a jwks_uri did not have when it was last looked at.
type missing struct {
	place jwksuri.Place
	name  string // the kid, or the thumbprint of a certificate's key
}

func (a *Authenticator) published(c *directory.Client) *jwksuri.Set {
	if a.Published == nil {
		return nil
	}
	return a.Published.Keys(PlaceOf(c))
}

// PlaceOf is where the application publishes its keys. It has no URI for one that
// does not.
func PlaceOf(c *directory.Client) jwksuri.Place {
	return jwksuri.Place{Application: string(c.ClientID), Owner: string(c.Organisation), URI: c.JWKSURI}
}

// publishedKey finds the key of an assertion at the client's jwks_uri.
func (a *Authenticator) publishedKey(now time.Time, s *directory.Snapshot, c *directory.Client, kid string) (*directory.Credential, *fault) {
	set := a.published(c)
	var key *jwksuri.Key
	if kid != "" {
		key = set.ByID(kid)
	} else if all := set.All(); len(all) == 1 {
		key = &all[0]
	}
	if key == nil {
		return nil, a.notPublished(c, set, ReasonKeyUnknown, "kid "+kid)
	}
	credential := publishedCredential(now, s, c, key)
	if credential == nil {
		return nil, &fault{reason: ReasonKeyNotAccepted}
	}
	return credential, nil
}

// notPublished says why a key was not found, and what to look for.
func (a *Authenticator) notPublished(c *directory.Client, set *jwksuri.Set, reason, name string) *fault {
	if set == nil {
		reason = ReasonKeySetUnavailable
	}
	return &fault{reason: reason, missing: &missing{PlaceOf(c), name}}
}

// publishedCredential is the credential that a published key is; nil when the
// application had the key before, in whatever shape, and it was revoked. A key that
// it registered too is what its record says.
func publishedCredential(now time.Time, s *directory.Snapshot, c *directory.Client, key *jwksuri.Key) *directory.Credential {
	jkt := cnf.Thumbprint(key.Thumbprint())
	if c.EndedThumbprint(jkt) {
		return nil
	}
	if registered := s.Registered(c.ClientID, jkt); registered != nil {
		if !registered.UsableAt(now) {
			return nil
		}
		return registered
	}
	id := directory.UnregisteredKey(c.ClientID, jkt)
	if record := s.Credential(id); record != nil && !record.State.Accepted() {
		return nil
	}
	return &directory.Credential{
		ID: id, ClientID: c.ClientID, Kind: directory.PublishedKey, State: directory.Active, Key: key.PublicKey, Thumbprint: jkt,
	}
}

// hasKeys tells whether certificates may be the client's by their key.
func hasKeys(c *directory.Client) bool {
	if c.AuthMethod == directory.TLSClientAuth {
		return false
	}
	if c.JWKSURI != "" {
		return true
	}
	for _, k := range c.Credentials {
		if k.Kind == directory.SigningKey {
			return true
		}
	}
	return false
}

// recogniseKey is RFC 8705 section 2.2: whoever signed the certificate, its key is
// one of the application's, registered or published, and the handshake proved it.
func (a *Authenticator) recogniseKey(now time.Time, s *directory.Snapshot, c *directory.Client, p *mtls.Peer) (*directory.Credential, error) {
	key, err := jose.NewPublicKey(p.Leaf().PublicKey, "", "")
	if err != nil {
		return nil, unauthenticated(c, reasonOfUnknown(s, ReasonCertificateUnknown, p.Thumbprint()), err)
	}
	if err := p.ValidAt(now); err != nil {
		return nil, unauthenticated(c, ReasonCertificateExpired, err)
	}
	credential, f := a.keyOfCertificate(now, s, c, key.Thumbprint(), p.Thumbprint())
	if f != nil {
		return nil, f.refuse(c)
	}
	if err := p.ForClients(); err != nil {
		return nil, unauthenticated(c, ReasonCertificateUsage, err)
	}
	k := *credential
	if k.NotAfter.IsZero() || p.Leaf().NotAfter.Before(k.NotAfter) {
		k.NotAfter = p.Leaf().NotAfter
	}
	return &k, nil
}

func (a *Authenticator) keyOfCertificate(now time.Time, s *directory.Snapshot, c *directory.Client, jkt, x5t cnf.Thumbprint) (*directory.Credential, *fault) {
	if registered := s.Registered(c.ClientID, jkt); registered != nil {
		if !registered.UsableAt(now) {
			return nil, &fault{reason: ReasonCertificateNotAccepted}
		}
		return registered, nil
	}
	unknown := reasonOfUnknown(s, ReasonCertificateUnknown, x5t, jkt)
	if c.JWKSURI == "" {
		return nil, &fault{reason: unknown}
	}
	set := a.published(c)
	published := set.Of(jkt, x5t)
	if published == nil {
		return nil, a.notPublished(c, set, unknown, "x5t "+x5t.String())
	}
	credential := publishedCredential(now, s, c, published)
	if credential == nil {
		return nil, &fault{reason: ReasonCertificateNotAccepted}
	}
	return credential, nil
}

package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
)

// Ending tokens without ending whose they are: whoever still has the key gets new
// ones at once.

// RevokeOrganisationTokens ends every token of the organisation's applications
// that was issued before now.
func (d *Directory) RevokeOrganisationTokens(ctx context.Context, actor string, id OrganisationID) error {
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		o := s.Organisation(id)
		if o == nil {
			return audit.Event{}, nil, fmt.Errorf("organisation %q: %w", id, ErrNotFound)
		}
		next := *o
		next.TokensAfter = wholeSecond(now)
		e, err := event(actor, "organisation.tokens_revoked", now, id, string(id), facts{"issued_before": next.TokensAfter.Unix()})
		return e, d.put(Delta{Organisations: []Organisation{next}}), err
	})
}

// RevokeApplicationTokens ends every token of the application that was issued
// before now.
func (d *Directory) RevokeApplicationTokens(ctx context.Context, actor string, id ClientID) error {
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		c := s.Client(id)
		if c == nil {
			return audit.Event{}, nil, fmt.Errorf("application %q: %w", id, ErrNotFound)
		}
		next := c.Application
		next.TokensAfter = wholeSecond(now)
		e, err := event(actor, "application.tokens_revoked", now, c.Organisation, string(id), facts{"issued_before": next.TokensAfter.Unix()})
		return e, d.put(Delta{Applications: []Application{next}}), err
	})
}

// RevokeCredentialTokens ends every token that the credential got, or that is
// bound to it, and that was issued before now.
func (d *Directory) RevokeCredentialTokens(ctx context.Context, actor string, id CredentialID) error {
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		c := s.Credential(id)
		if c == nil {
			return audit.Event{}, nil, fmt.Errorf("credential %q: %w", id, ErrNotFound)
		}
		next := *c
		next.TokensAfter = wholeSecond(now)
		e, err := event(actor, "credential.tokens_revoked", now, s.Client(c.ClientID).Organisation, string(id),
			facts{"client_id": c.ClientID, "issued_before": next.TokensAfter.Unix()})
		return e, d.put(Delta{Credentials: []Credential{next}}), err
	})
}

// RevokeSigningKey ends a token signing key, and with it every token that it
// signed. Whoever holds the keys makes the next one at once.
func (d *Directory) RevokeSigningKey(ctx context.Context, actor, kid string) error {
	if len(kid) < 1 || len(kid) > maxID {
		return invalid("kid", "must have 1 to %d characters", maxID)
	}
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		if s.RevokedKey(kid) {
			return audit.Event{}, nil, errDone
		}
		e, err := event(actor, "signing_key.revoked", now, "", kid, facts{})
		return e, d.put(Delta{RevokedKeys: []RevokedKey{{kid, now}}}), err
	})
}

// RevokeCertificate revokes a certificate of an organisation's own CA, which has
// no record until then, by its x5t#S256, for one application. One that is revoked
// already is returned as it is; one that is registered is revoked by its id.
func (d *Directory) RevokeCertificate(ctx context.Context, actor string, client ClientID, t cnf.Thumbprint) (Credential, error) {
	return d.revokeUnregistered(ctx, actor, Credential{
		ID: UnregisteredCertificate(client, t), ClientID: client, Kind: TrustedCertificate, State: Revoked, Thumbprint: t,
	})
}

// RevokeKey does the same for a key at the application's jwks_uri, by its RFC
// 7638 thumbprint.
func (d *Directory) RevokeKey(ctx context.Context, actor string, client ClientID, t cnf.Thumbprint) (Credential, error) {
	return d.revokeUnregistered(ctx, actor, Credential{
		ID: UnregisteredKey(client, t), ClientID: client, Kind: PublishedKey, State: Revoked, Thumbprint: t,
	})
}

func (d *Directory) revokeUnregistered(ctx context.Context, actor string, c Credential) (Credential, error) {
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		of := s.Client(c.ClientID)
		if of == nil {
			return audit.Event{}, nil, fmt.Errorf("application %q: %w", c.ClientID, ErrNotFound)
		}
		if known := s.Credential(c.ID); known != nil {
			c = *known
			return audit.Event{}, nil, errDone
		}
		c.Created, c.TokensAfter = now, endTokens(time.Time{}, Revoked, now)
		e, err := event(actor, "credential.revoked", now, of.Organisation, string(c.ID),
			facts{"client_id": c.ClientID, "kind": c.Kind, "thumbprint": c.Thumbprint.String()})
		return e, d.put(Delta{Credentials: []Credential{c}}), err
	})
	return inForce(c, d.Current().Credential(c.ID), err)
}

package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// CreateOrganisation is directory.Store's.
func (s *Store) CreateOrganisation(ctx context.Context, e audit.Event, o directory.Organisation) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		if err := add(tx, queryAddOrganisation, organisationRow(o, sequence)...); err != nil {
			return fmt.Errorf("store organisation %s: %w", o.ID, err)
		}
		return putOrganisationLists(tx, o)
	})
}

// CreateResource is directory.Store's. A scope of another resource is ErrExists.
func (s *Store) CreateResource(ctx context.Context, e audit.Event, r directory.Resource) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		if err := add(tx, queryAddResource, resourceRow(r, sequence)...); err != nil {
			return fmt.Errorf("store resource %s: %w", r.URI, err)
		}
		return putResourceLists(tx, r)
	})
}

// CreateApplication is directory.Store's. A grant of a scope that its resource
// does not have is ErrNotFound.
func (s *Store) CreateApplication(ctx context.Context, e audit.Event, a directory.Application) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		if err := add(tx, queryAddApplication, applicationRow(a, sequence)...); err != nil {
			return fmt.Errorf("store application %s: %w", a.ClientID, err)
		}
		return putApplicationLists(tx, a)
	})
}

// CreateCredential is directory.Store's.
func (s *Store) CreateCredential(ctx context.Context, e audit.Event, c directory.Credential) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error { return addCredential(tx, sequence, c) })
}

func addCredential(tx *sql.Tx, sequence int64, c directory.Credential) error {
	kid, jwk := "", ""
	if c.Key != nil {
		kid, jwk = c.Key.KeyID(), string(c.Key.JWK())
	}
	if err := add(tx, queryAddCredential, string(c.ID), string(c.ClientID), string(c.Kind), string(c.State), kid, jwk, c.Thumbprint[:],
		some(c.Certificate), c.Issued, micros(c.Created), micros(c.NotBefore), micros(c.NotAfter), string(c.Instance), micros(c.TokensAfter), sequence); err != nil {
		return fmt.Errorf("store credential %s: %w", c.ID, err)
	}
	return nil
}

// RevokeToken is directory.Store's. A token that is revoked already,
// and kept as long, is ErrExists.
func (s *Store) RevokeToken(ctx context.Context, e audit.Event, t directory.RevokedToken) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		if err := add(tx, queryAddRevoked, string(t.ClientID), t.ID, micros(t.Expires), sequence); err != nil {
			return fmt.Errorf("store revocation of a token: %w", err)
		}
		return nil
	})
}

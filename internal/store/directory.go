package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// CreateOrganisation is directory.Store's.
func (s *Store) CreateOrganisation(ctx context.Context, e audit.Event, o directory.Organisation) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		if err := add(tx, queryAddOrganisation, string(o.ID), o.Name, string(o.State), sequence); err != nil {
			return fmt.Errorf("store organisation %s: %w", o.ID, err)
		}
		return nil
	})
}

// CreateResource is directory.Store's. A scope of another resource is ErrExists.
func (s *Store) CreateResource(ctx context.Context, e audit.Event, r directory.Resource) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		if err := add(tx, queryAddResource, r.URI, string(r.Organisation), r.Name, sequence); err != nil {
			return fmt.Errorf("store resource %s: %w", r.URI, err)
		}
		for place, scope := range r.Scopes {
			if err := add(tx, queryAddScope, scope, r.URI, place); err != nil {
				return fmt.Errorf("store scope %s: %w", scope, err)
			}
		}
		for place, server := range r.Servers {
			if err := add(tx, queryAddServer, r.URI, string(server), place); err != nil {
				return fmt.Errorf("store server %s of resource %s: %w", server, r.URI, err)
			}
		}
		return nil
	})
}

// CreateApplication is directory.Store's. A grant of a scope that its resource
// does not have is ErrNotFound.
func (s *Store) CreateApplication(ctx context.Context, e audit.Event, a directory.Application) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		if err := add(tx, queryAddApplication, string(a.ClientID), string(a.Organisation), a.Name, string(a.AuthMethod),
			string(a.Binding), a.RequireNonce, string(a.State), sequence); err != nil {
			return fmt.Errorf("store application %s: %w", a.ClientID, err)
		}
		place := 0
		for _, grant := range a.Grants {
			for _, scope := range grant.Scopes {
				n, err := affected(tx, queryAddGrant, string(a.ClientID), place, scope, grant.Resource)
				if err == nil && n == 0 {
					err = directory.ErrNotFound
				}
				if err != nil {
					return fmt.Errorf("store grant of scope %s to %s: %w", scope, a.ClientID, err)
				}
				place++
			}
		}
		return nil
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
		some(c.Certificate), c.Issued, micros(c.Created), micros(c.NotBefore), micros(c.NotAfter), sequence); err != nil {
		return fmt.Errorf("store credential %s: %w", c.ID, err)
	}
	return nil
}

// SetCredentialState is directory.Store's.
func (s *Store) SetCredentialState(ctx context.Context, e audit.Event, id directory.CredentialID, from []directory.State, to directory.State) error {
	return s.setState(ctx, e, queryCredentialState, querySetCredentialState, string(id), from, to)
}

// SetApplicationState is directory.Store's.
func (s *Store) SetApplicationState(ctx context.Context, e audit.Event, id directory.ClientID, from []directory.State, to directory.State) error {
	return s.setState(ctx, e, queryApplicationState, querySetApplicationState, string(id), from, to)
}

// SetOrganisationState is directory.Store's.
func (s *Store) SetOrganisationState(ctx context.Context, e audit.Event, id directory.OrganisationID, from []directory.State, to directory.State) error {
	return s.setState(ctx, e, queryOrganisationState, querySetOrganisationState, string(id), from, to)
}

func (s *Store) setState(ctx context.Context, e audit.Event, ask, set, id string, from []directory.State, to directory.State) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		var now string
		switch err := tx.QueryRow(ask, id).Scan(&now); {
		case err == sql.ErrNoRows:
			return fmt.Errorf("set state of %s: %w", id, directory.ErrNotFound)
		case err != nil:
			return fmt.Errorf("read state of %s: %w", id, err)
		case !slices.Contains(from, directory.State(now)):
			return fmt.Errorf("set state of %s from %s to %s: %w", id, now, to, directory.ErrState)
		}
		if _, err := tx.Exec(set, string(to), sequence, id); err != nil {
			return fmt.Errorf("set state of %s: %w", id, err)
		}
		return nil
	})
}

// RevokeToken is directory.Store's. A token that is revoked already is ErrExists.
func (s *Store) RevokeToken(ctx context.Context, e audit.Event, t directory.RevokedToken) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		if err := add(tx, queryAddRevoked, t.ID, micros(t.Expires), sequence); err != nil {
			return fmt.Errorf("store revocation of a token: %w", err)
		}
		return nil
	})
}

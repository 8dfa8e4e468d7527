package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// Put is directory.Store's. Records come before those that refer to them.
func (s *Store) Put(ctx context.Context, e audit.Event, d directory.Delta) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error { return putRecords(tx, sequence, d) })
}

func putRecords(tx *sql.Tx, sequence int64, d directory.Delta) error {
	for _, r := range d.Roles {
		if err := put(tx, querySetRole, queryAddRole, string(r.ID), r.Name, string(r.State), sequence); err != nil {
			return fmt.Errorf("store role %s: %w", r.ID, err)
		}
		if err := putGrants(tx, queryClearRoleScopes, queryAddRoleScope, string(r.ID), r.Grants); err != nil {
			return err
		}
	}
	for _, o := range d.Organisations {
		if err := put(tx, querySetOrganisation, queryAddOrganisation, organisationRow(o, sequence)...); err != nil {
			return fmt.Errorf("store organisation %s: %w", o.ID, err)
		}
		if err := putOrganisationLists(tx, o); err != nil {
			return err
		}
	}
	for _, r := range d.Resources {
		if err := put(tx, querySetResource, queryAddResource, resourceRow(r, sequence)...); err != nil {
			return fmt.Errorf("store resource %s: %w", r.URI, err)
		}
		if err := putResourceLists(tx, r); err != nil {
			return err
		}
	}
	for _, a := range d.Applications {
		if err := put(tx, querySetApplication, queryAddApplication, applicationRow(a, sequence)...); err != nil {
			return fmt.Errorf("store application %s: %w", a.ClientID, err)
		}
		if err := putApplicationLists(tx, a); err != nil {
			return err
		}
	}
	for _, i := range d.Instances {
		if err := putInstance(tx, sequence, i); err != nil {
			return err
		}
	}
	for _, c := range d.Credentials {
		if err := putCredential(tx, sequence, c); err != nil {
			return err
		}
	}
	for _, k := range d.RevokedKeys {
		if err := add(tx, queryAddRevokedKey, k.KeyID, micros(k.At), sequence); err != nil {
			return fmt.Errorf("store revocation of signing key %s: %w", k.KeyID, err)
		}
	}
	return nil
}

// put changes the row that args begin with the key of, or adds it; both queries
// take the same arguments. What is unique and another's is ErrExists.
func put(tx *sql.Tx, set, insert string, args ...any) error {
	switch n, err := affected(tx, set, args...); {
	case err != nil:
		return err
	case n == 1:
		return nil
	}
	return add(tx, insert, args...)
}

func organisationRow(o directory.Organisation, sequence int64) []any {
	return []any{string(o.ID), o.Name, string(o.State), micros(o.TokensAfter), sequence}
}

func resourceRow(r directory.Resource, sequence int64) []any {
	return []any{r.URI, string(r.Organisation), r.Name, r.RequireNonce, string(r.State), micros(r.TokensAfter), sequence}
}

func applicationRow(a directory.Application, sequence int64) []any {
	return []any{
		string(a.ClientID), string(a.Organisation), a.Name, string(a.AuthMethod), string(a.Binding), a.RequireNonce, string(a.State),
		string(a.TLSName.Kind), a.TLSName.Value, a.JWKSURI, string(a.OperatorRole), micros(a.TokensAfter), sequence,
	}
}

func putInstance(tx *sql.Tx, sequence int64, i directory.Instance) error {
	n, err := affected(tx, querySetInstance, string(i.ID), i.Name, string(i.State), sequence)
	if err == nil && n == 0 {
		err = add(tx, queryAddInstance, string(i.ID), string(i.ClientID), i.Name, string(i.State), micros(i.Created), sequence)
	}
	if err != nil {
		return fmt.Errorf("store instance %s: %w", i.ID, err)
	}
	return nil
}

// putCredential changes of a credential what can change: never its key.
func putCredential(tx *sql.Tx, sequence int64, c directory.Credential) error {
	n, err := affected(tx, querySetCredential, string(c.ID), string(c.State), micros(c.NotAfter), string(c.Instance), micros(c.TokensAfter), sequence)
	if err != nil {
		return fmt.Errorf("store credential %s: %w", c.ID, err)
	}
	if n == 1 {
		return nil
	}
	return addCredential(tx, sequence, c)
}

func putOrganisationLists(tx *sql.Tx, o directory.Organisation) error {
	if err := putRoles(tx, queryClearOrganisationRoles, queryAddOrganisationRole, string(o.ID), o.Roles); err != nil {
		return err
	}
	for place, a := range o.Anchors {
		n, err := affected(tx, querySetAnchor, a.ID, place, a.Name, string(a.State))
		if err == nil && n == 0 {
			err = add(tx, queryAddAnchor, a.ID, string(o.ID), place, a.Name, a.Certificate, a.SPKI[:], string(a.State), micros(a.Created))
		}
		if err != nil {
			return fmt.Errorf("store trust anchor %s: %w", a.ID, err)
		}
	}
	return nil
}

func putApplicationLists(tx *sql.Tx, a directory.Application) error {
	if err := putRoles(tx, queryClearApplicationRoles, queryAddApplicationRole, string(a.ClientID), a.Roles); err != nil {
		return err
	}
	return putGrants(tx, queryClearGrants, queryAddGrant, string(a.ClientID), a.Grants)
}

func putRoles(tx *sql.Tx, clearing, insert, of string, roles []directory.RoleID) error {
	if _, err := tx.Exec(clearing, of); err != nil {
		return fmt.Errorf("store roles of %s: %w", of, err)
	}
	for place, role := range roles {
		if _, err := tx.Exec(insert, of, place, string(role)); err != nil {
			return fmt.Errorf("store role %s of %s: %w", role, of, err)
		}
	}
	return nil
}

// putGrants replaces a list of grants. A scope that its resource does not have is
// ErrNotFound.
func putGrants(tx *sql.Tx, clearing, insert, of string, grants []directory.Grant) error {
	if _, err := tx.Exec(clearing, of); err != nil {
		return fmt.Errorf("store grants of %s: %w", of, err)
	}
	place := 0
	for _, grant := range grants {
		for _, scope := range grant.Scopes {
			n, err := affected(tx, insert, of, place, scope, grant.Resource)
			if err == nil && n == 0 {
				err = directory.ErrNotFound
			}
			if err != nil {
				return fmt.Errorf("store grant of scope %s to %s: %w", scope, of, err)
			}
			place++
		}
	}
	return nil
}

// putResourceLists replaces servers, and of the scopes what changed: others refer
// to them.
func putResourceLists(tx *sql.Tx, r directory.Resource) error {
	had, err := collect(context.Background(), tx, func(rows *sql.Rows, scope *string) error { return rows.Scan(scope) }, queryScopesOf, r.URI)
	if err != nil {
		return fmt.Errorf("read scopes of %s: %w", r.URI, err)
	}
	for _, scope := range had {
		if !slices.Contains(r.Scopes, scope) {
			if _, err := tx.Exec(queryDropScope, scope, r.URI); err != nil {
				return fmt.Errorf("take scope %s from %s: %w", scope, r.URI, err)
			}
		}
	}
	for place, scope := range r.Scopes {
		if slices.Contains(had, scope) {
			_, err = tx.Exec(queryMoveScope, scope, r.URI, place)
		} else {
			err = add(tx, queryAddScope, scope, r.URI, place)
		}
		if err != nil {
			return fmt.Errorf("store scope %s: %w", scope, err)
		}
	}
	if _, err := tx.Exec(queryClearServers, r.URI); err != nil {
		return fmt.Errorf("store servers of %s: %w", r.URI, err)
	}
	for place, server := range r.Servers {
		if err := add(tx, queryAddServer, r.URI, string(server), place); err != nil {
			return fmt.Errorf("store server %s of resource %s: %w", server, r.URI, err)
		}
	}
	return nil
}

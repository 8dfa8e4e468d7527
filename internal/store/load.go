package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// Load is directory.Store's: one read transaction, so that the number and the
// records belong together.
func (s *Store) Load(ctx context.Context, after int64) (directory.Delta, error) {
	var d directory.Delta
	err := s.read(ctx, func(tx *sql.Tx) error {
		head, err := scanHead(tx.QueryRowContext(ctx, queryHead))
		if err != nil {
			return err
		}
		d.Sequence = head.Sequence
		if head.Sequence <= after {
			return nil
		}
		if err := loadOrganisations(ctx, tx, &d, after); err != nil {
			return err
		}
		if err := loadRoles(ctx, tx, &d, after); err != nil {
			return err
		}
		if err := loadResources(ctx, tx, &d, after); err != nil {
			return err
		}
		if err := loadApplications(ctx, tx, &d, after); err != nil {
			return err
		}
		if d.Credentials, err = collect(ctx, tx, scanCredential, queryCredentialsAfter, after); err != nil {
			return err
		}
		if d.Instances, err = collect(ctx, tx, scanInstance, queryInstancesAfter, after); err != nil {
			return err
		}
		if d.RevokedKeys, err = collect(ctx, tx, scanRevokedKey, queryRevokedKeysAfter, after); err != nil {
			return err
		}
		d.Revoked, err = collect(ctx, tx, scanRevoked, queryRevokedAfter, after)
		return err
	})
	if err != nil {
		return directory.Delta{}, fmt.Errorf("load the directory after change %d: %w", after, err)
	}
	return d, nil
}

func loadOrganisations(ctx context.Context, tx *sql.Tx, d *directory.Delta, after int64) error {
	var err error
	if d.Organisations, err = collect(ctx, tx, scanOrganisation, queryOrganisationsAfter, after); err != nil {
		return err
	}
	place := make(map[string]int, len(d.Organisations))
	for i, o := range d.Organisations {
		place[string(o.ID)] = i
	}
	roles, err := collect(ctx, tx, scanPair, queryOrganisationRolesAfter, after)
	if err != nil {
		return err
	}
	for _, p := range roles {
		o := &d.Organisations[place[p.owner]]
		o.Roles = append(o.Roles, directory.RoleID(p.value))
	}
	anchors, err := collect(ctx, tx, scanAnchor, queryAnchorsAfter, after)
	if err != nil {
		return err
	}
	for _, a := range anchors {
		o := &d.Organisations[place[a.owner]]
		o.Anchors = append(o.Anchors, a.TrustAnchor)
	}
	return nil
}

func scanOrganisation(rows *sql.Rows, o *directory.Organisation) error {
	var after int64
	err := rows.Scan(&o.ID, &o.Name, &o.State, &after, &o.Changed)
	o.TokensAfter = fromMicros(after)
	return err
}

// anchor is one row of an organisation's trust anchors.
type anchor struct {
	owner string
	directory.TrustAnchor
}

func scanAnchor(rows *sql.Rows, a *anchor) error {
	var created int64
	err := rows.Scan(&a.owner, &a.ID, &a.Name, &a.Certificate, digest(a.SPKI[:]), &a.State, &created)
	a.Created = fromMicros(created)
	return err
}

func loadRoles(ctx context.Context, tx *sql.Tx, d *directory.Delta, after int64) error {
	var err error
	if d.Roles, err = collect(ctx, tx, scanRole, queryRolesAfter, after); err != nil {
		return err
	}
	place := make(map[string]int, len(d.Roles))
	for i, r := range d.Roles {
		place[string(r.ID)] = i
	}
	rows, err := collect(ctx, tx, scanGrant, queryRoleScopesAfter, after)
	if err != nil {
		return err
	}
	for _, p := range rows {
		r := &d.Roles[place[p.owner]]
		r.Grants = addScope(r.Grants, p)
	}
	return nil
}

func scanRole(rows *sql.Rows, r *directory.Role) error {
	return rows.Scan(&r.ID, &r.Name, &r.State, &r.Changed)
}

func scanInstance(rows *sql.Rows, i *directory.Instance) error {
	var created int64
	err := rows.Scan(&i.ID, &i.ClientID, &i.Name, &i.State, &created, &i.Changed)
	i.Created = fromMicros(created)
	return err
}

func scanRevokedKey(rows *sql.Rows, k *directory.RevokedKey) error {
	var at int64
	err := rows.Scan(&k.KeyID, &at)
	k.At = fromMicros(at)
	return err
}

// addScope adds a row of a list of grants. The scopes of one grant follow one another.
func addScope(grants []directory.Grant, p part) []directory.Grant {
	if n := len(grants); n == 0 || grants[n-1].Resource != p.resource {
		grants = append(grants, directory.Grant{Resource: p.resource})
	}
	g := &grants[len(grants)-1]
	g.Scopes = append(g.Scopes, p.value)
	return grants
}

func scanRevoked(rows *sql.Rows, t *directory.RevokedToken) error {
	var expires int64
	err := rows.Scan(&t.ClientID, &t.ID, &expires)
	t.Expires = fromMicros(expires)
	return err
}

func scanCredential(rows *sql.Rows, c *directory.Credential) error {
	var jwk, certificate sql.RawBytes
	var created, notBefore, notAfter, after int64
	if err := rows.Scan(&c.ID, &c.ClientID, &c.Kind, &c.State, &jwk, digest(c.Thumbprint[:]), &certificate, &c.Issued,
		&created, &notBefore, &notAfter, &c.Instance, &after, &c.Changed); err != nil {
		return err
	}
	c.Certificate = none(certificate)
	c.Created, c.NotBefore, c.NotAfter = fromMicros(created), fromMicros(notBefore), fromMicros(notAfter)
	c.TokensAfter = fromMicros(after)
	if len(jwk) == 0 {
		return nil
	}
	var err error
	if c.Key, err = jose.ParseJWK(jwk); err != nil {
		return fmt.Errorf("key of credential %s: %w", c.ID, err)
	}
	return nil
}

// part is one row of a list that belongs to an owner.
type part struct{ owner, resource, value string }

func loadResources(ctx context.Context, tx *sql.Tx, d *directory.Delta, after int64) error {
	var err error
	if d.Resources, err = collect(ctx, tx, scanResource, queryResourcesAfter, after); err != nil {
		return err
	}
	place := make(map[string]int, len(d.Resources))
	for i, r := range d.Resources {
		place[r.URI] = i
	}
	scopes, err := collect(ctx, tx, scanPair, queryScopesAfter, after)
	if err != nil {
		return err
	}
	for _, p := range scopes {
		r := &d.Resources[place[p.owner]]
		r.Scopes = append(r.Scopes, p.value)
	}
	servers, err := collect(ctx, tx, scanPair, queryServersAfter, after)
	if err != nil {
		return err
	}
	for _, p := range servers {
		r := &d.Resources[place[p.owner]]
		r.Servers = append(r.Servers, directory.ClientID(p.value))
	}
	return nil
}

func scanResource(rows *sql.Rows, r *directory.Resource) error {
	var after int64
	err := rows.Scan(&r.URI, &r.Organisation, &r.Name, &r.RequireNonce, &r.State, &after, &r.Changed)
	r.TokensAfter = fromMicros(after)
	return err
}

func scanPair(rows *sql.Rows, p *part) error { return rows.Scan(&p.owner, &p.value) }

func loadApplications(ctx context.Context, tx *sql.Tx, d *directory.Delta, after int64) error {
	var err error
	if d.Applications, err = collect(ctx, tx, scanApplication, queryApplicationsAfter, after); err != nil {
		return err
	}
	place := make(map[string]int, len(d.Applications))
	for i, a := range d.Applications {
		place[string(a.ClientID)] = i
	}
	rows, err := collect(ctx, tx, scanGrant, queryGrantsAfter, after)
	if err != nil {
		return err
	}
	for _, p := range rows {
		a := &d.Applications[place[p.owner]]
		a.Grants = addScope(a.Grants, p)
	}
	roles, err := collect(ctx, tx, scanPair, queryApplicationRolesAfter, after)
	if err != nil {
		return err
	}
	for _, p := range roles {
		a := &d.Applications[place[p.owner]]
		a.Roles = append(a.Roles, directory.RoleID(p.value))
	}
	return nil
}

func scanApplication(rows *sql.Rows, a *directory.Application) error {
	var after int64
	err := rows.Scan(&a.ClientID, &a.Organisation, &a.Name, &a.AuthMethod, &a.Binding, &a.RequireNonce, &a.State,
		&a.TLSName.Kind, &a.TLSName.Value, &a.JWKSURI, &a.OperatorRole, &after, &a.Changed)
	a.TokensAfter = fromMicros(after)
	return err
}

func scanGrant(rows *sql.Rows, p *part) error { return rows.Scan(&p.owner, &p.resource, &p.value) }

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
		if d.Organisations, err = collect(ctx, tx, scanOrganisation, queryOrganisationsAfter, after); err != nil {
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
		d.Revoked, err = collect(ctx, tx, scanRevoked, queryRevokedAfter, after)
		return err
	})
	if err != nil {
		return directory.Delta{}, fmt.Errorf("load the directory after change %d: %w", after, err)
	}
	return d, nil
}

func scanOrganisation(rows *sql.Rows, o *directory.Organisation) error {
	return rows.Scan(&o.ID, &o.Name, &o.State)
}

func scanRevoked(rows *sql.Rows, t *directory.RevokedToken) error {
	var expires int64
	err := rows.Scan(&t.ID, &expires)
	t.Expires = fromMicros(expires)
	return err
}

func scanCredential(rows *sql.Rows, c *directory.Credential) error {
	var jwk, certificate sql.RawBytes
	var created, notBefore, notAfter int64
	if err := rows.Scan(&c.ID, &c.ClientID, &c.Kind, &c.State, &jwk, digest(c.Thumbprint[:]), &certificate, &c.Issued, &created, &notBefore, &notAfter); err != nil {
		return err
	}
	c.Certificate = none(certificate)
	c.Created, c.NotBefore, c.NotAfter = fromMicros(created), fromMicros(notBefore), fromMicros(notAfter)
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
	return rows.Scan(&r.URI, &r.Organisation, &r.Name)
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
		// The scopes of one grant follow one another.
		if n := len(a.Grants); n == 0 || a.Grants[n-1].Resource != p.resource {
			a.Grants = append(a.Grants, directory.Grant{Resource: p.resource})
		}
		g := &a.Grants[len(a.Grants)-1]
		g.Scopes = append(g.Scopes, p.value)
	}
	return nil
}

func scanApplication(rows *sql.Rows, a *directory.Application) error {
	return rows.Scan(&a.ClientID, &a.Organisation, &a.Name, &a.AuthMethod, &a.Binding, &a.RequireNonce, &a.State)
}

func scanGrant(rows *sql.Rows, p *part) error { return rows.Scan(&p.owner, &p.resource, &p.value) }

package directory

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
)

// Changes of what is there. Each takes a function that edits a copy of the record
// that is in force; every rule of its creation is checked again on the outcome.

func describeOrganisation(o Organisation) facts {
	f := facts{"name": o.Name}
	if len(o.Roles) > 0 {
		f["roles"] = o.Roles
	}
	return f
}

func describeResource(r Resource) facts {
	return facts{"name": r.Name, "scopes": r.Scopes, "servers": r.Servers, "require_nonce": r.RequireNonce}
}

func describeApplication(a Application) facts {
	f := facts{
		"name": a.Name, "auth_method": a.AuthMethod, "binding": a.Binding, "require_nonce": a.RequireNonce,
		"grants": describeGrants(a.Grants),
	}
	if len(a.Roles) > 0 {
		f["roles"] = a.Roles
	}
	if a.OperatorRole != "" {
		f["operator_role"] = a.OperatorRole
	}
	if a.TLSName != (TLSName{}) {
		f["tls_client_auth_san_"+string(a.TLSName.Kind)] = a.TLSName.Value
	}
	if a.JWKSURI != "" {
		f["jwks_uri"] = a.JWKSURI
	}
	return f
}

func describeGrants(grants []Grant) facts {
	f := facts{}
	for _, g := range grants {
		f[g.Resource] = g.Scopes
	}
	return f
}

// UpdateOrganisation changes name and roles.
func (d *Directory) UpdateOrganisation(ctx context.Context, actor string, id OrganisationID, edit func(*Organisation) error, guards ...Guard) (Organisation, error) {
	var next Organisation
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		o := s.Organisation(id)
		if o == nil {
			return audit.Event{}, nil, fmt.Errorf("organisation %q: %w", id, ErrNotFound)
		}
		if err := checkAlive("organisation", string(id), o.State); err != nil {
			return audit.Event{}, nil, err
		}
		next = *o
		next.Roles = slices.Clone(o.Roles)
		if err := edit(&next); err != nil {
			return audit.Event{}, nil, err
		}
		next.ID, next.State, next.TokensAfter, next.Anchors = o.ID, o.State, o.TokensAfter, o.Anchors
		if err := checkOrganisation(s, next); err != nil {
			return audit.Event{}, nil, err
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, "organisation.updated", now, id, string(id), describeOrganisation(next))
		return e, d.put(Delta{Organisations: []Organisation{next}}), err
	})
	return inForce(next, d.Current().Organisation(id), err)
}

// UpdateApplication changes everything but whose it is and its state. What an
// application authenticates with cannot change while it has credentials of the
// method of before that are accepted: they would outlive their meaning.
func (d *Directory) UpdateApplication(ctx context.Context, actor string, id ClientID, edit func(*Application) error, guards ...Guard) (Application, error) {
	var next Application
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		c := s.Client(id)
		if c == nil {
			return audit.Event{}, nil, fmt.Errorf("application %q: %w", id, ErrNotFound)
		}
		if err := checkAlive("application", string(id), c.State); err != nil {
			return audit.Event{}, nil, err
		}
		next = c.Application
		next.Grants, next.Roles = slices.Clone(c.Grants), slices.Clone(c.Roles)
		if err := edit(&next); err != nil {
			return audit.Event{}, nil, err
		}
		next.ClientID, next.Organisation, next.State, next.TokensAfter = c.ClientID, c.Organisation, c.State, c.Application.TokensAfter
		if err := d.checkApplication(s, next); err != nil {
			return audit.Event{}, nil, err
		}
		if next.AuthMethod != c.AuthMethod && slices.ContainsFunc(c.Credentials, func(k *Credential) bool { return k.State.Accepted() && k.Kind != DPoPKey }) {
			return audit.Event{}, nil, fmt.Errorf("application %s has credentials of %s that are accepted: %w", id, c.AuthMethod, ErrState)
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, "application.updated", now, c.Organisation, string(id), describeApplication(next))
		return e, d.put(Delta{Applications: []Application{next}}), err
	})
	return d.application(next, err)
}

// UpdateResource changes everything but its URI and whose it is. A scope that is
// granted to an application or a role is not taken away.
func (d *Directory) UpdateResource(ctx context.Context, actor, uri string, edit func(*Resource) error, guards ...Guard) (Resource, error) {
	var next Resource
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		r := s.Resource(uri)
		if r == nil {
			return audit.Event{}, nil, fmt.Errorf("resource %q: %w", uri, ErrNotFound)
		}
		if err := checkAlive("resource", uri, r.State); err != nil {
			return audit.Event{}, nil, err
		}
		next = *r
		next.Scopes, next.Servers = slices.Clone(r.Scopes), slices.Clone(r.Servers)
		if err := edit(&next); err != nil {
			return audit.Event{}, nil, err
		}
		next.URI, next.Organisation, next.State, next.TokensAfter = r.URI, r.Organisation, r.State, r.TokensAfter
		if err := checkResource(s, next); err != nil {
			return audit.Event{}, nil, err
		}
		for _, scope := range r.Scopes {
			if !slices.Contains(next.Scopes, scope) && granted(s, scope) {
				return audit.Event{}, nil, invalid("scopes", "%s is granted and cannot be taken away", scope)
			}
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, "resource.updated", now, r.Organisation, uri, describeResource(next))
		return e, d.put(Delta{Resources: []Resource{next}}), err
	})
	return inForce(next, d.Current().Resource(uri), err)
}

func granted(s *Snapshot, scope string) bool {
	has := func(grants []Grant) bool {
		return slices.ContainsFunc(grants, func(g Grant) bool { return slices.Contains(g.Scopes, scope) })
	}
	for r := range s.Roles() {
		if has(r.Grants) {
			return true
		}
	}
	for c := range s.Clients() {
		if has(c.Grants) {
			return true
		}
	}
	return false
}

// checkAlive is for what may still change: revoked is final.
func checkAlive(noun, id string, state State) error {
	if state == Revoked {
		return fmt.Errorf("%s %s is revoked: %w", noun, id, ErrState)
	}
	return nil
}

// SetResourceState suspends, resumes or revokes a resource: no token is given for
// one that is not active, and those that were have ended.
func (d *Directory) SetResourceState(ctx context.Context, actor, uri string, to State, guards ...Guard) error {
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		r := s.Resource(uri)
		if r == nil {
			return audit.Event{}, nil, fmt.Errorf("resource %q: %w", uri, ErrNotFound)
		}
		if err := checkMove(ownerMoves, r.State, to); err != nil {
			return audit.Event{}, nil, fmt.Errorf("resource %s: %w", uri, err)
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		next := *r
		next.State, next.TokensAfter = to, endTokens(r.TokensAfter, to, now)
		e, err := event(actor, action("resource", r.State, to), now, r.Organisation, uri, facts{"from": r.State})
		return e, d.put(Delta{Resources: []Resource{next}}), err
	})
}

// PutRole makes a role or changes what it is; its state only SetRoleState moves.
func (d *Directory) PutRole(ctx context.Context, actor string, r Role, create bool) (Role, error) {
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		old := s.Role(r.ID)
		verb := "role.updated"
		switch {
		case create && old != nil:
			return audit.Event{}, nil, fmt.Errorf("role %s: %w", r.ID, ErrExists)
		case create:
			verb, r.State = "role.created", Active
		case old == nil:
			return audit.Event{}, nil, fmt.Errorf("role %q: %w", r.ID, ErrNotFound)
		default:
			if err := checkAlive("role", string(r.ID), old.State); err != nil {
				return audit.Event{}, nil, err
			}
			r.State = old.State
		}
		if err := checkID("id", string(r.ID)); err != nil {
			return audit.Event{}, nil, err
		}
		if err := checkName(r.Name); err != nil {
			return audit.Event{}, nil, err
		}
		if err := checkGrants(s, r.Grants); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, verb, now, "", string(r.ID), facts{"name": r.Name, "grants": describeGrants(r.Grants)})
		return e, d.put(Delta{Roles: []Role{r}}), err
	})
	return inForce(r, d.Current().Role(r.ID), err)
}

// SetRoleState suspends, resumes or revokes a role: its scopes are gone from the
// next token on.
func (d *Directory) SetRoleState(ctx context.Context, actor string, id RoleID, to State) error {
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		r := s.Role(id)
		if r == nil {
			return audit.Event{}, nil, fmt.Errorf("role %q: %w", id, ErrNotFound)
		}
		if err := checkMove(ownerMoves, r.State, to); err != nil {
			return audit.Event{}, nil, fmt.Errorf("role %s: %w", id, err)
		}
		next := *r
		next.State = to
		e, err := event(actor, action("role", r.State, to), now, "", string(id), facts{"from": r.State})
		return e, d.put(Delta{Roles: []Role{next}}), err
	})
}

// CreateInstance makes an instance of an application.
func (d *Directory) CreateInstance(ctx context.Context, actor string, i Instance) (Instance, error) {
	if i.ID == "" {
		i.ID = NewInstanceID()
	}
	if err := checkNew(&i.State); err != nil {
		return Instance{}, err
	}
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		of, err := owner(s, i.ClientID)
		if err != nil {
			return audit.Event{}, nil, err
		}
		if err := checkInstance(s, of, i); err != nil {
			return audit.Event{}, nil, err
		}
		i.Created = now
		e, err := event(actor, "instance.created", now, of.Organisation, string(i.ID), facts{"client_id": i.ClientID, "name": i.Name})
		return e, d.put(Delta{Instances: []Instance{i}}), err
	})
	return inForce(i, d.Current().Instance(i.ID), err)
}

func checkInstance(s *Snapshot, of *Client, i Instance) error {
	if err := checkID("id", string(i.ID)); err != nil {
		return err
	}
	if err := checkName(i.Name); err != nil {
		return err
	}
	if s.Instance(i.ID) != nil || slices.ContainsFunc(of.Instances, func(o *Instance) bool { return o.Name == i.Name }) {
		return fmt.Errorf("instance %s of application %s: %w", i.Name, i.ClientID, ErrExists)
	}
	if len(of.Instances) >= maxInstances {
		return invalid("name", "an application has at most %d instances", maxInstances)
	}
	return nil
}

// RevokeInstance ends an instance with all credentials that name it.
func (d *Directory) RevokeInstance(ctx context.Context, actor string, id InstanceID, guards ...Guard) error {
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		i := s.Instance(id)
		if i == nil {
			return audit.Event{}, nil, fmt.Errorf("instance %q: %w", id, ErrNotFound)
		}
		if i.State == Revoked {
			return audit.Event{}, nil, fmt.Errorf("instance %s is revoked: %w", id, ErrState)
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		of := s.Client(i.ClientID)
		next := *i
		next.State = Revoked
		delta := Delta{Instances: []Instance{next}}
		ended := []CredentialID{}
		for _, c := range of.Credentials {
			if c.Instance == id && c.State != Revoked && c.State != Compromised {
				k := *c
				k.State, k.TokensAfter = Revoked, endTokens(c.TokensAfter, Revoked, now)
				delta.Credentials = append(delta.Credentials, k)
				ended = append(ended, k.ID)
			}
		}
		e, err := event(actor, "instance.revoked", now, of.Organisation, string(id), facts{"client_id": i.ClientID, "credentials": ended})
		return e, d.put(delta), err
	})
}

// AddTrustAnchor lets the organisation's applications show certificates of a CA of
// its own. Two with the same name and different keys are two.
func (d *Directory) AddTrustAnchor(ctx context.Context, actor string, id OrganisationID, name string, der []byte, guards ...Guard) (TrustAnchor, error) {
	c, err := parseAnchor(der)
	if err != nil {
		return TrustAnchor{}, err
	}
	if err := checkName(name); err != nil {
		return TrustAnchor{}, err
	}
	a := TrustAnchor{ID: newID("ca-"), Name: name, Certificate: slices.Clone(der), SPKI: sha256.Sum256(c.RawSubjectPublicKeyInfo), State: Active}
	err = d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		o := s.Organisation(id)
		switch {
		case o == nil:
			return audit.Event{}, nil, fmt.Errorf("organisation %q: %w", id, ErrNotFound)
		case o.State == Revoked:
			return audit.Event{}, nil, checkAlive("organisation", string(id), o.State)
		case !now.Before(c.NotAfter):
			return audit.Event{}, nil, invalid("certificate", "has expired")
		case len(o.Anchors) >= maxAnchors:
			return audit.Event{}, nil, invalid("certificate", "an organisation has at most %d trust anchors", maxAnchors)
		}
		for _, other := range o.Anchors {
			if other.SPKI == a.SPKI && (other.State == Revoked || other.State == Compromised) {
				return audit.Event{}, nil, invalid("certificate", "has a key that was revoked or compromised")
			}
			if other.SPKI == a.SPKI && other.State.Accepted() {
				return audit.Event{}, nil, fmt.Errorf("a trust anchor with this key: %w", ErrExists)
			}
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		a.Created = now
		next := *o
		next.Anchors = append(slices.Clone(o.Anchors), a)
		e, err := event(actor, "trust_anchor.added", now, id, a.ID, facts{"name": name, "spki": cnf.Thumbprint(a.SPKI).String(), "not_after": c.NotAfter.Unix()})
		return e, d.put(Delta{Organisations: []Organisation{next}}), err
	})
	if err != nil {
		return TrustAnchor{}, err
	}
	return a, nil
}

// parseAnchor reads a CA certificate: root or intermediate, it is trusted by its key.
func parseAnchor(der []byte) (*x509.Certificate, error) {
	if len(der) > maxCertificate {
		return nil, invalid("certificate", "must have at most %d bytes", maxCertificate)
	}
	c, err := x509.ParseCertificate(der)
	switch {
	case err != nil:
		return nil, invalid("certificate", "is not an X.509 certificate in DER")
	case !c.BasicConstraintsValid || !c.IsCA:
		return nil, invalid("certificate", "is not that of a certificate authority")
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, invalid("certificate", "may not sign certificates by its key usage")
	case !caKey(c.PublicKey):
		return nil, invalid("certificate", "must have a P-256 or P-384, an Ed25519 or an RSA key of 2048 to 4096 bits")
	}
	return c, nil
}

// SetTrustAnchorState retires (retiring is trusted still, retired is not) or
// revokes a trust anchor. Suspending or revoking it ends every token of its
// organisation that was issued before: which of them came of its certificates no token says.
func (d *Directory) SetTrustAnchorState(ctx context.Context, actor string, id OrganisationID, anchor string, to State, guards ...Guard) (TrustAnchor, error) {
	var a TrustAnchor
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		o := s.Organisation(id)
		i := -1
		if o != nil {
			i = slices.IndexFunc(o.Anchors, func(a TrustAnchor) bool { return a.ID == anchor })
		}
		if i < 0 {
			return audit.Event{}, nil, fmt.Errorf("trust anchor %q: %w", anchor, ErrNotFound)
		}
		a = o.Anchors[i]
		if err := checkMove(anchorMoves, a.State, to); err != nil {
			return audit.Event{}, nil, fmt.Errorf("trust anchor %s: %w", anchor, err)
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, action("trust_anchor", a.State, to), now, id, anchor, facts{"from": a.State})
		next := *o
		next.Anchors = slices.Clone(o.Anchors)
		a.State = to
		next.Anchors[i] = a
		if to == Suspended || to == Revoked || to == Compromised {
			next.TokensAfter = endTokens(o.TokensAfter, to, now)
		}
		return e, d.put(Delta{Organisations: []Organisation{next}}), err
	})
	if err != nil {
		return TrustAnchor{}, err
	}
	return a, nil
}

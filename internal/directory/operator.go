package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// CreateOperator makes an application with an operator role and the key that it
// signs in with, in one change.
func (d *Directory) CreateOperator(ctx context.Context, actor string, a Application, key *jose.PublicKey, guards ...Guard) (Application, error) {
	if a.ClientID == "" {
		a.ClientID = ClientID(newID("app-"))
	}
	if err := checkNew(&a.State); err != nil {
		return Application{}, err
	}
	k := operatorKey(a.ClientID, key)
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		if err := checkApplication(s, a); err != nil {
			return audit.Event{}, nil, err
		}
		if a.OperatorRole == "" || a.AuthMethod != PrivateKeyJWT || a.JWKSURI != "" {
			return audit.Event{}, nil, invalid("operator_role", "an operator has a role and signs with a registered key")
		}
		if s.Client(a.ClientID) != nil {
			return audit.Event{}, nil, fmt.Errorf("application %s: %w", a.ClientID, ErrExists)
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		k.Created = now
		detail := describeApplication(a)
		detail["credential_id"], detail["kid"], detail["thumbprint"] = k.ID, key.KeyID(), k.Thumbprint.String()
		e, err := event(actor, "operator.created", now, a.Organisation, string(a.ClientID), detail)
		return e, d.put(Delta{Applications: []Application{a}, Credentials: []Credential{k}}), err
	})
	return d.application(a, err)
}

// RekeyOperator gives an operator a new key to sign in with, and revokes the ones
// of before with all tokens that they got.
func (d *Directory) RekeyOperator(ctx context.Context, actor string, id ClientID, key *jose.PublicKey, guards ...Guard) error {
	k := operatorKey(id, key)
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		of, err := owner(s, id)
		if err != nil {
			return audit.Event{}, nil, err
		}
		if of.OperatorRole == "" {
			return audit.Event{}, nil, fmt.Errorf("operator %q: %w", id, ErrNotFound)
		}
		if of.AuthMethod != PrivateKeyJWT || of.JWKSURI != "" {
			return audit.Event{}, nil, fmt.Errorf("operator %s does not sign in with a registered key: %w", id, ErrState)
		}
		if err := checkOperatorKey(s, of, &k); err != nil {
			return audit.Event{}, nil, err
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		k.Created = now
		records := []Credential{k}
		ended := []CredentialID{}
		for _, old := range of.Credentials {
			if old.Kind != SigningKey || old.State == Revoked || old.State == Compromised {
				continue
			}
			next := *old
			next.State, next.TokensAfter = Revoked, endTokens(old.TokensAfter, Revoked, now)
			records, ended = append(records, next), append(ended, old.ID)
		}
		e, err := event(actor, "operator.rekeyed", now, of.Organisation, string(id),
			facts{"credential_id": k.ID, "kid": key.KeyID(), "thumbprint": k.Thumbprint.String(), "revoked": ended})
		return e, d.put(Delta{Credentials: records}), err
	})
}

// checkOperatorKey refuses a key that the operator has or had.
func checkOperatorKey(s *Snapshot, of *Client, k *Credential) error {
	if s.Registered(of.ClientID, k.Thumbprint) != nil {
		return fmt.Errorf("a credential with this key: %w", ErrExists)
	}
	if of.EndedThumbprint(k.Thumbprint) {
		return invalid("key", "was revoked or compromised")
	}
	return nil
}

func operatorKey(id ClientID, key *jose.PublicKey) Credential {
	return Credential{ID: NewCredentialID(), ClientID: id, Kind: SigningKey, State: Active, Key: key, Thumbprint: key.Thumbprint()}
}

// UpdateRole changes name and grants.
func (d *Directory) UpdateRole(ctx context.Context, actor string, id RoleID, edit func(*Role) error, guards ...Guard) (Role, error) {
	var next Role
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		r := s.Role(id)
		if r == nil {
			return audit.Event{}, nil, fmt.Errorf("role %q: %w", id, ErrNotFound)
		}
		if err := checkAlive("role", string(id), r.State); err != nil {
			return audit.Event{}, nil, err
		}
		next = *r
		if err := edit(&next); err != nil {
			return audit.Event{}, nil, err
		}
		next.ID, next.State = r.ID, r.State
		if err := checkName(next.Name); err != nil {
			return audit.Event{}, nil, err
		}
		if err := checkGrants(s, next.Grants); err != nil {
			return audit.Event{}, nil, err
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, "role.updated", now, "", string(id), facts{"name": next.Name, "grants": describeGrants(next.Grants)})
		return e, d.put(Delta{Roles: []Role{next}}), err
	})
	return inForce(next, d.Current().Role(id), err)
}

// RecoverOwner gives an owner a new key to sign in with where nobody has one any
// more, and revokes those of before: of the owner with this id or, when id is "", of
// the only owner, or of a new one where there is none. Its suspension ends. What
// it returns of credentials are those that were revoked.
func (d *Directory) RecoverOwner(ctx context.Context, actor string, of OrganisationID, api string, id ClientID, key *jose.PublicKey) (ClientID, []CredentialID, error) {
	fresh := ClientID(newID("app-"))
	var a Application
	var ended []CredentialID
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		old, err := ownerToRecover(s, of, id)
		if err != nil {
			return audit.Event{}, nil, err
		}
		resource := s.Resource(api)
		if resource == nil {
			return audit.Event{}, nil, fmt.Errorf("resource %q: %w", api, ErrNotFound)
		}
		k := operatorKey(fresh, key)
		k.Created = now
		a = Application{ClientID: fresh, Organisation: of, Name: "recovered owner"}
		records := []Credential{}
		ended = nil
		if old != nil {
			a = old.Application
			k.ClientID = a.ClientID
			if err := checkOperatorKey(s, old, &k); err != nil {
				return audit.Event{}, nil, err
			}
			for _, c := range old.Credentials {
				if c.Kind == SigningKey && c.State != Revoked && c.State != Compromised {
					next := *c
					next.State, next.TokensAfter = Revoked, endTokens(c.TokensAfter, Revoked, now)
					records, ended = append(records, next), append(ended, c.ID)
				}
			}
		}
		a.State, a.OperatorRole, a.AuthMethod, a.JWKSURI = Active, Owner, PrivateKeyJWT, ""
		a.TLSName = TLSName{}
		if a.Binding == "" {
			a.Binding = cnf.DPoP
		}
		a.Grants = joinGrants(a.Grants, []Grant{{Resource: api, Scopes: resource.Scopes}})
		if err := checkApplication(s, a); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, "operator.recovered", now, of, string(a.ClientID),
			facts{"credential_id": k.ID, "kid": key.KeyID(), "thumbprint": k.Thumbprint.String(), "revoked": append([]CredentialID{}, ended...)})
		return e, d.put(Delta{Applications: []Application{a}, Credentials: append(records, k)}), err
	})
	return a.ClientID, ended, err
}

// ownerToRecover finds the owner that gets a new key; nil where there is none.
func ownerToRecover(s *Snapshot, of OrganisationID, id ClientID) (*Client, error) {
	var found *Client
	n := 0
	for c := range s.Clients() {
		if c.OperatorRole == Owner && c.Organisation == of && c.State != Revoked && (id == "" || c.ClientID == id) {
			found, n = c, n+1
		}
	}
	switch {
	case id != "" && n == 0:
		return nil, fmt.Errorf("owner %q: %w", id, ErrNotFound)
	case n > 1:
		return nil, fmt.Errorf("there are %d owners: name the one to be replaced: %w", n, ErrState)
	}
	return found, nil
}

package registration

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// Limits of an initial access token.
const (
	DefaultInitialLife = 24 * time.Hour
	MaxInitialLife     = 30 * 24 * time.Hour
	maxInitialUses     = 1000
)

// InitialTokenRequest is what an operator asks for.
type InitialTokenRequest struct {
	Organisation directory.OrganisationID
	Limits       Limits
	Uses         int           // 0: 1
	Life         time.Duration // 0: DefaultInitialLife
	// Within: the limits must not go beyond what the organisation has.
	Within bool
}

// CreateInitialToken makes an initial access token, which is told this once.
func (s *Service) CreateInitialToken(ctx context.Context, actor string, ask InitialTokenRequest) (InitialToken, string, error) {
	now := s.Now()
	if ask.Uses == 0 {
		ask.Uses = 1
	}
	if ask.Life == 0 {
		ask.Life = DefaultInitialLife
	}
	switch {
	case ask.Uses < 1 || ask.Uses > maxInitialUses:
		return InitialToken{}, "", invalid("uses", "must be 1 to %d", maxInitialUses)
	case ask.Life < time.Second || ask.Life > MaxInitialLife:
		return InitialToken{}, "", invalid("life_seconds", "must be 1 second to 30 days")
	}
	if ask.Within { // first: what else is wrong would tell what others have
		if err := s.checkWithin(ctx, ask.Organisation, ask.Limits); err != nil {
			return InitialToken{}, "", err
		}
	}
	if err := s.checkLimits(ask.Organisation, ask.Limits); err != nil {
		return InitialToken{}, "", err
	}
	secret, hash := newSecret(initialPrefix)
	t := InitialToken{
		ID: newID("iat-"), Hash: hash, Organisation: ask.Organisation, Limits: ask.Limits, Uses: ask.Uses,
		Created: now, Expires: now.Add(ask.Life), Actor: actor,
	}
	e, err := event(actor, "initial_access_token.created", now, t.Organisation, t.ID, map[string]any{
		"uses": t.Uses, "expires": t.Expires.Unix(), "limits": t.Limits,
	})
	if err == nil {
		err = s.Directory.Under(ctx, func(ctx context.Context) error { return s.Store.CreateInitialToken(ctx, e, t) })
	}
	if err != nil {
		return InitialToken{}, "", err
	}
	return t, secret, nil
}

// checkLimits refuses limits that nobody could register within: they are checked
// as the metadata of a client that asks for all of them.
func (s *Service) checkLimits(organisation directory.OrganisationID, l Limits) error {
	d := s.Directory.Current()
	o := d.Organisation(organisation)
	if o == nil {
		return directory.ErrNotFound
	}
	if o.State != directory.Active {
		return directory.ErrState
	}
	if !l.Limited && (len(l.Grants) > 0 || len(l.Roles) > 0) {
		return invalid("limited", "must be true where grants or roles are")
	}
	r := &rules{snapshot: d, limits: l, reserved: s.Reserved, directory: s.Directory}
	for _, g := range l.Grants {
		for _, reserved := range s.Reserved {
			if g.Resource == reserved {
				return invalid("grants", "resource %s is not for clients that register themselves", g.Resource)
			}
		}
	}
	m := &Metadata{}
	for _, id := range l.Roles {
		m.Roles = append(m.Roles, string(id))
	}
	base := directory.Application{ClientID: "app-new", Organisation: organisation, Name: "new", AuthMethod: directory.PrivateKeyJWT, Binding: "mtls"}
	var err error
	if base.Roles, err = r.roles(base, m); err != nil {
		return err
	}
	base.Grants = l.Grants
	if err := s.Directory.CheckApplication(d, base); err != nil {
		return err
	}
	for _, n := range l.Names {
		if err := directory.CheckTLSName(n); err != nil {
			return err
		}
	}
	return nil
}

// checkWithin refuses limits beyond what the organisation has. What is another's and
// what does not exist is refused alike.
func (s *Service) checkWithin(ctx context.Context, o directory.OrganisationID, l Limits) error {
	owned, err := s.names(ctx, o)
	if err != nil {
		return err
	}
	for _, n := range l.Names {
		if !owns(owned, n) {
			return invalid("tls_client_auth_san_"+string(n.Kind), "is not owned by the organisation")
		}
	}
	r := &rules{snapshot: s.Directory.Current()}
	of := r.snapshot.Organisation(o)
	for _, id := range l.Roles {
		if of == nil || !slices.Contains(of.Roles, id) {
			return invalid("roles", "has a role that the organisation does not hold")
		}
	}
	for _, g := range l.Grants {
		if slices.ContainsFunc(g.Scopes, func(scope string) bool { return !r.organisationHolds(o, g.Resource, scope) }) {
			return invalid("grants", "go beyond what the roles of the organisation hold")
		}
	}
	return nil
}

// RevokeInitialToken ends one of the organisation's.
func (s *Service) RevokeInitialToken(ctx context.Context, actor string, o directory.OrganisationID, id string) (InitialToken, error) {
	e, err := event(actor, "initial_access_token.revoked", s.Now(), o, id, map[string]any{})
	if err == nil {
		err = s.Directory.Under(ctx, func(ctx context.Context) error { return s.Store.RevokeInitialToken(ctx, e, o, id) })
	}
	if err != nil {
		return InitialToken{}, err
	}
	return s.Store.InitialTokenByID(ctx, id)
}

// RevokeStatement ends a software statement of the organisation's: nobody
// registers with it any more. Who did stays.
func (s *Service) RevokeStatement(ctx context.Context, actor string, o directory.OrganisationID, id string) (StatementRecord, error) {
	e, err := event(actor, "software_statement.revoked", s.Now(), o, id, map[string]any{})
	if err == nil {
		err = s.Directory.Under(ctx, func(ctx context.Context) error { return s.Store.RevokeStatement(ctx, e, o, id) })
	}
	if err != nil {
		return StatementRecord{}, err
	}
	return s.Store.Statement(ctx, id)
}

// ForeseeInitialToken is what RevokeInitialToken would make of it, decided by the
// same rules: nothing changes.
func (s *Service) ForeseeInitialToken(ctx context.Context, o directory.OrganisationID, id string) (InitialToken, error) {
	t, err := s.Store.InitialTokenByID(ctx, id)
	if err == nil {
		err = revocable(o, t.Organisation, t.Revoked)
	}
	t.Revoked = s.Now()
	return t, err
}

// ForeseeStatement is what RevokeStatement would make of it, as ForeseeInitialToken.
func (s *Service) ForeseeStatement(ctx context.Context, o directory.OrganisationID, id string) (StatementRecord, error) {
	r, err := s.Store.Statement(ctx, id)
	if err == nil {
		err = revocable(o, r.Organisation, r.Revoked)
	}
	r.Revoked = s.Now()
	return r, err
}

// revocable tells why the organisation cannot revoke it: it is another's, or was
// revoked before.
func revocable(by, of directory.OrganisationID, revoked time.Time) error {
	switch {
	case by != of:
		return directory.ErrNotFound
	case !revoked.IsZero():
		return directory.ErrState
	}
	return nil
}

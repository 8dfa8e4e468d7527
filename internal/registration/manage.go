package registration

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// Held is a registration whose access token was shown.
type Held struct {
	Client       *directory.Client
	Registration Registration
	presented    Hash
}

// Authorise finds the registration of a client by its access token. Everything
// that fails is the same answer, so that nobody learns which clients there are.
// The token of a client that is gone or not live is ended (RFC 7592 section 2,
// advisory 88).
func (s *Service) Authorise(ctx context.Context, id directory.ClientID, presented string) (*Held, error) {
	if presented == "" {
		return nil, unauthorised("registration_token_missing", false)
	}
	hash, ok := hashOf(registrationPrefix, presented)
	if !ok {
		return nil, unauthorised("registration_token_unknown", true)
	}
	if directory.CheckClientID(id) != nil { // there is none like that
		return nil, unauthorised("registration_token_unknown", true)
	}
	r, err := s.Store.Registration(ctx, id)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return nil, err
	}
	if err != nil || !r.accepts(hash) {
		return nil, unauthorised("registration_token_unknown", true)
	}
	client := s.Directory.Current().Client(id)
	if client == nil || !client.Live { // another node's change may not have come here yet
		if err := s.Directory.Refresh(ctx); err != nil {
			return nil, err
		}
		client = s.Directory.Current().Client(id)
	}
	if client == nil || !client.Live {
		return nil, s.endToken(ctx, id, client)
	}
	return &Held{client, r, hash}, nil
}

func (s *Service) endToken(ctx context.Context, id directory.ClientID, client *directory.Client) error {
	refusal := unauthorised("client_not_live", true)
	if client == nil {
		return refusal
	}
	e, err := event("system", "registration.token_revoked", s.Now(), client.Organisation, string(id), map[string]any{"reason": "client_not_live"})
	if err == nil {
		err = s.Store.End(ctx, e, directory.Delta{}, id, Hash{})
	}
	if err == nil {
		err = s.Directory.Refresh(ctx)
	}
	if err != nil {
		return err
	}
	return refusal
}

// Read is the registration as it is in force (RFC 7592 section 2.1). The token
// that was given out last is thereby used: the one before it ends.
func (s *Service) Read(ctx context.Context, h *Held) (*Registered, error) {
	if h.presented.equal(h.Registration.Token) && h.Registration.Previous != (Hash{}) {
		// It may have ended since Authorise: then whoever changed the registration by
		// the token before was first, and this one was never used.
		if err := s.Store.UseToken(ctx, h.Client.ClientID, h.presented); err != nil {
			return nil, refuseHeld(err)
		}
	}
	return &Registered{Client: h.Client, Registration: h.Registration}, nil
}

// UpdateRequest is a client update request (RFC 7592 section 2.2) of a caller who
// has proved an active credential.
type UpdateRequest struct {
	*Held
	Body      []byte
	Proofs    []string          // of new keys
	Shown     *x509.Certificate // that the request came with, nil for none
	Audiences []string          // what aud a proof may have
}

// Updating is an update that would be made.
type Updating struct {
	*Held
	rules
	metadata     *Metadata
	registration Registration
	statement    string // jti to use up, "" for none
	compact      string
	// Uses are the single uses of proofs, to be recorded before Update.
	Uses []token.Use
}

// Prepare decides an update without making it: what would be refused is refused
// here, and nothing was used up.
func (s *Service) Prepare(ctx context.Context, ask UpdateRequest) (*Updating, error) {
	now := s.Now()
	m, err := ParseMetadata(ask.Body)
	if err != nil {
		return nil, refuse(err)
	}
	switch {
	case m.sentBack != "":
		return nil, refuse(invalid(m.sentBack, "must not be sent back"))
	case m.ClientID != string(ask.Client.ClientID):
		return nil, refuse(invalid("client_id", "is missing or another"))
	}
	u := &Updating{Held: ask.Held, metadata: m, registration: ask.Registration}
	u.rules = rules{limits: ask.Registration.Limits, reserved: s.Reserved, directory: s.Directory, held: true}
	if err := s.fix(ctx, now, u); err != nil {
		return nil, err
	}
	u.registration.keep(u.metadata)
	if u.owned, err = s.names(ctx, ask.Client.Organisation); err != nil {
		return nil, err
	}
	if _, _, err := u.decide(s.Directory.Current(), now); err != nil {
		return nil, refuseHeld(err)
	}
	u.Uses, err = proveKeys(u.newKeys(s.Directory.Current()), ask.Proofs, ask.Shown, ask.Audiences, now)
	if err != nil {
		return nil, refuse(err)
	}
	return u, nil
}

// fix lays over the metadata what the software statement says: the one of the
// registration, or another for the same software. One that was revoked says nothing
// any more.
func (s *Service) fix(ctx context.Context, now time.Time, u *Updating) error {
	st, err := s.statement(ctx, now, u.metadata.Statement, u.registration.Statement)
	if err != nil {
		return err
	}
	fixed := u.registration.Fixed
	if st == nil && fixed != nil && u.registration.Statement != "" {
		record, err := s.Store.Statement(ctx, u.registration.Statement)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return err
		}
		if err != nil || !record.Revoked.IsZero() {
			fixed = nil
		}
	}
	if st != nil {
		if st.record.Organisation != u.Client.Organisation || u.registration.SoftwareID != "" && st.record.SoftwareID != u.registration.SoftwareID {
			return refuseStatement(oauth.UnapprovedSoftwareStatement, "statement_software", "the software statement is not approved for this client", nil)
		}
		fixed, u.compact = st.record.Claims, st.compact
		if st.record.ID != u.registration.Statement {
			u.fresh = true
			u.statement, u.registration.Statement, u.registration.Fixed = st.record.ID, st.record.ID, fixed
		}
	}
	if fixed == nil {
		return nil
	}
	if u.fixed, err = ParseMetadata(fixed); err != nil {
		return err
	}
	u.metadata = u.metadata.overriddenBy(u.fixed)
	return nil
}

// newKeys are those of the metadata that are not registered for the client.
func (u *Updating) newKeys(d *directory.Snapshot) []Key {
	var keys []Key
	for _, k := range u.metadata.Keys {
		if existing(d.Client(u.Client.ClientID), k) == nil {
			keys = append(keys, k)
		}
	}
	return keys
}

// existing is the credential that the client has of a key, in whatever state.
func existing(of *directory.Client, k Key) *directory.Credential {
	for _, c := range of.Credentials {
		if !ofKeys(&of.Application, c) {
			continue
		}
		if c.Kind == directory.SigningKey && c.Thumbprint == k.Public.Thumbprint() ||
			c.Kind == directory.Certificate && k.Certificate != nil && c.Thumbprint == cnf.CertificateThumbprint(k.Certificate) {
			return c
		}
	}
	return nil
}

// decide makes the records of the changed client: every rule of creation again,
// with the keys that stay keeping their credentials.
func (u *Updating) decide(d *directory.Snapshot, now time.Time) (audit.Event, directory.Delta, error) {
	none := func(err error) (audit.Event, directory.Delta, error) { return audit.Event{}, directory.Delta{}, err }
	of := d.Client(u.Client.ClientID)
	if of == nil || !of.Live {
		return none(ErrToken)
	}
	if of.OperatorRole != "" {
		return none(notPermitted("operator_application", "the application of an operator is changed by operators"))
	}
	u.snapshot = d
	a, err := u.application(of.Application, u.metadata)
	if err != nil {
		return none(err)
	}
	switch { // what it authenticates with would change, and no key of it was proved
	case a.AuthMethod != of.AuthMethod:
		return none(invalid(memberMethod, "is changed by an operator only"))
	case a.TLSName != of.TLSName:
		return none(invalid(memberMethod, "the registered tls_client_auth_san_ value is changed by an operator only"))
	case a.JWKSURI != of.JWKSURI:
		return none(invalid(memberJWKSURI, "is changed, as from or to jwks, by an operator only"))
	}
	next := *of
	next.Application = a
	delta := directory.Delta{Applications: []directory.Application{a}}
	var made, retired []directory.Credential
	if u.metadata.HasKeys {
		if made, retired, err = u.turnKeys(d, &next, now); err != nil {
			return none(err)
		}
	}
	delta.Credentials = slices.Concat(made, retired)
	detail := directory.DescribeApplication(a)
	detail["credentials"], detail["retired"] = describeCredentials(made), describeCredentials(retired)
	if u.statement != "" {
		detail["software_statement"] = u.statement
	}
	e, err := event(string(a.ClientID), "application.updated", now, a.Organisation, string(a.ClientID), detail)
	return e, delta, err
}

// turnKeys makes credentials of new keys and retires those that are not listed
// any more, unless none would be left that is usable (promise 7).
func (u *Updating) turnKeys(d *directory.Snapshot, of *directory.Client, now time.Time) (made, retired []directory.Credential, err error) {
	stay := map[directory.CredentialID]bool{}
	usable := 0
	for i, k := range u.metadata.Keys {
		c := existing(of, k)
		if c == nil {
			c, err := newCredential(d, of, k, now)
			if err != nil {
				return nil, nil, inKey(i, err)
			}
			made = append(made, c)
			if c.UsableAt(now) {
				usable++
			}
			continue
		}
		if !c.State.Accepted() {
			return nil, nil, invalid(memberJWKS, "key %d is %s", i+1, c.State)
		}
		stay[c.ID] = true
		if c.UsableAt(now) {
			usable++
		}
	}
	for _, c := range of.Credentials {
		if ofKeys(&of.Application, c) && c.State.Accepted() && !stay[c.ID] {
			retired = append(retired, directory.RetiredCredential(*c, now))
		}
	}
	if usable == 0 {
		return nil, nil, invalid(memberJWKS, "has no key that the client could use now")
	}
	return made, retired, nil
}

// Update makes the change (RFC 7592 section 2.2), and gives out another
// registration access token: the one that was shown stays good until the new one
// is used, so that an answer that was lost loses nothing.
func (s *Service) Update(ctx context.Context, u *Updating) (*Registered, error) {
	secret, hash := newSecret(registrationPrefix)
	err := s.Directory.Decide(ctx, u.decide, func(ctx context.Context, e audit.Event, d directory.Delta) error {
		return s.Store.Update(ctx, e, Change{
			Delta: d, Registration: u.registration, Presented: u.presented, Next: hash, Statement: u.statement, Now: e.At,
		})
	})
	switch {
	case errors.Is(err, ErrStatementUsed):
		return nil, s.statementUsed(ctx, u.statement)
	case err != nil:
		return nil, refuseHeld(err)
	}
	return &Registered{Client: s.Directory.Current().Client(u.Client.ClientID), Registration: u.registration, Token: secret, Statement: u.compact}, nil
}

// Delete revokes the application and ends its registration (RFC 7592 section
// 2.3). The caller has proved an active credential. Nothing is removed.
func (s *Service) Delete(ctx context.Context, h *Held) error {
	id := h.Client.ClientID
	err := s.Directory.Decide(ctx, func(d *directory.Snapshot, now time.Time) (audit.Event, directory.Delta, error) {
		of := d.Client(id)
		if of == nil || !of.Live {
			return audit.Event{}, directory.Delta{}, ErrToken
		}
		if of.OperatorRole != "" {
			return audit.Event{}, directory.Delta{}, notPermitted("operator_application", "the application of an operator is revoked by operators")
		}
		a := directory.RevokedApplication(of.Application, now)
		e, err := event(string(id), "application.revoked", now, of.Organisation, string(id), map[string]any{"from": of.State, "by": "registration"})
		return e, directory.Delta{Applications: []directory.Application{a}}, err
	}, func(ctx context.Context, e audit.Event, d directory.Delta) error {
		return s.Store.End(ctx, e, d, id, h.presented)
	})
	if err != nil {
		return refuseHeld(err)
	}
	return nil
}

// refuseHeld is refuse for whoever holds a registration, which may have ended.
func refuseHeld(err error) error {
	if errors.Is(err, ErrToken) {
		return unauthorised("registration_token_ended", true)
	}
	return refuse(err)
}

// Recover gives out a registration access token to a client that has proved an
// active credential, and ends every other one of it.
func (s *Service) Recover(ctx context.Context, client *directory.Client) (*Registered, error) {
	r, err := s.Store.Registration(ctx, client.ClientID)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, notPermitted("not_registered", "the client did not register itself")
	}
	if err != nil {
		return nil, err
	}
	secret, hash := newSecret(registrationPrefix)
	err = s.Directory.Decide(ctx, func(d *directory.Snapshot, now time.Time) (audit.Event, directory.Delta, error) {
		of := d.Client(client.ClientID)
		if of == nil || !of.Live {
			return audit.Event{}, directory.Delta{}, notPermitted("client_not_live", "the client is not active")
		}
		e, err := event(string(of.ClientID), "registration.token_recovered", now, of.Organisation, string(of.ClientID), map[string]any{})
		return e, directory.Delta{}, err
	}, func(ctx context.Context, e audit.Event, _ directory.Delta) error {
		return s.Store.ReplaceToken(ctx, e, client.ClientID, hash)
	})
	if err != nil {
		return nil, err
	}
	return &Registered{Client: client, Registration: r, Token: secret}, nil
}

// notPermitted is for who may come in, and not do this.
func notPermitted(reason, description string) error {
	return &oauth.Error{Code: oauth.AccessDenied, Status: http.StatusForbidden, Reason: reason, Description: description}
}

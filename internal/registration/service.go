package registration

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
)

// Service registers clients and changes registrations. Every field but Names is required.
type Service struct {
	Issuer    string
	Directory *directory.Directory
	Store     Store
	Keys      *Keys
	// Reserved are resources that no registration gives scopes of: this
	// installation's own.
	Reserved []string
	// Names are the DNS names and IP addresses that an organisation owns.
	Names func(ctx context.Context, o directory.OrganisationID) ([]string, error)
	Now   func() time.Time
}

// Path of the registration endpoint below the issuer.
const Path = "/register"

// RecoveryPath follows a client's configuration endpoint.
const RecoveryPath = "/recover"

func (s *Service) recoveryURI(id directory.ClientID) string {
	return s.Issuer + Path + "/" + string(id) + RecoveryPath
}

// newID is a prefix and 128 random bits.
func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

func event(actor, action string, now time.Time, o directory.OrganisationID, subject string, detail map[string]any) (audit.Event, error) {
	text, err := json.Marshal(detail)
	return audit.Event{At: now, Actor: actor, Action: action, Organisation: string(o), Subject: subject, Detail: string(text)}, err
}

func parseDER(der []byte) (*x509.Certificate, error) { return x509.ParseCertificate(der) }

// Request is a client registration request (RFC 7591 section 3.1).
type Request struct {
	Token string // the initial access token, "" for none
	Body  []byte
}

// Register makes a client, with all that it consists of, or nothing.
func (s *Service) Register(ctx context.Context, ask Request) (*Registered, error) {
	now := s.Now()
	token, err := s.initialToken(ctx, now, ask.Token)
	if err != nil {
		return nil, err
	}
	m, err := ParseMetadata(ask.Body)
	if token == nil && (err != nil || m.Statement == "") {
		return nil, unauthorised("initial_token_missing", false)
	}
	if err != nil {
		return nil, refuse(err)
	}
	st, err := s.statement(ctx, now, m.Statement, "")
	if err != nil {
		return nil, err
	}
	if token == nil && !st.record.Standalone {
		return nil, unauthorised("initial_token_missing", false)
	}
	c, err := s.newCreation(ctx, now, m, token, st)
	if err != nil {
		return nil, err
	}
	secret, hash := newSecret(registrationPrefix)
	c.registration.Token = hash
	err = s.Directory.Decide(ctx, c.decide, func(ctx context.Context, e audit.Event, d directory.Delta) error {
		return s.Store.Register(ctx, e, Creation{Delta: d, Registration: c.registration, Now: now})
	})
	if err != nil {
		return nil, s.refuseCreation(ctx, err, c)
	}
	r := &Registered{Client: s.Directory.Current().Client(c.registration.ClientID), Registration: c.registration, Token: secret}
	if st != nil {
		r.Statement = st.compact
	}
	return r, nil
}

// initialToken finds the one that was presented; nil when none was.
func (s *Service) initialToken(ctx context.Context, now time.Time, presented string) (*InitialToken, error) {
	if presented == "" {
		return nil, nil
	}
	hash, ok := hashOf(initialPrefix, presented)
	if !ok {
		return nil, unauthorised("initial_token_unknown", true)
	}
	t, err := s.Store.InitialToken(ctx, hash)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return nil, unauthorised("initial_token_unknown", true)
	case err != nil:
		return nil, err
	case !t.Revoked.IsZero():
		return nil, unauthorised("initial_token_revoked", true)
	case !now.Before(t.Expires):
		return nil, unauthorised("initial_token_expired", true)
	case t.Used >= t.Uses:
		return nil, s.spent(ctx, t.ID)
	}
	return &t, nil
}

// spent names the way back to the first registration, as its answer may have been
// lost: whoever has the token was to know it.
func (s *Service) spent(ctx context.Context, id string) error {
	first, err := s.Store.FirstOf(ctx, id, "")
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return err
	}
	refusal := unauthorised("initial_token_used", true)
	if e, ok := oauth.AsError(refusal); ok && first != "" {
		e.Description = "the token was used to register client " + string(first) + s.wayBack(first)
	}
	return refusal
}

// wayBack says how a registration access token is recovered.
func (s *Service) wayBack(id directory.ClientID) string {
	return ": a lost registration access token is recovered with POST " + s.recoveryURI(id) + " and proof of an active credential"
}

// creation is all that a registration is decided from.
type creation struct {
	rules
	metadata     *Metadata
	organisation directory.OrganisationID
	registration Registration
}

func (s *Service) newCreation(ctx context.Context, now time.Time, m *Metadata, token *InitialToken, st *statement) (*creation, error) {
	c := &creation{rules: rules{reserved: s.Reserved, directory: s.Directory}, metadata: m}
	c.registration = Registration{ClientID: directory.NewClientID(), Issued: now.Truncate(time.Second)}
	if token != nil {
		c.organisation, c.limits = token.Organisation, token.Limits
		c.registration.InitialToken, c.registration.Limits = token.ID, token.Limits
	}
	if st != nil {
		if token != nil && token.Organisation != st.record.Organisation {
			return nil, refuseStatement(oauth.UnapprovedSoftwareStatement, "statement_organisation", "the software statement is not approved for the initial access token", nil)
		}
		c.organisation, c.fixed = st.record.Organisation, st.metadata
		c.registration.Statement, c.registration.Fixed = st.record.ID, st.record.Claims
		c.metadata = m.overriddenBy(st.metadata)
	}
	c.registration.keep(c.metadata)
	var err error
	c.owned, err = s.names(ctx, c.organisation)
	return c, err
}

// keep takes over what has no place in the directory. What cannot be enforced is
// not kept: keys at a jwks_uri are known only when they are used.
func (r *Registration) keep(m *Metadata) {
	r.SoftwareID, r.SoftwareVersion, r.SigningAlg = m.SoftwareID, m.SoftwareVersion, m.SigningAlg
	if m.JWKSURI != "" {
		r.SigningAlg = ""
	}
}

func (s *Service) names(ctx context.Context, o directory.OrganisationID) ([]string, error) {
	if s.Names == nil {
		return nil, nil
	}
	return s.Names(ctx, o)
}

// decide makes the records of the new client.
func (c *creation) decide(d *directory.Snapshot, now time.Time) (audit.Event, directory.Delta, error) {
	c.snapshot = d
	o := d.Organisation(c.organisation)
	if o == nil || o.State != directory.Active {
		return audit.Event{}, directory.Delta{}, unauthorised("organisation_not_active", true)
	}
	a, err := c.application(directory.Application{ClientID: c.registration.ClientID, Organisation: c.organisation, State: directory.Active}, c.metadata)
	if err != nil {
		return audit.Event{}, directory.Delta{}, err
	}
	of := &directory.Client{Application: a}
	delta := directory.Delta{Applications: []directory.Application{a}}
	for i, k := range c.metadata.Keys {
		credential, err := newCredential(d, of, k, now)
		if err != nil {
			return audit.Event{}, directory.Delta{}, inKey(i, err)
		}
		delta.Credentials = append(delta.Credentials, credential)
	}
	detail := directory.DescribeApplication(a)
	c.describe(detail, delta.Credentials)
	e, err := event(string(a.ClientID), "application.registered", now, c.organisation, string(a.ClientID), detail)
	return e, delta, err
}

func (c *creation) describe(detail map[string]any, made []directory.Credential) {
	if c.registration.InitialToken != "" {
		detail["initial_access_token"] = c.registration.InitialToken
	}
	if c.registration.Statement != "" {
		detail["software_statement"] = c.registration.Statement
	}
	if c.registration.SoftwareID != "" {
		detail["software_id"] = c.registration.SoftwareID
	}
	detail["credentials"] = describeCredentials(made)
}

// newCredential makes the credential of one key. With self_signed_tls_client_auth
// that is the certificate in x5c, or the key itself, and then every certificate of
// it (RFC 8705 section 2.2).
func newCredential(d *directory.Snapshot, of *directory.Client, k Key, now time.Time) (directory.Credential, error) {
	var c directory.Credential
	var err error
	if of.AuthMethod == directory.SelfSignedTLSClientAuth && k.Certificate != nil {
		c, err = directory.NewCertificate(of, k.Certificate, now)
	} else {
		c, err = directory.NewSigningKey(of, k.Public, now)
	}
	if err == nil && d.Registered(of.ClientID, c.Thumbprint) != nil {
		err = invalid(memberJWKS, "is registered already")
	}
	return c, err
}

func inKey(i int, err error) error {
	if fault, ok := errors.AsType[*directory.InvalidError](err); ok {
		return invalid(memberJWKS, "key %d %s", i+1, fault.Reason)
	}
	return err
}

func describeCredentials(all []directory.Credential) []map[string]any {
	list := []map[string]any{}
	for _, c := range all {
		list = append(list, map[string]any{"credential_id": c.ID, "kind": c.Kind, "thumbprint": c.Thumbprint.String()})
	}
	return list
}

// refuseCreation words why nothing was made.
func (s *Service) refuseCreation(ctx context.Context, err error, c *creation) error {
	switch {
	case errors.Is(err, ErrSpent):
		return s.spent(ctx, c.registration.InitialToken)
	case errors.Is(err, ErrStatementUsed):
		return s.statementUsed(ctx, c.registration.Statement)
	}
	return refuse(err)
}

// refuse words an error of the domain as RFC 7591 section 3.2.2 does.
func refuse(err error) error {
	if _, ok := oauth.AsError(err); ok {
		return err
	}
	if fault, ok := errors.AsType[*directory.InvalidError](err); ok {
		code := oauth.InvalidClientMetadata
		if fault.Field == "redirect_uris" {
			code = oauth.InvalidRedirectURI
		}
		return oauth.Refuse(code, "metadata_"+fault.Field, plain(fault.Field+": "+fault.Reason), nil)
	}
	if errors.Is(err, directory.ErrExists) { // a key that somebody registered meanwhile
		return oauth.Refuse(oauth.InvalidClientMetadata, "metadata_exists", "jwks: a key is registered already", err)
	}
	return err
}

// plain makes a text fit for error_description (RFC 6749 section 5.2).
func plain(s string) string {
	b := []byte(s)
	for i, c := range b {
		switch {
		case c == '"' || c == '\\':
			b[i] = '\''
		case c < ' ' || c > '~':
			b[i] = '?'
		}
	}
	return string(b)
}

// unauthorised is the answer to who showed no token, or a bad one (RFC 6750
// section 3.1).
func unauthorised(reason string, shown bool) error {
	e := &oauth.Error{Status: 401, Reason: reason, Challenge: "Bearer"}
	if shown {
		e.Code, e.Challenge, e.Description = oauth.InvalidToken, `Bearer error="invalid_token"`, "the token is not valid here"
	}
	return e
}

package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// Software statements: RFC 7591 section 2.3.
const (
	// StatementType is the JWS "typ".
	StatementType = "software-statement+jwt"
	// MaxStatement is the most bytes that one may have.
	MaxStatement = 64 << 10

	DefaultStatementLife = 10 * time.Minute
	MaxStatementLife     = 30 * 24 * time.Hour
	maxStatementUses     = 1000
	maxAhead             = 30 * time.Second // that iat may be ahead
)

// statement is one that was verified.
type statement struct {
	record   StatementRecord
	metadata *Metadata
	compact  string
}

// statementClaims are the claims beside the metadata.
type statementClaims struct {
	issuer, id, organisation string
	issued, expires          int64
	metadata                 *Metadata
}

// parseStatement reads the payload of a software statement. Only verified bytes
// may be relied on (advisory 92).
func parseStatement(payload []byte) (*statementClaims, error) {
	c := &statementClaims{}
	err := strictjson.Members(payload, maxDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "iss":
			c.issuer, err = v.Text()
		case "jti":
			c.id, err = v.Text()
		case "organisation":
			c.organisation, err = v.Text()
		case "iat":
			c.issued, err = v.Integer()
		case "exp":
			c.expires, err = v.Integer()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	c.metadata, err = ParseMetadata(payload)
	return c, err
}

func refuseStatement(code oauth.Code, reason, description string, cause error) error {
	return oauth.Refuse(code, reason, description, cause)
}

// statement verifies one that was presented: it is signed by this directory, in
// its time, not revoked, and has a registration left. used tells that it was used
// for this registration already, which an update may name again at any time.
func (s *Service) statement(ctx context.Context, now time.Time, compact string, used string) (*statement, error) {
	if compact == "" {
		return nil, nil
	}
	m, err := jose.Parse(compact, MaxStatement)
	switch {
	case errors.Is(err, jose.ErrCritical):
		return nil, refuseStatement(oauth.InvalidSoftwareStatement, "statement_critical", "the software statement has a critical header", err)
	case errors.Is(err, jose.ErrAlgorithm):
		return nil, refuseStatement(oauth.InvalidSoftwareStatement, "statement_algorithm", "the software statement is not signed with an algorithm of this server", err)
	case err != nil:
		return nil, refuseStatement(oauth.InvalidSoftwareStatement, "statement_malformed", "the software statement is not a signed JWT", err)
	case m.Header.Type != StatementType:
		return nil, refuseStatement(oauth.InvalidSoftwareStatement, "statement_type", "the software statement is a JWT of another type", nil)
	}
	key, err := s.Keys.verifier(ctx, m.Header.KeyID)
	if err != nil {
		return nil, err
	}
	if key == nil || s.Directory.Current().RevokedKey(m.Header.KeyID) {
		if c, err := parseStatement(m.Payload); err == nil && c.issuer != s.Issuer { // says only which error
			return nil, refuseStatement(oauth.UnapprovedSoftwareStatement, "statement_issuer", "software statements of this issuer are not approved", nil)
		}
		return nil, refuseStatement(oauth.InvalidSoftwareStatement, "statement_key", "the software statement is signed with a key that is not in force", nil)
	}
	if err := m.Verify(key); err != nil {
		return nil, refuseStatement(oauth.InvalidSoftwareStatement, "statement_signature", "the signature of the software statement does not verify", err)
	}
	c, err := parseStatement(m.Payload)
	if err != nil {
		return nil, refuseStatement(oauth.InvalidSoftwareStatement, "statement_claims", "the claims of the software statement cannot be read", err)
	}
	switch {
	case c.issuer != s.Issuer:
		return nil, refuseStatement(oauth.UnapprovedSoftwareStatement, "statement_issuer", "software statements of this issuer are not approved", nil)
	case c.id == "" || c.organisation == "" || c.issued > now.Add(maxAhead).Unix():
		return nil, refuseStatement(oauth.InvalidSoftwareStatement, "statement_claims", "the claims of the software statement cannot be read", nil)
	case c.expires <= now.Unix() && (used == "" || c.id != used):
		return nil, refuseStatement(oauth.InvalidSoftwareStatement, "statement_expired", "the software statement has expired", nil)
	}
	return s.recorded(ctx, c, compact, used)
}

// recorded compares a verified statement with what is on record of it.
func (s *Service) recorded(ctx context.Context, c *statementClaims, compact, used string) (*statement, error) {
	record, err := s.Store.Statement(ctx, c.id)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return nil, refuseStatement(oauth.InvalidSoftwareStatement, "statement_unknown", "the software statement is not on record", nil)
	case err != nil:
		return nil, err
	case !record.Revoked.IsZero():
		return nil, refuseStatement(oauth.UnapprovedSoftwareStatement, "statement_revoked", "the software statement was revoked", nil)
	case string(record.Organisation) != c.organisation:
		return nil, refuseStatement(oauth.InvalidSoftwareStatement, "statement_claims", "the claims of the software statement cannot be read", nil)
	case record.Used >= record.Uses && c.id != used:
		return nil, s.statementUsed(ctx, record.ID)
	}
	// What was recorded counts, whoever else may have signed under this jti.
	m, err := ParseMetadata(record.Claims)
	if err != nil {
		return nil, fmt.Errorf("read the claims of software statement %s: %w", record.ID, err)
	}
	return &statement{record: record, metadata: m, compact: compact}, nil
}

// statementUsed names the way back to the first registration.
func (s *Service) statementUsed(ctx context.Context, id string) error {
	first, err := s.Store.FirstOf(ctx, "", id)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return err
	}
	description := "the software statement was used for its registration"
	if first != "" {
		description = "the software statement was used to register client " + string(first) + s.wayBack(first)
	}
	return refuseStatement(oauth.InvalidSoftwareStatement, "statement_used", description, nil)
}

// StatementRequest is what an operator asks for.
type StatementRequest struct {
	Organisation directory.OrganisationID
	// Metadata is a JSON object of client metadata: what the statement fixes.
	Metadata []byte
	Life     time.Duration // 0: DefaultStatementLife
	// OneTime: good for one registration, without an initial access token.
	OneTime bool
	// Standalone: enough without an initial access token, for each of its uses.
	Standalone bool
	Uses       int // registrations, 0: 1
	// Within: what it fixes must not go beyond what the organisation has.
	Within bool
}

// CreateStatement signs a software statement.
func (s *Service) CreateStatement(ctx context.Context, actor string, ask StatementRequest) (StatementRecord, string, error) {
	now := s.Now()
	if err := ask.check(); err != nil {
		return StatementRecord{}, "", err
	}
	claims, softwareID, err := s.claims(ctx, now, &ask)
	if err != nil {
		return StatementRecord{}, "", err
	}
	signer, err := s.Keys.signer(ctx)
	if err != nil {
		return StatementRecord{}, "", err
	}
	compact, err := signer.Sign(signer.Header(StatementType, false), claims.payload)
	if err != nil {
		return StatementRecord{}, "", err
	}
	if len(compact) > MaxStatement {
		return StatementRecord{}, "", invalid("metadata", "makes a statement of more than %d bytes", MaxStatement)
	}
	r := StatementRecord{
		ID: claims.id, Organisation: ask.Organisation, SoftwareID: softwareID, Claims: claims.payload,
		Standalone: ask.Standalone || ask.OneTime, Uses: ask.Uses, Created: now, Expires: claims.expires, Actor: actor,
	}
	e, err := event(actor, "software_statement.created", now, ask.Organisation, r.ID, map[string]any{
		"software_id": softwareID, "expires": r.Expires.Unix(), "uses": r.Uses, "standalone": r.Standalone, "kid": signer.Public().KeyID(),
	})
	if err != nil {
		return StatementRecord{}, "", err
	}
	if err := s.Directory.Under(ctx, func(ctx context.Context) error { return s.Store.CreateStatement(ctx, e, r) }); err != nil {
		return StatementRecord{}, "", err
	}
	return r, compact, nil
}

func (ask *StatementRequest) check() error {
	if ask.Life == 0 {
		ask.Life = DefaultStatementLife
	}
	if ask.Uses == 0 {
		ask.Uses = 1
	}
	switch {
	case ask.Life < time.Second || ask.Life > MaxStatementLife:
		return invalid("life_seconds", "must be 1 second to 30 days")
	case ask.Uses < 1 || ask.Uses > maxStatementUses:
		return invalid("uses", "must be 1 to %d", maxStatementUses)
	case ask.OneTime && ask.Uses != 1:
		return invalid("uses", "of a one-time statement must be 1")
	}
	return nil
}

// madeClaims are claims as they will be signed.
type madeClaims struct {
	id      string
	expires time.Time
	payload []byte
}

// claims are those of a new statement. What the metadata says is checked as far as
// it can be without the rest of a registration.
func (s *Service) claims(ctx context.Context, now time.Time, ask *StatementRequest) (madeClaims, string, error) {
	m, err := ParseMetadata(ask.Metadata)
	if err != nil {
		return madeClaims{}, "", err
	}
	switch {
	case m.Statement != "":
		return madeClaims{}, "", invalid("software_statement", "cannot be within a software statement")
	case m.SoftwareID == "": // RFC 7591 section 2: the same for all instances of one piece of software
		return madeClaims{}, "", invalid("software_id", "is missing")
	case m.ClientID != "" || m.sentBack != "":
		return madeClaims{}, "", invalid("metadata", "is of a client: a statement is about software")
	}
	if ask.Within { // first: what else is wrong would tell what others have
		l := Limits{Names: m.TLSNames}
		for _, id := range m.Roles {
			l.Roles = append(l.Roles, directory.RoleID(id))
		}
		for _, scope := range strings.Fields(m.Scope) {
			g := directory.Grant{Scopes: []string{scope}}
			if of := s.Directory.Current().ResourceOfScope(scope); of != nil {
				g.Resource = of.URI
			}
			l.Grants = append(l.Grants, g)
		}
		if err := s.checkWithin(ctx, ask.Organisation, l); err != nil {
			return madeClaims{}, "", err
		}
	}
	if err := s.checkFixed(ask.Organisation, m); err != nil {
		return madeClaims{}, "", err
	}
	id := newID("sst-")
	expires := now.Add(ask.Life).Truncate(time.Second)
	head, err := json.Marshal(struct {
		Issuer       string `json:"iss"`
		Issued       int64  `json:"iat"`
		Expires      int64  `json:"exp"`
		ID           string `json:"jti"`
		Organisation string `json:"organisation"`
		OneTime      bool   `json:"one_time,omitempty"`
	}{s.Issuer, now.Unix(), expires.Unix(), id, string(ask.Organisation), ask.OneTime})
	if err != nil {
		return madeClaims{}, "", err
	}
	body, err := json.Marshal(m.wire())
	if err != nil {
		return madeClaims{}, "", err
	}
	payload := append(head[:len(head)-1], ',')
	payload = append(payload, bytes.TrimPrefix(body, []byte("{"))...)
	return madeClaims{id, expires, payload}, m.SoftwareID, nil
}

// checkFixed refuses what no registration could be made of.
func (s *Service) checkFixed(organisation directory.OrganisationID, m *Metadata) error {
	snapshot := s.Directory.Current()
	o := snapshot.Organisation(organisation)
	if o == nil {
		return directory.ErrNotFound
	}
	if o.State != directory.Active {
		return directory.ErrState
	}
	r := &rules{snapshot: snapshot, fixed: m, reserved: s.Reserved, directory: s.Directory}
	base := directory.Application{ClientID: "app-new", Organisation: organisation}
	if m.AuthMethod != "" {
		if _, err := authMethod(m); err != nil {
			return err
		}
	}
	if m.CertificateBound != nil || m.DPoPBound != nil {
		if _, err := binding(m); err != nil {
			return err
		}
	}
	if m.SigningAlg != "" && !isAlgorithm(m.SigningAlg) {
		return invalid(memberAlg, "must be one of %s", strings.Join(algorithms(), ", "))
	}
	if err := s.Directory.CheckJWKSURI(m.JWKSURI); err != nil {
		return err
	}
	if _, err := r.grants(base, m); err != nil {
		return err
	}
	roles, err := r.roles(base, m)
	if err != nil {
		return err
	}
	for _, id := range roles {
		if !slices.Contains(o.Roles, id) {
			return invalid("roles", "the organisation does not hold role %s", id)
		}
	}
	return nil
}

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/registration"
)

// Who may register applications: initial access tokens and software statements
// (RFC 7591). Each token and each statement is shown once, in the answer to its
// making.

func describeRegistration(d *door, a *api) {
	const tokens, statements = "/v1/organisations/{organisation}/initial-access-tokens", "/v1/organisations/{organisation}/software-statements"
	op := func(method, path, summary string) huma.Operation {
		o := huma.Operation{Method: method, Path: path, Summary: summary}
		if method == http.MethodPost {
			o.DefaultStatus = http.StatusOK
		}
		return o
	}
	create := func(path, summary string) huma.Operation {
		o := op(http.MethodPost, path, summary)
		o.DefaultStatus = http.StatusCreated
		return o
	}
	register(d, op(http.MethodGet, tokens, "List initial access tokens"), operators, a.listInitialTokens)
	register(d, create(tokens, "Create initial access token"), tenants, a.createInitialToken)
	register(d, op(http.MethodPost, tokens+"/{id}/revoke", "Revoke initial access token"), keepers, a.revokeInitialToken)
	register(d, op(http.MethodGet, statements, "List software statements"), operators, a.listStatements)
	register(d, create(statements, "Create software statement"), tenants, a.createStatement)
	register(d, op(http.MethodPost, statements+"/{id}/revoke", "Revoke software statement"), keepers, a.revokeStatement)
}

// SubjectName is one subject alternative name, of tls_client_auth.
type SubjectName struct {
	Kind  string `json:"kind" enum:"uri,dns,ip,email"`
	Value string `json:"value" maxLength:"512"`
}

// InitialAccessToken as the API shows it: without the token.
type InitialAccessToken struct {
	ID           string        `json:"id"`
	Organisation string        `json:"organisation"`
	Uses         int           `json:"uses" doc:"Clients that may be registered with it"`
	Used         int           `json:"used"`
	Limited      bool          `json:"limited" doc:"Clients may ask for grants and roles of these lists alone; otherwise for the roles that the organisation holds, and their scopes"`
	Grants       []Grant       `json:"grants" nullable:"false"`
	Roles        []string      `json:"roles" nullable:"false"`
	Names        []SubjectName `json:"names" nullable:"false" doc:"May be registered as tls_client_auth_san_ values"`
	Created      time.Time     `json:"created"`
	Expires      time.Time     `json:"expires"`
	Revoked      *time.Time    `json:"revoked,omitempty"`
	CreatedBy    string        `json:"created_by"`
}

// NewInitialAccessToken is the body that makes one.
type NewInitialAccessToken struct {
	Uses        int           `json:"uses,omitempty" minimum:"1" maximum:"1000" doc:"1 when omitted"`
	LifeSeconds int64         `json:"life_seconds,omitempty" minimum:"1" maximum:"2592000" doc:"24 hours when omitted"`
	Limited     bool          `json:"limited,omitempty" doc:"Needed where grants or roles are given; with neither, clients get none"`
	Grants      []Grant       `json:"grants,omitempty" maxItems:"100"`
	Roles       []string      `json:"roles,omitempty" maxItems:"100"`
	Names       []SubjectName `json:"names,omitempty" maxItems:"100"`
}

// MadeInitialAccessToken is the one answer that has the token itself.
type MadeInitialAccessToken struct {
	InitialAccessToken
	Token string `json:"initial_access_token" doc:"Shown this once"`
}

// SoftwareStatement as the API shows it: what was signed, without the signature.
type SoftwareStatement struct {
	ID           string          `json:"id" doc:"jti"`
	Organisation string          `json:"organisation"`
	SoftwareID   string          `json:"software_id"`
	Claims       json.RawMessage `json:"claims" doc:"The payload that was signed"`
	Standalone   bool            `json:"standalone" doc:"Enough without an initial access token"`
	Uses         int             `json:"uses"`
	Used         int             `json:"used"`
	Clients      []string        `json:"clients" nullable:"false" doc:"That registered with it, in order"`
	Created      time.Time       `json:"created"`
	Expires      time.Time       `json:"expires"`
	Revoked      *time.Time      `json:"revoked,omitempty"`
	CreatedBy    string          `json:"created_by"`
}

// NewSoftwareStatement is the body that has one signed.
type NewSoftwareStatement struct {
	Metadata    json.RawMessage `json:"metadata" doc:"Client metadata (RFC 7591 section 2) that the statement fixes; software_id is required"`
	LifeSeconds int64           `json:"life_seconds,omitempty" minimum:"1" maximum:"2592000" doc:"10 minutes when omitted"`
	OneTime     bool            `json:"one_time,omitempty" doc:"Good for one registration, without an initial access token"`
	Standalone  bool            `json:"standalone,omitempty" doc:"Enough without an initial access token"`
	Uses        int             `json:"uses,omitempty" minimum:"1" maximum:"1000" doc:"1 when omitted"`
}

// MadeSoftwareStatement is the one answer that has the statement itself.
type MadeSoftwareStatement struct {
	SoftwareStatement
	Statement string `json:"software_statement" doc:"Compact JWS, shown this once"`
}

// OfOrganisationPath names something of an organisation.
type OfOrganisationPath struct {
	OrganisationPath
	Of string `path:"id" maxLength:"64"`
}

type (
	listOfOrganisationInput struct {
		OrganisationPath
		ListQuery
	}
	ofOrganisationInput struct {
		OfOrganisationPath
		DryRunQuery
	}
	createInitialTokenInput struct {
		OrganisationPath
		Body NewInitialAccessToken
	}
	createStatementInput struct {
		OrganisationPath
		Body NewSoftwareStatement
	}
	initialTokenOutput     struct{ Body InitialAccessToken }
	statementOutput        struct{ Body SoftwareStatement }
	initialTokensOutput    struct{ Body Page[InitialAccessToken] }
	madeInitialTokenOutput struct{ Body MadeInitialAccessToken }
	statementsOutput       struct{ Body Page[SoftwareStatement] }
	madeStatementOutput    struct{ Body MadeSoftwareStatement }
)

func (a *api) listInitialTokens(ctx context.Context, _ Caller, in *listOfOrganisationInput) (*initialTokensOutput, error) {
	p, err := chosen(ctx, a, "initial-access-tokens", in, a.Registration.Store.InitialTokens, func(t *registration.InitialToken) string { return t.ID }, showInitialToken)
	if err != nil {
		return nil, err
	}
	return &initialTokensOutput{p}, nil
}

// chosen is a page of what the store chooses.
func chosen[T, V any](ctx context.Context, a *api, list string, in *listOfOrganisationInput,
	choose func(context.Context, directory.OrganisationID, string, int) ([]T, error), id func(*T) string, show func(*T) V,
) (Page[V], error) {
	list += " of " + in.ID
	after, err := a.position(list, in.Cursor)
	if err != nil {
		return Page[V]{}, err
	}
	all, err := choose(ctx, directory.OrganisationID(in.ID), after, in.Limit+1)
	if err != nil {
		return Page[V]{}, err
	}
	p := Page[V]{Items: []V{}}
	for i := range all {
		if i == in.Limit {
			p.Next = a.cursor(list, id(&all[i-1]))
			break
		}
		p.Items = append(p.Items, show(&all[i]))
	}
	return p, nil
}

func (a *api) createInitialToken(ctx context.Context, caller Caller, in *createInitialTokenInput) (*madeInitialTokenOutput, error) {
	ask := registration.InitialTokenRequest{
		Organisation: directory.OrganisationID(in.ID), Uses: in.Body.Uses, Life: time.Duration(in.Body.LifeSeconds) * time.Second,
		Limits: registration.Limits{Limited: in.Body.Limited}, Within: caller.Role == directory.OrganisationOperator,
	}
	for _, g := range in.Body.Grants {
		ask.Limits.Grants = append(ask.Limits.Grants, directory.Grant{Resource: g.Resource, Scopes: g.Scopes})
	}
	for _, r := range in.Body.Roles {
		ask.Limits.Roles = append(ask.Limits.Roles, directory.RoleID(r))
	}
	for _, n := range in.Body.Names {
		ask.Limits.Names = append(ask.Limits.Names, directory.TLSName{Kind: directory.NameKind(n.Kind), Value: n.Value})
	}
	t, secret, err := a.Registration.CreateInitialToken(ctx, caller.actor(), ask)
	if err != nil {
		return nil, err
	}
	return &madeInitialTokenOutput{MadeInitialAccessToken{showInitialToken(&t), secret}}, nil
}

func (a *api) revokeInitialToken(ctx context.Context, caller Caller, in *ofOrganisationInput) (*initialTokenOutput, error) {
	end := func() (registration.InitialToken, error) {
		return a.Registration.RevokeInitialToken(ctx, caller.actor(), directory.OrganisationID(in.ID), in.Of)
	}
	if in.DryRun {
		end = func() (registration.InitialToken, error) {
			return a.Registration.ForeseeInitialToken(ctx, directory.OrganisationID(in.ID), in.Of)
		}
	}
	t, err := end()
	if err != nil {
		return nil, err
	}
	return &initialTokenOutput{showInitialToken(&t)}, nil
}

func (a *api) listStatements(ctx context.Context, _ Caller, in *listOfOrganisationInput) (*statementsOutput, error) {
	p, err := chosen(ctx, a, "software-statements", in, a.Registration.Store.Statements, func(s *registration.StatementRecord) string { return s.ID }, showStatement)
	if err != nil {
		return nil, err
	}
	return &statementsOutput{p}, nil
}

func (a *api) createStatement(ctx context.Context, caller Caller, in *createStatementInput) (*madeStatementOutput, error) {
	r, compact, err := a.Registration.CreateStatement(ctx, caller.actor(), registration.StatementRequest{
		Organisation: directory.OrganisationID(in.ID), Metadata: in.Body.Metadata, Life: time.Duration(in.Body.LifeSeconds) * time.Second,
		OneTime: in.Body.OneTime, Standalone: in.Body.Standalone, Uses: in.Body.Uses, Within: caller.Role == directory.OrganisationOperator,
	})
	if invalid, ok := errors.AsType[*directory.InvalidError](err); ok && invalid.Field == "body" { // of a registration, which this is not
		err = &directory.InvalidError{Field: "metadata", Reason: invalid.Reason}
	}
	if err != nil {
		return nil, err
	}
	return &madeStatementOutput{MadeSoftwareStatement{showStatement(&r), compact}}, nil
}

func (a *api) revokeStatement(ctx context.Context, caller Caller, in *ofOrganisationInput) (*statementOutput, error) {
	end := func() (registration.StatementRecord, error) {
		return a.Registration.RevokeStatement(ctx, caller.actor(), directory.OrganisationID(in.ID), in.Of)
	}
	if in.DryRun {
		end = func() (registration.StatementRecord, error) {
			return a.Registration.ForeseeStatement(ctx, directory.OrganisationID(in.ID), in.Of)
		}
	}
	r, err := end()
	if err != nil {
		return nil, err
	}
	return &statementOutput{showStatement(&r)}, nil
}

func showInitialToken(t *registration.InitialToken) InitialAccessToken {
	v := InitialAccessToken{
		ID: t.ID, Organisation: string(t.Organisation), Uses: t.Uses, Used: t.Used, Limited: t.Limits.Limited,
		Grants: make([]Grant, len(t.Limits.Grants)), Roles: texts[directory.RoleID, string](t.Limits.Roles), Names: make([]SubjectName, len(t.Limits.Names)),
		Created: t.Created, Expires: t.Expires, Revoked: moment(t.Revoked), CreatedBy: t.Actor,
	}
	for i, g := range t.Limits.Grants {
		v.Grants[i] = Grant{Resource: g.Resource, Scopes: texts[string, string](g.Scopes)}
	}
	for i, n := range t.Limits.Names {
		v.Names[i] = SubjectName{string(n.Kind), n.Value}
	}
	return v
}

func showStatement(s *registration.StatementRecord) SoftwareStatement {
	return SoftwareStatement{
		ID: s.ID, Organisation: string(s.Organisation), SoftwareID: s.SoftwareID, Claims: json.RawMessage(s.Claims), Standalone: s.Standalone,
		Uses: s.Uses, Used: s.Used, Clients: texts[directory.ClientID, string](s.Clients), Created: s.Created, Expires: s.Expires,
		Revoked: moment(s.Revoked), CreatedBy: s.Actor,
	}
}

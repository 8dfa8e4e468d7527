package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// ApplicationPath names the application of an operation. It is exported because
// the framework does not look into embedded structs that are not.
type ApplicationPath struct {
	ClientID string `path:"client_id" maxLength:"64"`
}

func (p *ApplicationPath) application(s *directory.Snapshot) *directory.Client {
	return s.Client(directory.ClientID(p.ClientID))
}

func (p *ApplicationPath) seen(s *directory.Snapshot, by Caller) bool {
	c := p.application(s)
	return c != nil && by.sees(c.Organisation)
}

func (p *ApplicationPath) missing() error { return notThere("application", p.ClientID) }

// Application as the API shows it.
type Application struct {
	ClientID        string   `json:"client_id"`
	Organisation    string   `json:"organisation"`
	Name            string   `json:"name"`
	AuthMethod      string   `json:"auth_method"`
	Binding         string   `json:"binding"`
	RequireNonce    bool     `json:"require_nonce"`
	State           string   `json:"state"`
	Grants          []Grant  `json:"grants" doc:"Its own"`
	Roles           []string `json:"roles" doc:"Of those that its organisation holds"`
	EffectiveGrants []Grant  `json:"effective_grants" doc:"What it may ask for: its own grants and those of its roles that its organisation holds and that are active"`
	SANURI          string   `json:"tls_client_auth_san_uri,omitempty"`
	SANDNS          string   `json:"tls_client_auth_san_dns,omitempty"`
	SANIP           string   `json:"tls_client_auth_san_ip,omitempty"`
	SANEmail        string   `json:"tls_client_auth_san_email,omitempty"`
	JWKSURI         string   `json:"jwks_uri,omitempty"`
	OperatorRole    string   `json:"operator_role,omitempty" doc:"What it may do through this API"`
}

// ApplicationChange is what became of one, and what that ends.
type ApplicationChange struct {
	Application
	Ends *Ends `json:"ends,omitempty"`
}

// NewApplication is the body that makes one.
type NewApplication struct {
	ClientID     string   `json:"client_id,omitempty" maxLength:"64" doc:"Made by the server when omitted"`
	Organisation string   `json:"organisation" maxLength:"64"`
	Name         string   `json:"name" minLength:"1" maxLength:"200"`
	AuthMethod   string   `json:"auth_method" enum:"private_key_jwt,tls_client_auth,self_signed_tls_client_auth"`
	Binding      string   `json:"binding" enum:"mtls,dpop" doc:"What its access tokens are bound to"`
	RequireNonce bool     `json:"require_nonce,omitempty" doc:"Demand a DPoP nonce at the token endpoint"`
	Grants       []Grant  `json:"grants,omitempty" nullable:"false" maxItems:"100"`
	Roles        []string `json:"roles,omitempty" nullable:"false" maxItems:"100" doc:"Of those that its organisation holds"`
	SANURI       string   `json:"tls_client_auth_san_uri,omitempty" maxLength:"512" doc:"RFC 8705 section 2.1.2: for certificates of the organisation's own CA; exactly one of the four, or none for certificates of ours"`
	SANDNS       string   `json:"tls_client_auth_san_dns,omitempty" maxLength:"512"`
	SANIP        string   `json:"tls_client_auth_san_ip,omitempty" maxLength:"512"`
	SANEmail     string   `json:"tls_client_auth_san_email,omitempty" maxLength:"512"`
	JWKSURI      string   `json:"jwks_uri,omitempty" maxLength:"512" doc:"Where it publishes its keys"`
	OperatorRole string   `json:"operator_role,omitempty" enum:"owner,security,auditor,organisation_operator" doc:"What it may do through this API; only an owner gives it"`
}

// ApplicationPatch changes what it has (RFC 7396): null takes a member away.
type ApplicationPatch struct {
	Name         *string   `json:"name,omitempty" nullable:"false" minLength:"1" maxLength:"200"`
	AuthMethod   *string   `json:"auth_method,omitempty" nullable:"false" enum:"private_key_jwt,tls_client_auth,self_signed_tls_client_auth"`
	Binding      *string   `json:"binding,omitempty" nullable:"false" enum:"mtls,dpop"`
	RequireNonce *bool     `json:"require_nonce,omitempty" nullable:"false"`
	Grants       *[]Grant  `json:"grants,omitempty" nullable:"false" maxItems:"100"`
	Roles        *[]string `json:"roles,omitempty" nullable:"false" maxItems:"100"`
	SANURI       Removable `json:"tls_client_auth_san_uri,omitempty,omitzero"`
	SANDNS       Removable `json:"tls_client_auth_san_dns,omitempty,omitzero"`
	SANIP        Removable `json:"tls_client_auth_san_ip,omitempty,omitzero"`
	SANEmail     Removable `json:"tls_client_auth_san_email,omitempty,omitzero"`
	JWKSURI      Removable `json:"jwks_uri,omitempty,omitzero"`
	OperatorRole Removable `json:"operator_role,omitempty,omitzero"`
}

type (
	applicationInput    struct{ ApplicationPath }
	endApplicationInput struct {
		ApplicationPath
		DryRunQuery
	}
	listApplicationsInput struct {
		ListQuery
		RecordQuery
		OwnerQuery
		AuthMethod   string `query:"auth_method" enum:"private_key_jwt,tls_client_auth,self_signed_tls_client_auth" doc:"Only with this"`
		OperatorRole string `query:"operator_role" enum:"owner,security,auditor,organisation_operator" doc:"Only with this"`
	}
	createApplicationInput struct{ Body NewApplication }
	patchApplicationInput  struct {
		ApplicationPath
		DryRunQuery
		Body ApplicationPatch `contentType:"application/merge-patch+json"`
	}
	applicationOutput struct {
		Tag
		Body Application
	}
	applicationChangeOutput struct {
		Tag
		Body ApplicationChange
	}
	applicationsOutput struct{ Body Page[Application] }
)

func (in *createApplicationInput) seen(s *directory.Snapshot, by Caller) bool {
	id := directory.OrganisationID(in.Body.Organisation)
	return s.Organisation(id) != nil && by.sees(id)
}

func (in *createApplicationInput) missing() error {
	return &directory.InvalidError{Field: "organisation", Reason: "does not exist"}
}

func showApplication(c *directory.Client) Application {
	v := Application{
		ClientID: string(c.ClientID), Organisation: string(c.Organisation), Name: c.Name, AuthMethod: string(c.AuthMethod),
		Binding: string(c.Binding), RequireNonce: c.RequireNonce, State: string(c.State), Grants: showGrants(c.Grants),
		Roles: texts[directory.RoleID, string](c.Roles), EffectiveGrants: showGrants(c.Allowed), JWKSURI: c.JWKSURI, OperatorRole: string(c.OperatorRole),
	}
	switch c.TLSName.Kind {
	case directory.NameURI:
		v.SANURI = c.TLSName.Value
	case directory.NameDNS:
		v.SANDNS = c.TLSName.Value
	case directory.NameIP:
		v.SANIP = c.TLSName.Value
	case directory.NameEmail:
		v.SANEmail = c.TLSName.Value
	}
	return v
}

// applicationTag changes with everything that showApplication shows: the effective
// grants are also of the organisation and the roles.
func applicationTag(s *directory.Snapshot, c *directory.Client) Tag {
	changes := []int64{c.Changed}
	if o := s.Organisation(c.Organisation); o != nil && len(c.Roles) > 0 {
		changes = append(changes, o.Changed)
	}
	for _, id := range c.Roles {
		if r := s.Role(id); r != nil {
			changes = append(changes, r.Changed)
		}
	}
	return tagOf(changes...)
}

func applicationNow(s *directory.Snapshot, id string) (*applicationOutput, error) {
	c := s.Client(directory.ClientID(id))
	if c == nil {
		return nil, notThere("application", id)
	}
	return &applicationOutput{applicationTag(s, c), showApplication(c)}, nil
}

func applicationAfter(o directory.Outcome) (*applicationOutput, error) {
	return applicationNow(o.After, o.Subject)
}

func (a *api) listApplications(_ context.Context, caller Caller, in *listApplicationsInput) (*applicationsOutput, error) {
	all := only(a.Directory.Current().Clients(), func(c *directory.Client) bool {
		return caller.sees(c.Organisation) && in.of(c.Organisation) && in.wants(c.State, c.Name) &&
			(in.AuthMethod == "" || in.AuthMethod == string(c.AuthMethod)) && (in.OperatorRole == "" || in.OperatorRole == string(c.OperatorRole))
	})
	p, err := page(a, "applications", all, in.ListQuery, func(c *directory.Client) string { return string(c.ClientID) }, showApplication)
	return &applicationsOutput{p}, err
}

// client finds an application in the snapshot in force.
func (a *api) client(id string) (*directory.Client, error) {
	c := a.Directory.Current().Client(directory.ClientID(id))
	if c == nil {
		return nil, notThere("application", id)
	}
	return c, nil
}

func (a *api) showApplication(_ context.Context, _ Caller, in *applicationInput) (*applicationOutput, error) {
	return applicationNow(a.Directory.Current(), in.ClientID)
}

// ownID: whoever sees one organisation only does not choose ids, which would tell
// what others have.
func ownID(caller Caller, field, id string) error {
	if id != "" && caller.Role == directory.OrganisationOperator {
		return &directory.InvalidError{Field: field, Reason: "is made by the server"}
	}
	return nil
}

func (a *api) createApplication(ctx context.Context, caller Caller, in *createApplicationInput) (string, error) {
	b := &in.Body
	if err := ownID(caller, "client_id", b.ClientID); err != nil {
		return "", err
	}
	name, err := oneName(map[directory.NameKind]string{
		directory.NameURI: b.SANURI, directory.NameDNS: b.SANDNS, directory.NameIP: b.SANIP, directory.NameEmail: b.SANEmail,
	})
	if err != nil {
		return "", err
	}
	asked := directory.Application{
		ClientID: directory.ClientID(b.ClientID), Organisation: directory.OrganisationID(b.Organisation), Name: b.Name,
		AuthMethod: directory.AuthMethod(b.AuthMethod), Binding: cnf.Method(b.Binding), RequireNonce: b.RequireNonce,
		Grants: readGrants(b.Grants), Roles: texts[string, directory.RoleID](b.Roles), TLSName: name, JWKSURI: b.JWKSURI,
		OperatorRole: directory.OperatorRole(b.OperatorRole),
	}
	exactly := func(*directory.Application) (directory.Application, error) { return asked, nil }
	app, err := decided(a.Directory, func(guards ...directory.Guard) (directory.Application, error) {
		return a.Directory.CreateApplication(ctx, caller.actor(), asked, guards...)
	}, a.mayHave(caller, "", exactly), a.mayBeNamed(ctx, caller, "", exactly))
	return string(app.ClientID), err
}

// oneName is the one name of a certificate that was given, or none.
func oneName(given map[directory.NameKind]string) (n directory.TLSName, err error) {
	for _, kind := range []directory.NameKind{directory.NameURI, directory.NameDNS, directory.NameIP, directory.NameEmail} {
		value := given[kind]
		switch {
		case value == "":
		case n.Value != "":
			return n, &directory.InvalidError{Field: "tls_client_auth_san_" + string(kind), Reason: "only one of the four may be given (RFC 8705 section 2.1.2)"}
		default:
			n = directory.TLSName{Kind: kind, Value: value}
		}
	}
	return n, nil
}

func (a *api) patchApplication(ctx context.Context, caller Caller, in *patchApplicationInput) (string, error) {
	id := directory.ClientID(in.ClientID)
	edit := func(app *directory.Application) error { return in.Body.apply(app) }
	edited := func(had *directory.Application) (directory.Application, error) {
		next := *had
		err := edit(&next)
		return next, err
	}
	_, err := decided(a.Directory, func(guards ...directory.Guard) (directory.Application, error) {
		return a.Directory.UpdateApplication(ctx, caller.actor(), id, edit, guards...)
	}, unchanged(ctx, func(s *directory.Snapshot) Tag { return applicationTag(s, s.Client(id)) }),
		a.mayHave(caller, id, edited), a.mayBeNamed(ctx, caller, id, edited))
	return in.ClientID, err
}

func (p *ApplicationPatch) apply(a *directory.Application) error {
	assign(&a.Name, p.Name)
	assign((*string)(&a.AuthMethod), p.AuthMethod)
	assign((*string)(&a.Binding), p.Binding)
	assign(&a.RequireNonce, p.RequireNonce)
	if p.Grants != nil {
		a.Grants = readGrants(*p.Grants)
	}
	if p.Roles != nil {
		a.Roles = texts[string, directory.RoleID](*p.Roles)
	}
	p.JWKSURI.assign(&a.JWKSURI)
	p.OperatorRole.assign((*string)(&a.OperatorRole))
	names := map[directory.NameKind]string{a.TLSName.Kind: a.TLSName.Value}
	for kind, given := range map[directory.NameKind]Removable{
		directory.NameURI: p.SANURI, directory.NameDNS: p.SANDNS, directory.NameIP: p.SANIP, directory.NameEmail: p.SANEmail,
	} {
		if given.Given {
			names[kind] = given.Value
		}
	}
	var err error
	a.TLSName, err = oneName(names)
	return err
}

// mayHave is the rules for what an application is given by this caller: operator
// roles by owners only, and the wide ones in the operator's organisation only; and
// by an operator of its organisation no scope beyond what the application had and
// what the organisation's roles hold. asked makes what it is to be of what it is.
func (a *api) mayHave(caller Caller, id directory.ClientID, asked func(had *directory.Application) (directory.Application, error)) directory.Guard {
	return func(s *directory.Snapshot, _ time.Time) error {
		var had directory.Application
		if c := s.Client(id); c != nil {
			had = c.Application
		}
		next, err := asked(&had)
		if err != nil {
			return err
		}
		switch wide := next.OperatorRole != "" && next.OperatorRole != directory.OrganisationOperator; {
		case next.OperatorRole == had.OperatorRole:
		case caller.Role != directory.Owner:
			return newFault(http.StatusForbidden, "operator_role", "only an owner gives operator roles")
		case wide && next.Organisation != a.OperatorOrganisation:
			return &directory.InvalidError{Field: "operator_role", Reason: "is for applications of the operator's organisation; elsewhere it is organisation_operator"}
		}
		if caller.Role == directory.OrganisationOperator {
			o := s.Organisation(next.Organisation)
			for _, id := range next.Roles {
				// Whether there is such a role is not told.
				if o == nil || !slices.Contains(o.Roles, id) && !slices.Contains(had.Roles, id) {
					return &directory.InvalidError{Field: "roles", Reason: "the organisation does not hold role " + strconv.Quote(string(id))}
				}
			}
		}
		if caller.Role != directory.OrganisationOperator || within(next.Grants, had.Grants) || within(next.Grants, append(held(s, next.Organisation), had.Grants...)) {
			return nil
		}
		return &directory.InvalidError{Field: "grants", Reason: "go beyond what the roles of the organisation hold"}
	}
}

// mayBeNamed: an operator of one organisation gives its applications only names
// that it owns, as they would register them themselves.
func (a *api) mayBeNamed(ctx context.Context, caller Caller, id directory.ClientID, asked func(had *directory.Application) (directory.Application, error)) directory.Guard {
	return func(s *directory.Snapshot, _ time.Time) error {
		if caller.Role != directory.OrganisationOperator {
			return nil
		}
		var had directory.Application
		if c := s.Client(id); c != nil {
			had = c.Application
		}
		next, err := asked(&had)
		if err != nil || next.TLSName == (directory.TLSName{}) || next.TLSName == had.TLSName {
			return err
		}
		return a.Registration.CheckOwned(ctx, next.Organisation, next.TLSName)
	}
}

// held is what the active roles of an organisation grant.
func held(s *directory.Snapshot, id directory.OrganisationID) (all []directory.Grant) {
	o := s.Organisation(id)
	if o == nil {
		return nil
	}
	for _, r := range o.Roles {
		if role := s.Role(r); role != nil && role.State == directory.Active {
			all = append(all, role.Grants...)
		}
	}
	return all
}

func (a *api) moveApplication(to directory.State) func(context.Context, Caller, *endApplicationInput) (string, error) {
	return func(ctx context.Context, caller Caller, in *endApplicationInput) (string, error) {
		return in.ClientID, a.Directory.SetApplicationState(ctx, caller.actor(), directory.ClientID(in.ClientID), to)
	}
}

func (a *api) revokeApplicationTokens(ctx context.Context, caller Caller, in *endApplicationInput) (string, error) {
	return in.ClientID, a.Directory.RevokeApplicationTokens(ctx, caller.actor(), directory.ClientID(in.ClientID))
}

// applicationChanged shows an updated application as any, and in a dry run what that
// would end.
func applicationChanged(o directory.Outcome) (*applicationChangeOutput, error) {
	out, err := applicationEnd(false)(o)
	if err == nil && !o.Dry {
		out.Body.Ends = nil
	}
	return out, err
}

// applicationEnd shows what became of an application; tokens tells that its tokens end.
func applicationEnd(tokens bool) func(directory.Outcome) (*applicationChangeOutput, error) {
	return func(o directory.Outcome) (*applicationChangeOutput, error) {
		now, err := applicationAfter(o)
		if err != nil {
			return nil, err
		}
		return &applicationChangeOutput{now.Tag, ApplicationChange{now.Body, endsOf(o, tokens)}}, nil
	}
}

package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// An operator is an application with an operator role. These operations are for
// what makes one: role and key at once, and a new key for the old.

// OperatorPath names an operator.
type OperatorPath struct {
	ClientID string `path:"client_id" maxLength:"64"`
}

func (p *OperatorPath) operator(s *directory.Snapshot) *directory.Client {
	c := s.Client(directory.ClientID(p.ClientID))
	if c == nil || c.OperatorRole == "" {
		return nil
	}
	return c
}

func (p *OperatorPath) seen(s *directory.Snapshot, by Caller) bool {
	c := p.operator(s)
	return c != nil && by.sees(c.Organisation)
}

func (p *OperatorPath) missing() error { return notThere("operator", p.ClientID) }

// NewOperator is the body that makes one.
type NewOperator struct {
	Name         string          `json:"name" minLength:"1" maxLength:"200"`
	Role         string          `json:"role" enum:"owner,security,auditor,organisation_operator"`
	Organisation string          `json:"organisation,omitempty" maxLength:"64" doc:"The operator's when omitted; needed for an organisation_operator"`
	JWK          json.RawMessage `json:"jwk" doc:"Public JWK (RFC 7517) of the key that signs the operator's assertions; private members are refused"`
}

// NewOperatorKey is the body that re-keys one.
type NewOperatorKey struct {
	JWK json.RawMessage `json:"jwk" doc:"Public JWK (RFC 7517); private members are refused"`
}

type (
	operatorInput    struct{ OperatorPath }
	endOperatorInput struct {
		OperatorPath
		DryRunQuery
	}
	createOperatorInput struct{ Body NewOperator }
	rekeyOperatorInput  struct {
		OperatorPath
		DryRunQuery
		Body NewOperatorKey
	}
	listOperatorsInput struct {
		ListQuery
		RecordQuery
		OwnerQuery
		Role string `query:"role" enum:"owner,security,auditor,organisation_operator" doc:"Only with this role"`
	}
)

func (a *api) listOperators(_ context.Context, caller Caller, in *listOperatorsInput) (*applicationsOutput, error) {
	all := only(a.Directory.Current().Clients(), func(c *directory.Client) bool {
		return c.OperatorRole != "" && caller.sees(c.Organisation) && in.of(c.Organisation) && in.wants(c.State, c.Name) &&
			(in.Role == "" || in.Role == string(c.OperatorRole))
	})
	p, err := page(a, "operators", all, in.ListQuery, func(c *directory.Client) string { return string(c.ClientID) }, showApplication)
	return &applicationsOutput{p}, err
}

func (a *api) showOperator(_ context.Context, _ Caller, in *operatorInput) (*applicationOutput, error) {
	return applicationNow(a.Directory.Current(), in.ClientID)
}

// createOperator makes the application, its grant of this API and its key in one change.
func (a *api) createOperator(ctx context.Context, caller Caller, in *createOperatorInput) (string, error) {
	key, err := publicKey(in.Body.JWK)
	if err != nil {
		return "", err
	}
	of := directory.OrganisationID(in.Body.Organisation)
	if of == "" && in.Body.Role == string(directory.OrganisationOperator) {
		return "", &directory.InvalidError{Field: "organisation", Reason: "is needed for an organisation_operator"}
	}
	if of == "" {
		of = a.OperatorOrganisation
	}
	api := a.Directory.Current().Resource(a.Resource)
	if api == nil {
		return "", notThere("resource", a.Resource)
	}
	asked := directory.Application{
		Organisation: of, Name: in.Body.Name, AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP,
		OperatorRole: directory.OperatorRole(in.Body.Role), Grants: []directory.Grant{{Resource: a.Resource, Scopes: api.Scopes}},
	}
	app, err := decided(a.Directory, func(guards ...directory.Guard) (directory.Application, error) {
		return a.Directory.CreateOperator(ctx, caller.actor(), asked, key, guards...)
	}, a.mayHave(caller, "", func(*directory.Application) (directory.Application, error) { return asked, nil }))
	if invalid, ok := err.(*directory.InvalidError); ok && invalid.Field == "operator_role" {
		invalid.Field = "role"
	}
	return string(app.ClientID), err
}

// rekeyOperator is for owners, and for every operator's own key.
func (a *api) rekeyOperator(ctx context.Context, caller Caller, in *rekeyOperatorInput) (string, error) {
	if caller.Role != directory.Owner && string(caller.ClientID) != in.ClientID {
		return "", newFault(http.StatusForbidden, "operator_application", "only an owner may change another operator")
	}
	key, err := publicKey(in.Body.JWK)
	if err != nil {
		return "", err
	}
	return in.ClientID, a.Directory.RekeyOperator(ctx, caller.actor(), directory.ClientID(in.ClientID), key)
}

func (a *api) moveOperator(to directory.State) func(context.Context, Caller, *endOperatorInput) (string, error) {
	return func(ctx context.Context, caller Caller, in *endOperatorInput) (string, error) {
		return in.ClientID, a.Directory.SetApplicationState(ctx, caller.actor(), directory.ClientID(in.ClientID), to)
	}
}

func publicKey(jwk json.RawMessage) (*jose.PublicKey, error) {
	key, err := jose.ParseJWK(jwk)
	if err != nil {
		return nil, &directory.InvalidError{Field: "jwk", Reason: err.Error()}
	}
	return key, nil
}

package demo

import (
	"context"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// What the operator does in the story goes through the admin API, with the
// operator's own key and a DPoP-bound token.

func (s *story) createOrganisation(ctx context.Context, name string) (string, error) {
	o, err := s.admin.CreateOrganisation(ctx, admin.NewOrganisation{Name: name})
	return o.ID, err
}

func (s *story) createApplication(ctx context.Context, organisation, name, authMethod, binding string) (string, error) {
	a, err := s.admin.CreateApplication(ctx, admin.NewApplication{
		Organisation: organisation, Name: name, AuthMethod: authMethod, Binding: binding,
		Grants: []admin.Grant{{Resource: s.world.GatewayURL + "/payments", Scopes: []string{"payments"}}},
	})
	return a.ClientID, err
}

// register registers a public JWK and returns the credential_id.
func (s *story) register(ctx context.Context, clientID string, jwk []byte) (string, error) {
	c, err := s.admin.RegisterKey(ctx, clientID, admin.NewSigningKey{JWK: jwk})
	return c.ID, err
}

// issue has a certificate issued for a CSR and returns the credential_id and the chain, PEM.
func (s *story) issue(ctx context.Context, clientID string, csr []byte) (credential string, chain []byte, err error) {
	c, err := s.admin.IssueCertificate(ctx, clientID, admin.NewRequest{CSR: string(csr)})
	return c.CredentialID, []byte(c.Chain), err
}

package admin

import (
	"bytes"
	"context"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// CredentialPath names the credential of an operation.
type CredentialPath struct {
	ID string `path:"credential_id" maxLength:"64"`
}

func (p *CredentialPath) application(s *directory.Snapshot) *directory.Client {
	c := s.Credential(directory.CredentialID(p.ID))
	if c == nil {
		return nil
	}
	return s.Client(c.ClientID)
}

func (p *CredentialPath) seen(s *directory.Snapshot, by Caller) bool {
	of := p.application(s)
	return of != nil && by.sees(of.Organisation)
}

func (p *CredentialPath) missing() error { return notThere("credential", p.ID) }

type (
	credentialInput struct {
		CredentialPath
	}
	listCredentialsInput struct {
		ApplicationPath
		ListQuery
	}
	registerKeyInput struct {
		ApplicationPath
		Body NewSigningKey
	}
	registerCertificateInput struct {
		ApplicationPath
		Body NewCertificate
	}
	dpopKeyInput struct {
		ApplicationPath
		JKT string `path:"jkt" doc:"RFC 7638 SHA-256 thumbprint, base64url"`
	}
	credentialOutput  struct{ Body Credential }
	credentialsOutput struct{ Body Page[Credential] }
)

func (a *api) listCredentials(ctx context.Context, _ Caller, in *listCredentialsInput) (*credentialsOutput, error) {
	c, err := a.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	p := page(slices.Values(c.Credentials), in.ListQuery, func(c *directory.Credential) string { return string(c.ID) }, showCredential)
	shown := make([]*Credential, len(p.Items))
	for i := range p.Items {
		shown[i] = &p.Items[i]
	}
	if err := a.addLastUsed(ctx, c.ClientID, shown...); err != nil {
		return nil, err
	}
	return &credentialsOutput{p}, nil
}

func (a *api) showCredential(ctx context.Context, _ Caller, in *credentialInput) (*credentialOutput, error) {
	c := a.Directory.Current().Credential(directory.CredentialID(in.ID))
	if c == nil {
		return nil, directory.ErrNotFound
	}
	out := &credentialOutput{showCredential(c)}
	if err := a.addLastUsed(ctx, c.ClientID, &out.Body); err != nil {
		return nil, err
	}
	return out, nil
}

func (a *api) moveCredential(to directory.State) func(context.Context, Caller, *credentialInput) (*credentialOutput, error) {
	return func(ctx context.Context, caller Caller, in *credentialInput) (*credentialOutput, error) {
		id := directory.CredentialID(in.ID)
		if err := a.Directory.SetCredentialState(ctx, caller.actor(), id, to); err != nil {
			return nil, err
		}
		return a.showCredential(ctx, caller, in)
	}
}

func (a *api) registerKey(ctx context.Context, caller Caller, in *registerKeyInput) (*credentialOutput, error) {
	key, err := jose.ParseJWK(in.Body.JWK)
	if err != nil {
		return nil, &directory.InvalidError{Field: "jwk", Reason: err.Error()}
	}
	var notAfter time.Time
	if in.Body.NotAfter != nil {
		if notAfter = *in.Body.NotAfter; notAfter.IsZero() {
			return nil, &directory.InvalidError{Field: "not_after", Reason: "is not a time"}
		}
	}
	c, err := a.Directory.RegisterKey(ctx, caller.actor(), directory.ClientID(in.ClientID), key, notAfter)
	if err != nil {
		return nil, err
	}
	return &credentialOutput{showCredential(&c)}, nil
}

func (a *api) registerCertificate(ctx context.Context, caller Caller, in *registerCertificateInput) (*credentialOutput, error) {
	der, err := onePEM("certificate", in.Body.Certificate, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	c, err := a.Directory.RegisterCertificate(ctx, caller.actor(), directory.ClientID(in.ClientID), der)
	if err != nil {
		return nil, err
	}
	return &credentialOutput{showCredential(&c)}, nil
}

func (a *api) revokeDPoPKey(ctx context.Context, caller Caller, in *dpopKeyInput) (*credentialOutput, error) {
	jkt, err := cnf.ParseThumbprint(in.JKT)
	if err != nil {
		return nil, newFault(http.StatusUnprocessableEntity, "not_valid", "validation failed",
			&huma.ErrorDetail{Location: "path.jkt", Message: err.Error()})
	}
	c, err := a.Directory.RevokeDPoPKey(ctx, caller.actor(), directory.ClientID(in.ClientID), jkt)
	if err != nil {
		return nil, err
	}
	return &credentialOutput{showCredential(&c)}, nil
}

// onePEM reads text that is one block of the kind, and nothing else.
func onePEM(field, text, kind string) (der []byte, err error) {
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil || !strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN"):
		err = &directory.InvalidError{Field: field, Reason: "not PEM"}
	case block.Type != kind:
		err = &directory.InvalidError{Field: field, Reason: "not a PEM block of the kind " + kind}
	case len(block.Headers) > 0:
		err = &directory.InvalidError{Field: field, Reason: "a PEM block with headers"}
	case len(bytes.TrimSpace(rest)) > 0:
		err = &directory.InvalidError{Field: field, Reason: "more than one PEM block"}
	default:
		der = block.Bytes
	}
	return der, err
}

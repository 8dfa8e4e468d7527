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

type (
	credentialInput struct {
		ID string `path:"credential_id" maxLength:"64"`
	}
	listCredentialsInput struct {
		applicationInput
		listInput
	}
	registerKeyInput struct {
		applicationInput
		Body NewSigningKey
	}
	registerCertificateInput struct {
		applicationInput
		Body NewCertificate
	}
	issueCertificateInput struct {
		applicationInput
		Body NewRequest
	}
	dpopKeyInput struct {
		applicationInput
		JKT string `path:"jkt" doc:"RFC 7638 SHA-256 thumbprint, base64url"`
	}
	credentialOutput  struct{ Body Credential }
	credentialsOutput struct{ Body Page[Credential] }
	issuedOutput      struct{ Body IssuedCertificate }
)

func (a *api) listCredentials(_ context.Context, _ caller, in *listCredentialsInput) (*credentialsOutput, error) {
	c, err := a.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	p := page(slices.Values(c.Credentials), in.listInput, func(c *directory.Credential) string { return string(c.ID) }, showCredential)
	return &credentialsOutput{p}, nil
}

func (a *api) showCredential(_ context.Context, _ caller, in *credentialInput) (*credentialOutput, error) {
	c := a.Directory.Current().Credential(directory.CredentialID(in.ID))
	if c == nil {
		return nil, directory.ErrNotFound
	}
	return &credentialOutput{showCredential(c)}, nil
}

func (a *api) moveCredential(to directory.State) func(context.Context, caller, *credentialInput) (*credentialOutput, error) {
	return func(ctx context.Context, who caller, in *credentialInput) (*credentialOutput, error) {
		if err := a.Directory.SetCredentialState(ctx, string(who), directory.CredentialID(in.ID), to); err != nil {
			return nil, err
		}
		return a.showCredential(ctx, who, in)
	}
}

func (a *api) registerKey(ctx context.Context, who caller, in *registerKeyInput) (*credentialOutput, error) {
	key, err := jose.ParseJWK(in.Body.JWK)
	if err != nil {
		return nil, &directory.InvalidError{Field: "jwk", Reason: err.Error()}
	}
	var notAfter time.Time
	if in.Body.NotAfter != nil {
		notAfter = *in.Body.NotAfter
	}
	c, err := a.Directory.RegisterKey(ctx, string(who), directory.ClientID(in.ClientID), key, notAfter)
	if err != nil {
		return nil, err
	}
	return &credentialOutput{showCredential(&c)}, nil
}

func (a *api) registerCertificate(ctx context.Context, who caller, in *registerCertificateInput) (*credentialOutput, error) {
	der, err := onePEM("certificate", in.Body.Certificate, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	c, err := a.Directory.RegisterCertificate(ctx, string(who), directory.ClientID(in.ClientID), der)
	if err != nil {
		return nil, err
	}
	return &credentialOutput{showCredential(&c)}, nil
}

func (a *api) issueCertificate(ctx context.Context, who caller, in *issueCertificateInput) (*issuedOutput, error) {
	csr, err := onePEM("csr", in.Body.CSR, "CERTIFICATE REQUEST")
	if err != nil {
		return nil, err
	}
	client, err := a.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	life := defaultLife
	if in.Body.LifeSeconds > 0 {
		life = time.Duration(in.Body.LifeSeconds) * time.Second
	}
	c, chain, err := a.Authority.IssueClient(ctx, string(who), client, csr, life)
	if err != nil {
		return nil, err
	}
	a.awaitCredential(ctx, c.ID)
	out := IssuedCertificate{CredentialID: string(c.ID), ClientID: string(c.ClientID), Thumbprint: c.Thumbprint.String(), NotAfter: c.NotAfter}
	for _, der := range chain {
		out.Chain += string(certificatePEM(der))
	}
	return &issuedOutput{out}, nil
}

// awaitCredential gives a credential that the authority stored time to come into
// force here, so that it can be used at once. It is good even if that takes longer.
func (a *api) awaitCredential(ctx context.Context, id directory.CredentialID) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		s := a.Directory.Current()
		if s.Credential(id) != nil {
			return
		}
		select {
		case <-a.Directory.Changed(s):
		case <-ctx.Done():
			return
		}
	}
}

func (a *api) revokeDPoPKey(ctx context.Context, who caller, in *dpopKeyInput) (*credentialOutput, error) {
	jkt, err := cnf.ParseThumbprint(in.JKT)
	if err != nil {
		return nil, newFault(http.StatusUnprocessableEntity, "not_valid", "validation failed",
			&huma.ErrorDetail{Location: "path.jkt", Message: err.Error()})
	}
	c, err := a.Directory.RevokeDPoPKey(ctx, string(who), directory.ClientID(in.ClientID), jkt)
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
	case len(bytes.TrimSpace(rest)) > 0:
		err = &directory.InvalidError{Field: field, Reason: "more than one PEM block"}
	default:
		der = block.Bytes
	}
	return der, err
}

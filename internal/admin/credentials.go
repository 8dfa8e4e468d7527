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
	credentialInput    struct{ CredentialPath }
	endCredentialInput struct {
		CredentialPath
		DryRunQuery
	}
	// CredentialQuery is the filters of a list of credentials.
	CredentialQuery struct {
		State         string    `query:"state" enum:"created,published,active,retiring,retired,suspended,revoked,compromised,expired" doc:"Only in this state"`
		Kind          string    `query:"kind" enum:"signing_key,certificate,dpop_key,trusted_certificate,published_key,server_certificate" doc:"Only of this kind"`
		ExpiresBefore time.Time `query:"expires_before" doc:"Only those that end before this time"`
	}
	listCredentialsInput struct {
		ApplicationPath
		ListQuery
		CredentialQuery
	}
	listAllCredentialsInput struct {
		ListQuery
		CredentialQuery
		OwnerQuery
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
		DryRunQuery
		JKT string `path:"jkt" maxLength:"64" doc:"RFC 7638 SHA-256 thumbprint, base64url"`
	}
	trustedCertificateInput struct {
		ApplicationPath
		DryRunQuery
		Thumbprint string `path:"x5t" maxLength:"64" doc:"x5t#S256, base64url"`
	}
	credentialOutput       struct{ Body Credential }
	credentialChangeOutput struct{ Body CredentialChange }
	credentialsOutput      struct{ Body Page[Credential] }
)

func (q *CredentialQuery) wants(c *directory.Credential) bool {
	return (q.State == "" || q.State == string(c.State)) && (q.Kind == "" || q.Kind == string(c.Kind)) &&
		(q.ExpiresBefore.IsZero() || !c.NotAfter.IsZero() && c.NotAfter.Before(q.ExpiresBefore))
}

func credentialAfter(o directory.Outcome) (*credentialOutput, error) {
	c := o.After.Credential(directory.CredentialID(o.Subject))
	if c == nil {
		return nil, notThere("credential", o.Subject)
	}
	return &credentialOutput{showCredential(c)}, nil
}

func (a *api) listCredentials(ctx context.Context, _ Caller, in *listCredentialsInput) (*credentialsOutput, error) {
	c, err := a.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	p, err := page(a, "credentials of "+in.ClientID, only(slices.Values(c.Credentials), in.wants), in.ListQuery,
		func(c *directory.Credential) string { return string(c.ID) }, showCredential)
	if err != nil {
		return nil, err
	}
	shown := make([]*Credential, len(p.Items))
	for i := range p.Items {
		shown[i] = &p.Items[i]
	}
	if err := a.addLastUsed(ctx, c.ClientID, shown...); err != nil {
		return nil, err
	}
	return &credentialsOutput{p}, nil
}

func (a *api) listAllCredentials(_ context.Context, caller Caller, in *listAllCredentialsInput) (*credentialsOutput, error) {
	all := func(yield func(*directory.Credential) bool) {
		for of := range a.Directory.Current().Clients() {
			if !caller.sees(of.Organisation) || !in.of(of.Organisation) {
				continue
			}
			for _, c := range of.Credentials {
				if in.wants(c) && !yield(c) {
					return
				}
			}
		}
	}
	p, err := page(a, "credentials", all, in.ListQuery, func(c *directory.Credential) string { return string(c.ID) }, showCredential)
	return &credentialsOutput{p}, err
}

func (a *api) showCredential(ctx context.Context, _ Caller, in *credentialInput) (*credentialOutput, error) {
	c := a.Directory.Current().Credential(directory.CredentialID(in.ID))
	if c == nil {
		return nil, in.missing()
	}
	out := &credentialOutput{showCredential(c)}
	if err := a.addLastUsed(ctx, c.ClientID, &out.Body); err != nil {
		return nil, err
	}
	return out, nil
}

func (a *api) moveCredential(to directory.State) func(context.Context, Caller, *endCredentialInput) (string, error) {
	return func(ctx context.Context, caller Caller, in *endCredentialInput) (string, error) {
		return in.ID, a.Directory.SetCredentialState(ctx, caller.actor(), directory.CredentialID(in.ID), to)
	}
}

func (a *api) revokeCredentialTokens(ctx context.Context, caller Caller, in *endCredentialInput) (string, error) {
	return in.ID, a.Directory.RevokeCredentialTokens(ctx, caller.actor(), directory.CredentialID(in.ID))
}

// credentialEnd shows what became of a credential; tokens tells that its tokens end.
func credentialEnd(tokens bool) func(directory.Outcome) (*credentialChangeOutput, error) {
	return func(o directory.Outcome) (*credentialChangeOutput, error) {
		now, err := credentialAfter(o)
		if err != nil {
			return nil, err
		}
		return &credentialChangeOutput{CredentialChange{now.Body, endsOf(o, tokens)}}, nil
	}
}

// registerKey registers, for self_signed_tls_client_auth, the certificate that the
// JWK brings (RFC 8705 section 2.2.2), and otherwise the key.
func (a *api) registerKey(ctx context.Context, caller Caller, in *registerKeyInput) (string, error) {
	key, err := jose.ParseClientKey(in.Body.JWK)
	if err != nil {
		return "", &directory.InvalidError{Field: "jwk", Reason: err.Error()}
	}
	if of := in.application(a.Directory.Current()); key.Certificate != nil && of != nil && of.AuthMethod == directory.SelfSignedTLSClientAuth {
		if in.Body.NotAfter != nil {
			return "", &directory.InvalidError{Field: "not_after", Reason: "is what the certificate says"}
		}
		c, err := a.Directory.RegisterCertificate(ctx, caller.actor(), of.ClientID, key.Certificate)
		return string(c.ID), err
	}
	var notAfter time.Time
	if in.Body.NotAfter != nil {
		if notAfter = in.Body.NotAfter.UTC(); notAfter.Year() < 1970 || notAfter.Year() > 9999 {
			return "", &directory.InvalidError{Field: "not_after", Reason: "is not a time"}
		}
	}
	c, err := a.Directory.RegisterKey(ctx, caller.actor(), directory.ClientID(in.ClientID), key.PublicKey, notAfter)
	return string(c.ID), err
}

func (a *api) registerCertificate(ctx context.Context, caller Caller, in *registerCertificateInput) (string, error) {
	der, err := onePEM("certificate", in.Body.Certificate, "CERTIFICATE")
	if err != nil {
		return "", err
	}
	c, err := a.Directory.RegisterCertificate(ctx, caller.actor(), directory.ClientID(in.ClientID), der)
	return string(c.ID), err
}

func (a *api) revokeDPoPKey(ctx context.Context, caller Caller, in *dpopKeyInput) (string, error) {
	return a.revokeByThumbprint(ctx, caller, in.ClientID, "jkt", in.JKT, a.Directory.RevokeDPoPKey)
}

func (a *api) revokeTrustedCertificate(ctx context.Context, caller Caller, in *trustedCertificateInput) (string, error) {
	return a.revokeByThumbprint(ctx, caller, in.ClientID, "x5t", in.Thumbprint, a.Directory.RevokeCertificate)
}

func (a *api) revokePublishedKey(ctx context.Context, caller Caller, in *dpopKeyInput) (string, error) {
	return a.revokeByThumbprint(ctx, caller, in.ClientID, "jkt", in.JKT, a.Directory.RevokeKey)
}

// revokeByThumbprint is for credentials that have no record until they are revoked.
func (a *api) revokeByThumbprint(ctx context.Context, caller Caller, client, parameter, text string,
	revoke func(context.Context, string, directory.ClientID, cnf.Thumbprint) (directory.Credential, error),
) (string, error) {
	thumbprint, err := cnf.ParseThumbprint(text)
	if err != nil {
		return "", newFault(http.StatusUnprocessableEntity, "not_valid", "validation failed",
			&huma.ErrorDetail{Location: "path." + parameter, Message: err.Error()})
	}
	c, err := revoke(ctx, caller.actor(), directory.ClientID(client), thumbprint)
	return string(c.ID), err
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

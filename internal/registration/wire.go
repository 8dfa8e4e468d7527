package registration

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// members is client metadata as JSON (RFC 7591 section 2, RFC 8705 sections 2.1.2
// and 3.4, RFC 9449 section 5.2).
type members struct {
	Name             string          `json:"client_name,omitempty"`
	AuthMethod       string          `json:"token_endpoint_auth_method,omitempty"`
	SigningAlg       string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	GrantTypes       []string        `json:"grant_types,omitempty"`
	Scope            string          `json:"scope,omitempty"`
	Roles            []string        `json:"roles,omitempty"`
	JWKS             json.RawMessage `json:"jwks,omitempty"`
	JWKSURI          string          `json:"jwks_uri,omitempty"`
	SANURI           string          `json:"tls_client_auth_san_uri,omitempty"`
	SANDNS           string          `json:"tls_client_auth_san_dns,omitempty"`
	SANIP            string          `json:"tls_client_auth_san_ip,omitempty"`
	SANEmail         string          `json:"tls_client_auth_san_email,omitempty"`
	CertificateBound *bool           `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DPoPBound        *bool           `json:"dpop_bound_access_tokens,omitempty"`
	SoftwareID       string          `json:"software_id,omitempty"`
	SoftwareVersion  string          `json:"software_version,omitempty"`
}

func (w *members) setTLSName(n directory.TLSName) {
	switch n.Kind {
	case directory.NameURI:
		w.SANURI = n.Value
	case directory.NameDNS:
		w.SANDNS = n.Value
	case directory.NameIP:
		w.SANIP = n.Value
	case directory.NameEmail:
		w.SANEmail = n.Value
	}
}

// wire is the metadata as it was asked for.
func (m *Metadata) wire() members {
	w := members{
		Name: m.Name, AuthMethod: m.AuthMethod, SigningAlg: m.SigningAlg, GrantTypes: m.GrantTypes, Scope: m.Scope, Roles: m.Roles,
		JWKSURI: m.JWKSURI, CertificateBound: m.CertificateBound, DPoPBound: m.DPoPBound, SoftwareID: m.SoftwareID, SoftwareVersion: m.SoftwareVersion,
	}
	if len(m.TLSNames) > 0 {
		w.setTLSName(m.TLSNames[0])
	}
	if m.HasKeys {
		w.JWKS = keySet(m.Keys)
	}
	return w
}

// keySet is a JWK set with the certificates that keys are shown in.
func keySet(keys []Key) json.RawMessage {
	set := []byte(`{"keys":[`)
	for i, k := range keys {
		if i > 0 {
			set = append(set, ',')
		}
		jwk := k.Public.JWK()
		if k.Certificate != nil {
			jwk = append(jwk[:len(jwk)-1], `,"x5c":["`...)
			jwk = append(base64.StdEncoding.AppendEncode(jwk, k.Certificate), `"]}`...)
		}
		set = append(set, jwk...)
	}
	return append(set, `]}`...)
}

// Registered is a registration as it is in force.
type Registered struct {
	Client       *directory.Client
	Registration Registration
	// Token is a registration access token that was made by this very request, ""
	// for none: afterwards nobody can say it (advisory 113).
	Token string
	// Statement is the software statement that was used by this very request.
	Statement string
}

// JSON is the client information response (RFC 7591 section 3.2.1, RFC 7592
// section 3); uri is the client configuration endpoint. The registration access
// token and the software statement are there only when they were made, or shown,
// by this request.
func (r *Registered) JSON(uri string) ([]byte, error) {
	a := &r.Client.Application
	w := members{
		Name: a.Name, AuthMethod: string(a.AuthMethod), SigningAlg: r.Registration.SigningAlg, GrantTypes: []string{clientCredentials},
		JWKSURI: a.JWKSURI, SoftwareID: r.Registration.SoftwareID, SoftwareVersion: r.Registration.SoftwareVersion,
	}
	var scopes []string
	for _, g := range a.Grants {
		scopes = append(scopes, g.Scopes...)
	}
	w.Scope = strings.Join(scopes, " ")
	for _, role := range a.Roles {
		w.Roles = append(w.Roles, string(role))
	}
	w.setTLSName(a.TLSName)
	certificate, key := a.Binding == cnf.MTLS, a.Binding == cnf.DPoP
	w.CertificateBound, w.DPoPBound = &certificate, &key
	if keys := registeredKeys(r.Client); len(keys) > 0 {
		w.JWKS = keySet(keys)
	}
	return json.Marshal(struct {
		ClientID string `json:"client_id"`
		Issued   int64  `json:"client_id_issued_at"`
		Token    string `json:"registration_access_token,omitempty"`
		URI      string `json:"registration_client_uri"`
		members
		Statement string `json:"software_statement,omitempty"`
	}{string(a.ClientID), r.Registration.Issued.Unix(), r.Token, uri, w, r.Statement})
}

// ofKeys tells whether a credential is one that "jwks" registers.
func ofKeys(a *directory.Application, c *directory.Credential) bool {
	switch a.AuthMethod {
	case directory.PrivateKeyJWT:
		return c.Kind == directory.SigningKey
	case directory.SelfSignedTLSClientAuth:
		return c.Kind == directory.SigningKey || c.Kind == directory.Certificate && !c.Issued
	}
	return false
}

// registeredKeys are those of the client that are accepted.
func registeredKeys(of *directory.Client) []Key {
	var keys []Key
	for _, c := range of.Credentials {
		if !ofKeys(&of.Application, c) || !c.State.Accepted() {
			continue
		}
		if c.Kind == directory.SigningKey {
			keys = append(keys, Key{Public: c.Key})
			continue
		}
		if public := keyOf(c.Certificate); public != nil {
			keys = append(keys, Key{Public: public, Certificate: c.Certificate})
		}
	}
	return keys
}

// keyOf is the key of a certificate that was registered; nil for what is none.
func keyOf(der []byte) *jose.PublicKey {
	c, err := parseDER(der)
	if err != nil {
		return nil
	}
	public, err := jose.NewPublicKey(c.PublicKey, "", "")
	if err != nil {
		return nil
	}
	return public
}

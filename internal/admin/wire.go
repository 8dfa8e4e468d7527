package admin

import (
	"encoding/json"
	"encoding/pem"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// Organisation as the API shows it.
type Organisation struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// NewOrganisation is the body that makes one.
type NewOrganisation struct {
	ID   string `json:"id,omitempty" doc:"Made by the server when omitted"`
	Name string `json:"name" minLength:"1" maxLength:"200"`
}

// Resource as the API shows it.
type Resource struct {
	URI          string   `json:"uri"`
	Organisation string   `json:"organisation"`
	Name         string   `json:"name"`
	Scopes       []string `json:"scopes"`
	Servers      []string `json:"servers"`
}

// NewResource is the body that makes one.
type NewResource struct {
	URI          string   `json:"uri" maxLength:"512" doc:"Audience: absolute, without fragment"`
	Organisation string   `json:"organisation"`
	Name         string   `json:"name" minLength:"1" maxLength:"200"`
	Scopes       []string `json:"scopes" nullable:"false" maxItems:"100"`
	Servers      []string `json:"servers,omitempty" maxItems:"100" doc:"Applications that may introspect tokens for it"`
}

// Grant lets an application ask for scopes of one resource.
type Grant struct {
	Resource string   `json:"resource"`
	Scopes   []string `json:"scopes" nullable:"false" maxItems:"100"`
}

// Application as the API shows it.
type Application struct {
	ClientID     string  `json:"client_id"`
	Organisation string  `json:"organisation"`
	Name         string  `json:"name"`
	AuthMethod   string  `json:"auth_method"`
	Binding      string  `json:"binding"`
	RequireNonce bool    `json:"require_nonce"`
	State        string  `json:"state"`
	Grants       []Grant `json:"grants"`
	OperatorRole string  `json:"operator_role,omitempty" doc:"What it may do through this API"`
}

// NewApplication is the body that makes one.
type NewApplication struct {
	ClientID     string  `json:"client_id,omitempty" doc:"Made by the server when omitted"`
	Organisation string  `json:"organisation"`
	Name         string  `json:"name" minLength:"1" maxLength:"200"`
	AuthMethod   string  `json:"auth_method" enum:"private_key_jwt,tls_client_auth,self_signed_tls_client_auth"`
	Binding      string  `json:"binding" enum:"mtls,dpop" doc:"What its access tokens are bound to"`
	RequireNonce bool    `json:"require_nonce,omitempty" doc:"Demand a DPoP nonce at the token endpoint"`
	Grants       []Grant `json:"grants,omitempty" maxItems:"100"`
	OperatorRole string  `json:"operator_role,omitempty" enum:"owner,security,auditor,organisation_operator" doc:"What it may do through this API; only an owner gives it"`
}

// Credential as the API shows it: its public half.
type Credential struct {
	ID          string          `json:"credential_id"`
	ClientID    string          `json:"client_id"`
	Kind        string          `json:"kind" enum:"signing_key,certificate,dpop_key,server_certificate"`
	State       string          `json:"state"`
	KeyID       string          `json:"kid,omitempty"`
	Algorithm   string          `json:"alg,omitempty"`
	JWK         json.RawMessage `json:"jwk,omitempty" doc:"Public key"`
	Thumbprint  string          `json:"thumbprint" doc:"x5t#S256 of a certificate, RFC 7638 thumbprint of a key"`
	Certificate string          `json:"certificate,omitempty" doc:"PEM"`
	Issued      bool            `json:"issued" doc:"By our own certificate authority"`
	Created     time.Time       `json:"created"`
	NotBefore   *time.Time      `json:"not_before,omitempty"`
	NotAfter    *time.Time      `json:"not_after,omitempty"`
	LastUsed    *time.Time      `json:"last_used,omitempty" doc:"When it last authenticated; up to 30 s late"`
}

// NewSigningKey registers the public half of a key that signs assertions.
type NewSigningKey struct {
	JWK      json.RawMessage `json:"jwk" doc:"Public JWK (RFC 7517); private members are refused"`
	NotAfter *time.Time      `json:"not_after,omitempty"`
}

// NewCertificate registers a certificate that the application made itself.
type NewCertificate struct {
	Certificate string `json:"certificate" maxLength:"65536" doc:"One certificate, PEM"`
}

// AuditEvent is one change, as it stands in the hash chain.
type AuditEvent struct {
	Sequence     int64           `json:"sequence"`
	At           time.Time       `json:"at"`
	Actor        string          `json:"actor"`
	Action       string          `json:"action"`
	Organisation string          `json:"organisation"`
	Subject      string          `json:"subject"`
	Detail       json.RawMessage `json:"detail"`
	Previous     string          `json:"previous" doc:"Hash of the event before, hexadecimal"`
	Hash         string          `json:"hash"`
}

// Page is a part of a list in the order of its ids. Next, when there is more, is
// the "after" of the next page.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty"`
}

func showOrganisation(o *directory.Organisation) Organisation {
	return Organisation{ID: string(o.ID), Name: o.Name, State: string(o.State)}
}

func showResource(r *directory.Resource) Resource {
	return Resource{
		URI: r.URI, Organisation: string(r.Organisation), Name: r.Name,
		Scopes: texts[string, string](r.Scopes), Servers: texts[directory.ClientID, string](r.Servers),
	}
}

func showApplication(a *directory.Application) Application {
	grants := make([]Grant, len(a.Grants))
	for i, g := range a.Grants {
		grants[i] = Grant{Resource: g.Resource, Scopes: texts[string, string](g.Scopes)}
	}
	return Application{
		ClientID: string(a.ClientID), Organisation: string(a.Organisation), Name: a.Name, AuthMethod: string(a.AuthMethod),
		Binding: string(a.Binding), RequireNonce: a.RequireNonce, State: string(a.State), Grants: grants,
		OperatorRole: string(a.OperatorRole),
	}
}

func showCredential(c *directory.Credential) Credential {
	v := Credential{
		ID: string(c.ID), ClientID: string(c.ClientID), Kind: string(c.Kind), State: string(c.State),
		Thumbprint: c.Thumbprint.String(), Issued: c.Issued, Created: c.Created,
		NotBefore: moment(c.NotBefore), NotAfter: moment(c.NotAfter),
	}
	if c.Key != nil {
		v.KeyID, v.Algorithm, v.JWK = c.Key.KeyID(), string(c.Key.Algorithm()), c.Key.JWK()
	}
	if len(c.Certificate) > 0 {
		v.Certificate = string(certificatePEM(c.Certificate))
	}
	return v
}

func showEvent(e *audit.Event) AuditEvent {
	return AuditEvent{
		Sequence: e.Sequence, At: e.At, Actor: e.Actor, Action: e.Action, Organisation: e.Organisation, Subject: e.Subject,
		Detail: e.DetailJSON(), Previous: hexadecimal(e.Previous), Hash: hexadecimal(e.Hash),
	}
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// moment is nil for the zero time, which means no bound.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// texts converts between lists of ids and of strings; an empty list is not nil.
func texts[From, To ~string](from []From) []To {
	to := make([]To, len(from))
	for i, s := range from {
		to[i] = To(s)
	}
	return to
}

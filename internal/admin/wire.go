package admin

import (
	"encoding/json"
	"encoding/pem"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// Grant lets an application ask for scopes of one resource.
type Grant struct {
	Resource string   `json:"resource"`
	Scopes   []string `json:"scopes" nullable:"false" maxItems:"100"`
}

// Credential as the API shows it: its public half.
type Credential struct {
	ID          string          `json:"credential_id"`
	ClientID    string          `json:"client_id"`
	Kind        string          `json:"kind" enum:"signing_key,certificate,dpop_key,trusted_certificate,published_key,server_certificate"`
	State       string          `json:"state"`
	KeyID       string          `json:"kid,omitempty"`
	Algorithm   string          `json:"alg,omitempty"`
	JWK         json.RawMessage `json:"jwk,omitempty" doc:"Public key"`
	Thumbprint  string          `json:"thumbprint" doc:"x5t#S256 of a certificate, RFC 7638 thumbprint of a key"`
	Certificate string          `json:"certificate,omitempty" doc:"PEM"`
	Issued      bool            `json:"issued" doc:"By our own certificate authority"`
	Instance    string          `json:"instance,omitempty" doc:"The replica that has it"`
	Created     time.Time       `json:"created"`
	NotBefore   *time.Time      `json:"not_before,omitempty"`
	NotAfter    *time.Time      `json:"not_after,omitempty"`
	LastUsed    *time.Time      `json:"last_used,omitempty" doc:"When it last authenticated; up to 30 s late"`
}

// CredentialChange is what became of one, and what that ends.
type CredentialChange struct {
	Credential
	Ends *Ends `json:"ends,omitempty"`
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

func showGrants(all []directory.Grant) []Grant {
	grants := make([]Grant, len(all))
	for i, g := range all {
		grants[i] = Grant{Resource: g.Resource, Scopes: texts[string, string](g.Scopes)}
	}
	return grants
}

func readGrants(all []Grant) []directory.Grant {
	grants := make([]directory.Grant, len(all))
	for i, g := range all {
		grants[i] = directory.Grant{Resource: g.Resource, Scopes: g.Scopes}
	}
	return grants
}

// Removable is a text of a patch: absent, null or a value (RFC 7396).
type Removable struct {
	Given bool
	Value string // "" for null
}

// UnmarshalJSON reads null or a text.
func (r *Removable) UnmarshalJSON(data []byte) error {
	r.Given, r.Value = true, ""
	if string(data) == "null" {
		return nil
	}
	return json.Unmarshal(data, &r.Value)
}

// MarshalJSON writes what UnmarshalJSON reads.
func (r Removable) MarshalJSON() ([]byte, error) {
	if r.Value == "" {
		return []byte("null"), nil
	}
	return json.Marshal(r.Value)
}

// Schema describes it for the framework.
func (Removable) Schema(huma.Registry) *huma.Schema {
	one, limit := 1, 512
	return &huma.Schema{Type: huma.TypeString, Nullable: true, MinLength: &one, MaxLength: &limit, Description: "null takes it away"}
}

func (r Removable) assign(to *string) {
	if r.Given {
		*to = r.Value
	}
}

func showCredential(c *directory.Credential) Credential {
	v := Credential{
		ID: string(c.ID), ClientID: string(c.ClientID), Kind: string(c.Kind), State: string(c.State),
		Thumbprint: c.Thumbprint.String(), Issued: c.Issued, Instance: string(c.Instance), Created: c.Created,
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

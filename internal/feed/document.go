package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// Limits of a document.
const (
	maxDocument = 64 << 20 // bytes: a full one of a large directory
	maxDepth    = 8
)

// document is one answer: each record as it is now. Members that a reader does
// not know are ignored, so that a newer server can feed an older gateway.
type document struct {
	Sequence int64 `json:"sequence"`
	// Full tells that this is everything, not what is newer than asked for.
	Full          bool           `json:"full"`
	Organisations []organisation `json:"organisations,omitempty"`
	Applications  []application  `json:"applications,omitempty"`
	Credentials   []credential   `json:"credentials,omitempty"`
	RevokedTokens []revokedToken `json:"revoked_tokens,omitempty"`
}

type organisation struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

type application struct {
	ClientID     string `json:"client_id"`
	Organisation string `json:"organisation"`
	State        string `json:"state"`
}

type credential struct {
	ID         string `json:"credential_id"`
	ClientID   string `json:"client_id"`
	Kind       string `json:"kind"`
	State      string `json:"state"`
	Thumbprint string `json:"thumbprint"`
}

type revokedToken struct {
	ID      string `json:"jti"`
	Expires int64  `json:"exp"` // Unix seconds
}

// newDocument is what a verifier needs of the delta: no names, no keys, no
// certificates, no grants.
func newDocument(d directory.Delta, full bool) document {
	doc := document{Sequence: d.Sequence, Full: full}
	for _, o := range d.Organisations {
		doc.Organisations = append(doc.Organisations, organisation{string(o.ID), string(o.State)})
	}
	for _, a := range d.Applications {
		doc.Applications = append(doc.Applications, application{string(a.ClientID), string(a.Organisation), string(a.State)})
	}
	for _, c := range d.Credentials {
		doc.Credentials = append(doc.Credentials, credential{string(c.ID), string(c.ClientID), string(c.Kind), string(c.State), c.Thumbprint.String()})
	}
	for _, t := range d.Revoked {
		// Rounded up: a second too long is harmless, a second too short is not.
		doc.RevokedTokens = append(doc.RevokedTokens, revokedToken{t.ID, t.Expires.Add(time.Second - 1).Unix()})
	}
	return doc
}

var errDocument = errors.New("not a feed document")

// parseDocument reads an answer. It refuses what has no sequence or is not one
// strict JSON object.
func parseDocument(data []byte) (document, error) {
	var doc document
	sequence := false
	err := strictjson.Members(data, maxDepth, func(name string, _ strictjson.Value) error {
		sequence = sequence || name == "sequence"
		return nil
	})
	if err != nil {
		return doc, fmt.Errorf("%w: %w", errDocument, err)
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return doc, errDocument // json's text would quote the input
	}
	if !sequence || doc.Sequence < 0 {
		return doc, errDocument
	}
	return doc, nil
}

// delta is the document as the directory's own values. A state or a kind that is
// not known is kept: a state that nobody knows is not an accepted one.
func (doc document) delta() (directory.Delta, error) {
	d := directory.Delta{Sequence: doc.Sequence}
	for _, o := range doc.Organisations {
		d.Organisations = append(d.Organisations, directory.Organisation{ID: directory.OrganisationID(o.ID), State: directory.State(o.State)})
	}
	for _, a := range doc.Applications {
		d.Applications = append(d.Applications, directory.Application{
			ClientID: directory.ClientID(a.ClientID), Organisation: directory.OrganisationID(a.Organisation), State: directory.State(a.State),
		})
	}
	for _, c := range doc.Credentials {
		t, err := cnf.ParseThumbprint(c.Thumbprint)
		if err != nil {
			return d, errDocument
		}
		d.Credentials = append(d.Credentials, directory.Credential{
			ID: directory.CredentialID(c.ID), ClientID: directory.ClientID(c.ClientID), Kind: directory.Kind(c.Kind),
			State: directory.State(c.State), Thumbprint: t,
		})
	}
	for _, t := range doc.RevokedTokens {
		d.Revoked = append(d.Revoked, directory.RevokedToken{ID: t.ID, Expires: time.Unix(t.Expires, 0)})
	}
	return d, nil
}

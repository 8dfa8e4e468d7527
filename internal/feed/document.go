package feed

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// Document is one answer of the feed. Of each record it holds what a gateway
// needs to say whether a token ended, and no more.
type Document struct {
	// Full: the document is all there is, not what is newer than the number asked.
	Full bool
	// Age is how old the server's own knowledge was.
	Age   time.Duration
	Delta directory.Delta // without roles and instances
	// Statement is what the server signed of its audit chain; nil when it does not say.
	Statement *Statement
}

const (
	flushAt  = 32 << 10 // bytes
	maxDepth = 32       // levels of JSON
)

// writer appends to a buffer that it empties now and then, so that a large
// directory is never in memory as text.
type writer struct {
	w   io.Writer
	buf []byte
	err error // the first of w; later writes are left out
}

func (w *writer) flush() {
	if w.err == nil {
		_, w.err = w.w.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// list writes a member that is an array of n objects.
func (w *writer) list(name string, n int, element func(i int)) {
	w.buf = append(append(append(w.buf, `,"`...), name...), `":[`...)
	for i := range n {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		element(i)
		w.buf = append(w.buf, '}')
		if len(w.buf) >= flushAt {
			w.flush()
		}
	}
	w.buf = append(w.buf, ']')
}

// text writes one member of an object; the first opens it.
func (w *writer) text(before byte, name, value string) {
	w.buf = append(append(append(w.buf, before, '"'), name...), `":`...)
	w.buf = strictjson.AppendText(w.buf, value)
}

// second writes one more member that is a time in whole seconds; none for the zero time.
func (w *writer) second(name string, t time.Time) {
	if t.IsZero() {
		return
	}
	w.buf = append(append(append(w.buf, `,"`...), name...), `":`...)
	w.buf = strconv.AppendInt(w.buf, t.Unix(), 10)
}

// writeTo writes d as JSON.
func (d *Document) writeTo(out io.Writer) error {
	w := &writer{w: out, buf: make([]byte, 0, flushAt+4<<10)}
	w.buf = strconv.AppendInt(append(w.buf, `{"sequence":`...), d.Delta.Sequence, 10)
	w.buf = strconv.AppendBool(append(w.buf, `,"full":`...), d.Full)
	w.buf = strconv.AppendInt(append(w.buf, `,"age_ms":`...), d.Age.Milliseconds(), 10)
	w.list("organisations", len(d.Delta.Organisations), func(i int) {
		o := &d.Delta.Organisations[i]
		w.text('{', "id", string(o.ID))
		w.text(',', "state", string(o.State))
		w.second("tokens_after", o.TokensAfter)
	})
	w.list("applications", len(d.Delta.Applications), func(i int) {
		a := &d.Delta.Applications[i]
		w.text('{', "client_id", string(a.ClientID))
		w.text(',', "organisation", string(a.Organisation))
		w.text(',', "state", string(a.State))
		w.second("tokens_after", a.TokensAfter)
	})
	w.list("credentials", len(d.Delta.Credentials), func(i int) {
		c := &d.Delta.Credentials[i]
		w.text('{', "credential_id", string(c.ID))
		w.text(',', "client_id", string(c.ClientID))
		w.text(',', "kind", string(c.Kind))
		w.text(',', "state", string(c.State))
		w.text(',', "thumbprint", c.Thumbprint.String())
		w.second("tokens_after", c.TokensAfter)
	})
	w.list("resources", len(d.Delta.Resources), func(i int) {
		r := &d.Delta.Resources[i]
		w.text('{', "uri", r.URI)
		w.text(',', "state", string(r.State))
		w.second("tokens_after", r.TokensAfter)
	})
	w.list("revoked_keys", len(d.Delta.RevokedKeys), func(i int) {
		k := &d.Delta.RevokedKeys[i]
		w.text('{', "kid", k.KeyID)
		w.second("at", k.At)
	})
	w.list("revoked_tokens", len(d.Delta.Revoked), func(i int) {
		t := &d.Delta.Revoked[i]
		w.text('{', "client_id", string(t.ClientID))
		w.text(',', "jti", t.ID)
		w.buf = strconv.AppendInt(append(w.buf, `,"exp":`...), t.Expires.Unix(), 10)
	})
	if d.Statement != nil {
		w.buf = d.Statement.appendTo(append(w.buf, `,"checkpoint":`...))
	}
	w.buf = append(w.buf, '}')
	w.flush()
	return w.err
}

var errIncomplete = errors.New("a record lacks a member")

// ParseDocument reads what the feed wrote. Members that it does not know are
// ignored: a newer server may say more.
func ParseDocument(data []byte) (*Document, error) {
	d := &Document{}
	var seen [3]bool
	err := strictjson.Members(data, maxDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "sequence":
			seen[0] = true
			d.Delta.Sequence, err = v.Integer()
		case "full":
			seen[1] = true
			d.Full, err = v.Boolean()
		case "age_ms":
			seen[2] = true
			var ms int64
			ms, err = v.Integer()
			d.Age = time.Duration(ms) * time.Millisecond
			if ms < 0 || ms > directory.MaxAge.Milliseconds() {
				err = errors.New("out of bounds")
			}
		case "organisations":
			err = v.Elements(maxDepth, d.readOrganisation)
		case "applications":
			err = v.Elements(maxDepth, d.readApplication)
		case "credentials":
			err = v.Elements(maxDepth, d.readCredential)
		case "checkpoint":
			d.Statement, err = parseStatement(v)
		case "revoked_tokens":
			err = v.Elements(maxDepth, d.readRevoked)
		case "resources":
			err = v.Elements(maxDepth, d.readResource)
		case "revoked_keys":
			err = v.Elements(maxDepth, d.readRevokedKey)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if seen != [3]bool{true, true, true} || d.Delta.Sequence < 0 {
		return nil, errors.New("sequence, full or age_ms is missing")
	}
	return d, nil
}

func (d *Document) readOrganisation(record strictjson.Value) error {
	var id, state string
	after, err := texts(record, "tokens_after", map[string]*string{"id": &id, "state": &state})
	if err != nil {
		return err
	}
	d.Delta.Organisations = append(d.Delta.Organisations, directory.Organisation{
		ID: directory.OrganisationID(id), State: directory.State(state), TokensAfter: after,
	})
	return nil
}

func (d *Document) readApplication(record strictjson.Value) error {
	var id, organisation, state string
	after, err := texts(record, "tokens_after", map[string]*string{"client_id": &id, "organisation": &organisation, "state": &state})
	if err != nil {
		return err
	}
	d.Delta.Applications = append(d.Delta.Applications, directory.Application{
		ClientID: directory.ClientID(id), Organisation: directory.OrganisationID(organisation), State: directory.State(state),
		TokensAfter: after,
	})
	return nil
}

func (d *Document) readCredential(record strictjson.Value) error {
	var id, client, kind, state, thumbprint string
	after, err := texts(record, "tokens_after", map[string]*string{"credential_id": &id, "client_id": &client, "kind": &kind, "state": &state, "thumbprint": &thumbprint})
	if err != nil {
		return err
	}
	t, err := cnf.ParseThumbprint(thumbprint)
	if err != nil {
		return err
	}
	d.Delta.Credentials = append(d.Delta.Credentials, directory.Credential{
		ID: directory.CredentialID(id), ClientID: directory.ClientID(client), Kind: directory.Kind(kind), State: directory.State(state), Thumbprint: t,
		TokensAfter: after,
	})
	return nil
}

func (d *Document) readResource(record strictjson.Value) error {
	var uri, state string
	after, err := texts(record, "tokens_after", map[string]*string{"uri": &uri, "state": &state})
	if err != nil {
		return err
	}
	d.Delta.Resources = append(d.Delta.Resources, directory.Resource{URI: uri, State: directory.State(state), TokensAfter: after})
	return nil
}

func (d *Document) readRevokedKey(record strictjson.Value) error {
	var kid string
	at, err := texts(record, "at", map[string]*string{"kid": &kid})
	if err != nil {
		return err
	}
	d.Delta.RevokedKeys = append(d.Delta.RevokedKeys, directory.RevokedKey{KeyID: kid, At: at})
	return nil
}

func (d *Document) readRevoked(record strictjson.Value) error {
	var client, id string
	var expires int64
	err := strictjson.Members(record, maxDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "client_id":
			client, err = v.Text()
		case "jti":
			id, err = v.Text()
		case "exp":
			expires, err = v.Integer()
		}
		return err
	})
	if err == nil && (client == "" || id == "" || expires == 0) {
		err = errIncomplete
	}
	d.Delta.Revoked = append(d.Delta.Revoked, directory.RevokedToken{ClientID: directory.ClientID(client), ID: id, Expires: time.Unix(expires, 0)})
	return err
}

// texts reads the members of a record that are wanted; each must be there. The
// one named second is a time in whole seconds, the zero time when it is not there.
func texts(record strictjson.Value, second string, wanted map[string]*string) (at time.Time, err error) {
	err = strictjson.Members(record, maxDepth, func(name string, v strictjson.Value) (err error) {
		if text := wanted[name]; text != nil {
			*text, err = v.Text()
		} else if name == second {
			var n int64
			n, err = v.Integer()
			at = time.Unix(n, 0).UTC()
		}
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	for _, text := range wanted {
		if *text == "" {
			return time.Time{}, errIncomplete
		}
	}
	return at, nil
}

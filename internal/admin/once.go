package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/idempotency"
)

// An Idempotency-Key makes a request that creates or acts one that may be made
// again: the answer is the first one's, on every node. Its record is written in the
// transaction of the change (internal/idempotency). Refusals leave none.

const (
	idempotencyHeader = "Idempotency-Key"
	maxIdempotencyKey = 255
)

// visit is one request on its way through the door.
type visit struct {
	caller  Caller
	request *http.Request
	body    [32]byte // digest of the body
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// reply is an answer that is kept, or that has no body. It takes the framework's
// way for errors, which are written as they are.
type reply struct {
	Status int             `json:"status"`
	Header http.Header     `json:"header"`
	Body   json.RawMessage `json:"body"`
}

func (r *reply) Error() string                { return http.StatusText(r.Status) }
func (r *reply) GetStatus() int               { return r.Status }
func (r *reply) GetHeaders() http.Header      { return r.Header }
func (r *reply) MarshalJSON() ([]byte, error) { return r.Body, nil }

// underWay is the keys of requests that this node works on.
type underWay struct {
	mu   sync.Mutex
	keys map[[32]byte]struct{} // guarded by mu
}

func (u *underWay) begin(key [32]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, there := u.keys[key]; there {
		return false
	}
	if u.keys == nil {
		u.keys = map[[32]byte]struct{}{}
	}
	u.keys[key] = struct{}{}
	return true
}

func (u *underWay) end(key [32]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.keys, key)
}

// idempotencyKey reads the header; "" if there is none.
func idempotencyKey(h http.Header) (string, *fault) {
	values := h.Values(idempotencyHeader)
	if len(values) == 0 {
		return "", nil
	}
	bad := func(why string) *fault {
		return newFault(http.StatusBadRequest, "idempotency_key", "the idempotency key is not valid",
			&huma.ErrorDetail{Location: "header." + idempotencyHeader, Message: why})
	}
	key := values[0]
	switch {
	case len(values) > 1:
		return "", bad("occurs more than once")
	case len(key) < 1 || len(key) > maxIdempotencyKey:
		return "", bad("must have 1 to 255 characters")
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return "", bad("must be printable ASCII")
		}
	}
	return key, nil
}

// pending is the record that this request is to leave.
func (d *door) pending(v *visit, key string) *idempotency.Pending {
	r := v.request
	return &idempotency.Pending{Record: idempotency.Record{
		Key:     sha256.Sum256([]byte(string(v.caller.ClientID) + "\x00" + key)),
		Request: sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%x", r.Method, r.URL.RequestURI(), v.body)),
		Until:   d.Table.Now().Add(idempotency.Life),
	}}
}

// once runs an operation, unless the same request was answered before; without a
// key it returns nil and nothing was run.
func (d *door) once(ctx context.Context, v *visit, status int, run func(context.Context) (any, error)) (*reply, error) {
	key, f := idempotencyKey(v.request.Header)
	if f != nil {
		return nil, f
	}
	if key == "" {
		return nil, nil
	}
	p := d.pending(v, key)
	if !d.underWay.begin(p.Key) {
		return nil, newFault(http.StatusConflict, "idempotency_key_under_way", "a request with this idempotency key is under way")
	}
	defer d.underWay.end(p.Key)
	if said, err := d.said(ctx, p); said != nil || err != nil {
		return said, err
	}
	out, err := run(idempotency.With(ctx, p))
	if err != nil {
		// What another node did under this key may be what stands in the way.
		if said, e := d.said(ctx, p); said != nil || e != nil {
			return said, e
		}
		return nil, err
	}
	answer, err := encode(out, status)
	if err != nil {
		return nil, err
	}
	if p.Stored && len(p.Answer) > 0 {
		return answer, nil
	}
	if p.Answer, err = d.seal(p.Key, answer); err != nil {
		return nil, err
	}
	err = d.Answers.Remember(context.WithoutCancel(ctx), p)
	if errors.Is(err, idempotency.ErrUsed) {
		return d.said(ctx, p)
	}
	return answer, err
}

// said is the answer that the request had before; nil if it had none.
func (d *door) said(ctx context.Context, p *idempotency.Pending) (*reply, error) {
	r, err := d.Answers.Remembered(ctx, p.Key, d.Table.Now())
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case r.Request != p.Request:
		return nil, newFault(http.StatusUnprocessableEntity, "idempotency_key_reused", "the idempotency key was used for another request",
			&huma.ErrorDetail{Location: "header." + idempotencyHeader, Message: "was used for another request"})
	case len(r.Answer) == 0:
		return nil, newFault(http.StatusConflict, "answer_lost", "the request was carried out, and its answer was lost: look at what it made")
	}
	text, err := d.Secrets.Open(sealedName(p.Key), r.Answer)
	if err != nil {
		return nil, err
	}
	var kept struct {
		Status int
		Header http.Header
		Body   json.RawMessage
	}
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, err
	}
	return &reply{kept.Status, kept.Header, kept.Body}, nil
}

func sealedName(key [32]byte) string { return "idempotency/" + hex.EncodeToString(key[:]) }

// seal keeps an answer from whoever reads the database: it may hold a code that is
// shown once.
func (d *door) seal(key [32]byte, r *reply) ([]byte, error) {
	text, err := json.Marshal(struct {
		Status int
		Header http.Header
		Body   json.RawMessage
	}{r.Status, r.Header, r.Body})
	if err != nil {
		return nil, err
	}
	return d.Secrets.Seal(sealedName(key), text)
}

// foreseen seals the answer into the record that the change under way will leave.
func (d *door) foreseen(ctx context.Context, out any, status int) error {
	p := idempotency.From(ctx)
	if p == nil {
		return nil
	}
	answer, err := encode(out, status)
	if err == nil {
		p.Answer, err = d.seal(p.Key, answer)
	}
	return err
}

// encode is the answer that the framework would write of an output struct: the
// field Body, the field Status, and those with a tag "header".
func encode(out any, status int) (*reply, error) {
	r := &reply{Status: status, Header: http.Header{}}
	v := reflect.ValueOf(out).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		if name := f.Tag.Get("header"); name != "" {
			if text := v.FieldByIndex(f.Index).String(); text != "" {
				r.Header.Set(name, text)
			}
		}
	}
	if own := v.FieldByName("Status"); own.IsValid() && own.Int() != 0 {
		r.Status = int(own.Int())
	}
	body := v.FieldByName("Body")
	if !body.IsValid() {
		r.Body = json.RawMessage("null")
		return r, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body.Interface()); err != nil {
		return nil, err
	}
	r.Body = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return r, nil
}

package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/idempotency"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// fault is an RFC 9457 problem with what only the event may know.
type fault struct {
	*huma.ErrorModel
	reason string
	cause  error
	retry  int // seconds, with 503
}

// GetHeaders is how the framework asks for header fields of an error.
func (f *fault) GetHeaders() http.Header {
	if f.retry == 0 {
		return nil
	}
	return http.Header{"Retry-After": {strconv.Itoa(f.retry)}}
}

func newFault(status int, reason, detail string, fields ...*huma.ErrorDetail) *fault {
	return &fault{reason: reason, ErrorModel: &huma.ErrorModel{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Errors: fields,
	}}
}

// faultOf words a domain error. What is not one is an outage or a bug, of which
// the caller learns nothing but the request id.
func faultOf(err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	if invalid, ok := errors.AsType[*directory.InvalidError](err); ok {
		return newFault(http.StatusUnprocessableEntity, "not_valid", "validation failed",
			&huma.ErrorDetail{Message: invalid.Reason, Location: "body." + invalid.Field})
	}
	if f := certificateFault(err); f != nil {
		return f
	}
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return newFault(http.StatusNotFound, "not_found", err.Error())
	case errors.Is(err, directory.ErrExists):
		return newFault(http.StatusConflict, "exists", err.Error())
	case errors.Is(err, directory.ErrState):
		return newFault(http.StatusConflict, "wrong_state", err.Error())
	case errors.Is(err, idempotency.ErrUsed):
		return newFault(http.StatusConflict, "idempotency_key_under_way", "a request with this idempotency key is under way")
	case errors.Is(err, directory.ErrStale):
		return newFault(http.StatusConflict, "stale", "other changes came first; try again")
	case errors.Is(err, directory.ErrInvalid):
		return newFault(http.StatusUnprocessableEntity, "not_valid", err.Error())
	}
	f := newFault(http.StatusInternalServerError, "internal", "internal error")
	f.cause = err
	return f
}

// tidy is the last look at every answer of an operation: the event learns why
// it was refused, and no problem quotes what was sent, which may be a key.
func tidy(ctx huma.Context, _ string, body any) (any, error) {
	_, w := humago.Unwrap(ctx)
	switch v := body.(type) {
	case *fault:
		v.tell(web.EventOf(w))
		return v.ErrorModel, nil
	case *huma.ErrorModel:
		e := web.EventOf(w)
		if e.Reason == "" {
			e.Reason = "not_valid"
		}
		v.Type = "about:blank"
		for _, field := range v.Errors {
			field.Value = nil
		}
	}
	return body, nil
}

func (f *fault) tell(e *web.Event) {
	e.Reason = f.reason
	if f.cause != nil {
		e.Cause = f.cause.Error()
	}
}

// writeFault answers outside an operation.
func writeFault(w http.ResponseWriter, f *fault) {
	f.tell(web.EventOf(w))
	body, err := json.Marshal(f.ErrorModel)
	if err != nil {
		body = []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.Status)
	_, _ = w.Write(body)
}

// renderTable words what the table and the door refuse.
func renderTable(w http.ResponseWriter, r *web.Request, err error) {
	if s, ok := errors.AsType[*web.StatusError](err); ok {
		writeFault(w, newFault(s.Status, r.Event.Reason, s.Error()))
		return
	}
	writeFault(w, faultOf(err))
}

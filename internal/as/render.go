package as

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// Render words an error as RFC 6749 section 5.2 does, and fills Error, Reason
// and Cause of the event. Whatever is not an *oauth.Error is 500 server_error
// and tells the client nothing.
func Render(w http.ResponseWriter, r *web.Request, err error) {
	e, ok := oauth.AsError(err)
	if !ok {
		e = wordOther(err)
	}
	ev := r.Event
	ev.Error = string(e.Code)
	if e.Reason != "" {
		ev.Reason = e.Reason
	}
	if e.Cause != nil {
		ev.Cause = e.Cause.Error()
	}
	h := w.Header()
	if e.Nonce != "" {
		h["Dpop-Nonce"] = []string{e.Nonce}
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if authorization := r.Header["Authorization"]; e.Code == oauth.InvalidClient && len(authorization) > 0 {
		h.Set("WWW-Authenticate", challenge(authorization[0]))
	}
	if e.Challenge != "" {
		h.Set("WWW-Authenticate", e.Challenge)
	}
	if e.Code == "" { // RFC 6750 section 3.1: who showed nothing is told no error
		_ = writeJSON(w, e.Status, []byte(`{}`))
		return
	}
	b := append(make([]byte, 0, 256), `{"error":`...)
	b = strictjson.AppendText(b, string(e.Code))
	if e.Description != "" {
		b = append(b, `,"error_description":`...)
		b = strictjson.AppendText(b, e.Description)
	}
	_ = writeJSON(w, e.Status, append(b, '}')) // the client is gone; the event is written all the same
}

// challenge matches the scheme that the client used (RFC 6749 section 5.2). Who
// calls introspection with an access token is told what RFC 7662 section 2.3 says.
func challenge(authorization string) string {
	if scheme, _, _ := strings.Cut(authorization, " "); strings.EqualFold(scheme, "Bearer") {
		return `Bearer realm="holdfast", error="invalid_token"`
	}
	return `Basic realm="holdfast"`
}

// wordOther words a refusal of the table itself, and bugs. A path or method
// that does not exist has no registered code.
func wordOther(err error) *oauth.Error {
	if s, ok := errors.AsType[*web.StatusError](err); ok {
		return &oauth.Error{Code: oauth.InvalidRequest, Status: s.Status, Description: "no such endpoint or method"}
	}
	return &oauth.Error{Code: oauth.ServerError, Status: http.StatusInternalServerError, Reason: "internal", Description: "internal error", Cause: err}
}

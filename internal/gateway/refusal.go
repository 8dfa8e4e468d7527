package gateway

import (
	"errors"
	"net"
	"net/http"

	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/httpmw"
)

// refusal is an answer of the gateway's own. It says nothing of the request.
type refusal struct {
	status int
	code   string
	reason string
	allow  string // with 405
}

func (e *refusal) Error() string { return e.reason }

var (
	errMethod     = &refusal{status: 501, code: "not_implemented", reason: "method_refused"}
	errUpgrade    = &refusal{status: 501, code: "not_implemented", reason: "upgrade_refused"}
	errTarget     = &refusal{status: 400, code: "invalid_request", reason: "target_form"}
	errPath       = &refusal{status: 400, code: "invalid_request", reason: "path_ambiguous"}
	errQuery      = &refusal{status: 400, code: "invalid_request", reason: "query_ambiguous"}
	errClientBody = &refusal{status: 400, code: "invalid_request", reason: "client_body"}
	errNoRoute    = &refusal{status: 404, code: "not_found", reason: "no_route"}
	errInside     = &refusal{status: 500, code: "server_error", reason: "internal_error"}
)

// upstreamError is an upstream that did not answer.
type upstreamError struct{ cause error }

func (e *upstreamError) Error() string { return "upstream: " + e.cause.Error() }
func (e *upstreamError) Unwrap() error { return e.cause }

// refusal is 504 for a timeout and else 502.
func (e *upstreamError) refusal() *refusal {
	var timeout net.Error
	if errors.As(e.cause, &timeout) && timeout.Timeout() {
		return &refusal{status: 504, code: "upstream_timeout", reason: "upstream_timeout"}
	}
	return &refusal{status: 502, code: "upstream_unavailable", reason: "upstream_unavailable"}
}

// render words an error and fills the event.
func render(w http.ResponseWriter, r *web.Request, err error) {
	if e, ok := errors.AsType[*verify.Error](err); ok {
		describe(r.Event, e.Token)
		r.Event.Reason, r.Event.Error = string(e.Reason), e.Code
		if e.Cause != nil {
			r.Event.Cause = e.Cause.Error()
		}
		if errors.Is(e, verify.ErrKeyUnknown) {
			r.Event.Outcome = "refused" // 503, and no alarm
		}
		httpmw.WriteError(w, e)
		return
	}
	var answer *refusal
	switch e := err.(type) {
	case *refusal:
		answer, r.Event.Outcome = e, "refused" // also with 501
	case *upstreamError:
		answer, r.Event.Cause = e.refusal(), e.cause.Error()
	case *web.StatusError: // the mux's only word on a path here: "*"
		answer = errTarget
	default: // also web.ErrPanic, for which the table gives the reason
		answer, r.Event.Cause = errInside, err.Error()
	}
	r.Event.Reason, r.Event.Error = answer.reason, answer.code
	if answer.allow != "" {
		w.Header().Set("Allow", answer.allow)
	}
	httpmw.WriteError(w, &verify.Error{Status: answer.status, Code: answer.code})
}

// describe puts what a verified token says into the event.
func describe(e *web.Event, t *verify.Token) {
	if t == nil {
		return
	}
	e.ClientID, e.Organisation, e.CredentialID, e.TokenID = t.ClientID, t.Organisation, t.CredentialID, t.ID
	e.Binding = string(t.Binding().Method())
}

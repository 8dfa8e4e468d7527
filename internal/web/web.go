// Package web turns one request into one answer and one event: handlers return
// errors, routes are a table, limits and the request id are applied by the
// table. It knows no protocol; how an error is worded is the caller's.
package web

import (
	"log/slog"
	"net/http"
	"time"
)

// Event is what one request left behind: a line in the event stream, and a
// count. It never holds a token, a key, an assertion or a secret.
type Event struct {
	Time         time.Time
	RequestID    string // 26 characters, also sent as the Request-Id header
	Listener     string // "public", "mtls", "admin", "gateway"
	Route        string // the pattern that matched, never the path
	Method       string
	Status       int
	Duration     time.Duration
	Outcome      string // "served", "issued", "refused", "failed" ...
	Reason       string // for a refusal: why, from a fixed set
	Error        string // the protocol's error code
	ClientID     string
	Organisation string
	CredentialID string
	AuthMethod   string
	Binding      string // "mtls", "dpop"
	Resource     string
	TokenID      string // jti of an access token: not a credential by itself
	Cause        string // for people, with no input of the client's in it
}

// Request is the request with its id and the event that the handler fills.
type Request struct {
	*http.Request
	Event *Event
}

// Handler answers by writing to w and returning nil, or returns an error and
// writes nothing.
type Handler func(w http.ResponseWriter, r *Request) error

// Route is one line of the table. Pattern is a net/http ServeMux pattern with its method.
type Route struct {
	Pattern string
	Handler Handler
}

// Options of a table.
type Options struct {
	Listener string
	Now      func() time.Time
	Log      *slog.Logger // the event stream; every event is one line
	Observe  func(*Event) // counts; may be nil
	// Render writes the answer for an error of a handler and fills Error and
	// Reason of the event. It also words 404 and 405, given as *StatusError.
	Render func(w http.ResponseWriter, r *Request, err error)
}

// StatusError is a refusal by the table itself: no such path, wrong method.
type StatusError struct {
	Status int
	Allow  string // with 405
}

func (e *StatusError) Error() string { return http.StatusText(e.Status) }

// NewTable builds the handler of one listener. A panic in a handler becomes 500
// for that request only. Every answer carries Date and Request-Id.
func NewTable(o Options, routes []Route) http.Handler { panic("not written") }

// Package web turns one request into one answer and one event: handlers return
// errors, routes are a table, limits and the request id are applied by the
// table. It knows no protocol; how an error is worded is the caller's.
package web

import (
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Event is what one request left behind: a line in the event stream, and a
// count. It never holds a token, a key, an assertion or a secret. Texts are cut
// at 256 bytes and made printable ASCII before they leave the table.
type Event struct {
	Time         time.Time // when the request arrived
	RequestID    string    // 26 characters, also sent as the Request-Id header
	Listener     string    // "public", "mtls", "admin", "gateway"
	Peer         string    // address and port of the other end of the connection
	Route        string    // the pattern that matched, never the path; "" for none
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

// Plain is the Handler of an http.Handler, which words its own errors and finds
// the event with EventOf.
func Plain(h http.Handler) Handler {
	return func(w http.ResponseWriter, r *Request) error {
		h.ServeHTTP(w, r.Request)
		return nil
	}
}

// Route is one line of the table. Pattern is a net/http ServeMux pattern with
// its method. The pattern "/" (no method) is the catch-all: it gets, unchanged,
// every request that no other line matches, so the table then answers neither
// 404 nor 405.
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
	// Reason of the event. It also words 404 and 405, given as *StatusError, and
	// the 500 of a panic, given as ErrPanic. Allow is set on the answer already.
	Render func(w http.ResponseWriter, r *Request, err error)
}

// ReasonPanic is the reason of an event whose handler panicked.
const ReasonPanic = "panic"

// ErrPanic is what Render gets when a handler panicked.
var ErrPanic = errors.New("panic in a handler")

// StatusError is a refusal by the table itself: no such path, wrong method.
type StatusError struct {
	Status int
	Allow  string // with 405
}

func (e *StatusError) Error() string { return http.StatusText(e.Status) }

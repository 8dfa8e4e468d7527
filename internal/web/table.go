package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
)

// statusClientGone stands in an event for a 5xx that the client did not wait
// for. It never goes over the wire.
const statusClientGone = 499

type table struct {
	Options
	mux      *http.ServeMux
	catchAll *line
	choice   bool // there is more than the catch-all
	patterns []string
}

// line is a route as the mux holds it.
type line struct {
	pattern string
	handler Handler
}

// NewTable builds the handler of one listener. A panic in a handler becomes 500
// for that request only. Every answer carries Date and Request-Id. The table
// never redirects: a path that the mux would clean is 404, or the catch-all's.
func NewTable(o Options, routes []Route) http.Handler {
	t := &table{Options: o, mux: http.NewServeMux()}
	for _, r := range routes {
		l := &line{pattern: r.Pattern, handler: r.Handler}
		t.patterns = append(t.patterns, r.Pattern)
		if r.Pattern == "/" {
			t.catchAll = l
			continue
		}
		t.choice = true
		t.mux.Handle(r.Pattern, l)
	}
	return t
}

// Patterns are the routes of a handler that NewTable made, in their order; of any
// other there are none. Whoever wants to be sure of every route asks here.
func Patterns(h http.Handler) []string {
	if t, ok := h.(*table); ok {
		return slices.Clone(t.patterns)
	}
	return nil
}

// ServeHTTP is the mux's way of telling which line matched.
func (l *line) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.(*exchange).line = l
}

func (t *table) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w}
	x.event = Event{Time: t.Now(), RequestID: newRequestID(), Listener: t.Listener, Peer: r.RemoteAddr, Method: r.Method}
	x.request = Request{Request: r, Event: &x.event}
	t.route(x)
	defer t.finish(x)
	if err := t.answer(x); err != nil {
		t.refuse(x, err)
	}
}

// route lets the mux choose the line. Until it has, the exchange keeps what the
// mux itself would have answered away from the client.
func (t *table) route(x *exchange) {
	if t.choice || x.request.RequestURI == "*" {
		x.routing = true
		t.mux.ServeHTTP(x, x.request.Request)
		x.routing = false
	}
	if x.line == nil && x.muxStatus != http.StatusBadRequest {
		x.line = t.catchAll
	}
	if x.line != nil {
		x.event.Route = x.line.pattern
	}
}

func (t *table) answer(x *exchange) error {
	if x.line != nil {
		return x.line.handler(x, &x.request)
	}
	switch x.muxStatus {
	case http.StatusMethodNotAllowed:
		return &StatusError{Status: http.StatusMethodNotAllowed, Allow: x.muxHeader.Get("Allow")}
	case http.StatusBadRequest:
		return &StatusError{Status: http.StatusBadRequest}
	}
	return &StatusError{Status: http.StatusNotFound}
}

// refuse words an error. After the answer has begun it can only be cut. A fault
// that came of the client's leaving is not one of ours.
func (t *table) refuse(x *exchange, err error) {
	if x.status != 0 {
		x.event.Outcome, x.event.Reason = "failed", "answer_cut"
		panic(http.ErrAbortHandler)
	}
	if s, ok := errors.AsType[*StatusError](err); ok {
		x.event.Reason = statusReason(s.Status)
		if s.Allow != "" {
			x.w.Header().Set("Allow", s.Allow)
		}
	}
	t.Render(x, &x.request, err)
	if x.status == 0 {
		x.WriteHeader(http.StatusInternalServerError)
	}
	if x.status >= http.StatusInternalServerError && x.request.Context().Err() != nil {
		x.status = statusClientGone
		x.event.Outcome, x.event.Reason = "refused", "client_gone"
	}
}

func statusReason(status int) string {
	switch status {
	case http.StatusNotFound:
		return "no_such_path"
	case http.StatusMethodNotAllowed:
		return "wrong_method"
	}
	return "bad_request"
}

// finish closes the exchange whatever happened in it, and leaves its event.
func (t *table) finish(x *exchange) {
	fault := recover()
	abort := fault != nil && t.survive(x, fault)
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	e := &x.event
	e.Status = x.status
	e.Duration = t.Now().Sub(e.Time)
	e.settle()
	if t.Observe != nil {
		t.Observe(e)
	}
	e.log(t.Log.Handler())
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// survive turns a panic into a 500. When the answer has begun it can only be
// cut, so that the client does not take a part for the whole: abort is true.
func (t *table) survive(x *exchange, fault any) (abort bool) {
	e := &x.event
	if fault == http.ErrAbortHandler {
		if e.Outcome == "" {
			e.Outcome = "failed"
		}
		if e.Reason == "" {
			e.Reason = "answer_cut"
		}
		return true
	}
	t.Log.LogAttrs(x.request.Context(), slog.LevelError, "panic",
		slog.String("request_id", e.RequestID), slog.String("listener", e.Listener), slog.String("route", e.Route),
		slog.String("kind", fmt.Sprintf("%T", fault)), slog.String("at", frames()))
	e.Outcome = "failed"
	if x.status != 0 || x.hijacked {
		e.Reason = ReasonPanic
		return true
	}
	defer func() {
		e.Reason = ReasonPanic
		_ = recover()
		if x.status == 0 {
			x.WriteHeader(http.StatusInternalServerError)
		}
	}()
	clear(x.w.Header())
	t.Render(x, &x.request, ErrPanic)
	return false
}

// frames names the functions and lines that a panic passed through, and no
// values: an argument may be a secret.
func frames() string {
	var pcs [32]uintptr
	n := runtime.Callers(3, pcs[:])
	var b strings.Builder
	for it, more := runtime.CallersFrames(pcs[:n]), n > 0; more; {
		var f runtime.Frame
		f, more = it.Next()
		file := f.File[strings.LastIndexByte(f.File, '/')+1:]
		fmt.Fprintf(&b, "%s %s:%d; ", f.Function, file, f.Line)
	}
	return strings.TrimSuffix(b.String(), "; ")
}

package web

import (
	"bufio"
	"net"
	"net/http"
)

// exchange is one request and its answer: the one allocation of the table. It is
// the ResponseWriter that handlers get.
type exchange struct {
	w        http.ResponseWriter
	request  Request
	event    Event
	line     *line
	id       [1]string // backs the Request-Id header
	status   int       // 0 until the answer begins
	hijacked bool

	// While routing, the mux talks to these and not to the client.
	routing   bool
	muxStatus int
	muxHeader http.Header
}

// EventOf finds the event of the request that w answers, through wrappers that
// have Unwrap. A writer of no table gives an event that nobody will see.
func EventOf(w http.ResponseWriter) *Event {
	for {
		switch v := w.(type) {
		case *exchange:
			return &v.event
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return new(Event)
		}
	}
}

// Unwrap lets http.ResponseController reach the connection, for deadlines.
func (x *exchange) Unwrap() http.ResponseWriter { return x.w }

// Header is the answer's header.
func (x *exchange) Header() http.Header {
	if !x.routing {
		return x.w.Header()
	}
	if x.muxHeader == nil {
		x.muxHeader = make(http.Header)
	}
	return x.muxHeader
}

// WriteHeader begins the answer, once. Informational answers but 101 leave it open.
func (x *exchange) WriteHeader(status int) {
	switch {
	case x.routing:
		x.muxStatus = status
		return
	case x.status != 0:
		return
	case status >= 200 || status == http.StatusSwitchingProtocols:
		x.status = status
		x.stamp()
	}
	x.w.WriteHeader(status)
}

// stamp sets the header fields that every answer has; whatever a handler or an
// upstream put there is replaced.
func (x *exchange) stamp() {
	h := x.w.Header()
	x.id[0] = x.event.RequestID
	h["Request-Id"] = x.id[:1:1]
	if date, ok := h["Date"]; ok && len(date) == 0 {
		delete(h, "Date") // an empty list would keep net/http from setting it
	}
}

// Write writes the body, beginning the answer with 200 if nobody has.
func (x *exchange) Write(p []byte) (int, error) {
	if x.routing {
		return len(p), nil
	}
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	return x.w.Write(p)
}

// FlushError sends what was written, for http.ResponseController.
func (x *exchange) FlushError() error {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(x.w).Flush()
}

// Flush is FlushError for those who use http.Flusher.
func (x *exchange) Flush() { _ = x.FlushError() }

// Hijack hands the connection over; the event then says 101.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	x.stamp()
	conn, rw, err := http.NewResponseController(x.w).Hijack()
	if err == nil {
		x.hijacked, x.status = true, http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

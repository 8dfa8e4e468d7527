package web

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"net/http"
)

// maxText is the most bytes of one text in an event.
const maxText = 256

var requestIDEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newRequestID is 128 random bits in 26 characters.
func newRequestID() string {
	var bits [16]byte
	_, _ = rand.Read(bits[:]) // never fails
	var text [26]byte
	return string(requestIDEncoding.AppendEncode(text[:0], bits[:]))
}

// settle fills what the handler left open and makes every text fit to print.
func (e *Event) settle() {
	if e.Outcome == "" {
		switch {
		case e.Status >= http.StatusInternalServerError:
			e.Outcome = "failed"
		case e.Status >= http.StatusBadRequest:
			e.Outcome = "refused"
		default:
			e.Outcome = "served"
		}
	}
	for _, text := range [...]*string{
		&e.Method, &e.Outcome, &e.Reason, &e.Error, &e.ClientID, &e.Organisation, &e.CredentialID,
		&e.AuthMethod, &e.Binding, &e.Resource, &e.TokenID, &e.Cause,
	} {
		*text = printable(*text)
	}
}

// printable cuts s at maxText bytes and puts "?" for whatever is not printable ASCII.
func printable(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return replaceUnprintable(s)
		}
	}
	return s
}

func replaceUnprintable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// level is warn for a refusal, whatever its status, so that no client can raise
// an alarm; error for a failure and every other 5xx; else info.
func (e *Event) level() slog.Level {
	switch {
	case e.Outcome == "refused":
		return slog.LevelWarn
	case e.Status >= http.StatusInternalServerError || e.Outcome == "failed":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// log writes the event as one record; its time is that of the answer.
func (e *Event) log(h slog.Handler) {
	ctx, level := context.Background(), e.level()
	if !h.Enabled(ctx, level) {
		return
	}
	var room [19]slog.Attr
	attrs := append(room[:0], slog.String("request_id", e.RequestID), slog.String("listener", e.Listener))
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("peer", e.Peer)
	text("route", e.Route)
	text("method", e.Method)
	attrs = append(attrs, slog.Int("status", e.Status), slog.Int64("duration_us", e.Duration.Microseconds()))
	text("outcome", e.Outcome)
	text("reason", e.Reason)
	text("error", e.Error)
	text("client_id", e.ClientID)
	text("organisation", e.Organisation)
	text("credential_id", e.CredentialID)
	text("auth_method", e.AuthMethod)
	text("binding", e.Binding)
	text("resource", e.Resource)
	text("token_id", e.TokenID)
	text("cause", e.Cause)
	record := slog.NewRecord(e.Time.Add(e.Duration), level, "request", 0)
	record.AddAttrs(attrs...)
	_ = h.Handle(ctx, record) // the answer is out; there is nobody to tell
}

package client

import (
	"errors"
	"fmt"
	"time"
)

// Faults, for errors.Is.
var (
	// ErrInsecure is a request that would have carried a token over plain HTTP.
	ErrInsecure = errors.New("a token is sent over https only")
	// ErrRedirected is a redirect that would have carried a token to another origin.
	ErrRedirected = errors.New("a token is not sent to the origin that a redirect names")
	// ErrRoots is a file that does not hold the CA certificates that verify servers.
	ErrRoots = errors.New("read CA certificates")
	// ErrAnswer is an answer of the authorization server that cannot be used.
	ErrAnswer = errors.New("unusable answer of the authorization server")
)

// Error is a refusal by the authorization server (RFC 6749 section 5.2).
type Error struct {
	Status      int
	Code        string // such as invalid_client; "" when the answer has none
	Description string
	RetryAfter  time.Duration // zero when the server names none
}

// Error words status, code and description; text of the server is quoted.
func (e *Error) Error() string {
	switch {
	case e.Code == "":
		return fmt.Sprintf("authorization server answers %d", e.Status)
	case e.Description == "":
		return fmt.Sprintf("authorization server answers %d %q", e.Status, e.Code)
	}
	return fmt.Sprintf("authorization server answers %d %q: %q", e.Status, e.Code, e.Description)
}

// outage tells whether err may pass by itself: no answer at all, or 429 or 5xx.
func outage(err error) bool {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Status == 429 || refusal.Status >= 500
	}
	return !errors.Is(err, ErrAnswer)
}

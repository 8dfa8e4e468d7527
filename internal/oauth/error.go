package oauth

import (
	"errors"
	"net/http"
	"time"
)

// Code is a registered OAuth error code.
type Code string

// The codes that this server sends.
const (
	InvalidRequest         Code = "invalid_request"
	InvalidClient          Code = "invalid_client"
	InvalidGrant           Code = "invalid_grant"
	UnauthorizedClient     Code = "unauthorized_client"
	UnsupportedGrantType   Code = "unsupported_grant_type"
	InvalidScope           Code = "invalid_scope"
	InvalidTarget          Code = "invalid_target"         // RFC 8707 section 2
	InvalidDPoPProof       Code = "invalid_dpop_proof"     // RFC 9449 section 5
	UseDPoPNonce           Code = "use_dpop_nonce"         // RFC 9449 section 8
	UnsupportedTokenType   Code = "unsupported_token_type" // RFC 7009 section 2.2.1
	AccessDenied           Code = "access_denied"          // RFC 6749 section 4.1.2.1; 403 here
	InvalidToken           Code = "invalid_token"          // RFC 6750 section 3.1
	TemporarilyUnavailable Code = "temporarily_unavailable"
	ServerError            Code = "server_error"
)

// The codes of RFC 7591 section 3.2.2.
const (
	InvalidRedirectURI          Code = "invalid_redirect_uri"
	InvalidClientMetadata       Code = "invalid_client_metadata"
	InvalidSoftwareStatement    Code = "invalid_software_statement"
	UnapprovedSoftwareStatement Code = "unapproved_software_statement"
)

// Error is a refusal as the protocol words it. Description is written for the
// client and constant; Reason is the precise cause for the event, snake_case
// from a fixed set; Cause is for the log only. Functions return it as error,
// never as *Error.
type Error struct {
	Code        Code
	Status      int
	Description string
	Reason      string
	Nonce       string        // DPoP-Nonce to send
	Challenge   string        // WWW-Authenticate to send
	RetryAfter  time.Duration // with 503 and 429
	Cause       error
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// Refuse makes the error of code with the status that the RFC gives it: 401 for
// invalid_client, 503 for temporarily_unavailable, 500 for server_error, else 400.
func Refuse(code Code, reason, description string, cause error) error {
	status := http.StatusBadRequest
	switch code {
	case InvalidClient:
		status = http.StatusUnauthorized
	case TemporarilyUnavailable:
		status = http.StatusServiceUnavailable
	case ServerError:
		status = http.StatusInternalServerError
	}
	return &Error{Code: code, Status: status, Reason: reason, Description: description, Cause: cause}
}

// AsError finds the *Error in err; ok is false for a bug or an outage.
func AsError(err error) (e *Error, ok bool) {
	ok = errors.As(err, &e)
	return e, ok
}

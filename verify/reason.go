package verify

import "time"

// Reason says precisely why a request was refused. It goes to logs, metrics and
// the console, never over the wire. The texts are stable. A RevocationSource has
// reasons of its own.
type Reason string

// The reasons.
const (
	NoCredential        Reason = "no_credential"
	MultipleCredentials Reason = "multiple_credentials"
	QueryToken          Reason = "query_token" // RFC 6750 section 2.3
	Malformed           Reason = "malformed"   // the header field
	TooLarge            Reason = "too_large"
	TokenMalformed      Reason = "token_malformed"
	AlgRefused          Reason = "alg_refused"
	TypRefused          Reason = "typ_refused"
	UnknownIssuer       Reason = "unknown_issuer"
	UnknownKey          Reason = "unknown_key"
	KeysUnavailable     Reason = "keys_unavailable"
	BadSignature        Reason = "bad_signature"
	Expired             Reason = "expired"
	NotYetValid         Reason = "not_yet_valid"
	WrongAudience       Reason = "wrong_audience"
	TokenTooOld         Reason = "token_too_old"
	RevocationStale     Reason = "revocation_stale"
	NotBound            Reason = "not_bound"
	UnknownConfirmation Reason = "unknown_confirmation"
	WrongBinding        Reason = "wrong_binding" // not the kind that the policy asks for
	WrongScheme         Reason = "wrong_scheme"
	NoClientCert        Reason = "no_client_cert"
	UntrustedEdge       Reason = "untrusted_edge"  // no certificate but a header with one, from nobody we trust
	BindingRotated      Reason = "binding_rotated" // another certificate of the same application
	BindingForeign      Reason = "binding_foreign" // anybody else's: an alarm
	CertExpired         Reason = "cert_expired"
	CertNotYetValid     Reason = "cert_not_yet_valid"
	ProofMissing        Reason = "proof_missing"
	ProofMalformed      Reason = "proof_malformed"
	ProofSignature      Reason = "proof_signature"
	ProofKeyMismatch    Reason = "proof_key_mismatch"
	ProofMethod         Reason = "proof_method"
	ProofURL            Reason = "proof_url"
	ProofTokenHash      Reason = "proof_token_hash"
	ProofTooOld         Reason = "proof_too_old"
	ProofFromFuture     Reason = "proof_from_future"
	ProofReplayed       Reason = "proof_replayed"
	NonceRequired       Reason = "nonce_required"
	ReplayStoreDown     Reason = "replay_store_down"
	InsufficientScope   Reason = "scope"
	Misdirected         Reason = "misdirected" // the host is not the one of the TLS connection
	NoPolicy            Reason = "no_policy"
)

// The error codes of RFC 6750 section 3.1 and RFC 9449 sections 7.1 and 9, and
// one for 503.
const (
	codeInvalidRequest    = "invalid_request"
	codeInvalidToken      = "invalid_token"
	codeInsufficientScope = "insufficient_scope"
	codeInvalidProof      = "invalid_dpop_proof"
	codeUseNonce          = "use_dpop_nonce"
	codeUnavailable       = "temporarily_unavailable"
)

// answer is what the wire says for a reason. A reason that is not listed here is
// one of a RevocationSource.
func (r Reason) answer() (status int, code string) {
	switch r {
	case NoCredential:
		return 401, ""
	case MultipleCredentials, QueryToken, Malformed, TooLarge:
		return 400, codeInvalidRequest
	case InsufficientScope:
		return 403, codeInsufficientScope
	case ProofMissing, ProofMalformed, ProofSignature, ProofKeyMismatch, ProofMethod, ProofURL,
		ProofTokenHash, ProofTooOld, ProofFromFuture, ProofReplayed:
		return 401, codeInvalidProof
	case NonceRequired:
		return 401, codeUseNonce
	case KeysUnavailable, RevocationStale, ReplayStoreDown, NoPolicy:
		return 503, codeUnavailable
	}
	return 401, codeInvalidToken
}

// retryAfter is how soon trying again after a 503 makes sense.
const retryAfter = 10 * time.Second

// Error is a refusal. Verify returns no other error.
type Error struct {
	Reason Reason
	Status int // 400, 401, 403, 421 or 503
	// Code is the protocol's error code, "" when no credential was shown.
	Code string
	// Challenges are the values of the WWW-Authenticate fields, made from the
	// policy and never from the request. Shared: do not change them.
	Challenges []string
	// Nonce is for the DPoP-Nonce field; "" for none.
	Nonce string
	// RetryAfter is above zero with 503.
	RetryAfter time.Duration
	// Token is what the refused token says, once its signature was good; else
	// nil. It is for the log: it grants nothing.
	Token *Token
	// Cause is for the log.
	Cause error
}

// Error is the reason and its cause.
func (e *Error) Error() string {
	s := "refused: " + string(e.Reason)
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

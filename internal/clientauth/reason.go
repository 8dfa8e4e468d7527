package clientauth

// Reasons of a refusal, for the event. The wire says invalid_client or
// invalid_request and no more.
const (
	ReasonTwoMethods       = "authentication_methods_two"
	ReasonHalfPair         = "assertion_pair_incomplete"
	ReasonAssertionType    = "assertion_type_unknown"
	ReasonClientIDMissing  = "client_id_missing"
	ReasonNoCredential     = "authentication_missing"
	ReasonMethodNotOffered = "method_not_offered" // client_secret, Authorization

	ReasonClientUnknown       = "client_unknown"
	ReasonClientNotLive       = "client_not_live" // or its organisation
	ReasonMethodNotRegistered = "method_not_registered"

	ReasonAssertionMissing    = "assertion_missing"
	ReasonAssertionMalformed  = "assertion_malformed"
	ReasonKeyUnknown          = "key_unknown"
	ReasonKeyNotAccepted      = "key_not_accepted"    // its state, or not its time
	ReasonKeySetUnavailable   = "key_set_unavailable" // no keys could be had at the jwks_uri for too long
	ReasonAssertionSignature  = "assertion_signature"
	ReasonAssertionIssuer     = "assertion_issuer"
	ReasonAssertionSubject    = "assertion_subject"
	ReasonAssertionAudience   = "assertion_audience"
	ReasonAssertionExpired    = "assertion_expired"
	ReasonAssertionLifetime   = "assertion_lifetime" // exp too far ahead
	ReasonAssertionFromFuture = "assertion_from_future"
	ReasonAssertionID         = "assertion_jti"
	ReasonAssertionReplayed   = "assertion_replayed" // found by whoever records the use

	ReasonCertificateMissing     = "certificate_missing"
	ReasonCertificateUnusable    = "certificate_unusable" // the peer showed something unreadable
	ReasonCertificateUnknown     = "certificate_unknown"
	ReasonCertificateForeign     = "certificate_foreign" // another application's
	ReasonCertificateNotAccepted = "certificate_not_accepted"
	ReasonCertificateExpired     = "certificate_expired" // or not yet valid
	ReasonCertificateUntrusted   = "certificate_untrusted"
	ReasonCertificateUsage       = "certificate_usage" // not for client authentication
	ReasonCertificateSAN         = "certificate_san"
)

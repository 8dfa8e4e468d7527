package client

// MaxOrigins is maxOrigins, for tests.
const MaxOrigins = maxOrigins

// KeepNonce and CountNonces reach the nonces of a Transport.
func KeepNonce(t *Transport, origin, nonce string) { t.keepNonce(origin, nonce) }

func CountNonces(t *Transport) int { return len(t.nonces) }

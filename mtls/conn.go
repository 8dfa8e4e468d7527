package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
)

type connKey struct{}

// connPeer is what FromState said of the certificate leaf of one connection.
type connPeer struct {
	leaf *x509.Certificate
	peer *Peer
	err  error
}

// WithConn gives a connection's context (http.Server.ConnContext) a place where
// FromRequest keeps the connection's peer, so that its hashes are made once.
func WithConn(ctx context.Context) context.Context {
	return context.WithValue(ctx, connKey{}, new(atomic.Pointer[connPeer]))
}

// FromRequest is FromState for a request whose context may come from WithConn.
// What it kept counts only for the very certificate that state holds. Safe for
// the concurrent requests of an HTTP/2 connection.
func FromRequest(ctx context.Context, state *tls.ConnectionState) (*Peer, error) {
	place, ok := ctx.Value(connKey{}).(*atomic.Pointer[connPeer])
	if !ok || state == nil || !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return FromState(state)
	}
	if kept := place.Load(); kept != nil && kept.leaf == state.PeerCertificates[0] {
		return kept.peer, kept.err
	}
	peer, err := FromState(state)
	place.Store(&connPeer{state.PeerCertificates[0], peer, err})
	return peer, err
}

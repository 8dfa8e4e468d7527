// Package gateway is the reverse proxy before APIs: a request is forwarded once
// its path is unambiguous, a route is found, and package verify has granted it.
// Without a grant nothing is forwarded; the only open paths are the gateway's own
// documents, /.well-known/jwks.json and the RFC 9728 metadata.
//
//	tunnels refused -> host is the connection's -> path -> document or route
//	    -> verify.Grant -> identity headers -> upstream
//
// The upstream learns who calls from Holdfast-* fields and from Holdfast-Grant, a
// JWT of the gateway's own; it never sees the token or the proof.
package gateway

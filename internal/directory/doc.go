// Package directory is who may do what: organisations, applications (OAuth
// clients), the resources they call with the scopes of each, and the credentials
// that prove who calls. Rules live here; a Store keeps the facts; a Snapshot is
// the immutable view that a request decides on.
//
//	created -> published -> active -> retiring -> retired
//	                 \__ suspended   revoked   compromised   expired
//
// RFC 6749 section 2, RFC 7591 section 2, RFC 8705 section 2, RFC 8707.
package directory

// Package jwksuri keeps the keys that applications publish at their jwks_uri
// (RFC 7591 section 2): fetched in the background, at hand when a request needs
// them.
package jwksuri

// Place is where one application publishes its keys.
type Place struct {
	Application string // client_id
	Owner       string // organisation: whose outage is nobody else's
	URI         string
}

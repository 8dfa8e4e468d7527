// Package conformance attacks and uses a running system as its clients do: over
// TLS sockets, with nothing of our own code on their side of the connection but
// the calls that make the sample world. It has no code of its own, only tests.
//
// There is one test for each module of the FAPI 2.0 Security Profile's
// conformance plan for client credentials, run for private_key_jwt and mutual
// TLS as client authentication, each with tokens bound to a certificate and to a
// DPoP key; one for each error table of the endpoints; one for the advisories that
// concern them; and one that walks every route of every listener.
// docs/conformance.md says which sentence of which document each of them shows.
package conformance

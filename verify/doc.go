// Package verify is the resource server's side: it decides whether one request
// may pass, from the facts that a door (package httpmw, a gateway) collected. It
// knows neither net/http nor any other door.
//
// Every request is checked in this order, cheap and unauthenticated first:
//
//	sizes, exactly one credential
//	form, algorithm, typ, issuer        RFC 9068 section 4
//	key (issuer, kid), signature        or a remembered verdict
//	time, audience, age
//	revocation
//	binding                             RFC 8705 section 3, RFC 9449 section 7
//	proof, nonce, single use            RFC 9449 sections 4.3, 9, 11.1
//	scope                               RFC 6750 section 3.1
//
// A remembered verdict is about the signature and what the token says. Time,
// revocation and binding are checked on every request. A proof that fails burns
// no jti.
//
// Unbound tokens do not pass. A token that names two keys in "cnf" must prove
// both; one that names a key of a kind unknown here does not pass.
package verify

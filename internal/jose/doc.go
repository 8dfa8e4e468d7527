// Package jose is strict compact JWS and JWK on the standard library's
// cryptography: ES256, PS256 and EdDSA with Ed25519 (also under its registered
// name, "Ed25519"), and nothing else. There is no HMAC, no JWE, no JSON
// serialisation, no detached or unencoded payload, and no header that fetches.
//
// What it promises: size, number of dots and alphabet are checked before
// anything is parsed; no member occurs twice; "crit" is refused; a key has one
// algorithm and verifies nothing else; base64url has one spelling (no padding,
// no stray bits, no line breaks), so a token's text can be a cache key.
//
// RFC 7515, 7517, 7518, 7638, 8037, 8725 and 9864.
package jose

// Package registration lets applications register themselves, and look after
// their registration: client metadata and its rules, software statements signed
// by this directory, initial access tokens and registration access tokens. It
// decides; internal/as speaks HTTP.
//
// Whoever registers shows an initial access token, a software statement, or both.
// Whoever changes a registration shows its registration access token and proves a
// credential that is active now, so that a stolen token alone changes nothing.
//
// RFC 7591; RFC 7592; RFC 8705 section 2.1.2 and 3.4; RFC 9449 section 5.2.
// docs/design/006-registration.md has the choices.
package registration

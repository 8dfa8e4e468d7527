package jose

import (
	"encoding/base64"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Algorithm is a JWS "alg" value that this package knows.
type Algorithm string

// The algorithms. EdDSA and Ed25519 are two names of one: a key made for one of
// them verifies a signature under either name.
const (
	ES256   Algorithm = "ES256"
	PS256   Algorithm = "PS256"
	EdDSA   Algorithm = "EdDSA"
	Ed25519 Algorithm = "Ed25519"
)

// Faults, for errors.Is. None of them ever quotes the input.
var (
	ErrTooLarge  = errors.New("larger than the limit")
	ErrMalformed = errors.New("not a compact JWS")
	ErrAlgorithm = errors.New("algorithm not allowed")
	ErrCritical  = errors.New("crit is not supported")
	ErrSignature = errors.New("signature does not verify")
	ErrKey       = errors.New("key not acceptable")
)

const (
	maxNesting = 32  // levels of JSON in a header or a JWK
	maxName    = 128 // bytes of a kid or typ
)

// parseAlgorithm is the algorithm of that name, without keeping name alive.
func parseAlgorithm(name string) (Algorithm, bool) {
	switch Algorithm(name) {
	case ES256:
		return ES256, true
	case PS256:
		return PS256, true
	case EdDSA:
		return EdDSA, true
	case Ed25519:
		return Ed25519, true
	}
	return "", false
}

// verifies tells whether a key of algorithm a verifies signatures under b.
func (a Algorithm) verifies(b Algorithm) bool {
	return a == b || a == EdDSA && b == Ed25519 || a == Ed25519 && b == EdDSA
}

// checkName refuses what a kid or typ cannot be. Both end up in logs and in our
// own headers, so control characters are refused too.
func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("a name of %d bytes", len(name))
	}
	if !utf8.ValidString(name) {
		return errors.New("a name that is not UTF-8")
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return errors.New("a name with a control character")
		}
	}
	return nil
}

// base64url is RFC 7515 section 2 with one spelling for each value. It passes
// over line breaks, so what it reads is checked with isBase64URL first.
var base64url = base64.RawURLEncoding.Strict()

// isBase64URL tells whether text holds nothing but the base64url alphabet.
func isBase64URL(text string) bool {
	for i := range len(text) {
		if !inAlphabet[text[i]] {
			return false
		}
	}
	return true
}

var inAlphabet = [256]bool{
	'-': true, '_': true,
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'A': true, 'B': true, 'C': true, 'D': true, 'E': true, 'F': true, 'G': true, 'H': true, 'I': true, 'J': true,
	'K': true, 'L': true, 'M': true, 'N': true, 'O': true, 'P': true, 'Q': true, 'R': true, 'S': true, 'T': true,
	'U': true, 'V': true, 'W': true, 'X': true, 'Y': true, 'Z': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true, 'g': true, 'h': true, 'i': true, 'j': true,
	'k': true, 'l': true, 'm': true, 'n': true, 'o': true, 'p': true, 'q': true, 'r': true, 's': true, 't': true,
	'u': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true,
}

package registration

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// The prefixes tell scanners of logs and repositories what they found.
const (
	initialPrefix      = "hfi_"
	registrationPrefix = "hfr_"
	secretText         = 43 // 256 bits in base64url
)

// Hash is SHA-256 of a token; the token itself is stored nowhere.
type Hash [sha256.Size]byte

// newSecret is a token of 256 random bits and its hash.
func newSecret(prefix string) (secret string, hash Hash) {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never fails
	secret = prefix + base64.RawURLEncoding.EncodeToString(bits[:])
	return secret, sha256.Sum256([]byte(secret))
}

// hashOf is the hash of a token that was presented; ok is false for what cannot
// be one with this prefix.
func hashOf(prefix, presented string) (hash Hash, ok bool) {
	if len(presented) != len(prefix)+secretText || !strings.HasPrefix(presented, prefix) {
		return Hash{}, false
	}
	return sha256.Sum256([]byte(presented)), true
}

func (h Hash) equal(other Hash) bool { return subtle.ConstantTimeCompare(h[:], other[:]) == 1 }

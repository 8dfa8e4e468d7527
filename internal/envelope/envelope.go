// Package envelope keeps secrets at rest: AES-256-GCM under a key-encryption
// key, with the name of what is sealed as additional data, so that one sealed
// value cannot stand in for another.
//
//	sealed = version (1 byte) || key id (8) || nonce (12) || ciphertext and tag
//
// NIST SP 800-38D; nonces are random, which bounds one key to 2^32 values.
package envelope

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

// ErrOpen is a sealed value that does not open: another key-encryption key,
// another name, or a changed value. It does not say which.
var ErrOpen = errors.New("sealed value does not open with this key-encryption key")

var errNoKey = errors.New("no key-encryption key")

const (
	version    = 1
	keySize    = 32
	idSize     = 8
	nonceSize  = 12
	headerSize = 1 + idSize + nonceSize
)

// Key is a key-encryption key. It prints as "[redacted]". Its zero value seals
// and opens nothing.
type Key struct {
	aead cipher.AEAD  // behind an interface, so that no printing by reflection reaches the key
	id   [idSize]byte // the first bytes of the key's SHA-256
	// derive makes other secrets of the key; a function for the same reason.
	derive func(purpose string) [32]byte
}

func newKey(secret []byte) (*Key, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(secret)
	k := &Key{aead: aead, id: [idSize]byte(digest[:idSize])}
	secret = bytes.Clone(secret)
	k.derive = func(purpose string) [32]byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte("holdfast derived secret\x00" + purpose))
		return [32]byte(mac.Sum(nil))
	}
	return k, nil
}

// Derive makes a secret for one purpose: the same on every node that has this
// key, and after a restart; none tells of another or of the key (HMAC-SHA-256 as
// the expansion of NIST SP 800-108). The zero Key panics.
func (k *Key) Derive(purpose string) [32]byte { return k.derive(purpose) }

// Seal encrypts plaintext under name.
func (k *Key) Seal(name string, plaintext []byte) ([]byte, error) {
	if k == nil || k.aead == nil {
		return nil, errNoKey
	}
	sealed := make([]byte, headerSize, headerSize+len(plaintext)+k.aead.Overhead())
	sealed[0] = version
	copy(sealed[1:], k.id[:])
	nonce := sealed[1+idSize:]
	rand.Read(nonce)
	return k.aead.Seal(sealed, nonce, plaintext, []byte(name)), nil
}

// Open decrypts what Seal made under the same name.
func (k *Key) Open(name string, sealed []byte) ([]byte, error) {
	if k == nil || k.aead == nil {
		return nil, errNoKey
	}
	if len(sealed) < headerSize || sealed[0] != version || [idSize]byte(sealed[1:]) != k.id {
		return nil, ErrOpen
	}
	plaintext, err := k.aead.Open(nil, sealed[1+idSize:headerSize], sealed[headerSize:], []byte(name))
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// Package envelope keeps secrets at rest: AES-256-GCM under a key-encryption
// key, with the name of what is sealed as additional data, so that one sealed
// value cannot stand in for another.
package envelope

import "errors"

// ErrOpen is a sealed value that does not open: another key-encryption key,
// another name, or a changed value. It does not say which.
var ErrOpen = errors.New("sealed value does not open with this key-encryption key")

// Key is a key-encryption key. It prints as "[redacted]".
type Key struct{}

// LoadKeyFile reads a key-encryption key from a file of mode 0600 (others are
// refused): 64 hexadecimal characters and a line end.
func LoadKeyFile(path string) (*Key, error) { panic("not written") }

// CreateKeyFile makes a new key from crypto/rand and writes it, mode 0600,
// fsynced; it refuses to replace a file.
func CreateKeyFile(path string) (*Key, error) { panic("not written") }

// Seal encrypts plaintext under name.
func (k *Key) Seal(name string, plaintext []byte) ([]byte, error) { panic("not written") }

// Open decrypts what Seal made under the same name.
func (k *Key) Open(name string, sealed []byte) ([]byte, error) { panic("not written") }

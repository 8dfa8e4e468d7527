package jwksuri

import (
	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// maxKeys is the most that one set may have.
const maxKeys = 100

// Set is the keys of one application. It is immutable.
type Set struct{ keys []Key }

// Key is one of them.
type Key struct {
	*jose.PublicKey
	// Certificate is the x5t#S256 of the first certificate in "x5c"; zero without one.
	Certificate cnf.Thumbprint
}

// Parse reads a key set (RFC 7517 section 5). A key of a kind or use that does
// not sign is passed over; a private or symmetric key, a weak one, one kid twice,
// a certificate of another key and more than 100 keys refuse the set. No error
// quotes what was read.
func Parse(body []byte) (*Set, error) {
	keys, err := jose.ParseClientKeySet(body, maxKeys)
	if err != nil {
		return nil, err
	}
	s := &Set{keys: make([]Key, len(keys))}
	for i, k := range keys {
		s.keys[i].PublicKey = k.PublicKey
		if k.Certificate != nil {
			s.keys[i].Certificate = cnf.CertificateThumbprint(k.Certificate)
		}
	}
	return s, nil
}

// ByID finds the key with this kid; nil if none.
func (s *Set) ByID(kid string) *Key {
	if s == nil {
		return nil
	}
	for i := range s.keys {
		if s.keys[i].KeyID() == kid {
			return &s.keys[i]
		}
	}
	return nil
}

// Of finds the key that a certificate is registered by (RFC 8705 section 2.2):
// the certificate's own key, by its RFC 7638 thumbprint, and where the key came
// with a certificate, that very certificate. Nil if none.
func (s *Set) Of(key, certificate cnf.Thumbprint) *Key {
	if s == nil {
		return nil
	}
	for i := range s.keys {
		k := &s.keys[i]
		if k.Thumbprint() == key && (k.Certificate == cnf.Thumbprint{} || k.Certificate == certificate) {
			return k
		}
	}
	return nil
}

// All are the keys in the order of the set. The list must not be changed.
func (s *Set) All() []Key {
	if s == nil {
		return nil
	}
	return s.keys
}

package directory

import (
	"crypto"
	"crypto/x509"
)

// EndedKey tells whether a credential of the application that was revoked or
// compromised has this public key: somebody else may hold it, so that no new
// credential is made of it.
func (c *Client) EndedKey(key crypto.PublicKey) bool {
	same, ok := key.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return false
	}
	for _, k := range c.Credentials {
		if k.State != Revoked && k.State != Compromised {
			continue
		}
		switch {
		case k.Key != nil:
			if same.Equal(k.Key.Crypto()) {
				return true
			}
		case len(k.Certificate) > 0:
			if certificate, err := x509.ParseCertificate(k.Certificate); err == nil && same.Equal(certificate.PublicKey) {
				return true
			}
		}
	}
	return false
}

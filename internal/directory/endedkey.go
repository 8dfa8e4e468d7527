package directory

import (
	"crypto"
	"crypto/x509"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// EndedKey tells whether the application had this public key, in whatever shape,
// and it was revoked or compromised: somebody else may hold it, so that it comes
// back in no other shape. It is asked of this application alone: whoever
// registered another's public key could end it otherwise.
func (c *Client) EndedKey(key crypto.PublicKey) bool {
	public, err := jose.NewPublicKey(key, "", "")
	return err == nil && c.EndedThumbprint(public.Thumbprint())
}

// EndedThumbprint is EndedKey for an RFC 7638 thumbprint, and the same for a
// certificate by its x5t#S256.
func (c *Client) EndedThumbprint(t cnf.Thumbprint) bool {
	_, ok := c.ended[t]
	return ok
}

// end takes note of what a revoked or compromised credential was. Both are final,
// so nothing is ever taken out.
func (c *Client) end(k *Credential) {
	if k.State != Revoked && k.State != Compromised {
		return
	}
	for _, t := range k.Thumbprints() {
		if c.ended[t] == Compromised {
			continue // the graver of the two
		}
		if c.ended == nil {
			c.ended = map[cnf.Thumbprint]State{}
		}
		c.ended[t] = k.State
	}
}

// Thumbprints are all that the credential is known by: of its key (RFC 7638), of its
// certificate (x5t#S256), and of the key in that. Some may be there twice.
func (c *Credential) Thumbprints() []cnf.Thumbprint {
	all := []cnf.Thumbprint{c.Thumbprint}
	if c.Key != nil {
		all = append(all, c.Key.Thumbprint())
	}
	if len(c.Certificate) == 0 {
		return all
	}
	all = append(all, cnf.CertificateThumbprint(c.Certificate))
	certificate, err := x509.ParseCertificate(c.Certificate)
	if err != nil {
		return all
	}
	key, err := jose.NewPublicKey(certificate.PublicKey, "", "")
	if err != nil { // of a kind that nobody can register
		return all
	}
	return append(all, key.Thumbprint())
}

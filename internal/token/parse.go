package token

import (
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// claimsDepth is the deepest that claims nest: cnf in the object.
const claimsDepth = 4

// Parse verifies a token that this server issued (signature, typ, issuer, every
// claim that Mint writes); it does not look at exp or revocation. Whatever fails
// is ErrForeign.
func (k *SigningKeys) Parse(issuer, raw string) (*Claims, error) {
	m, err := jose.Parse(raw, MaxSize)
	if err != nil {
		return nil, foreign("parse", err)
	}
	if err := m.Verify(k.published(m.Header.KeyID)); err != nil {
		return nil, foreign("verify", err)
	}
	if m.Header.Type != Type {
		return nil, foreign("typ", jose.ErrMalformed)
	}
	c, err := parseClaims(m.Payload)
	if err != nil {
		return nil, foreign("claims", err)
	}
	if c.Issuer != issuer {
		return nil, foreign("iss", jose.ErrMalformed)
	}
	c.KeyID = m.Header.KeyID
	return c, nil
}

func foreign(at string, cause error) error {
	return fmt.Errorf("%w: %s: %w", ErrForeign, at, cause)
}

// published finds the key with this kid; nil, which verifies nothing, if none.
func (k *SigningKeys) published(kid string) *jose.PublicKey {
	for _, key := range k.Published {
		if key.KeyID() == kid {
			return key
		}
	}
	return nil
}

// parseClaims demands each claim that Mint writes, with its type. Other claims
// are ignored (RFC 9068 section 2.2).
func parseClaims(payload []byte) (*Claims, error) {
	var (
		c        Claims
		subject  string
		iat, exp int64
		binding  cnf.Confirmation
	)
	err := strictjson.Members(payload, claimsDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "iss":
			c.Issuer, err = v.Text()
		case "aud":
			c.Audience, err = v.Text()
		case "sub":
			subject, err = v.Text()
		case "client_id":
			c.ClientID, err = v.Text()
		case "organisation":
			c.Organisation, err = v.Text()
		case "scope":
			c.Scope, err = v.Text()
		case "jti":
			c.ID, err = v.Text()
		case "credential_id":
			c.CredentialID, err = v.Text()
		case "iat":
			iat, err = v.Integer()
		case "exp":
			exp, err = v.Integer()
		case "cnf":
			binding, err = cnf.ParseConfirmation(v)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	switch {
	case c.Audience == "", c.ClientID == "", c.Organisation == "", c.Scope == "",
		c.ID == "", c.CredentialID == "", iat <= 0, exp <= iat, subject != c.ClientID:
		return nil, jose.ErrMalformed
	case binding.HasKey == binding.HasCertificate: // none, or both, which Mint never writes
		return nil, ErrUnbound
	case binding.HasKey:
		c.Binding = cnf.ToKey(binding.Key)
	default:
		c.Binding = cnf.ToCertificate(binding.Certificate)
	}
	c.IssuedAt, c.Expires = time.Unix(iat, 0).UTC(), time.Unix(exp, 0).UTC()
	return &c, nil
}

package token

import (
	"strconv"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// Mint makes the JWT, typ at+jwt. It refuses a zero binding with ErrUnbound, and
// answers ErrNoKey when there is no current key.
func (k *SigningKeys) Mint(c Claims) (string, error) {
	if c.Binding.IsZero() {
		return "", ErrUnbound
	}
	if k.Current == nil {
		return "", ErrNoKey
	}
	header := k.header
	if header == "" { // a set that was written as a literal
		header = k.Current.Header(Type, false)
	}
	return k.Current.Sign(header, appendClaims(make([]byte, 0, 640), &c))
}

// appendClaims writes the claims in the order of RFC 9068 section 2.2.
func appendClaims(b []byte, c *Claims) []byte {
	b = append(b, `{"iss":`...)
	b = strictjson.AppendText(b, c.Issuer)
	b = append(b, `,"exp":`...)
	b = strconv.AppendInt(b, c.Expires.Unix(), 10)
	b = append(b, `,"aud":`...)
	b = strictjson.AppendText(b, c.Audience)
	b = append(b, `,"sub":`...)
	b = strictjson.AppendText(b, c.ClientID)
	b = append(b, `,"client_id":`...)
	b = strictjson.AppendText(b, c.ClientID)
	b = append(b, `,"iat":`...)
	b = strconv.AppendInt(b, c.IssuedAt.Unix(), 10)
	b = append(b, `,"jti":`...)
	b = strictjson.AppendText(b, c.ID)
	b = append(b, `,"scope":`...)
	b = strictjson.AppendText(b, c.Scope)
	b = append(b, `,"organisation":`...)
	b = strictjson.AppendText(b, c.Organisation)
	b = append(b, `,"credential_id":`...)
	b = strictjson.AppendText(b, c.CredentialID)
	b = append(b, `,"cnf":`...)
	b = c.Binding.AppendJSON(b)
	return append(b, '}')
}

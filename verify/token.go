package verify

import (
	"errors"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// Token is what an access token says (RFC 9068 section 2.2). Its signature was
// good; whether it grants anything is another question. Do not change it: it is
// shared between requests.
type Token struct {
	Issuer       string
	ID           string // jti
	KeyID        string // kid of the key that signed it, "" when it has none
	Subject      string
	ClientID     string
	Organisation string // "" when the issuer has none
	CredentialID string // the credential that authenticated; "" when the issuer names none
	Audience     []string
	Scope        string // as it stood, separated by spaces
	Scopes       []string
	Confirmation cnf.Confirmation
	IssuedAt     time.Time
	NotBefore    time.Time // zero when absent
	Expires      time.Time
}

// Binding is the key or certificate that the token is bound to; the key if both.
func (t *Token) Binding() cnf.Binding {
	switch {
	case t.Confirmation.HasKey:
		return cnf.ToKey(t.Confirmation.Key)
	case t.Confirmation.HasCertificate:
		return cnf.ToCertificate(t.Confirmation.Certificate)
	}
	return cnf.Binding{}
}

// Grant is a token that passed every check of a policy, for one request.
type Grant struct {
	*Token
	// TokenHash is the SHA-256 of the access token's text.
	TokenHash [32]byte
	// Nonce is for the DPoP-Nonce field of the answer; "" for none.
	Nonce string
}

// maxTime is the end of the year 9999: numbers beyond it are not times.
const maxTime = 253402300799

var (
	errClaims = errors.New("claims are not those of an access token")
	errText   = errors.New("claim holds characters that it may not hold")
)

// parseToken reads the claims. faultyCnf tells of a "cnf" that cannot be
// checked, which the binding is refused for in its turn.
func parseToken(payload []byte) (t *Token, faultyCnf bool, err error) {
	t = new(Token)
	var iat, nbf, exp int64
	hasNotBefore := false
	err = strictjson.Members(payload, maxClaimsDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "iss":
			t.Issuer, err = v.Text()
		case "jti":
			t.ID, err = v.Text()
		case "sub":
			t.Subject, err = v.Text()
		case "client_id":
			t.ClientID, err = v.Text()
		case "organisation":
			t.Organisation, err = v.Text()
		case "credential_id":
			t.CredentialID, err = v.Text()
		case "scope":
			t.Scope, err = v.Text()
		case "aud":
			t.Audience, err = audience(v)
		case "iat":
			iat, err = seconds(v)
		case "nbf":
			nbf, err = seconds(v)
			hasNotBefore = true
		case "exp":
			exp, err = seconds(v)
		case "cnf":
			t.Confirmation, err = cnf.ParseConfirmation(v)
			faultyCnf, err = err != nil, nil
		}
		return err
	})
	switch {
	case err != nil:
		return nil, false, err
	case t.Issuer == "", t.ID == "", t.Subject == "", t.ClientID == "", len(t.Audience) == 0, iat == 0, exp == 0:
		return nil, false, errClaims
	case !printable(t.ID), !printable(t.ClientID), !printable(t.Organisation), !printable(t.CredentialID), !quotable(t.Scope):
		return nil, false, errText
	}
	t.Scopes = strings.Fields(t.Scope)
	t.IssuedAt, t.Expires = time.Unix(iat, 0).UTC(), time.Unix(exp, 0).UTC()
	if hasNotBefore {
		t.NotBefore = time.Unix(nbf, 0).UTC()
	}
	return t, faultyCnf, nil
}

// audience is a string or an array of strings (RFC 7519 section 4.1.3).
func audience(v strictjson.Value) ([]string, error) {
	if v.IsArray() {
		return v.Texts()
	}
	one, err := v.Text()
	return []string{one}, err
}

// seconds is a NumericDate without fraction, after 1970.
func seconds(v strictjson.Value) (int64, error) {
	n, err := v.Integer() // 0 with an error
	if n <= 0 || n > maxTime {
		return 0, errClaims
	}
	return n, err
}

// printable tells whether s may stand in a header field and in a log.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

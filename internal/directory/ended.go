package directory

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
)

// Token is what the snapshot needs to know of a token to say whether it ended.
type Token struct {
	ID           string
	KeyID        string // of the key that signed it
	Audience     string // the resource; "" is not looked at
	ClientID     ClientID
	CredentialID CredentialID
	Binding      cnf.Binding
	IssuedAt     time.Time // a whole second
}

// Ended tells why a token that was good when issued is good no more; "" when it
// is still good. It lives only if it was issued after the last revocation at every
// level that it belongs to; what ends at one level is not lifted at another. A
// credential named in the token or bound to in cnf counts.
//
// The reasons are token_revoked; signing_key_revoked; application_unknown;
// application_ and organisation_ with suspended or revoked; resource_ with
// suspended or revoked; credential_unknown; credential_ with the state that is not
// accepted; application_, organisation_, resource_ and credential_ with tokens_revoked.
func (s *Snapshot) Ended(t Token) string {
	if _, ok := s.revoked.get(tokenKey{t.ClientID, t.ID}); ok {
		return "token_revoked"
	}
	if s.RevokedKey(t.KeyID) {
		return "signing_key_revoked"
	}
	client := s.Client(t.ClientID)
	if client == nil {
		return "application_unknown"
	}
	if !client.Live {
		return s.notLive(client)
	}
	if t.IssuedAt.Before(client.TokensAfter) {
		if t.IssuedAt.Before(client.Application.TokensAfter) {
			return "application_tokens_revoked"
		}
		return "organisation_tokens_revoked"
	}
	if r := s.Resource(t.Audience); r != nil {
		switch {
		case r.State != Active:
			return "resource_" + string(r.State)
		case t.IssuedAt.Before(r.TokensAfter):
			return "resource_tokens_revoked"
		}
	}
	if t.CredentialID != "" {
		c := s.Credential(t.CredentialID)
		if c == nil && !unregistered(t.CredentialID) || c != nil && c.ClientID != t.ClientID {
			return "credential_unknown"
		}
		if reason := t.endedBy(c); reason != "" {
			return reason
		}
	}
	return s.bindingEnded(t)
}

// endedBy tells how the credential ends the token; a nil one does not.
func (t *Token) endedBy(c *Credential) string {
	switch {
	case c == nil:
	case !c.State.Accepted():
		return notAccepted(c.State)
	case t.IssuedAt.Before(c.TokensAfter):
		return "credential_tokens_revoked"
	}
	return ""
}

// bindingEnded looks at what the token is bound to, as its own application has it:
// what others registered under the same thumbprint does not count. A DPoP key needs
// no registration, so one that is not known is good, unless the application had the
// key in another shape and it ended.
func (s *Snapshot) bindingEnded(t Token) string {
	if t.Binding.IsZero() {
		return ""
	}
	thumbprint := t.Binding.Thumbprint()
	if reason := t.endedBy(s.Registered(t.ClientID, thumbprint)); reason != "" {
		return reason
	}
	named, _ := s.unregistered.get(clientKey{t.ClientID, thumbprint})
	if reason := t.endedBy(named); reason != "" {
		return reason
	}
	if state, ok := s.Client(t.ClientID).ended[thumbprint]; ok {
		return notAccepted(state)
	}
	return ""
}

// TokensAfter is the second from which tokens for the resource ("" is not looked
// at) that this client gets by that credential, bound so, have not been ended by an
// earlier revocation.
func (s *Snapshot) TokensAfter(client *Client, by *Credential, b cnf.Binding, resource string) time.Time {
	after := client.TokensAfter
	if r := s.Resource(resource); r != nil && r.TokensAfter.After(after) {
		after = r.TokensAfter
	}
	named, _ := s.unregistered.get(clientKey{client.ClientID, b.Thumbprint()})
	for _, c := range [...]*Credential{by, s.Registered(client.ClientID, b.Thumbprint()), named} {
		if c != nil && c.TokensAfter.After(after) {
			after = c.TokensAfter
		}
	}
	return after
}

func (s *Snapshot) notLive(c *Client) string {
	switch c.State {
	case Suspended:
		return "application_suspended"
	case Active:
		o := s.Organisation(c.Organisation)
		switch {
		case o == nil:
			return "organisation_unknown"
		case o.State == Suspended:
			return "organisation_suspended"
		}
		return "organisation_revoked"
	}
	return "application_revoked"
}

func notAccepted(s State) string {
	switch s {
	case Created:
		return "credential_created"
	case Retired:
		return "credential_retired"
	case Suspended:
		return "credential_suspended"
	case Compromised:
		return "credential_compromised"
	case Expired:
		return "credential_expired"
	}
	return "credential_revoked"
}

// The ids of credentials that need no registration: a digest of the application
// and the thumbprint, so that one application says nothing of another's.
const (
	prefixCertificate = "x5t-"
	prefixKey         = "jkt-"
	digestText        = 43 // SHA-256 in base64url
)

// UnregisteredCertificate is the id of a certificate of a trust anchor by its x5t#S256.
func UnregisteredCertificate(client ClientID, t cnf.Thumbprint) CredentialID {
	return unregisteredID(prefixCertificate, client, t)
}

// UnregisteredKey is the id of a key at a jwks_uri by its RFC 7638 thumbprint.
func UnregisteredKey(client ClientID, t cnf.Thumbprint) CredentialID {
	return unregisteredID(prefixKey, client, t)
}

func unregisteredID(prefix string, client ClientID, t cnf.Thumbprint) CredentialID {
	b := append(append(make([]byte, 0, maxID+1+len(t)), client...), 0)
	return CredentialID(prefix + cnf.Thumbprint(sha256.Sum256(append(b, t[:]...))).String())
}

// unregistered tells whether an id has this form, so that no record need exist.
func unregistered(id CredentialID) bool {
	text := string(id)
	return len(text) == len(prefixKey)+digestText && (strings.HasPrefix(text, prefixCertificate) || strings.HasPrefix(text, prefixKey))
}

package directory

import "github.com/holdfast-auth/holdfast/cnf"

// Token is what the snapshot needs to know of a token to say whether it ended.
type Token struct {
	ID           string
	ClientID     ClientID
	CredentialID CredentialID
	Binding      cnf.Binding
}

// Ended tells why a token that was good when issued is good no more; "" when it
// is still good. A credential named in the token or bound to in cnf counts. The
// reasons are token_revoked; application_unknown; application_ and organisation_
// with suspended or revoked; credential_unknown; and credential_ with the state
// that is not accepted.
func (s *Snapshot) Ended(t Token) string {
	if _, ok := s.revoked.get(t.ID); ok {
		return "token_revoked"
	}
	client := s.Client(t.ClientID)
	if client == nil {
		return "application_unknown"
	}
	if !client.Live {
		return s.notLive(client)
	}
	if t.CredentialID != "" {
		c := s.Credential(t.CredentialID)
		if c == nil || c.ClientID != t.ClientID {
			return "credential_unknown"
		}
		if !c.State.Accepted() {
			return notAccepted(c.State)
		}
	}
	return s.bindingEnded(t)
}

// bindingEnded looks at what the token is bound to. A DPoP key needs no
// registration, so one that is not known is good.
func (s *Snapshot) bindingEnded(t Token) string {
	if t.Binding.IsZero() {
		return ""
	}
	thumbprint := t.Binding.Thumbprint()
	if c := s.CredentialByThumbprint(thumbprint); c != nil && !c.State.Accepted() {
		return notAccepted(c.State)
	}
	if c, ok := s.dpopKeys.get(clientKey{t.ClientID, thumbprint}); ok && !c.State.Accepted() {
		return notAccepted(c.State)
	}
	return ""
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

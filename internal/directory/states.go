package directory

import (
	"fmt"
	"slices"
	"time"
)

// credentialMoves is every step of a credential's life. Retired, revoked and
// compromised are final.
var credentialMoves = map[State][]State{
	Created:   {Published, Retired, Revoked, Compromised, Expired},
	Published: {Active, Retired, Suspended, Revoked, Compromised, Expired},
	Active:    {Retiring, Retired, Suspended, Revoked, Compromised, Expired},
	Retiring:  {Retired, Suspended, Revoked, Compromised, Expired},
	Suspended: {Active, Retired, Revoked, Compromised, Expired},
	Expired:   {Retired, Revoked, Compromised},
}

// ownerMoves is the life of organisations and applications. Revoked is final.
var ownerMoves = map[State][]State{
	Active:    {Suspended, Revoked},
	Suspended: {Active, Revoked},
}

// anchorMoves is the life of a trust anchor: replaced with overlap, it is retiring
// while both are trusted.
var anchorMoves = map[State][]State{
	Active:    {Retiring, Retired, Suspended, Revoked, Compromised},
	Retiring:  {Active, Retired, Suspended, Revoked, Compromised},
	Suspended: {Active, Retired, Revoked, Compromised},
	Retired:   {Revoked, Compromised},
}

// verbs name a step in the audit trail.
var verbs = map[State]string{
	Published: "published", Active: "activated", Retiring: "retirement_started", Retired: "retired",
	Suspended: "suspended", Revoked: "revoked", Compromised: "compromised", Expired: "expired",
}

func action(noun string, from, to State) string {
	if from == Suspended && to == Active {
		return noun + ".resumed"
	}
	return noun + "." + verbs[to]
}

// checkMove allows what the table has.
func checkMove(moves map[State][]State, from, to State) error {
	if !slices.Contains(moves[from], to) {
		return fmt.Errorf("from %s to %s: %w", from, to, ErrState)
	}
	return nil
}

// checkCredentialMove adds what the table cannot say: expiry takes its date, and
// no step but suspension, revocation and compromise, which somebody asks for by
// name, takes the last usable credential of its kind or lets it be the last.
func checkCredentialMove(c *Credential, of *Client, to State, now time.Time) error {
	if err := checkMove(credentialMoves, c.State, to); err != nil {
		return fmt.Errorf("credential %s: %w", c.ID, err)
	}
	switch to {
	case Expired:
		if c.NotAfter.IsZero() || now.Before(c.NotAfter) {
			return fmt.Errorf("credential %s has not expired: %w", c.ID, ErrState)
		}
	case Retiring, Retired:
		if c.UsableAt(now) && !slices.ContainsFunc(of.Credentials, func(other *Credential) bool {
			return other.ID != c.ID && other.Kind == c.Kind && other.State != Retiring && other.UsableAt(now)
		}) {
			return fmt.Errorf("credential %s is the last that application %s can use: %w", c.ID, of.ClientID, ErrState)
		}
	}
	return nil
}

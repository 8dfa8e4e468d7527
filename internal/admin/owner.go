package admin

import (
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// errLastOwner is a change after which nobody could administer this installation.
var errLastOwner = fmt.Errorf("the last owner cannot be removed: %w", directory.ErrState)

// keepOwner refuses a move, to a state in which it is not accepted, of the
// application or, when credential is not "", of that credential of it, if it is
// the last one that opens this API.
func (a *api) keepOwner(caller Caller, to directory.State, application directory.ClientID, credential directory.CredentialID) directory.Guard {
	return func(s *directory.Snapshot, now time.Time) error {
		c := s.Client(application)
		if to.Accepted() || c == nil || c.Organisation != a.OperatorOrganisation {
			return nil
		}
		for other := range s.Clients() {
			if other.Organisation != a.OperatorOrganisation || !other.Live || !opens(other, caller.Resource) {
				continue
			}
			if credential == "" && other.ClientID == application {
				continue
			}
			for _, k := range other.Credentials {
				if k.ID != credential && lasts(other, k) && k.UsableAt(now) {
					return nil
				}
			}
		}
		return errLastOwner
	}
}

// lasts tells whether c authenticates with k, and without an end by itself: a
// certificate ends, and a key with not_after does.
func lasts(c *directory.Client, k *directory.Credential) bool {
	return c.AuthMethod == directory.PrivateKeyJWT && k.Kind == directory.SigningKey && k.NotAfter.IsZero()
}

// opens tells whether the application may ask for tokens for the resource.
func opens(c *directory.Client, resource string) bool {
	for _, g := range c.Grants {
		if g.Resource == resource {
			return true
		}
	}
	return false
}

package registration

import (
	"context"
	"strings"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// CheckOwned refuses a tls_client_auth name that the organisation does not own: the
// rule of its registrations, for whoever gives names on its behalf.
func (s *Service) CheckOwned(ctx context.Context, o directory.OrganisationID, n directory.TLSName) error {
	owned, err := s.names(ctx, o)
	if err != nil {
		return err
	}
	return checkOwned(owned, n)
}

func checkOwned(owned []string, n directory.TLSName) error {
	member := "tls_client_auth_san_" + string(n.Kind)
	if n.Kind == directory.NameURI && !strings.HasPrefix(n.Value, "https://") && !strings.HasPrefix(n.Value, "spiffe://") {
		return invalid(member, "must begin with https:// or spiffe://")
	}
	if !owns(owned, n) {
		return invalid(member, "is not owned by the organisation")
	}
	return nil
}

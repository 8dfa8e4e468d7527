package server

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/jwksuri"
	"github.com/holdfast-auth/holdfast/internal/outbound"
)

// openKeySets makes the source of the keys that applications publish, and tells
// the directory where they may. One policy decides at registration and at every call.
func (s *Server) openKeySets() error {
	policy := outbound.Policy{Allow: s.cfg.JWKSURI.Networks()}
	s.directory.Outbound = policy
	roots, err := client.Roots(s.cfg.JWKSURI.CAFile)
	if err != nil {
		return fmt.Errorf("jwks_uri.ca_file: %w", err)
	}
	s.keySets, err = jwksuri.New(jwksuri.Config{
		Dialer: &outbound.Dialer{Policy: policy}, Roots: roots, Now: s.process.Now, Log: s.process.Log,
	})
	return err
}

// followEvery bounds how often all applications are looked through.
const followEvery = time.Second

// followKeySets has the keys fetched of the applications that there are.
func (s *Server) followKeySets(ctx context.Context) error {
	for {
		seen := s.directory.Current()
		s.keySets.Keep(func(yield func(jwksuri.Place) bool) {
			for c := range seen.Clients() {
				if c.Live && c.JWKSURI != "" && !yield(clientauth.PlaceOf(c)) {
					return
				}
			}
		})
		select {
		case <-ctx.Done():
			return nil
		case <-s.directory.Changed(seen):
		}
		rest := time.NewTimer(followEvery) // changes come in crowds
		select {
		case <-ctx.Done():
			rest.Stop()
			return nil
		case <-rest.C:
		}
	}
}

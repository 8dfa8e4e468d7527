package server

import (
	"context"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

// listPatience is how long the listing of keys waits for the database.
const listPatience = 2 * time.Second

// listSigningKeys is what the admin API shows of the keys that sign access tokens
// and software statements.
func (s *Server) listSigningKeys() []admin.SigningKey {
	now, snapshot := s.process.Now(), s.directory.Current()
	var all []admin.SigningKey
	for _, k := range s.keys.All() {
		if snapshot.RevokedKey(k.KeyID) {
			continue
		}
		from, until := k.NotBefore, k.NotAfter
		all = append(all, admin.SigningKey{KeyID: k.KeyID, Purpose: string(keyring.TokenSigning), Algorithm: k.Algorithm, State: stateOf(now, from, until), NotBefore: &from, NotAfter: &until})
	}
	ctx, cancel := context.WithTimeout(context.Background(), listPatience)
	defer cancel()
	statements, err := s.registrar.Keys.All(ctx)
	if err != nil {
		s.process.Log.Error("list the keys of software statements", "cause", err.Error())
	}
	for _, k := range statements {
		if snapshot.RevokedKey(k.KeyID) {
			continue
		}
		from, until := k.NotBefore, k.NotAfter
		all = append(all, admin.SigningKey{KeyID: k.KeyID, Purpose: string(keyring.SoftwareStatement), Algorithm: k.Algorithm, State: stateOf(now, from, until), NotBefore: &from, NotAfter: &until})
	}
	for kid := range snapshot.RevokedKeyIDs() {
		all = append(all, admin.SigningKey{KeyID: kid, State: string(directory.Revoked)})
	}
	return all
}

func stateOf(now, from, until time.Time) string {
	switch {
	case now.Before(from):
		return string(directory.Published)
	case now.Before(until):
		return string(directory.Active)
	}
	return string(directory.Retired)
}

// readToken reads an access token of ours for whoever revokes it; nil for any other text.
func (s *Server) readToken(text string) *admin.Token {
	c, err := s.signingKeys().Parse(s.cfg.Issuer, text)
	if err != nil {
		return nil
	}
	return &admin.Token{ID: c.ID, ClientID: directory.ClientID(c.ClientID), Expires: c.Expires}
}

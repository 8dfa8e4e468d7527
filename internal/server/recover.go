package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// Recovery is the replacement of a lost last owner.
type Recovery struct {
	// ClientID of the owner that gets a new key; "" for the only one, or for a new
	// one where there is none.
	ClientID string
	Key      *jose.PublicKey // the new one
	Now      func() time.Time
}

// Recovered is the owner, and what it had before.
type Recovered struct {
	ClientID string
	Revoked  []string // credential_ids
	Profile  Profile  // without key
}

// Recover gives an owner a new key at the database itself, which whoever has the
// key-encryption key may do: it must open what lies there. It is audited.
func Recover(ctx context.Context, cfg *config.Serve, r Recovery) (out Recovered, err error) {
	s, err := open(ctx, cfg, Process{Now: r.Now, Log: slog.New(slog.DiscardHandler)}, store.Options{Now: r.Now})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	id, revoked, err := s.directory.RecoverOwner(ctx, "system", s.operator, AdminResource(cfg.Issuer), directory.ClientID(r.ClientID), r.Key)
	if err != nil {
		return out, err
	}
	for _, k := range revoked {
		out.Revoked = append(out.Revoked, string(k))
	}
	out.ClientID = string(id)
	out.Profile = Profile{
		Issuer: cfg.Issuer, AdminURL: cfg.AdminURL, ClientID: out.ClientID, Scope: AdminScope, Resource: AdminResource(cfg.Issuer),
	}
	return out, nil
}

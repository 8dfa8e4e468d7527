package server

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-auth/holdfast/internal/checkpoint"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// lastWords bounds what a server still writes at its end.
const lastWords = 5 * time.Second

// CheckpointKeysPath is where the keys of an issuer's checkpoints are, below it.
const CheckpointKeysPath = "/audit/checkpoint-keys.json"

// openCheckpoints prepares the checkpoints and what is told of them.
func (s *Server) openCheckpoints(ctx context.Context, ring *keyring.Ring) (err error) {
	s.checkpoints, err = checkpoint.Open(ctx, checkpoint.Config{
		Issuer: s.cfg.Issuer, Ring: ring, Store: s.store, Now: s.process.Now, Log: s.process.Log,
	})
	return err
}

// watchAudit adds the audit's gauges.
func (s *Server) watchAudit() {
	s.metrics.Watch("audit_chain_broken", "1 while the audit chain does not continue its last checkpoint.", func() float64 {
		if s.checkpoints.Problem() != "" {
			return 1
		}
		return 0
	})
	s.metrics.Watch("audit_checkpoint_sequence", "The event that the newest checkpoint is of.", func() float64 {
		if c := s.checkpoints.Newest(); c != nil {
			return float64(c.Sequence)
		}
		return 0
	})
}

// auditRoutes publish the newest checkpoint, to whoever may read the feed, and
// the keys to verify it by, to everybody.
func (s *Server) auditRoutes(path string, feed *guard) []web.Route {
	return []web.Route{
		{Pattern: "GET " + path + CheckpointKeysPath, Handler: func(w http.ResponseWriter, _ *web.Request) error {
			w.Header().Set("Content-Type", "application/jwk-set+json")
			w.Header().Set("Cache-Control", "max-age=300")
			_, _ = w.Write(jose.JWKSet(s.checkpoints.Keys())) // the client is gone if this fails
			return nil
		}},
		{Pattern: "GET " + path + "/audit/checkpoint", Handler: feed.handler(func(w http.ResponseWriter, _ *web.Request) error {
			newest := s.checkpoints.Newest()
			if newest == nil {
				return &web.StatusError{Status: http.StatusNotFound}
			}
			w.Header().Set("Content-Type", "application/jose")
			w.Header().Set("Cache-Control", "no-store")
			_, _ = w.Write([]byte(newest.JWS))
			return nil
		})},
	}
}

// finish writes what is not to wait for the next start, and what nobody else
// knows: last uses, and a checkpoint of all that was changed here.
func (s *Server) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := s.lastUses.Flush(ctx, s.store.AddLastUsed); err != nil {
		s.process.Log.ErrorContext(ctx, "last uses were not stored at the end", "cause", err.Error())
	}
	if err := s.checkpoints.Make(ctx); err != nil {
		s.process.Log.ErrorContext(ctx, "no checkpoint at the end", "cause", err.Error())
	}
}

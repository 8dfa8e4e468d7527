package server

import (
	"context"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

const (
	// usesInterval is how often last uses are stored.
	usesInterval = 30 * time.Second
	// usesKept is how long they are, some 13 months.
	usesKept = 400 * 24 * time.Hour
	// usesPruned is how often older ones are removed.
	usesPruned = 24 * time.Hour
)

// keepUses stores when credentials were last used, every 30 s. What cannot be
// stored is kept for the next time; the first failure in a row is told.
func (s *Server) keepUses(ctx context.Context) error {
	tick := time.NewTicker(usesInterval)
	defer tick.Stop()
	failing, dropped := false, int64(0)
	var pruned time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := s.lastUses.Flush(ctx, s.store.AddLastUsed)
		if err != nil && !failing && ctx.Err() == nil {
			s.process.Log.WarnContext(ctx, "last uses cannot be stored and are kept in memory", "cause", err.Error())
		}
		failing = err != nil
		if now := s.process.Now(); err == nil && now.Sub(pruned) > usesPruned && s.store.PruneLastUsed(ctx, now.Add(-usesKept)) == nil {
			pruned = now // a failure costs space, and the next tick tries again
		}
		if n := s.lastUses.Dropped(); n > dropped {
			s.process.Log.ErrorContext(ctx, "more credentials are used than can be remembered: some last uses are not counted", "uses", n-dropped)
			dropped = n
		}
	}
}

// lastUsed is when the credentials of an application were last used, on every
// node up to its last flush and on this one up to now.
func (s *Server) lastUsed(ctx context.Context, client directory.ClientID) (map[directory.CredentialID]time.Time, error) {
	stored, err := s.store.LastUsed(ctx, client)
	if err != nil {
		return nil, err
	}
	used := make(map[directory.CredentialID]time.Time, len(stored))
	for _, u := range stored {
		used[u.CredentialID] = u.At
	}
	if c := s.directory.Current().Client(client); c != nil {
		for _, k := range c.Credentials {
			if at := s.lastUses.At(client, k.ID); at.After(used[k.ID]) {
				used[k.ID] = at
			}
		}
	}
	return used, nil
}

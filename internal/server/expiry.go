package server

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// noticeInterval is how often a node looks for what ends soon.
const noticeInterval = 10 * time.Minute

// keepNotices tells of ends in time, at once and every 10 min. What fails is told,
// once in a row, and tried again.
func (s *Server) keepNotices(ctx context.Context) error {
	tick := time.NewTicker(noticeInterval)
	defer tick.Stop()
	failing := false
	for {
		err := s.giveNotices(ctx, s.process.Now())
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			s.process.Log.ErrorContext(ctx, "expiry notices cannot be given", "cause", err.Error())
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// giveNotices writes one event for each end and threshold, whichever node comes
// first, and says it in the log.
func (s *Server) giveNotices(ctx context.Context, now time.Time) error {
	given, err := s.store.Notices(ctx, now)
	if err != nil {
		return err
	}
	type key struct {
		subject string
		days    int64
		end     int64
	}
	of := func(n directory.Notice) key { return key{n.Subject, n.Days, n.NotAfter.UnixMicro()} }
	known := make(map[key]struct{}, len(given))
	for _, n := range given {
		known[of(n)] = struct{}{}
	}
	var errs []error
	used := map[directory.ClientID]map[directory.CredentialID]time.Time{} // of applications with a successor to look at
	due := s.directory.Current().Expiring(now, func(client directory.ClientID, id directory.CredentialID) time.Time {
		if used[client] == nil {
			all, err := s.lastUsed(ctx, client)
			if err != nil {
				errs, all = append(errs, err), map[directory.CredentialID]time.Time{}
			}
			used[client] = all
		}
		return used[client][id]
	})
	if err := errors.Join(errs...); err != nil {
		return err // a notice that is not called for would stay
	}
	for _, n := range due {
		if _, ok := known[of(n)]; ok {
			continue
		}
		e, err := n.Event(now)
		if err == nil {
			err = s.store.AddNotice(ctx, e, n)
		}
		switch {
		case errors.Is(err, directory.ErrExists): // by another node
		case err != nil:
			return err
		default:
			s.process.Log.WarnContext(ctx, "expiry notice", "action", n.Action, "subject", n.Subject, "client_id", string(n.ClientID),
				"organisation", string(n.Organisation), "not_after", n.NotAfter.UTC(), "days", n.Days)
		}
	}
	return nil
}

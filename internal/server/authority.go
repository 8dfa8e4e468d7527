package server

import (
	"context"
	"errors"
	"time"
)

// renewAuthority gives up what a process that died left of the CA's work, makes
// the next issuing CA in time, signs the lists of revoked certificates, and tells
// of what somebody must see to.
func (s *Server) renewAuthority(ctx context.Context) error {
	given, err := s.authority.Reconcile(ctx)
	if given > 0 {
		s.process.Log.WarnContext(ctx, "certificates were begun and never stored; they are revoked", "count", given)
	}
	err = errors.Join(err, s.authority.Renew(ctx), s.authority.Publish(ctx))
	alarms, warned := s.authority.Warn(ctx)
	for _, a := range alarms {
		s.process.Log.ErrorContext(ctx, "alarm", "alarm", a.Name, "subject", a.Subject, "ends", a.Ends.UTC().Format(time.RFC3339))
	}
	return errors.Join(err, warned)
}

// listFailed tells that a list of revoked certificates could not be signed; it is
// tried again every second.
func (s *Server) listFailed(err error) {
	s.process.Log.Error("alarm", "alarm", "crl_not_signed", "cause", err.Error())
}

package as

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// The revocation endpoint: RFC 7009. Section 2.1: "validates the client
// credentials and then verifies whether the token was issued to the client". A
// token that we did not issue is answered like one that was revoked (section
// 2.2) and writes nothing. token_type_hint is ignored.

func (s *Server) serveRevoke(e endpoints) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) error {
		form, err := oauth.ParseForm(r.Request)
		if err != nil {
			return err
		}
		raw, err := parseToken(form)
		if err != nil {
			return err
		}
		if err := s.revoke(r.Context(), s.Now(), r.Event, attempt(r, e, form), raw); err != nil {
			return err
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
		return nil
	}
}

func (s *Server) revoke(ctx context.Context, now time.Time, ev *web.Event, t clientauth.Attempt, raw string) error {
	d, err := s.snapshot()
	if err != nil {
		return err
	}
	caller, err := s.authenticate(ctx, now, d, ev, t)
	if err != nil {
		return err
	}
	if err := s.useOnce(ctx, caller.Use, nil); err != nil {
		return err
	}
	s.used(now, caller)
	claims, err := s.Keys().Parse(s.Issuer, raw)
	if err != nil {
		ev.Reason = "token_foreign"
		return nil
	}
	if claims.ClientID != string(caller.Client.ClientID) {
		return oauth.Refuse(oauth.InvalidGrant, "token_of_another_client", "the token was issued to another client", nil)
	}
	ev.Resource, ev.TokenID = claims.Audience, claims.ID
	if !now.Before(claims.Expires) {
		ev.Reason = "token_expired"
		return nil
	}
	if d.Ended(directoryToken(claims)) == "token_revoked" {
		ev.Reason = "token_revoked"
		return nil
	}
	err = s.Directory.RevokeToken(ctx, claims.ClientID, caller.Client.ClientID, directory.RevokedToken{ID: claims.ID, Expires: claims.Expires})
	if err != nil { // the client must assume that the token lives (section 2.2.1)
		return unavailable("store_unavailable", err)
	}
	ev.Outcome = "revoked"
	return nil
}

package as

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/mtls"
)

// attempt collects what the request shows of its client.
func attempt(r *web.Request, e endpoints, form oauth.Form) clientauth.Attempt {
	t := clientauth.Attempt{Form: form, Authorization: r.Header["Authorization"]}
	if e.mtls {
		peer, err := mtls.FromRequest(r.Context(), r.TLS)
		switch {
		case err == nil:
			t.Peer = peer
		case !errors.Is(err, mtls.ErrNoCertificate):
			t.PeerErr = err
		}
	}
	return t
}

// snapshot is the directory to decide on. A node that is cut off from its
// database does not know of revocations, and so decides nothing.
func (s *Server) snapshot() (*directory.Snapshot, error) {
	if s.Directory.Age() > directory.MaxAge {
		return nil, unavailable("snapshot_stale", nil)
	}
	return s.Directory.Current(), nil
}

// unavailable is an outage of ours.
func unavailable(reason string, cause error) error {
	return &oauth.Error{
		Code: oauth.TemporarilyUnavailable, Status: http.StatusServiceUnavailable, RetryAfter: 2 * time.Second,
		Reason: reason, Description: "try again later", Cause: cause,
	}
}

// authenticate finds who calls, and writes into the event what is known of them.
func (s *Server) authenticate(ctx context.Context, now time.Time, d *directory.Snapshot, ev *web.Event, t clientauth.Attempt) (*clientauth.Authenticated, error) {
	caller, err := s.Auth.AuthenticateRequest(ctx, now, d, t)
	if err != nil {
		if refusal, ok := errors.AsType[*clientauth.Refusal](err); ok && refusal.Client != nil {
			ev.ClientID, ev.Organisation = string(refusal.Client.ClientID), string(refusal.Client.Organisation)
		}
		return nil, err
	}
	ev.ClientID, ev.Organisation = string(caller.Client.ClientID), string(caller.Client.Organisation)
	ev.AuthMethod, ev.CredentialID = string(caller.Method), string(caller.Credential.ID)
	return caller, nil
}

// used counts an authentication that nothing stands against any more.
func (s *Server) used(now time.Time, caller *clientauth.Authenticated) {
	if s.Used != nil {
		s.Used(caller.Client.ClientID, caller.Credential.ID, now)
	}
}

// useOnce records, in one write, all that the request may use only once. It is
// the last check: whatever failed before has burnt nothing.
func (s *Server) useOnce(ctx context.Context, assertion, proof *token.Use) error {
	var room [2]token.Use
	uses := room[:0]
	if assertion != nil {
		uses = append(uses, *assertion)
	}
	if proof != nil {
		uses = append(uses, *proof)
	}
	if len(uses) == 0 {
		return nil
	}
	err := s.Uses.FirstUse(ctx, uses...)
	if err == nil {
		return nil
	}
	replayed, ok := errors.AsType[*token.ReplayedError](err)
	switch {
	case errors.Is(err, token.ErrRestored):
		return &oauth.Error{
			Code: oauth.TemporarilyUnavailable, Status: http.StatusServiceUnavailable, RetryAfter: time.Minute, Reason: "restored",
			Description: "the server was restored from a copy; make a new assertion and proof in a minute",
		}
	case !ok:
		return unavailable("store_unavailable", err)
	case assertion != nil && replayed.Index == 0:
		return oauth.Refuse(oauth.InvalidClient, clientauth.ReasonAssertionReplayed, "client authentication failed", nil)
	}
	return oauth.Refuse(oauth.InvalidDPoPProof, "proof_replayed", "DPoP proof is not acceptable", nil)
}

package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/httpmw"
)

// guard lets requests through to one of our own resources, by the same verifier
// that stands before everybody else's, and tells the event why it did not.
type guard struct {
	verifier *verify.Verifier
	policy   *verify.Policy
	edge     *httpmw.Edge
}

type grantKey struct{}

// grantFrom finds the grant of a request that a guard let through.
func grantFrom(ctx context.Context) (*verify.Grant, bool) {
	g, ok := ctx.Value(grantKey{}).(*verify.Grant)
	return g, ok
}

// Require is the guard as middleware.
func (g *guard) Require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event := web.EventOf(w)
		facts, err := g.edge.Collect(r)
		var grant *verify.Grant
		if err == nil {
			grant, err = g.verifier.Verify(r.Context(), &facts, g.policy)
		}
		if err != nil {
			refused(event, err)
			httpmw.WriteError(w, err)
			return
		}
		granted(event, grant.Token)
		httpmw.OfferNonce(w.Header(), grant)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), grantKey{}, grant)))
	})
}

// handler is the guard before a handler of our own.
func (g *guard) handler(next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) (err error) {
		g.Require(http.HandlerFunc(func(w http.ResponseWriter, passed *http.Request) {
			err = next(w, &web.Request{Request: passed, Event: r.Event})
		})).ServeHTTP(w, r.Request)
		return err
	}
}

// refused tells the event what the verifier found.
func refused(event *web.Event, err error) {
	e, ok := errors.AsType[*verify.Error](err)
	if !ok {
		event.Outcome, event.Cause = "failed", "the verifier failed"
		return
	}
	event.Outcome, event.Reason, event.Error = "refused", string(e.Reason), e.Code
	if e.Status == http.StatusServiceUnavailable && !errors.Is(e, verify.ErrKeyUnknown) {
		event.Outcome = "failed" // an outage of ours, not a fault of the caller's
	}
	if e.Token != nil {
		granted(event, e.Token)
	}
}

// granted tells the event whose token it was.
func granted(event *web.Event, t *verify.Token) {
	event.ClientID, event.Organisation, event.CredentialID, event.TokenID = t.ClientID, t.Organisation, t.CredentialID, t.ID
	event.Binding = string(t.Binding().Method())
	if len(t.Audience) == 1 {
		event.Resource = t.Audience[0]
	}
}

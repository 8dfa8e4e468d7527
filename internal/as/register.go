package as

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// The registration endpoint (RFC 7591) and the client configuration endpoint (RFC
// 7592), on both listeners, and the keys of software statements.

const statementKeysPath = "/.well-known/software-statement-keys.json"

// Header fields of a request to the client configuration endpoint, for which RFC
// 7592 has no parameters.
const (
	headerAssertion = "Client-Assertion"
	headerProof     = "Key-Proof"
)

// Registrar is *registration.Service.
type Registrar interface {
	Register(ctx context.Context, ask registration.Request) (*registration.Registered, error)
	Authorise(ctx context.Context, id directory.ClientID, presented string) (*registration.Held, error)
	Read(ctx context.Context, h *registration.Held) (*registration.Registered, error)
	Prepare(ctx context.Context, ask registration.UpdateRequest) (*registration.Updating, error)
	Update(ctx context.Context, u *registration.Updating) (*registration.Registered, error)
	Delete(ctx context.Context, h *registration.Held) error
	Recover(ctx context.Context, c *directory.Client) (*registration.Registered, error)
	StatementKeys(ctx context.Context) ([]*jose.PublicKey, error)
}

func (s *Server) registrationRoutes(e endpoints) []web.Route {
	if s.Registration == nil {
		return nil
	}
	client := s.path + registration.Path + "/{client_id}"
	return []web.Route{
		{Pattern: "POST " + s.path + registration.Path, Handler: s.serveRegister(e)},
		{Pattern: "GET " + client, Handler: s.serveReadRegistration(e)},
		{Pattern: "PUT " + client, Handler: s.serveUpdateRegistration(e)},
		{Pattern: "DELETE " + client, Handler: s.serveDeleteRegistration(e)},
		{Pattern: "POST " + client + registration.RecoveryPath, Handler: s.serveRecover(e)},
	}
}

func configurationURI(base string, id directory.ClientID) string {
	return base + registration.Path + "/" + string(id)
}

// serveRegister is RFC 7591 section 3.
func (s *Server) serveRegister(e endpoints) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) error {
		if _, err := s.snapshot(); err != nil {
			return err
		}
		bearer, err := bearerToken(r)
		if err != nil {
			return err
		}
		body, err := readMetadata(r.Request)
		if err != nil {
			return err
		}
		made, err := s.Registration.Register(r.Context(), registration.Request{Token: bearer, Body: body})
		if err != nil {
			return outage(err)
		}
		tellRegistered(r.Event, made.Client)
		r.Event.Outcome = "registered"
		return writeRegistered(w, http.StatusCreated, e, made)
	}
}

// held is whose registration access token the request shows (RFC 7592 section 2).
func (s *Server) held(r *web.Request) (*registration.Held, error) {
	if _, err := s.snapshot(); err != nil {
		return nil, err
	}
	bearer, err := bearerToken(r)
	if err != nil {
		return nil, err
	}
	h, err := s.Registration.Authorise(r.Context(), directory.ClientID(r.PathValue("client_id")), bearer)
	if err != nil {
		return nil, outage(err)
	}
	tellRegistered(r.Event, h.Client)
	return h, nil
}

// serveReadRegistration is RFC 7592 section 2.1.
func (s *Server) serveReadRegistration(e endpoints) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) error {
		h, err := s.held(r)
		if err != nil {
			return err
		}
		is, err := s.Registration.Read(r.Context(), h)
		if err != nil {
			return outage(err)
		}
		return writeRegistered(w, http.StatusOK, e, is)
	}
}

// serveUpdateRegistration is RFC 7592 section 2.2.
func (s *Server) serveUpdateRegistration(e endpoints) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) error {
		h, err := s.held(r)
		if err != nil {
			return err
		}
		body, err := readMetadata(r.Request)
		if err != nil {
			return err
		}
		caller, still, err := s.proveCredential(r, e, h)
		if err != nil {
			return err
		}
		change, err := s.Registration.Prepare(r.Context(), registration.UpdateRequest{
			Held: h, Body: body, Proofs: proofs(r.Header[headerProof]), Shown: shown(r, e),
			Audiences: []string{configurationURI(s.Issuer, h.Client.ClientID), configurationURI(e.base, h.Client.ClientID)},
		})
		if err != nil {
			return outage(err)
		}
		if err := s.useForChange(r.Context(), caller, change.Uses); err != nil {
			return err
		}
		is, err := s.Registration.Update(directory.Guarded(r.Context(), still), change)
		if err != nil {
			return outage(err)
		}
		r.Event.Outcome = "updated"
		return writeRegistered(w, http.StatusOK, e, is)
	}
}

// serveDeleteRegistration is RFC 7592 section 2.3.
func (s *Server) serveDeleteRegistration(e endpoints) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) error {
		h, err := s.held(r)
		if err != nil {
			return err
		}
		caller, still, err := s.proveCredential(r, e, h)
		if err != nil {
			return err
		}
		if err := s.useForChange(r.Context(), caller, nil); err != nil {
			return err
		}
		if err := s.Registration.Delete(directory.Guarded(r.Context(), still), h); err != nil {
			return outage(err)
		}
		r.Event.Outcome = "deregistered"
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// serveRecover gives another registration access token to who lost it, and proves
// an active credential.
func (s *Server) serveRecover(e endpoints) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) error {
		if r.URL.RawQuery != "" {
			return oauth.Refuse(oauth.InvalidRequest, "query_not_allowed", "the request must not have a query", nil)
		}
		d, err := s.snapshot()
		if err != nil {
			return err
		}
		try, err := credentialAttempt(r, e, directory.ClientID(r.PathValue("client_id")))
		if err != nil {
			return err
		}
		caller, err := s.authenticate(r.Context(), s.Now(), d, r.Event, try)
		if err != nil {
			return err
		}
		if err := s.useOnce(r.Context(), caller.Use, nil); err != nil {
			return err
		}
		is, err := s.Registration.Recover(directory.Guarded(r.Context(), s.stillProves(try, caller)), caller.Client)
		if err != nil {
			return outage(err)
		}
		r.Event.Outcome = "recovered"
		return writeRegistered(w, http.StatusOK, e, is)
	}
}

// serveStatementKeys is the JWK set of the keys that software statements are
// signed with.
func (s *Server) serveStatementKeys(w http.ResponseWriter, r *web.Request) error {
	keys, err := s.Registration.StatementKeys(r.Context())
	if err != nil {
		return outage(err)
	}
	return writePublic(w, "application/jwk-set+json", jose.JWKSet(keys))
}

// bearerToken is the token in the Authorization header (RFC 6750 section 2.1), ""
// when there is none of this scheme.
func bearerToken(r *web.Request) (string, error) {
	if r.URL.RawQuery != "" { // where logs would keep a token
		return "", oauth.Refuse(oauth.InvalidRequest, "query_not_allowed", "the request must not have a query", nil)
	}
	lines := r.Header["Authorization"]
	if len(lines) == 0 {
		return "", nil
	}
	scheme, credentials, found := strings.Cut(lines[0], " ")
	switch credentials = strings.TrimLeft(credentials, " "); {
	case len(lines) > 1:
		return "", oauth.Refuse(oauth.InvalidRequest, "authorization_repeated", "more than one Authorization header", nil)
	case !strings.EqualFold(scheme, "Bearer"):
		return "", nil
	case !found || credentials == "":
		return "", oauth.Refuse(oauth.InvalidRequest, "authorization_malformed", "the Authorization header has no token", nil)
	}
	return credentials, nil
}

// readMetadata reads a body of client metadata.
func readMetadata(r *http.Request) ([]byte, error) {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || len(r.Header["Content-Type"]) != 1 || media != "application/json" || parameters["charset"] != "" && !strings.EqualFold(parameters["charset"], "utf-8") {
		return nil, oauth.Refuse(oauth.InvalidRequest, "media_type", "the body must be application/json in UTF-8", nil)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, registration.MaxBody+1))
	switch {
	case err != nil:
		return nil, oauth.Refuse(oauth.InvalidRequest, "body_unreadable", "the body could not be read", err)
	case len(body) > registration.MaxBody:
		return nil, oauth.Refuse(oauth.InvalidClientMetadata, "body_too_large", "the body is larger than 256 KiB", nil)
	}
	return body, nil
}

// credentialAttempt is the client authentication of a request that is not a form:
// an assertion in its own header field, or the certificate.
func credentialAttempt(r *web.Request, e endpoints, id directory.ClientID) (clientauth.Attempt, error) {
	lines := r.Header[headerAssertion]
	if len(lines) > 1 {
		return clientauth.Attempt{}, oauth.Refuse(oauth.InvalidRequest, "assertion_repeated", "more than one Client-Assertion header", nil)
	}
	form := oauth.NewForm("client_id", string(id))
	if len(lines) == 1 {
		form = oauth.NewForm("client_id", string(id), "client_assertion_type", clientauth.AssertionType, "client_assertion", lines[0])
	}
	try := attempt(r, e, form)
	try.Authorization = nil // it has the registration access token
	return try, nil
}

// proveCredential wants, beside the registration access token, a credential of
// the same client that is active now: whoever has only the token changes nothing.
// The guard is that it still is when the change is stored.
func (s *Server) proveCredential(r *web.Request, e endpoints, h *registration.Held) (*clientauth.Authenticated, directory.Guard, error) {
	try, err := credentialAttempt(r, e, h.Client.ClientID)
	if err != nil {
		return nil, nil, err
	}
	caller, err := s.authenticate(r.Context(), s.Now(), s.Directory.Current(), r.Event, try)
	if err != nil {
		return nil, nil, notProvedBy(err)
	}
	still := s.stillProves(try, caller)
	return caller, func(d *directory.Snapshot, now time.Time) error { return notProvedBy(still(d, now)) }, nil
}

// stillProves is the guard that what authenticated the request does so on the
// snapshot that the change is decided on: its credential, or what vouches for it,
// may have ended since, here or on another node.
func (s *Server) stillProves(try clientauth.Attempt, by *clientauth.Authenticated) directory.Guard {
	return func(d *directory.Snapshot, now time.Time) error {
		again, err := s.Auth.Authenticate(now, d, try)
		switch {
		case err != nil:
			return err
		case again.Credential.ID != by.Credential.ID:
			return oauth.Refuse(oauth.InvalidClient, "credential_changed", "client authentication failed", nil)
		}
		return nil
	}
}

// notProvedBy is notProved for who failed to authenticate.
func notProvedBy(err error) error {
	if refused, ok := oauth.AsError(err); ok {
		return notProved(refused.Reason, refused.Cause)
	}
	return err
}

// notProved is for a good registration access token without an active credential.
func notProved(reason string, cause error) error {
	return &oauth.Error{
		Code: oauth.AccessDenied, Status: http.StatusForbidden, Reason: reason, Cause: cause,
		Description: "this needs proof of an active credential of the client as well: an assertion in Client-Assertion, or its certificate",
	}
}

// useForChange records all that a change may use only once.
func (s *Server) useForChange(ctx context.Context, caller *clientauth.Authenticated, proofs []token.Use) error {
	var uses []token.Use
	if caller.Use != nil {
		uses = append(uses, *caller.Use)
	}
	if uses = append(uses, proofs...); len(uses) == 0 {
		return nil
	}
	err := s.Uses.FirstUse(ctx, uses...)
	if err == nil {
		return nil
	}
	replayed, ok := errors.AsType[*token.ReplayedError](err)
	switch {
	case !ok:
		return unavailable("store_unavailable", err)
	case caller.Use != nil && replayed.Index == 0:
		return notProved(clientauth.ReasonAssertionReplayed, nil)
	}
	return oauth.Refuse(oauth.InvalidClientMetadata, "key_proof_replayed", "jwks: the proof of a new key was used before", nil)
}

// proofs are the members of a header field that is a list.
func proofs(lines []string) []string {
	var all []string
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			if one = strings.TrimSpace(one); one != "" {
				all = append(all, one)
			}
		}
	}
	return all
}

// shown is the certificate that the handshake proved the key of; nil for none.
func shown(r *web.Request, e endpoints) *x509.Certificate {
	if peer := attempt(r, e, oauth.Form{}).Peer; peer != nil {
		return peer.Leaf()
	}
	return nil
}

// outage is what the client learns of a fault that is not the protocol's.
func outage(err error) error {
	if _, ok := oauth.AsError(err); ok {
		return err
	}
	return unavailable("store_unavailable", err)
}

func tellRegistered(ev *web.Event, c *directory.Client) {
	if c != nil {
		ev.ClientID, ev.Organisation = string(c.ClientID), string(c.Organisation)
	}
}

// writeRegistered writes a client information response (RFC 7591 section 3.2.1).
func writeRegistered(w http.ResponseWriter, status int, e endpoints, is *registration.Registered) error {
	body, err := is.JSON(configurationURI(e.base, is.Client.ClientID))
	if err != nil {
		return err
	}
	w.Header()["Pragma"] = noCache
	return writeJSON(w, status, body)
}

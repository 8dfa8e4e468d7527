package as

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// The token endpoint: RFC 6749 section 3.2 with the grant of section 4.4.
// "The authorization server MUST authenticate the client" (section 4.4.2), and
// we add that the token is bound to a key of the client's.

// clientCredentials is the one grant type.
const clientCredentials = "client_credentials"

// tokenRequest is an access token request (RFC 6749 section 4.4.2) with all that
// came beside the form.
type tokenRequest struct {
	grantType string
	scope     string   // as it was sent, "" when omitted
	resource  string   // RFC 8707, "" when omitted
	proofs    []string // DPoP field lines
	url       string   // of the endpoint as the client reached it
	client    clientauth.Attempt
}

// tokenResponse is a successful answer (RFC 6749 section 5.1).
type tokenResponse struct {
	accessToken string
	method      cnf.Method
	expiresIn   int64 // seconds
	scope       string
	nonce       string // for the next proof, "" for none
}

func (s *Server) serveToken(e endpoints) web.Handler {
	url := e.url(tokenPath)
	return func(w http.ResponseWriter, r *web.Request) error {
		form, err := oauth.ParseForm(r.Request)
		if err != nil {
			return err
		}
		req, err := parseTokenRequest(form)
		if err != nil {
			return err
		}
		req.client, req.proofs, req.url = attempt(r, e, form), r.Header["Dpop"], url
		resp, err := s.issue(r.Context(), s.Now(), r.Event, req)
		if err != nil {
			return err
		}
		return writeTokenResponse(w, resp)
	}
}

// parseTokenRequest reads the parameters; the form has refused duplicates.
// Unknown ones are ignored (RFC 6749 section 3.2).
func parseTokenRequest(form oauth.Form) (tokenRequest, error) {
	req := tokenRequest{grantType: form.Value("grant_type"), scope: form.Value("scope"), resource: form.Value("resource")}
	switch {
	case req.grantType == "":
		return tokenRequest{}, oauth.Refuse(oauth.InvalidRequest, "grant_type_missing", "grant_type is missing", nil)
	case form.Count("resource") > 1: // one token, one audience
		return tokenRequest{}, oauth.Refuse(oauth.InvalidTarget, "resource_repeated", "more than one resource", nil)
	}
	return req, nil
}

// issue is the column of checks. Everything above useOnce only reads; after it
// there is nothing left that a client could fail.
func (s *Server) issue(ctx context.Context, now time.Time, ev *web.Event, req tokenRequest) (tokenResponse, error) {
	d, err := s.snapshot()
	if err != nil {
		return tokenResponse{}, err
	}
	caller, err := s.authenticate(ctx, now, d, ev, req.client) // RFC 6749 2.3, RFC 7523 3, RFC 8705 2
	if err != nil {
		return tokenResponse{}, err
	}
	if req.grantType != clientCredentials { // RFC 6749 5.2
		return tokenResponse{}, oauth.Refuse(oauth.UnsupportedGrantType, "grant_type_unknown", "only client_credentials is supported", nil)
	}
	b, err := s.bind(now, d, caller, req) // RFC 8705 3, RFC 9449 5
	if err != nil {
		return tokenResponse{}, err
	}
	ev.Binding = string(b.binding.Method())
	resource, scope, err := grantedScope(d, caller.Client, req.resource, req.scope) // RFC 6749 3.3, RFC 8707 2
	if err != nil {
		return tokenResponse{}, err
	}
	ev.Resource = resource
	if err := s.checkNonce(now, b, caller.Client.RequireNonce || d.Resource(resource).RequireNonce); err != nil { // RFC 9449 8
		return tokenResponse{}, err
	}
	issued := issuedAt(now, d.TokensAfter(caller.Client, caller.Credential, b.binding, resource))
	expires, err := s.expiry(now, issued, caller.Credential.NotAfter, b.notAfter)
	if err != nil {
		return tokenResponse{}, err
	}
	keys := s.Keys()
	if keys.Current == nil {
		return tokenResponse{}, unavailable("signing_key_missing", nil)
	}
	id, err := s.tokenID()
	if err != nil {
		return tokenResponse{}, err
	}
	if err := s.useOnce(ctx, caller.Use, b.use); err != nil { // RFC 7523 3 (7), RFC 9449 11.1
		return tokenResponse{}, err
	}
	s.used(now, caller)
	accessToken, err := keys.Mint(token.Claims{
		Issuer:       s.Issuer,
		Audience:     resource,
		ClientID:     string(caller.Client.ClientID),
		Organisation: string(caller.Client.Organisation),
		Scope:        scope,
		ID:           id,
		CredentialID: string(caller.Credential.ID),
		IssuedAt:     issued,
		Expires:      expires,
		Binding:      b.binding,
	})
	if err != nil {
		return tokenResponse{}, err
	}
	ev.TokenID, ev.Outcome = id, "issued"
	return tokenResponse{
		accessToken: accessToken,
		method:      b.binding.Method(),
		expiresIn:   expires.Unix() - now.Unix(),
		scope:       scope,
		nonce:       b.nonce,
	}, nil
}

// issuedAt is iat: now, or the second from which tokens have not been ended by a
// revocation of this very second, which is less than one second ahead.
func issuedAt(now, tokensAfter time.Time) time.Time {
	if tokensAfter.After(now) {
		return tokensAfter
	}
	return now
}

// expiry is the end of a token's life: never beyond that of the credential that
// authenticated nor of what the token is bound to. A zero bound is none.
func (s *Server) expiry(now, issued time.Time, bounds ...time.Time) (time.Time, error) {
	expires := now.Add(s.TokenLife)
	for _, bound := range bounds {
		if !bound.IsZero() && bound.Before(expires) {
			expires = bound
		}
	}
	if expires.Unix() <= issued.Unix() {
		return time.Time{}, oauth.Refuse(oauth.InvalidClient, "credential_expiring", "client authentication failed", nil)
	}
	return expires, nil
}

// tokenID is 192 random bits.
func (s *Server) tokenID() (string, error) {
	var bits [24]byte
	if _, err := io.ReadFull(s.Random, bits[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(bits[:]), nil
}

func writeTokenResponse(w http.ResponseWriter, resp tokenResponse) error {
	b := make([]byte, 0, len(resp.accessToken)+len(resp.scope)+128)
	b = append(b, `{"access_token":"`...)
	b = append(b, resp.accessToken...) // base64url and dots
	b = append(b, `","token_type":"`...)
	b = append(b, tokenType(resp.method)...)
	b = append(b, `","expires_in":`...)
	b = strconv.AppendInt(b, resp.expiresIn, 10)
	b = append(b, `,"scope":`...)
	b = strictjson.AppendText(b, resp.scope)
	b = append(b, '}')
	w.Header()["Pragma"] = noCache // RFC 6749 section 5.1, beside no-store
	if resp.nonce != "" {          // RFC 9449 section 8.2
		w.Header()["Dpop-Nonce"] = []string{resp.nonce}
	}
	return writeJSON(w, http.StatusOK, b)
}

// noCache is shared by all answers: do not change it.
var noCache = []string{"no-cache"}

// tokenType is the "token_type" of a token bound in this way (RFC 8705 section 3, RFC 9449 section 5).
func tokenType(m cnf.Method) string {
	if m == cnf.DPoP {
		return "DPoP"
	}
	return "Bearer"
}

// writeJSON writes an answer that nobody may keep.
func writeJSON(w http.ResponseWriter, status int, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

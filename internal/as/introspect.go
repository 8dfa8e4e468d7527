package as

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// The introspection endpoint: RFC 7662, with cnf as in RFC 8705 section 3.2 and
// RFC 9449 section 6.2. Whether the request at the resource shows the key that
// cnf names is the resource server's to check. token_type_hint is ignored:
// there is one type.

func (s *Server) serveIntrospect(e endpoints) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) error {
		form, err := oauth.ParseForm(r.Request)
		if err != nil {
			return err
		}
		raw, err := parseToken(form)
		if err != nil {
			return err
		}
		claims, err := s.introspect(r.Context(), s.Now(), r.Event, attempt(r, e, form), raw)
		if err != nil {
			return err
		}
		return writeIntrospection(w, claims)
	}
}

// parseToken reads the one parameter of RFC 7662 section 2.1 and of RFC 7009 section 2.1.
func parseToken(form oauth.Form) (string, error) {
	raw := form.Value("token")
	if raw == "" {
		return "", oauth.Refuse(oauth.InvalidRequest, "token_missing", "token is missing", nil)
	}
	return raw, nil
}

// introspect answers the claims of a live token that the caller serves, and nil
// for any other: who asks learns nothing of tokens that are not sent to them.
func (s *Server) introspect(ctx context.Context, now time.Time, ev *web.Event, t clientauth.Attempt, raw string) (*token.Claims, error) {
	d, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	caller, err := s.authenticate(ctx, now, d, ev, t)
	if err != nil {
		return nil, err
	}
	if err := s.useOnce(ctx, caller.Use, nil); err != nil {
		return nil, err
	}
	s.used(now, caller)
	claims, err := s.Keys().Parse(s.Issuer, raw)
	if err != nil {
		ev.Reason = "token_foreign"
		return nil, nil
	}
	if r := d.Resource(claims.Audience); r == nil || !slices.Contains(r.Servers, caller.Client.ClientID) {
		ev.Reason = "token_of_another_resource"
		return nil, nil
	}
	ev.Resource, ev.TokenID = claims.Audience, claims.ID
	if !now.Before(claims.Expires) {
		ev.Reason = "token_expired"
		return nil, nil
	}
	if ended := d.Ended(directoryToken(claims)); ended != "" {
		ev.Reason = ended
		return nil, nil
	}
	return claims, nil
}

func directoryToken(c *token.Claims) directory.Token {
	return directory.Token{
		ID:           c.ID,
		KeyID:        c.KeyID,
		Audience:     c.Audience,
		IssuedAt:     c.IssuedAt,
		ClientID:     directory.ClientID(c.ClientID),
		CredentialID: directory.CredentialID(c.CredentialID),
		Binding:      c.Binding,
	}
}

// writeIntrospection writes RFC 7662 section 2.2; nil is a token that is not active.
func writeIntrospection(w http.ResponseWriter, c *token.Claims) error {
	if c == nil {
		return writeJSON(w, http.StatusOK, []byte(`{"active":false}`))
	}
	b := make([]byte, 0, 512)
	text := func(name, value string) {
		b = append(b, name...)
		b = strictjson.AppendText(b, value)
	}
	text(`{"active":true,"iss":`, c.Issuer)
	text(`,"aud":`, c.Audience)
	text(`,"sub":`, c.ClientID)
	text(`,"client_id":`, c.ClientID)
	text(`,"scope":`, c.Scope)
	text(`,"jti":`, c.ID)
	text(`,"token_type":`, tokenType(c.Binding.Method()))
	b = append(b, `,"iat":`...)
	b = strconv.AppendInt(b, c.IssuedAt.Unix(), 10)
	b = append(b, `,"exp":`...)
	b = strconv.AppendInt(b, c.Expires.Unix(), 10)
	b = append(b, `,"cnf":`...)
	b = c.Binding.AppendJSON(b)
	return writeJSON(w, http.StatusOK, append(b, '}'))
}

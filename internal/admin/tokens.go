package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// maxTokenLife is the longest that a token lives, issued as much as a second ahead:
// no revocation need be kept longer.
const maxTokenLife = time.Hour + time.Second

// TokenRevocation names one access token: by its own text, or by what it says.
type TokenRevocation struct {
	Token    string `json:"token,omitempty" maxLength:"8192" doc:"The token itself; its text is not kept"`
	JTI      string `json:"jti,omitempty" maxLength:"128"`
	ClientID string `json:"client_id,omitempty" maxLength:"64" doc:"The application that it was issued to"`
	Expires  int64  `json:"exp,omitempty" minimum:"1" doc:"Its exp. As this is not known to be so, the record is kept for as long as a token can live"`
}

// RevokedToken is an access token that has ended.
type RevokedToken struct {
	JTI      string `json:"jti"`
	ClientID string `json:"client_id"`
	Expires  int64  `json:"exp"`
}

// SigningKey is a key of ours that signs access tokens or software statements: its
// public half.
type SigningKey struct {
	KeyID     string     `json:"kid"`
	Purpose   string     `json:"purpose,omitempty" enum:"token_signing,software_statement" doc:"What it signs: access tokens or software statements"`
	Algorithm string     `json:"alg,omitempty"`
	State     string     `json:"state" enum:"published,active,retired,revoked" doc:"published does not sign yet, active signs or may, retired signs no more"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
}

type (
	revokeTokenInput struct {
		DryRunQuery
		Body TokenRevocation
	}
	revokedOutput   struct{ Body RevokedToken }
	signingKeyInput struct {
		KeyID string `path:"kid" maxLength:"64"`
		DryRunQuery
	}
	signingKeysInput  struct{ ListQuery }
	signingKeyOutput  struct{ Body SigningKey }
	signingKeysOutput struct{ Body Page[SigningKey] }
)

// selective: the token's own application is looked at once it is known.
func (*revokeTokenInput) selective() {}

// revokeToken ends one access token.
func (a *api) revokeToken(ctx context.Context, caller Caller, in *revokeTokenInput) (*revokedOutput, error) {
	now := a.Table.Now()
	t, err := a.tokenOf(&in.Body, now)
	if err != nil {
		return nil, err
	}
	s := a.Directory.Current()
	path := ApplicationPath{ClientID: string(t.ClientID)}
	if !path.seen(s, caller) {
		if in.Body.Token != "" {
			return nil, errForeignToken
		}
		return nil, &directory.InvalidError{Field: "client_id", Reason: "does not exist"}
	}
	until := t.Expires
	if in.Body.Token == "" {
		until = now.Add(maxTokenLife)
	}
	if in.DryRun {
		ctx = directory.DryRun(ctx, func(directory.Outcome) error { return nil })
	}
	if err := a.Directory.Under(ctx, func(ctx context.Context) error {
		return a.Directory.RevokeToken(ctx, caller.actor(), t.ClientID, directory.RevokedToken{ID: t.ID, Expires: until})
	}); err != nil {
		return nil, err
	}
	return &revokedOutput{RevokedToken{JTI: t.ID, ClientID: string(t.ClientID), Expires: t.Expires.Unix()}}, nil
}

var errForeignToken = &directory.InvalidError{Field: "token", Reason: "is no access token of this server"}

// tokenOf is what the caller says of the token, or what it says itself.
func (a *api) tokenOf(b *TokenRevocation, now time.Time) (*Token, error) {
	if b.Token != "" {
		if b.JTI != "" || b.ClientID != "" || b.Expires != 0 {
			return nil, &directory.InvalidError{Field: "token", Reason: "says the rest itself: give the token alone"}
		}
		if t := a.ReadToken(b.Token); t != nil {
			return t, nil
		}
		return nil, errForeignToken
	}
	for field, missing := range map[string]bool{"jti": b.JTI == "", "client_id": b.ClientID == "", "exp": b.Expires == 0} {
		if missing {
			return nil, newFault(http.StatusUnprocessableEntity, "not_valid", "validation failed",
				&huma.ErrorDetail{Location: "body." + field, Message: "jti, client_id and exp go together, or give the token"})
		}
	}
	switch ahead := b.Expires - now.Unix(); { // exp is not below 1: no overflow
	case ahead < 0:
		return nil, &directory.InvalidError{Field: "exp", Reason: "has passed"}
	case ahead > int64(maxTokenLife/time.Second):
		return nil, &directory.InvalidError{Field: "exp", Reason: "is further ahead than any token lives"}
	}
	return &Token{ID: b.JTI, ClientID: directory.ClientID(b.ClientID), Expires: time.Unix(b.Expires, 0).UTC()}, nil
}

func (a *api) listSigningKeys(_ context.Context, _ Caller, in *signingKeysInput) (*signingKeysOutput, error) {
	p, err := page(a, "signing keys", slices.Values(a.SigningKeys()), in.ListQuery,
		func(k SigningKey) string { return k.KeyID }, func(k SigningKey) SigningKey { return k })
	return &signingKeysOutput{p}, err
}

// revokeSigningKey ends the key and every token that it signed; the next one is
// made at once.
func (a *api) revokeSigningKey(ctx context.Context, caller Caller, in *signingKeyInput) (string, error) {
	if !slices.ContainsFunc(a.SigningKeys(), func(k SigningKey) bool { return k.KeyID == in.KeyID }) {
		return "", notThere("signing key", in.KeyID)
	}
	return in.KeyID, a.Directory.RevokeSigningKey(ctx, caller.actor(), in.KeyID)
}

func (a *api) signingKeyAfter(o directory.Outcome) (*signingKeyOutput, error) {
	for _, k := range a.SigningKeys() {
		if k.KeyID == o.Subject {
			if o.After.RevokedKey(k.KeyID) {
				k.State = string(directory.Revoked)
			}
			return &signingKeyOutput{k}, nil
		}
	}
	return nil, notThere("signing key", o.Subject)
}

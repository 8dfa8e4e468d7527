package directory_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// level is one of those at which tokens are ended.
type level struct {
	name   string
	end    func(w *world) error
	lift   func(w *world) error // nil: nothing lifts it
	reason string
}

func levels(t *testing.T, key directory.CredentialID, token *directory.Token) []level {
	ctx := t.Context()
	return []level{
		{"token", func(w *world) error {
			return w.RevokeToken(ctx, "op", "jwt", directory.RevokedToken{ID: token.ID, Expires: w.clock.now().Add(time.Hour)})
		}, nil, "token_revoked"},
		{"signing key", func(w *world) error { return w.RevokeSigningKey(ctx, "op", token.KeyID) }, nil, "signing_key_revoked"},
		{"credential", func(w *world) error { return w.SetCredentialState(ctx, "op", key, directory.Suspended) },
			func(w *world) error { return w.SetCredentialState(ctx, "op", key, directory.Active) }, "credential_tokens_revoked"},
		{"application", func(w *world) error { return w.SetApplicationState(ctx, "op", "jwt", directory.Suspended) },
			func(w *world) error { return w.SetApplicationState(ctx, "op", "jwt", directory.Active) }, "application_tokens_revoked"},
		{"organisation", func(w *world) error { return w.SetOrganisationState(ctx, "op", "acme", directory.Suspended) },
			func(w *world) error { return w.SetOrganisationState(ctx, "op", "acme", directory.Active) }, "organisation_tokens_revoked"},
		{"resource", func(w *world) error { return w.SetResourceState(ctx, "op", payments, directory.Suspended) },
			func(w *world) error { return w.SetResourceState(ctx, "op", payments, directory.Active) }, "resource_tokens_revoked"},
		{"credential's tokens", func(w *world) error { return w.RevokeCredentialTokens(ctx, "op", key) }, nil, "credential_tokens_revoked"},
		{"application's tokens", func(w *world) error { return w.RevokeApplicationTokens(ctx, "op", "jwt") }, nil, "application_tokens_revoked"},
		{"organisation's tokens", func(w *world) error { return w.RevokeOrganisationTokens(ctx, "op", "acme") }, nil, "organisation_tokens_revoked"},
	}
}

// TestAdvisory96 is revocation at every pair of levels: the last one wins, and
// what ended at one level is not brought back by lifting the other.
func TestAdvisory96(t *testing.T) {
	for a := range levels(t, "", &directory.Token{}) {
		for b := range levels(t, "", &directory.Token{}) {
			w := filled(t)
			c, err := w.RegisterKey(t.Context(), "op", "jwt", publicKey(t, 1, "k1"), time.Time{})
			must(t, err)
			token := &directory.Token{ID: "t", KeyID: "s", ClientID: "jwt", CredentialID: c.ID, Binding: cnf.ToKey(cnf.Thumbprint{1}), IssuedAt: w.clock.now(), Audience: payments}
			first, second := levels(t, c.ID, token)[a], levels(t, c.ID, token)[b]
			t.Run(fmt.Sprintf("advisory 96: %s, then %s", first.name, second.name), func(t *testing.T) {
				if got := w.Current().Ended(*token); got != "" {
					t.Fatalf("before: %q", got)
				}
				w.clock.advance(1500 * time.Millisecond)
				must(t, first.end(w))
				w.clock.advance(1500 * time.Millisecond)
				if second.name != first.name {
					must(t, second.end(w))
				}
				for _, l := range []level{second, first} {
					if l.lift != nil && (l.name != first.name || w.Current().Ended(*token) != "") {
						_ = l.lift(w) // one that was lifted already is not lifted again
					}
					if got := w.Current().Ended(*token); got == "" {
						t.Fatalf("alive again after %s was lifted", l.name)
					}
				}
				// What is issued after all of it lives, unless its own id or key ended.
				next := *token
				next.ID, next.KeyID = "u", "r"
				by := w.Current().Client("jwt")
				next.IssuedAt = w.Current().TokensAfter(by, w.Current().Credential(c.ID), next.Binding, next.Audience)
				if next.IssuedAt.IsZero() {
					next.IssuedAt = w.clock.now()
				}
				if got := w.Current().Ended(next); got != "" {
					t.Fatalf("a new token: %q", got)
				}
				next.IssuedAt = next.IssuedAt.Add(-time.Second)
				if after := w.Current().TokensAfter(by, w.Current().Credential(c.ID), next.Binding, next.Audience); !after.IsZero() && w.Current().Ended(next) == "" {
					t.Fatal("a token of the second before lives")
				}
			})
		}
	}
}

func TestTokensOfAResource(t *testing.T) {
	w := filled(t)
	old := directory.Token{ID: "t", ClientID: "jwt", Audience: payments, IssuedAt: w.clock.now()}
	must(t, w.SetResourceState(t.Context(), "op", payments, directory.Suspended))
	w.clock.advance(time.Second)
	must(t, w.SetResourceState(t.Context(), "op", payments, directory.Active))
	if _, err := w.UpdateResource(t.Context(), "op", payments, func(r *directory.Resource) error {
		r.Name, r.TokensAfter = "Another name", time.Time{}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	old.IssuedAt = old.IssuedAt.Add(-time.Second)
	if got := w.Current().Ended(old); got != "resource_tokens_revoked" {
		t.Errorf("a token of before the suspension: %q", got)
	}
}

func TestTokensOfASuspendedTrustAnchor(t *testing.T) {
	w := filled(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	a, err := w.AddTrustAnchor(t.Context(), "op", "acme", "2026", authority(t, key, nil))
	must(t, err)
	old := directory.Token{ID: "t", ClientID: "jwt", IssuedAt: w.clock.now()}
	w.clock.advance(1500 * time.Millisecond)
	for _, to := range []directory.State{directory.Suspended, directory.Active} {
		_, err := w.SetTrustAnchorState(t.Context(), "op", "acme", a.ID, to)
		must(t, err)
		if got := w.Current().Ended(old); got != "organisation_tokens_revoked" {
			t.Errorf("a token of before the suspension, anchor %s: %q", to, got)
		}
	}
}

func TestARevokedTokenIsOneApplications(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	end := w.clock.now().Add(time.Minute)
	theirs := directory.Token{ID: "jti", ClientID: "jwt", IssuedAt: w.clock.now()}
	must(t, w.RevokeToken(ctx, "op", "tls", directory.RevokedToken{ID: "jti", Expires: end}))
	if got := w.Current().Ended(theirs); got != "" {
		t.Errorf("another application's token with the same jti: %q", got)
	}
	must(t, w.RevokeToken(ctx, "op", "jwt", directory.RevokedToken{ID: "jti", Expires: end}))
	if got := w.Current().Ended(theirs); got != "token_revoked" {
		t.Errorf("its own: %q", got)
	}
	must(t, w.RevokeToken(ctx, "op", "jwt", directory.RevokedToken{ID: "jti", Expires: end.Add(time.Hour)}))
	w.unchanged(t, func() {
		must(t, w.RevokeToken(ctx, "op", "jwt", directory.RevokedToken{ID: "jti", Expires: end}))
	})
	w.clock.advance(2 * time.Minute)
	must(t, w.RevokeSigningKey(ctx, "op", "kid-1")) // what has expired is forgotten with a change
	if got := w.Current().Ended(theirs); got != "token_revoked" {
		t.Errorf("kept longer once it was asked for: %q", got)
	}
	for _, bad := range []string{"a\x00b", "a\xffb", "a b", "a\n"} {
		at(t, w.RevokeToken(ctx, "op", "jwt", directory.RevokedToken{ID: bad, Expires: end.Add(time.Hour)}), "jti")
	}
}

func TestRevokeSigningKey(t *testing.T) {
	w := filled(t)
	must(t, w.RevokeSigningKey(t.Context(), "op", "kid-1"))
	if e := w.last(t); e.Action != "signing_key.revoked" || e.Subject != "kid-1" || !w.Current().RevokedKey("kid-1") || w.Current().RevokedKey("kid-2") || w.Current().RevokedKeys() != 1 {
		t.Errorf("%+v", e)
	}
	w.unchanged(t, func() {
		must(t, w.RevokeSigningKey(t.Context(), "op", "kid-1"))
		at(t, w.RevokeSigningKey(t.Context(), "op", ""), "kid")
	})
}

// TestUnregistered: certificates of a trust anchor and keys at a jwks_uri have no
// record until they are revoked, and then for the one application alone.
func TestUnregistered(t *testing.T) {
	ctx := t.Context()
	x5t, jkt := cnf.Thumbprint{1}, cnf.Thumbprint{2}
	for name, c := range map[string]struct {
		id     func(directory.ClientID) directory.CredentialID
		revoke func(w *world, client directory.ClientID) (directory.Credential, error)
		bound  cnf.Binding
	}{
		"a certificate of the organisation's own CA": {
			func(id directory.ClientID) directory.CredentialID { return directory.UnregisteredCertificate(id, x5t) },
			func(w *world, id directory.ClientID) (directory.Credential, error) {
				return w.RevokeCertificate(ctx, "op", id, x5t)
			},
			cnf.ToCertificate(x5t),
		},
		"a key at a jwks_uri": {
			func(id directory.ClientID) directory.CredentialID { return directory.UnregisteredKey(id, jkt) },
			func(w *world, id directory.ClientID) (directory.Credential, error) {
				return w.RevokeKey(ctx, "op", id, jkt)
			},
			cnf.ToKey(jkt),
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := filled(t)
			mine := directory.Token{ClientID: "jwt", CredentialID: c.id("jwt"), IssuedAt: start}
			bound := directory.Token{ClientID: "jwt", Binding: c.bound, IssuedAt: start}
			theirs := directory.Token{ClientID: "self", CredentialID: c.id("self"), Binding: c.bound, IssuedAt: start}
			for _, token := range []directory.Token{mine, bound, theirs} {
				if got := w.Current().Ended(token); got != "" {
					t.Fatalf("%+v: %q", token, got)
				}
			}
			revoked, err := c.revoke(w, "jwt")
			must(t, err)
			if revoked.ID != c.id("jwt") || revoked.State != directory.Revoked || c.id("jwt") == c.id("self") {
				t.Fatalf("%+v", revoked)
			}
			for _, token := range []directory.Token{mine, bound} {
				if got := w.Current().Ended(token); got != "credential_revoked" {
					t.Errorf("%+v: %q", token, got)
				}
			}
			if got := w.Current().Ended(theirs); got != "" {
				t.Errorf("another application's: %q", got)
			}
			w.unchanged(t, func() {
				again, err := c.revoke(w, "jwt")
				must(t, err)
				if again.ID != revoked.ID {
					t.Errorf("%+v", again)
				}
			})
			_, err = c.revoke(w, "none")
			is(t, err, directory.ErrNotFound)
		})
	}
	t.Run("an id that only looks like one is unknown", func(t *testing.T) {
		w := filled(t)
		for _, id := range []directory.CredentialID{"x5t-", "jkt-short", "cred-00000000000000000000000000"} {
			if got := w.Current().Ended(directory.Token{ClientID: "jwt", CredentialID: id, IssuedAt: start}); got != "credential_unknown" {
				t.Errorf("%s: %q", id, got)
			}
		}
	})
}

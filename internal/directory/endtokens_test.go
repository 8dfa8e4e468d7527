package directory_test

import (
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
			token := &directory.Token{ID: "t", KeyID: "s", ClientID: "jwt", CredentialID: c.ID, Binding: cnf.ToKey(cnf.Thumbprint{1}), IssuedAt: w.clock.now()}
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
				next.IssuedAt = w.Current().TokensAfter(by, w.Current().Credential(c.ID), next.Binding)
				if next.IssuedAt.IsZero() {
					next.IssuedAt = w.clock.now()
				}
				if got := w.Current().Ended(next); got != "" {
					t.Fatalf("a new token: %q", got)
				}
				next.IssuedAt = next.IssuedAt.Add(-time.Second)
				if after := w.Current().TokensAfter(by, w.Current().Credential(c.ID), next.Binding); !after.IsZero() && w.Current().Ended(next) == "" {
					t.Fatal("a token of the second before lives")
				}
			})
		}
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

package token_test

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// TestRevokedKey: a signing key that was revoked is not published any more, what
// it signed is foreign, and the next one signs at once.
func TestRevokedKey(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		others func(ring *keyring.Ring)
		left   int
	}{
		"the only one":                          {func(*keyring.Ring) {}, 1},
		"one with a successor that may not yet": {func(ring *keyring.Ring) { add(t, ring, "next", noon.Add(5*day), noon.Add(95*day)) }, 2},
		"one before a successor that may":       {func(ring *keyring.Ring) { add(t, ring, "next", noon.Add(-time.Hour), noon.Add(90*day)) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			ring := newRing(t)
			add(t, ring, "bad", noon.Add(-time.Minute), noon.Add(90*day))
			c.others(ring)
			keys := openKeys(t, ring)
			raw, err := keys.At(noon).Mint(sample())
			if err != nil {
				t.Fatal(err)
			}
			e := audit.Event{At: noon, Actor: "op", Action: "signing_key.revoked", Subject: "bad", Detail: "{}"}
			if err := ring.Store.(*store.Store).Put(t.Context(), e, directory.Delta{RevokedKeys: []directory.RevokedKey{{KeyID: "bad", At: noon}}}); err != nil {
				t.Fatal(err)
			}
			if err := keys.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
			set := keys.At(noon)
			if set.Current == nil || set.Current.Public().KeyID() == "bad" || len(set.Published) != c.left {
				t.Fatalf("%+v", set)
			}
			if _, err := set.Parse(issuer, raw); !errors.Is(err, token.ErrForeign) {
				t.Errorf("what it signed: %v", err)
			}
			if _, err := set.Mint(sample()); err != nil {
				t.Error(err)
			}
			before := set
			if err := keys.Renew(t.Context()); err != nil || keys.At(noon) != before {
				t.Errorf("the next round makes another: %v", err)
			}
		})
	}
}

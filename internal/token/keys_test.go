package token_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// newRing is a ring over a real database, whose clock stands at noon.
func newRing(t *testing.T) *keyring.Ring {
	t.Helper()
	now := func() time.Time { return noon }
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "holdfast.db"), store.Options{Create: true, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	kek, err := envelope.CreateKeyFile(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	return &keyring.Ring{Store: s, KEK: kek, Now: now}
}

func openKeys(t *testing.T, ring *keyring.Ring) *token.Keys {
	t.Helper()
	k, err := token.OpenKeys(t.Context(), ring)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// add stores a signing key with its time.
func add(t *testing.T, ring *keyring.Ring, id string, from, until time.Time) {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Create(t.Context(), "system", false, keyring.Key{ID: id, Purpose: keyring.TokenSigning, Signer: key, NotBefore: from, NotAfter: until}); err != nil {
		t.Fatal(err)
	}
}

func TestFirstKey(t *testing.T) {
	ring := newRing(t)
	first := openKeys(t, ring).At(noon)
	if first.Current == nil || first.Current.Public().Algorithm() != jose.ES256 || len(first.Published) != 1 {
		t.Fatalf("got %+v", first)
	}
	raw, err := first.Mint(sample())
	if err != nil {
		t.Fatal(err)
	}
	again := openKeys(t, ring)
	if _, err := again.At(noon).Parse(issuer, raw); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	stored, err := ring.Keys(t.Context(), keyring.TokenSigning)
	if err != nil || len(stored) != 1 || !stored[0].NotAfter.Equal(noon.Add(90*24*time.Hour)) {
		t.Errorf("stored %v, %v", stored, err)
	}
	end := noon.Add(90 * 24 * time.Hour)
	if set := again.At(end); set.Current != nil || len(set.Published) != 1 {
		t.Errorf("at its end it signs no more and verifies: %+v", set)
	}
	if set := again.At(end.Add(token.MaxLife)); set.Current != nil || len(set.Published) != 0 {
		t.Errorf("when its last token has expired it is forgotten: %+v", set)
	}
	if _, err := again.At(end).Mint(sample()); !errors.Is(err, token.ErrNoKey) {
		t.Errorf("minted after its end: %v", err)
	}
}

func TestKeysByTime(t *testing.T) {
	ring := newRing(t)
	const day = 24 * time.Hour
	add(t, ring, "first", noon, noon.Add(90*day))
	add(t, ring, "second", noon.Add(83*day), noon.Add(173*day))
	keys := openKeys(t, ring)
	// Out of order, because a set that is kept must not outlive its time in either direction.
	for _, c := range []struct {
		at        time.Duration
		current   string
		published int
	}{
		{-time.Second, "", 2}, {0, "first", 2}, {82 * day, "first", 2}, {83*day - 1, "first", 2}, {83 * day, "second", 2},
		{90*day + time.Hour - 1, "second", 2}, {90*day + time.Hour, "second", 1}, {173 * day, "", 1}, {0, "first", 2}, {174 * day, "", 0}, {83 * day, "second", 2},
	} {
		set := keys.At(noon.Add(c.at))
		current := ""
		if set.Current != nil {
			current = set.Current.Public().KeyID()
		}
		if current != c.current || len(set.Published) != c.published {
			t.Errorf("at %v: signs %q, publishes %d; want %q, %d", c.at, current, len(set.Published), c.current, c.published)
		}
		if set.Current != nil && set.Published[0] != set.Current.Public() {
			t.Errorf("at %v: what signs is not published", c.at)
		}
		if again := keys.At(noon.Add(c.at)); again != set {
			t.Errorf("at %v: the set is made anew", c.at)
		}
	}
}

func TestRenew(t *testing.T) {
	const day = 24 * time.Hour
	ring := newRing(t)
	now := noon
	ring.Now = func() time.Time { return now }
	keys := openKeys(t, ring)
	first := keys.At(now).Current.Public().KeyID()
	renewAt := func(after time.Duration) *token.SigningKeys {
		t.Helper()
		now = noon.Add(after)
		if err := keys.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		return keys.At(now)
	}
	if set := renewAt(76*day - 1); len(set.Published) != 1 {
		t.Errorf("a successor was made more than two weeks before it is needed")
	}
	set := renewAt(76 * day)
	if len(set.Published) != 2 || set.Current.Public().KeyID() != first {
		t.Fatalf("two weeks before the end the successor is published and does not sign: %d published", len(set.Published))
	}
	if set := renewAt(77 * day); len(set.Published) != 2 {
		t.Errorf("a second successor was made")
	}
	if set := renewAt(83*day - 1); set.Current.Public().KeyID() != first {
		t.Errorf("it signs less than a week after it was published")
	}
	set = renewAt(83 * day)
	second := set.Current.Public().KeyID()
	if second == first {
		t.Errorf("a week after it was published it does not sign")
	}
	if set := renewAt(83*day + 400*day); set.Current == nil || set.Current.Public().KeyID() == second {
		t.Errorf("a server that was away for a year has no key that signs")
	}
	other := openKeys(t, ring)
	now = now.Add(80 * day)
	if err := other.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if set := renewAt(now.Sub(noon)); len(set.Published) != 2 {
		t.Errorf("the key that another node made is not known here: %d published", len(set.Published))
	}
}

// race is a store in which another node makes the first key between our look and our try.
type race struct {
	keyring.Store
	other *keyring.Ring
	t     *testing.T
}

func (r *race) CreateKeys(ctx context.Context, e audit.Event, only bool, keys ...keyring.StoredKey) error {
	add(r.t, r.other, "other", noon, noon.Add(time.Hour))
	return r.Store.CreateKeys(ctx, e, only, keys...)
}

func TestFirstKeyOfAnotherNodeCounts(t *testing.T) {
	ring := newRing(t)
	keys := openKeys(t, &keyring.Ring{Store: &race{ring.Store, ring, t}, KEK: ring.KEK, Now: ring.Now})
	if set := keys.At(noon); len(set.Published) != 1 || set.Published[0].KeyID() != "other" {
		t.Errorf("got %+v", set)
	}
}

// down is a store that fails once, after so many good calls: reads and writes
// count together.
type down struct {
	keyring.Store
	good int
}

var errDown = errors.New("the store is down")

func (d *down) up() bool {
	d.good--
	return d.good != -1
}

func (d *down) Keys(ctx context.Context, p keyring.Purpose) ([]keyring.StoredKey, error) {
	if !d.up() {
		return nil, errDown
	}
	return d.Store.Keys(ctx, p)
}

func (d *down) CreateKeys(ctx context.Context, e audit.Event, only bool, keys ...keyring.StoredKey) error {
	if !d.up() {
		return errDown
	}
	return d.Store.CreateKeys(ctx, e, only, keys...)
}

func TestKeysFail(t *testing.T) {
	for good := range 3 { // read, write, read
		ring := newRing(t)
		ring.Store = &down{ring.Store, good}
		if k, err := token.OpenKeys(t.Context(), ring); !errors.Is(err, errDown) || k != nil {
			t.Errorf("the store fails once, after %d calls: got %v, %v", good, k, err)
		}
	}
	for good := range 3 {
		ring := newRing(t)
		now := noon
		ring.Now = func() time.Time { return now }
		keys := openKeys(t, ring)
		ring.Store = &down{ring.Store, good}
		now = noon.Add(80 * 24 * time.Hour)
		if err := keys.Renew(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("renewed while the store fails once, after %d calls: %v", good, err)
		}
		if set := keys.At(now); set.Current == nil {
			t.Errorf("the store fails once, after %d calls: the keys of before are gone", good)
		}
	}
	t.Run("a key that is none for tokens", func(t *testing.T) {
		ring := newRing(t)
		var key crypto.Signer
		key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Create(t.Context(), "system", true, keyring.Key{Purpose: keyring.TokenSigning, Signer: key}); err != nil {
			t.Fatal(err)
		}
		if _, err := token.OpenKeys(t.Context(), ring); !errors.Is(err, jose.ErrKey) {
			t.Errorf("got %v", err)
		}
	})
}

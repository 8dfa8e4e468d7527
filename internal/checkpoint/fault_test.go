package checkpoint_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/checkpoint"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
)

var errAway = errors.New("away")

// failing is a store of which one method fails, from its n-th call on.
type failing struct {
	*store.Store
	what  string
	after int
}

func (f *failing) fails(what string) error {
	if f.what != what {
		return nil
	}
	if f.after--; f.after >= 0 {
		return nil
	}
	return errAway
}

func (f *failing) Head(ctx context.Context) (audit.Head, error) {
	if err := f.fails("head"); err != nil {
		return audit.Head{}, err
	}
	return f.Store.Head(ctx)
}

func (f *failing) Events(ctx context.Context, after int64, limit int) ([]audit.Event, error) {
	if err := f.fails("events"); err != nil {
		return nil, err
	}
	return f.Store.Events(ctx, after, limit)
}

func (f *failing) EventHash(ctx context.Context, sequence int64) ([32]byte, error) {
	if err := f.fails("hash"); err != nil {
		return [32]byte{}, err
	}
	return f.Store.EventHash(ctx, sequence)
}

func (f *failing) NewestCheckpoint(ctx context.Context) (audit.SignedCheckpoint, error) {
	if err := f.fails("newest"); err != nil {
		return audit.SignedCheckpoint{}, err
	}
	return f.Store.NewestCheckpoint(ctx)
}

func (f *failing) Handovers(ctx context.Context) ([]audit.SignedCheckpoint, error) {
	if err := f.fails("handovers"); err != nil {
		return nil, err
	}
	return f.Store.Handovers(ctx)
}

func (f *failing) AddCheckpoint(ctx context.Context, c *audit.Checkpoint) error {
	if err := f.fails("add"); err != nil {
		return err
	}
	return f.Store.AddCheckpoint(ctx, c)
}

func (f *failing) Keys(ctx context.Context, p keyring.Purpose) ([]keyring.StoredKey, error) {
	if err := f.fails("keys"); err != nil {
		return nil, err
	}
	return f.Store.Keys(ctx, p)
}

func (f *failing) CreateKeys(ctx context.Context, e audit.Event, only bool, keys ...keyring.StoredKey) error {
	if err := f.fails("create"); err != nil {
		return err
	}
	return f.Store.CreateKeys(ctx, e, only, keys...)
}

func TestStoreFaults(t *testing.T) {
	for _, c := range []struct {
		what  string
		after int // calls that still succeed
	}{
		{"keys", 1}, {"head", 0}, {"events", 0}, {"hash", 0}, {"hash", 1}, {"newest", 0}, {"handovers", 0}, {"add", 0},
	} {
		t.Run("without "+c.what+" nothing is signed, and that is no alarm", func(t *testing.T) {
			w := newWorld(t)
			f := &failing{Store: w.store}
			m := w.nodeOf(t, f)
			w.change(t, "a")
			check(t, m.Make(t.Context()))
			w.change(t, "b")
			other := w.node(t, w.open(t))
			check(t, other.Make(t.Context())) // so that there is one that m has not seen
			w.change(t, "c")
			before := len(w.stored(t))
			f.what, f.after = c.what, c.after
			if c.what == "keys" {
				f.after = 0
			}
			err := m.Make(t.Context())
			if _, broken := errors.AsType[*checkpoint.BrokenError](err); !errors.Is(err, errAway) || broken || m.Problem() != "" || m.Alarms() != 0 {
				t.Errorf("got %v, problem %q", err, m.Problem())
			}
			if len(w.stored(t)) != before {
				t.Error("signed all the same")
			}
			if c.what == "newest" || c.what == "handovers" {
				if err := m.Refresh(t.Context()); !errors.Is(err, errAway) {
					t.Errorf("refresh: %v", err)
				}
			}
			f.what = ""
			check(t, m.Make(t.Context()))
			if len(w.stored(t)) != before+1 {
				t.Error("not signed afterwards")
			}
		})
	}
	t.Run("without the first key, or one that can be read, nothing is signed", func(t *testing.T) {
		w := newWorld(t)
		f := &failing{Store: w.store, what: "create"}
		m := w.nodeOf(t, f)
		w.change(t, "a")
		if err := m.Make(t.Context()); !errors.Is(err, errAway) || len(w.stored(t)) != 0 {
			t.Errorf("got %v", err)
		}
		f.what, f.after = "keys", 1 // the second look, after the key was made
		if err := m.Make(t.Context()); !errors.Is(err, errAway) || len(w.stored(t)) != 0 {
			t.Errorf("got %v", err)
		}
		f.what, f.after = "keys", 0
		if _, err := checkpoint.Open(t.Context(), checkpoint.Config{Issuer: issuer, Ring: &keyring.Ring{Store: f, KEK: w.kek, Now: w.clock}, Store: f, Now: w.clock, Log: slog.Default()}); !errors.Is(err, errAway) {
			t.Errorf("open: %v", err)
		}
	})
	t.Run("who waits for a turn waits no longer than its context", func(t *testing.T) {
		w := newWorld(t)
		slow := &slowStore{Store: w.store, entered: make(chan struct{}), release: make(chan struct{})}
		m, err := checkpoint.Open(t.Context(), checkpoint.Config{
			Issuer: issuer, Ring: &keyring.Ring{Store: w.store, KEK: w.kek, Now: w.clock}, Store: slow, Now: w.clock, Log: slog.Default(),
		})
		check(t, err)
		done := make(chan error)
		go func() { done <- m.Make(context.Background()) }()
		<-slow.entered
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.Refresh(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("refresh: %v", err)
		}
		if err := m.Make(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("make: %v", err)
		}
		close(slow.release)
		check(t, <-done)
	})
}

// slowStore waits in Head until it is released.
type slowStore struct {
	*store.Store
	entered, release chan struct{}
}

func (s *slowStore) Head(ctx context.Context) (audit.Head, error) {
	close(s.entered)
	<-s.release
	return s.Store.Head(ctx)
}

// nodeOf is a maker over a store that may fail.
func (w *world) nodeOf(t *testing.T, f *failing) *checkpoint.Maker {
	t.Helper()
	m, err := checkpoint.Open(t.Context(), checkpoint.Config{
		Issuer: issuer, Ring: &keyring.Ring{Store: f, KEK: w.kek, Now: w.clock}, Store: f, Now: w.clock, Log: slog.New(slog.NewJSONHandler(w, nil)),
	})
	check(t, err)
	return m
}

// forge signs a checkpoint with the installation's own key, as whoever has the
// key-encryption key can.
func (w *world) forge(t *testing.T, c audit.Checkpoint) string {
	t.Helper()
	keys, err := (&keyring.Ring{Store: w.store, KEK: w.kek, Now: w.clock}).Keys(t.Context(), keyring.AuditCheckpoint)
	check(t, err)
	signer, err := jose.NewSigner(keys[len(keys)-1].Signer, jose.ES256, "")
	check(t, err)
	c.Issuer, c.At = issuer, w.now
	check(t, c.Sign(signer))
	return c.JWS
}

func TestForgeries(t *testing.T) {
	for _, c := range []struct {
		name  string
		forge func(t *testing.T, w *world) // after checkpoint 3 was seen, with events up to 5
		says  string
	}{
		{"the seen checkpoint was replaced by one of another hash", func(t *testing.T, w *world) {
			w.rewrite(t, 2)
			hash, err := w.store.EventHash(t.Context(), 3)
			check(t, err)
			w.tamper(t, "UPDATE checkpoints SET jws = '"+w.forge(t, audit.Checkpoint{Head: audit.Head{Sequence: 3, Hash: hash}})+"'")
		}, "the checkpoint of event 3 is another one than before"},
		{"the chain was written anew under a later checkpoint", func(t *testing.T, w *world) {
			w.rewrite(t, 2)
			hash, err := w.store.EventHash(t.Context(), 5)
			check(t, err)
			w.tamper(t, "DELETE FROM checkpoints", "INSERT INTO checkpoints VALUES (5, 0, 0, 'k', '', '"+w.forge(t, audit.Checkpoint{Head: audit.Head{Sequence: 5, Hash: hash}})+"')")
		}, "audit event 3 is not the one that a checkpoint was seen of"},
		{"the event of the seen checkpoint was removed under a later one", func(t *testing.T, w *world) {
			hash, err := w.store.EventHash(t.Context(), 5)
			check(t, err)
			w.tamper(t, "DELETE FROM events WHERE sequence = 3", "INSERT INTO checkpoints VALUES (5, 3, 0, 'k', '', '"+w.forge(t, audit.Checkpoint{Head: audit.Head{Sequence: 5, Hash: hash}, Previous: 3})+"')")
		}, "audit event 3 is not the one that a checkpoint was seen of"},
		{"the head's hash was changed", func(t *testing.T, w *world) {
			w.tamper(t, "UPDATE head SET hash = zeroblob(32)")
		}, "audit event 5 has another hash than the head of the chain"},
		{"the head's number was set back", func(t *testing.T, w *world) {
			w.tamper(t, "UPDATE head SET sequence = 2")
		}, "audit event 3 has a checkpoint and is missing"},
		{"a checkpoint stands under another number", func(t *testing.T, w *world) {
			w.tamper(t, "UPDATE checkpoints SET sequence = 4")
		}, "the stored checkpoint of event 4: it is of event 3"},
		{"a handover that is none", func(t *testing.T, w *world) {
			w.tamper(t, "UPDATE checkpoints SET next = 'x'")
		}, "hands over to nobody known"},
		{"a handover that nobody signed", func(t *testing.T, w *world) {
			w.tamper(t, "INSERT INTO checkpoints VALUES (4, 3, 0, 'k', 'x', 'y')")
		}, "hands over to nobody known"},
		{"a handover to a key that is not there", func(t *testing.T, w *world) {
			key, err := jose.GenerateKey(jose.ES256, nil)
			check(t, err)
			stranger, err := jose.NewPublicKey(key.Public(), jose.ES256, "")
			check(t, err)
			w.tamper(t, "INSERT INTO checkpoints VALUES (4, 3, 0, 'k', 'x', '"+w.forge(t, audit.Checkpoint{Head: audit.Head{Sequence: 4}, Previous: 3, Next: stranger})+"')")
		}, "the key that the checkpoint of event 4 names is not there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			m := w.node(t, w.store)
			w.change(t, "a", "b")
			check(t, m.Make(t.Context()))
			w.change(t, "c", "d")
			c.forge(t, w)
			before := len(w.stored(t))
			err := m.Make(t.Context())
			if _, ok := errors.AsType[*checkpoint.BrokenError](err); !ok || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if len(w.stored(t)) != before || m.Newest().Sequence != 3 {
				t.Error("taken or signed all the same")
			}
		})
	}
}

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	m := w.node(t, w.store)
	w.change(t, "a")
	check(t, m.Refresh(t.Context())) // there is no key and no checkpoint yet, which is no news
	check(t, m.Make(t.Context()))
	newest := m.Newest()
	check(t, m.Refresh(t.Context()))
	if m.Newest() != newest {
		t.Error("what is known was read anew")
	}
	if hash, ok, err := m.Hash(t.Context(), newest.Sequence); err != nil || !ok || hash != newest.Hash {
		t.Errorf("%v, %v", ok, err)
	}
	if _, ok, err := m.Hash(t.Context(), 99); err != nil || ok {
		t.Errorf("%v, %v", ok, err)
	}
	check(t, w.store.Close())
	if _, ok, err := m.Hash(t.Context(), newest.Sequence); err == nil || ok {
		t.Errorf("%v, %v", ok, err)
	}
}

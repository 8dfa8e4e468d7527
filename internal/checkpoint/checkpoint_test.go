package checkpoint_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/checkpoint"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
)

const issuer = "https://as.example"

// world is one database and its key-encryption key.
type world struct {
	path  string
	kek   *envelope.Key
	now   time.Time
	mu    sync.Mutex
	log   bytes.Buffer // guarded by mu
	store *store.Store
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{path: filepath.Join(t.TempDir(), "holdfast.db"), now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	var err error
	w.kek, err = envelope.CreateKeyFile(filepath.Join(t.TempDir(), "kek"))
	check(t, err)
	w.store = w.open(t)
	return w
}

// open is a node's store.
func (w *world) open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), w.path, store.Options{Create: true, AnyChain: true, Now: w.clock})
	check(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

func (w *world) clock() time.Time { return w.now }

// node is a maker over a store of its own.
func (w *world) node(t *testing.T, s *store.Store) *checkpoint.Maker {
	t.Helper()
	m, err := checkpoint.Open(t.Context(), checkpoint.Config{
		Issuer: issuer, Ring: &keyring.Ring{Store: s, KEK: w.kek, Now: w.clock}, Store: s, Now: w.clock, Log: slog.New(slog.NewJSONHandler(w, nil)),
	})
	check(t, err)
	return m
}

func (w *world) change(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		e := audit.Event{At: w.now, Actor: "operator", Action: "organisation.created", Organisation: id, Subject: id, Detail: `{}`}
		check(t, w.store.CreateOrganisation(context.Background(), e, directory.Organisation{ID: directory.OrganisationID(id), Name: id, State: directory.Active}))
	}
}

// tamper runs SQL beside everybody.
func (w *world) tamper(t *testing.T, queries ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", w.path)
	check(t, err)
	for _, q := range queries {
		_, err := db.Exec(q)
		check(t, err)
	}
	check(t, db.Close())
}

// rewrite writes the events from sequence on anew, with another actor and hashes
// that hold, and the head with them.
func (w *world) rewrite(t *testing.T, from int64) {
	t.Helper()
	events, err := w.store.Events(t.Context(), 0, 1000)
	check(t, err)
	db, err := sql.Open("sqlite", w.path)
	check(t, err)
	var head audit.Head
	for _, e := range events {
		if e.Sequence >= from {
			e.Actor = "nobody"
			e.Seal(head.Hash)
			_, err := db.Exec("UPDATE events SET actor = ?, previous = ?, hash = ? WHERE sequence = ?", e.Actor, e.Previous[:], e.Hash[:], e.Sequence)
			check(t, err)
		}
		head = audit.Head{Sequence: e.Sequence, Hash: e.Hash}
	}
	_, err = db.Exec("UPDATE head SET hash = ?", head.Hash[:])
	check(t, err)
	check(t, db.Close())
}

func (w *world) stored(t *testing.T) []audit.SignedCheckpoint {
	t.Helper()
	all, err := w.store.Checkpoints(t.Context(), 0, 1000)
	check(t, err)
	return all
}

func TestMake(t *testing.T) {
	t.Run("the head is signed once, and again when it has grown", func(t *testing.T) {
		w := newWorld(t)
		m := w.node(t, w.store)
		w.change(t, "a", "b")
		check(t, m.Make(t.Context()))
		check(t, m.Make(t.Context()))
		head, err := w.store.Head(t.Context())
		check(t, err)
		if n := m.Newest(); n == nil || n.Head != head || n.Previous != 0 || n.Issuer != issuer || !n.At.Equal(w.now) {
			t.Fatalf("%+v of %+v", n, head)
		}
		first := m.Newest()
		w.change(t, "c")
		check(t, m.Make(t.Context()))
		if n := m.Newest(); n.Sequence != first.Sequence+1 || n.Previous != first.Sequence {
			t.Fatalf("%+v after %+v", n, first)
		}
		if all := w.stored(t); len(all) != 2 {
			t.Errorf("%d checkpoints", len(all))
		}
		for _, c := range w.stored(t) {
			if _, err := audit.ParseCheckpoint(c.JWS, m.Keys()...); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("the key signs nothing else, and a restart goes on with it", func(t *testing.T) {
		w := newWorld(t)
		m := w.node(t, w.store)
		w.change(t, "a")
		check(t, m.Make(t.Context()))
		again := w.node(t, w.store)
		if len(m.Keys()) != 1 || len(again.Keys()) != 1 || m.Keys()[0].Thumbprint() != again.Keys()[0].Thumbprint() {
			t.Errorf("%v and %v", m.Keys(), again.Keys())
		}
		if again.Newest() != nil {
			t.Error("a checkpoint is known before anybody looked")
		}
		check(t, again.Make(t.Context()))
		if again.Newest().JWS != m.Newest().JWS {
			t.Error("a second checkpoint of one head")
		}
	})
	t.Run("nodes that sign at once make one checkpoint of each head", func(t *testing.T) {
		w := newWorld(t)
		var makers []*checkpoint.Maker
		for range 4 {
			makers = append(makers, w.node(t, w.open(t)))
		}
		check(t, makers[0].Make(t.Context())) // the key
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			w.change(t, id)
			var wg sync.WaitGroup
			for _, m := range makers {
				wg.Go(func() {
					if err := m.Make(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for _, m := range makers[1:] {
				if m.Newest().JWS != makers[0].Newest().JWS {
					t.Fatal("two checkpoints of one head")
				}
			}
		}
		if all := w.stored(t); len(all) != 6 {
			t.Errorf("%d checkpoints of 6 heads", len(all))
		}
	})
	t.Run("a key is followed by another that it names, and signs no more", func(t *testing.T) {
		w := newWorld(t)
		m := w.node(t, w.store)
		w.change(t, "a")
		check(t, m.Make(t.Context()))
		trust := audit.NewTrust(issuer, m.Keys()...)
		w.now = w.now.Add(checkpoint.KeyLife - 29*24*time.Hour)
		check(t, m.Make(t.Context())) // the new key is a change
		w.change(t, "b")
		check(t, m.Make(t.Context()))
		if len(m.Keys()) != 2 || m.Newest().KeyID != m.Keys()[1].KeyID() || len(m.Handovers()) != 1 {
			t.Fatalf("%d keys, %d handovers, signed by %s", len(m.Keys()), len(m.Handovers()), m.Newest().KeyID)
		}
		for _, c := range w.stored(t) {
			if _, err := trust.Open(c.JWS); err != nil {
				t.Errorf("the first key alone does not lead to checkpoint %d: %v", c.Sequence, err)
			}
		}
		check(t, w.node(t, w.open(t)).Make(t.Context())) // another node chooses alike
		if again := w.node(t, w.store); len(again.Keys()) != 2 {
			t.Errorf("%d keys", len(again.Keys()))
		}
	})
}

func TestBrokenChainIsNeverSigned(t *testing.T) {
	for _, c := range []struct {
		name   string
		tamper func(t *testing.T, w *world)
		says   string
		// fresh: a process that has just started sees it too
		fresh bool
	}{
		{"an event after the checkpoint was changed", func(t *testing.T, w *world) {
			w.tamper(t, "UPDATE events SET detail = '{\"x\":1}' WHERE sequence = 4")
		}, "audit event 4 was changed after it was sealed", true},
		{"an event after the checkpoint is missing", func(t *testing.T, w *world) {
			w.tamper(t, "DELETE FROM events WHERE sequence = 4")
		}, "audit event 4 is missing", true},
		{"the event of the checkpoint is another", func(t *testing.T, w *world) { w.rewrite(t, 2) }, "audit event 3 has another hash than its checkpoint", true},
		{"the chain was cut off below the checkpoint", func(t *testing.T, w *world) {
			w.tamper(t, "DELETE FROM events WHERE sequence > 2", "UPDATE head SET sequence = 2, hash = (SELECT hash FROM events WHERE sequence = 2)")
		}, "audit event 3 has a checkpoint and is missing", true},
		{"the end was cut off", func(t *testing.T, w *world) {
			w.tamper(t, "DELETE FROM events WHERE sequence = 5")
		}, "audit event 5 is missing", true},
		{"the checkpoint was changed", func(t *testing.T, w *world) {
			w.tamper(t, "UPDATE checkpoints SET jws = replace(jws, '.', '..')")
		}, "the stored checkpoint of event 3: not a checkpoint", true},
		{"the chain was written anew and its checkpoints removed", func(t *testing.T, w *world) {
			w.rewrite(t, 2)
			w.tamper(t, "DELETE FROM checkpoints")
		}, "the checkpoint of event 3 is gone", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			m := w.node(t, w.store)
			w.change(t, "a", "b")
			check(t, m.Make(t.Context())) // with the key's creation: event 3
			if m.Newest().Sequence != 3 {
				t.Fatalf("checkpoint of %d", m.Newest().Sequence)
			}
			w.change(t, "c", "d")
			c.tamper(t, w)
			before := len(w.stored(t))
			makers := map[string]*checkpoint.Maker{"the node": m}
			if c.fresh {
				makers["a node that has just started"] = w.node(t, w.store)
			}
			for who, m := range makers {
				err := m.Make(t.Context())
				if _, ok := errors.AsType[*checkpoint.BrokenError](err); !ok || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: got %v, want %q", who, err, c.says)
				}
				if !strings.Contains(m.Problem(), c.says) || m.Alarms() != 1 {
					t.Errorf("%s: problem %q, %d alarms", who, m.Problem(), m.Alarms())
				}
			}
			if after := len(w.stored(t)); after != before {
				t.Errorf("%d checkpoints became %d", before, after)
			}
			if said := w.said(); !strings.Contains(said, `"level":"ERROR"`) || !strings.Contains(said, `"reason":"chain_broken"`) {
				t.Errorf("the log says %s", said)
			}
		})
	}
	t.Run("the alarm is told once for each fault, and ends with it", func(t *testing.T) {
		w := newWorld(t)
		m := w.node(t, w.store)
		w.change(t, "a")
		w.tamper(t, "UPDATE events SET actor = 'x' WHERE sequence = 1")
		for range 3 {
			if err := m.Make(t.Context()); err == nil {
				t.Fatal("signed")
			}
		}
		if n := strings.Count(w.said(), "chain_broken"); n != 1 || m.Alarms() != 3 {
			t.Errorf("told %d times, counted %d", n, m.Alarms())
		}
		w.tamper(t, "UPDATE events SET actor = 'operator' WHERE sequence = 1")
		check(t, m.Make(t.Context()))
		if m.Problem() != "" || !strings.Contains(w.said(), "again") {
			t.Errorf("problem %q, log %s", m.Problem(), w.said())
		}
	})
	t.Run("a database that is away is no broken chain", func(t *testing.T) {
		w := newWorld(t)
		m := w.node(t, w.store)
		w.change(t, "a")
		check(t, w.store.Close())
		err := m.Make(t.Context())
		if _, ok := errors.AsType[*checkpoint.BrokenError](err); err == nil || ok || m.Problem() != "" {
			t.Errorf("got %v, problem %q", err, m.Problem())
		}
	})
}

func TestRefreshTakesInOthers(t *testing.T) {
	w := newWorld(t)
	one, two := w.node(t, w.store), w.node(t, w.open(t))
	w.change(t, "a")
	check(t, one.Make(t.Context()))
	check(t, two.Make(t.Context()))
	w.change(t, "b")
	check(t, one.Make(t.Context()))
	check(t, two.Refresh(t.Context()))
	if two.Newest().JWS != one.Newest().JWS {
		t.Error("another node's checkpoint is not known")
	}
}

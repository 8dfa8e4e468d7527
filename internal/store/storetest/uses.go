package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// use is an assertion of that name, usable until at + 1 min.
func use(name string) token.Use {
	return token.Use{Key: sha256.Sum256([]byte(name)), Until: at.Add(time.Minute)}
}

// replayed fails unless err says that the use at index was not the first.
func replayed(t *testing.T, err error, index int) {
	t.Helper()
	var r *token.ReplayedError
	if !errors.As(err, &r) || r.Index != index {
		t.Fatalf("error %v, want a replay of use %d", err, index)
	}
}

func runUses(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("advisory 46: a jti that comes again is refused", func(t *testing.T) {
		s := fresh(t)(t)
		must(t, s.FirstUse(ctx, use("a")))
		replayed(t, s.FirstUse(ctx, use("a")), 0)
		replayed(t, s.FirstUse(ctx, use("a")), 0)
		must(t, s.FirstUse(ctx, use("b")))
	})
	t.Run("advisory 46: a jti that comes again after a restart is refused", func(t *testing.T) {
		open := fresh(t)
		s := open(t)
		must(t, s.FirstUse(ctx, use("a")))
		must(t, s.Close())
		replayed(t, open(t).FirstUse(ctx, use("a")), 0)
	})
	t.Run("the use that was not the first is named, and the others are used up", func(t *testing.T) {
		s := fresh(t)(t)
		must(t, s.FirstUse(ctx, use("proof")))
		replayed(t, s.FirstUse(ctx, use("assertion"), use("proof")), 1)
		replayed(t, s.FirstUse(ctx, use("assertion"), use("proof")), 0)
		replayed(t, s.FirstUse(ctx, use("another"), use("assertion"), use("proof")), 1)
	})
	t.Run("one call cannot use a jti twice", func(t *testing.T) {
		s := fresh(t)(t)
		replayed(t, s.FirstUse(ctx, use("a"), use("a")), 1)
	})
	t.Run("no use is no refusal", func(t *testing.T) { must(t, fresh(t)(t).FirstUse(ctx)) })
	t.Run("another time does not make it another use", func(t *testing.T) {
		s := fresh(t)(t)
		must(t, s.FirstUse(ctx, use("a")))
		later := use("a")
		later.Until = later.Until.Add(time.Hour)
		replayed(t, s.FirstUse(ctx, later), 0)
	})
	t.Run("what was handed over may change hands while the call runs", func(t *testing.T) {
		s := fresh(t)(t)
		uses := []token.Use{use("a")}
		must(t, s.FirstUse(ctx, uses...))
		uses[0] = use("b")
		replayed(t, s.FirstUse(ctx, use("a")), 0)
		must(t, s.FirstUse(ctx, use("b")))
	})
	for _, c := range []struct {
		name  string
		nodes int
	}{
		{"advisories 47 and 48: of 64 parallel uses of one jti exactly one is the first", 1},
		{"advisory 49: nor do two nodes let a second through", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			open := fresh(t)
			var nodes []*store.Store
			for range c.nodes {
				nodes = append(nodes, open(t))
			}
			for _, round := range ids("round", 10) {
				first := 0
				for _, err := range parallel(64, func(i int) error { return nodes[i%len(nodes)].FirstUse(ctx, use(round)) }) {
					var r *token.ReplayedError
					switch {
					case err == nil:
						first++
					case !errors.As(err, &r):
						t.Fatal(err)
					}
				}
				if first != 1 {
					t.Fatalf("%s: %d were the first", round, first)
				}
			}
		})
	}
	t.Run("many at once are each answered for themselves", func(t *testing.T) {
		s := fresh(t)(t)
		must(t, s.FirstUse(ctx, use("jti-7")))
		names := ids("jti", 1500)
		for i, err := range parallel(len(names), func(i int) error { return s.FirstUse(ctx, use(names[i])) }) {
			if i == 7 {
				replayed(t, err, 0)
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("who has gone away is answered so, and others are not held up", func(t *testing.T) {
		s := fresh(t)(t)
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := s.FirstUse(gone, use("a")); err != nil {
			is(t, err, context.Canceled)
		}
		must(t, s.FirstUse(ctx, use("b")))
	})
}

func parallel(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func runPruning(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	prune := func(t *testing.T, s *store.Store, now time.Time) {
		t.Helper()
		for range 256 {
			must(t, s.Prune(ctx, now))
		}
	}
	names := ids("jti", 1200)
	t.Run("before its time nothing is forgotten", func(t *testing.T) {
		s := fresh(t)(t)
		parallel(len(names), func(i int) error { return s.FirstUse(ctx, use(names[i])) })
		prune(t, s, at.Add(time.Minute))
		for _, err := range parallel(len(names), func(i int) error { return s.FirstUse(ctx, use(names[i])) }) {
			replayed(t, err, 0)
		}
	})
	t.Run("advisory 51: after its time every use is forgotten, whatever its key", func(t *testing.T) {
		s := fresh(t)(t)
		parallel(len(names), func(i int) error { return s.FirstUse(ctx, use(names[i])) })
		lowest, highest := token.Use{Until: at}, token.Use{Until: at}
		for i := range highest.Key {
			highest.Key[i] = 0xff
		}
		must(t, s.FirstUse(ctx, lowest, highest))
		prune(t, s, at.Add(time.Minute+time.Microsecond))
		for _, err := range parallel(len(names), func(i int) error { return s.FirstUse(ctx, use(names[i])) }) {
			must(t, err)
		}
		must(t, s.FirstUse(ctx, lowest, highest))
	})
	t.Run("what has expired and is not pruned yet is still refused", func(t *testing.T) {
		s := fresh(t)(t)
		old := use("old")
		old.Until = at.Add(-time.Hour)
		must(t, s.FirstUse(ctx, old))
		replayed(t, s.FirstUse(ctx, old), 0)
	})
	t.Run("a revoked token is forgotten after its time and not before", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.RevokeToken(ctx, event("token.revoked", "jti"), directory.RevokedToken{ClientID: "app", ID: "jti", Expires: at}))
		must(t, w.Prune(ctx, at))
		if d := w.loaded(t); len(d.Revoked) != 1 {
			t.Fatal("forgotten early")
		}
		must(t, w.Prune(ctx, at.Add(time.Microsecond)))
		if d := w.loaded(t); len(d.Revoked) != 0 {
			t.Fatal("not forgotten")
		}
		if _, err := w.VerifyChain(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

func runNodes(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("two nodes' changes and uses make one chain without a gap", func(t *testing.T) {
		w := newWorld(t, fresh)
		nodes := []*store.Store{w.Store, w.open(t)}
		orgs := ids("org", 60)
		errs := parallel(4*len(orgs), func(i int) error {
			node := nodes[i%2]
			if i%4 < 2 {
				return node.FirstUse(ctx, use(orgs[i/4]+string(rune('a'+i%4))))
			}
			if i%4 == 2 {
				return node.CreateOrganisation(ctx, event("organisation.created", orgs[i/4]), directory.Organisation{ID: directory.OrganisationID(orgs[i/4]), Name: "N", State: directory.Active})
			}
			return node.RevokeToken(ctx, event("token.revoked", orgs[i/4]), directory.RevokedToken{ClientID: "app", ID: orgs[i/4], Expires: at})
		})
		must(t, errors.Join(errs...))
		for _, node := range nodes {
			head, err := node.VerifyChain(ctx)
			must(t, err)
			d, err := node.Load(ctx, 0)
			must(t, err)
			if want := int64(4 + 2*len(orgs)); head.Sequence != want || d.Sequence != want || len(d.Organisations) != 61 || len(d.Revoked) != 60 {
				t.Fatalf("head at %d, want %d; %d organisations, %d revoked", head.Sequence, want, len(d.Organisations), len(d.Revoked))
			}
		}
	})
}

func runClosed(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("a store that is open answers", func(t *testing.T) { must(t, fresh(t)(t).Ping(ctx)) })
	t.Run("a closed store does nothing", func(t *testing.T) {
		s := fresh(t)(t)
		must(t, s.Close())
		is(t, s.Close(), store.ErrClosed)
		is(t, s.FirstUse(ctx, use("a")), store.ErrClosed)
		is(t, s.Prune(ctx, at), store.ErrClosed)
		is(t, s.CreateOrganisation(ctx, event("x", "y"), directory.Organisation{ID: "o"}), store.ErrClosed)
		is(t, s.Run(ctx), store.ErrClosed)
		for name, read := range map[string]func() error{
			"ping":    func() error { return s.Ping(ctx) },
			"load":    func() error { _, err := s.Load(ctx, 0); return err },
			"keys":    func() error { _, err := s.Keys(ctx, keyring.Root); return err },
			"meta":    func() error { _, err := s.Meta(ctx, "x"); return err },
			"head":    func() error { _, err := s.Head(ctx); return err },
			"events":  func() error { _, err := s.Events(ctx, 0, 1); return err },
			"chain":   func() error { _, err := s.VerifyChain(ctx); return err },
			"intents": func() error { _, err := s.OpenIntents(ctx, "ca1", at); return err },
		} {
			if read() == nil {
				t.Errorf("%s of a closed store answers", name)
			}
		}
	})
	t.Run("claims that wait while the store closes are answered, and none is lost", func(t *testing.T) {
		open := fresh(t)
		s := open(t)
		names := ids("jti", 400)
		var closed error
		errs := parallel(len(names)+1, func(i int) error {
			if i == len(names)/2 {
				closed = s.Close()
				return nil
			}
			return s.FirstUse(ctx, use(names[i%len(names)]+string(rune('a'+i/len(names)))))
		})
		must(t, closed)
		s = open(t)
		for i, err := range errs {
			if i == len(names)/2 {
				continue
			}
			if err != nil {
				is(t, err, store.ErrClosed)
				continue
			}
			replayed(t, s.FirstUse(ctx, use(names[i%len(names)]+string(rune('a'+i/len(names))))), 0)
		}
	})
	t.Run("a run ends with its context", func(t *testing.T) {
		s := fresh(t)(t)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		must(t, s.Run(ended))
	})
}

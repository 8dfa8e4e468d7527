//go:build postgres

package store_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/store/postgrestest"
	"github.com/holdfast-auth/holdfast/internal/token"
)

func named(name string) token.Use {
	return token.Use{Key: sha256.Sum256([]byte(name)), Until: time.Now().Add(time.Hour)}
}

func isReplay(err error) bool {
	var r *token.ReplayedError
	return errors.As(err, &r)
}

// eventually tries for at most d and tells how long it took.
func eventually(t *testing.T, d time.Duration, what string, f func() error) time.Duration {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		took := time.Since(begun)
		if err == nil {
			return took
		}
		if took > d {
			t.Fatalf("%s: not within %v: %v", what, d, err)
		}
	}
}

func createOrganisation(s *store.Store, id string) error {
	e := audit.Event{At: time.Now(), Actor: "system", Action: "organisation.created", Subject: id, Detail: "{}"}
	return s.CreateOrganisation(context.Background(), e, directory.Organisation{ID: directory.OrganisationID(id), Name: id, State: directory.Active})
}

func TestPostgresRefuses(t *testing.T) {
	pg := postgrestest.Start(t)
	refused := func(t *testing.T, url string, o store.Options, says string) error {
		t.Helper()
		o.Now = time.Now
		s, err := store.Open(t.Context(), url, o)
		if err == nil {
			s.Close()
			t.Fatal("opened")
		}
		if !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
			t.Errorf("says %q, want one line with %q and no password", err, says)
		}
		return err
	}
	url := pg.Fresh(t)
	t.Run("a database without an installation", func(t *testing.T) {
		if err := refused(t, url, store.Options{}, "holds no installation"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if err := refused(t, url, store.Options{Create: true, ReadOnly: true}, "holds no installation"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	t.Run("a database that the server does not have", func(t *testing.T) {
		refused(t, pg.URL("none"), store.Options{Create: true}, `refuses the connection: database "none" does not exist (SQLSTATE 3D000)`)
	})
	t.Run("a URL that cannot be read, without repeating it", func(t *testing.T) {
		for _, dsn := range []string{"postgres://u:secret@h:port/d", "postgres://u:sec%ret@h/d", "postgres://u:secret@h/d?sslmode=secret", "postgres://u:secret@h/d?sslrootcert=/secret"} {
			refused(t, dsn, store.Options{}, "the URL of the PostgreSQL database cannot be read")
		}
	})
	t.Run("a server elsewhere that nothing identifies", func(t *testing.T) {
		for _, mode := range []string{"", "?sslmode=disable", "?sslmode=prefer", "?sslmode=require"} {
			refused(t, "postgres://u:secret@db.example.com/d"+mode, store.Options{}, "add sslmode=verify-full")
			refused(t, "postgres://u:secret@localhost,192.0.2.1/d"+mode, store.Options{}, "add sslmode=verify-full")
		}
	})
	t.Run("a password file that is not there", func(t *testing.T) {
		refused(t, url, store.Options{Create: true, PasswordFile: "/none/file"}, "read the database's password: open /none/file")
	})
	t.Run("another encoding", func(t *testing.T) {
		pg.Execute(t, "postgres", "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
		refused(t, pg.URL("ascii"), store.Options{Create: true}, "does not have the encoding UTF8")
	})
	open(t, url).Close()
	t.Run("fsync=off", func(t *testing.T) {
		if err := pg.Restart(false, "fsync=off"); err != nil {
			t.Fatal(err)
		}
		refused(t, url, store.Options{}, "runs with fsync=off")
	})
	t.Run("fault 8: a standby", func(t *testing.T) {
		if err := pg.Standby(true); err != nil {
			t.Fatal(err)
		}
		refused(t, url, store.Options{}, "is a standby")
		refused(t, url, store.Options{ReadOnly: true}, "is a standby")
		if err := pg.Standby(false); err != nil {
			t.Fatal(err)
		}
		open(t, url)
	})
}

func TestPostgresHosts(t *testing.T) {
	standby, primary := postgrestest.Start(t), postgrestest.Start(t)
	standby.Fresh(t) // of the same name
	if err := standby.Standby(true); err != nil {
		t.Fatal(err)
	}
	dsn := primary.Fresh(t)
	both := strings.Replace(dsn, "127.0.0.1:", fmt.Sprintf("127.0.0.1:%d,127.0.0.1:", standby.Port()), 1)
	s := open(t, both)
	if err := createOrganisation(s, "o"); err != nil {
		t.Errorf("of two hosts, the primary is not found: %v", err)
	}
	if head, err := open(t, dsn).Head(t.Context()); err != nil || head.Sequence != 1 {
		t.Errorf("%v, %v", head, err)
	}
	if err := primary.Standby(true); err != nil {
		t.Fatal(err)
	}
	if err := createOrganisation(s, "p"); err == nil {
		t.Error("two standbys take a change")
	}
}

func TestPostgresPassword(t *testing.T) {
	pg := postgrestest.Start(t)
	pg.Execute(t, "postgres", "CREATE ROLE app LOGIN PASSWORD 'secret'", "GRANT CREATE ON DATABASE postgres TO app")
	if err := os.WriteFile(filepath.Join(pg.Data(), "pg_hba.conf"), []byte("host all holdfast 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pg.Execute(t, "postgres", "SELECT pg_reload_conf()")
	u, err := url.Parse(pg.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("app")
	path := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret\n")
	eventually(t, 5*time.Second, "the reload", func() error {
		_, err := store.Open(t.Context(), u.String(), store.Options{Create: true, Now: time.Now})
		if err == nil || !strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), "secret") {
			return fmt.Errorf("without a password: %w", err)
		}
		return nil
	})
	s, err := store.Open(t.Context(), u.String(), store.Options{Create: true, PasswordFile: path, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	t.Run("a password that changes is read again for the next connection", func(t *testing.T) {
		pg.Execute(t, "postgres", "ALTER ROLE app PASSWORD 'other'")
		write("other")
		for _, pid := range pg.Sessions(t, pg.URL("postgres")) {
			pg.Execute(t, "postgres", fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid))
		}
		eventually(t, 3*time.Second, "a use", func() error { return s.FirstUse(t.Context(), named("a")) })
		eventually(t, 3*time.Second, "a change", func() error { return createOrganisation(s, "a") })
	})
}

// load uses a jti after another from several goroutines, each name at both nodes,
// and counts who was the first.
type load struct {
	nodes  []*store.Store
	first  sync.Map // name -> *atomic.Int32
	errs   atomic.Int32
	last   atomic.Int64 // UnixNano of the last error that was no refusal
	uses   atomic.Int32
	ending chan struct{}
	stop   func()
	wg     sync.WaitGroup
}

func startLoad(t *testing.T, nodes ...*store.Store) *load {
	l := &load{nodes: nodes, ending: make(chan struct{})}
	l.stop = sync.OnceFunc(func() {
		close(l.ending)
		l.wg.Wait()
	})
	t.Cleanup(l.stop)
	for worker := range 8 {
		l.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.ending:
					return
				default:
				}
				name := fmt.Sprintf("%d-%d", worker/2, i) // two workers share a name
				counter, _ := l.first.LoadOrStore(name, new(atomic.Int32))
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				switch err := l.nodes[worker%len(l.nodes)].FirstUse(ctx, named(name)); {
				case err == nil:
					counter.(*atomic.Int32).Add(1)
					l.uses.Add(1)
				case !isReplay(err):
					l.errs.Add(1)
					l.last.Store(time.Now().UnixNano())
					time.Sleep(time.Millisecond)
				}
				cancel()
			}
		})
	}
	return l
}

func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.first.Range(func(name, n any) bool {
		if n := n.(*atomic.Int32).Load(); n > 1 {
			t.Errorf("%s was used %d times", name, n)
		}
		return true
	})
	t.Logf("%d uses, %d errors", l.uses.Load(), l.errs.Load())
}

func TestPostgresRestarts(t *testing.T) {
	pg := postgrestest.Start(t)
	for _, c := range []struct {
		name string
		do   func(t *testing.T, url string) error
	}{
		{"fault 8: a restart", func(*testing.T, string) error { return pg.Restart(false) }},
		{"fault 8: an immediate restart", func(*testing.T, string) error { return pg.Restart(true) }},
		{"fault 8: kill -9 of a session's process", func(t *testing.T, url string) error {
			for _, pid := range pg.Sessions(t, url) {
				// The first death makes the server end the others by itself.
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
					return err
				}
			}
			time.Sleep(100 * time.Millisecond) // until the server has noticed
			return pg.Await()
		}},
		{"fault 8: the server is a standby for a while", func(*testing.T, string) error {
			if err := pg.Standby(true); err != nil {
				return err
			}
			time.Sleep(300 * time.Millisecond)
			return pg.Standby(false)
		}},
	} {
		t.Run(c.name+" is an error during the gap, 2 s later everything goes on, and nothing was used twice", func(t *testing.T) {
			url := pg.Fresh(t)
			nodes := []*store.Store{open(t, url), open(t, url)}
			l := startLoad(t, nodes...)
			time.Sleep(200 * time.Millisecond)
			if err := createOrganisation(nodes[0], "before"); err != nil {
				t.Fatal(err)
			}
			if err := c.do(t, url); err != nil {
				t.Fatal(err)
			}
			over := time.Now()
			for i, s := range nodes {
				eventually(t, 2*time.Second, "a use", func() error { return s.FirstUse(t.Context(), named(fmt.Sprint(c.name, i))) })
				eventually(t, 2*time.Second, "a change", func() error { return createOrganisation(s, fmt.Sprint("after-", i)) })
				eventually(t, 2*time.Second, "reading", func() error { _, err := s.Load(t.Context(), 0); return err })
				eventually(t, 2*time.Second, "an answer that all is well", func() error { return s.Ping(t.Context()) })
			}
			time.Sleep(2*time.Second - time.Since(over))
			errs := l.errs.Load()
			time.Sleep(300 * time.Millisecond)
			if more := l.errs.Load() - errs; more > 0 {
				t.Errorf("%d errors later than 2 s after it", more)
			}
			l.end(t)
			if l.errs.Load() == 0 {
				t.Error("nobody noticed")
			}
			if _, err := nodes[0].VerifyChain(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPostgresStall(t *testing.T) {
	pg := postgrestest.Start(t)
	before := goleak.IgnoreCurrent()
	url := pg.Fresh(t)
	s, err := store.Open(t.Context(), url, store.Options{Create: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := createOrganisation(s, "before"); err != nil {
		t.Fatal(err)
	}
	base := runtime.NumGoroutine()
	pg.Stop()
	stopped := time.Now()
	const perSecond, stall = 200, 8 * time.Second
	var wg sync.WaitGroup
	var most, slow, late atomic.Int64
	for i := 0; time.Since(stopped) < stall; i++ {
		wg.Go(func() {
			begun := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			var err error
			switch i % 4 {
			case 0, 1:
				err = s.FirstUse(ctx, named(fmt.Sprint("stall-", i)))
			case 2:
				_, err = s.Load(ctx, 0)
			case 3:
				err = s.Ping(ctx)
			}
			if err == nil && time.Since(stopped) < stall {
				t.Error("a server that is stopped answers")
			}
			took := time.Since(begun)
			if i%4 < 2 {
				slow.Store(max(slow.Load(), int64(took)))
				if begun.Sub(stopped) > 3*time.Second && took > time.Second {
					late.Add(1)
				}
			}
		})
		most.Store(max(most.Load(), int64(runtime.NumGoroutine()-base)))
		time.Sleep(time.Second / perSecond)
	}
	pg.Continue()
	t.Logf("at most %d goroutines more, the slowest use took %v", most.Load(), time.Duration(slow.Load()))
	t.Run("fault 9: deadlines of 2 s fire", func(t *testing.T) {
		if d := time.Duration(slow.Load()); d > 6*time.Second {
			t.Errorf("a use waited for %v", d)
		}
		if n := late.Load(); n > 0 {
			t.Errorf("%d uses waited for a server that is known not to answer", n)
		}
	})
	t.Run("fault 9: and nothing piles up", func(t *testing.T) {
		if most.Load() > 5*perSecond {
			t.Errorf("%d goroutines more", most.Load())
		}
	})
	t.Run("fault 9: 2 s later everything goes on", func(t *testing.T) {
		eventually(t, 3*time.Second, "a use", func() error { return s.FirstUse(t.Context(), named("after")) })
		eventually(t, 3*time.Second, "a change", func() error { return createOrganisation(s, "after") })
		eventually(t, 3*time.Second, "reading", func() error { _, err := s.Load(t.Context(), 0); return err })
	})
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, 5*time.Second, "the end of all goroutines", func() error { return goleak.Find(before) })
}

func TestPostgresNodes(t *testing.T) {
	pg := postgrestest.Start(t)
	t.Run("two nodes that record the same uses in opposite orders do not deadlock", func(t *testing.T) {
		url := pg.Fresh(t)
		nodes := []*store.Store{open(t, url), open(t, url)}
		var first atomic.Int32
		var wg sync.WaitGroup
		const n = 3000
		for i := range nodes {
			for j := range n {
				name := fmt.Sprint(j)
				if i == 1 {
					name = fmt.Sprint(n - 1 - j)
				}
				wg.Go(func() {
					err := nodes[i].FirstUse(t.Context(), named(name))
					if err == nil {
						first.Add(1)
					} else if !isReplay(err) {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if first.Load() != n {
			t.Errorf("%d of %d were the first", first.Load(), n)
		}
	})
	t.Run("a node that stops in the middle of a change holds the others up for 5 s and not longer", func(t *testing.T) {
		url := pg.Fresh(t)
		s := open(t, url)
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		// as any session of a node has it
		if _, err := tx.Exec("SET LOCAL idle_in_transaction_session_timeout = 5000; UPDATE holdfast.head SET sequence = sequence WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := createOrganisation(s, "o"); err == nil || time.Since(begun) > 3*time.Second {
			t.Errorf("got %v after %v", err, time.Since(begun))
		}
		if err := s.FirstUse(t.Context(), named("a")); err != nil {
			t.Errorf("uses wait too: %v", err)
		}
		eventually(t, 5*time.Second, "a change", func() error { return createOrganisation(s, "o") })
		if err := tx.Commit(); err == nil {
			t.Error("the node that stopped commits all the same")
		}
	})
}

func TestPostgresKill(t *testing.T) {
	pg := postgrestest.Start(t)
	url := pg.Fresh(t)
	open(t, url).Close()
	uses, changes := map[string]bool{}, map[string]bool{}
	for range 5 {
		var wg sync.WaitGroup
		var told [2]struct{ uses, changes map[string]bool }
		for i := range told { // two processes at once
			told[i].uses, told[i].changes = map[string]bool{}, map[string]bool{}
			wg.Go(func() {
				kill(t, url, false, time.Duration(100+50*i)*time.Millisecond, told[i].uses, told[i].changes)
			})
		}
		wg.Wait()
		for _, one := range told {
			maps.Copy(uses, one.uses)
			maps.Copy(changes, one.changes)
		}
		check := open(t, url)
		checkChain(t, check, changes)
		if err := check.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(uses) == 0 || len(changes) == 0 {
		t.Fatalf("only %d uses and %d changes were acknowledged", len(uses), len(changes))
	}
	t.Logf("%d uses and %d changes were acknowledged", len(uses), len(changes))
	s := open(t, url)
	var wg sync.WaitGroup
	for name := range uses {
		wg.Go(func() {
			if err := s.FirstUse(t.Context(), crashUse(name)); !isReplay(err) {
				t.Errorf("%s was acknowledged and may be used again: %v", name, err)
			}
		})
	}
	wg.Wait()
}

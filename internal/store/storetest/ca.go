package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// intentOf is an intent of the application app; request tells requests apart.
func intentOf(serial string, request byte) ca.Intent {
	return ca.Intent{
		Serial: serial, Issuer: "ca1", Profile: ca.ClientTransport, Organisation: "org", ClientID: "app", CredentialID: directory.CredentialID("c" + serial),
		RequestHash: [32]byte{request}, TBSHash: [32]byte{2}, At: at, RenewAt: at.Add(time.Hour), NotAfter: at.AddDate(0, 0, 7),
	}
}

func begin(ctx context.Context, s *store.Store, i ca.Intent) error {
	earlier, err := s.BeginIssue(ctx, i)
	if err == nil && earlier != nil {
		err = errors.New("there is an earlier one")
	}
	return err
}

func finish(ctx context.Context, s *store.Store, serial string) error {
	return s.FinishIssue(ctx, event("certificate.issued", serial), serial, []byte("der "+serial), certificate(directory.CredentialID("c"+serial), "app", "der "+serial))
}

func abandon(ctx context.Context, s *store.Store, serial string) error {
	return s.AbandonIssue(ctx, event("certificate.abandoned", serial), serial, at)
}

func openIntents(t *testing.T, w *world) []ca.Intent {
	t.Helper()
	open, err := w.OpenIntents(context.Background(), "ca1", at)
	must(t, err)
	return open
}

func runIssue(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("an intent is open until its certificate is stored", func(t *testing.T) {
		w := newWorld(t, fresh)
		intent := intentOf("0a", 1)
		must(t, begin(ctx, w.Store, intent))
		if diff := cmp.Diff([]ca.Intent{intent}, openIntents(t, w)); diff != "" {
			t.Fatal(diff)
		}
		must(t, w.Close())
		w.Store = w.open(t)
		if open := openIntents(t, w); len(open) != 1 {
			t.Fatalf("after a restart: %v", open)
		}
		must(t, finish(ctx, w.Store, "0a"))
		if open := openIntents(t, w); len(open) != 0 {
			t.Fatalf("%v", open)
		}
		loaded := w.loaded(t).Credentials
		if len(loaded) != 1 || loaded[0].ID != "c0a" || string(loaded[0].Certificate) != "der 0a" || !loaded[0].Issued {
			t.Fatalf("%+v", loaded)
		}
	})
	t.Run("an intent by itself is no change", func(t *testing.T) {
		w := newWorld(t, fresh)
		w.refused(t, nil, func() error { return begin(ctx, w.Store, intentOf("0a", 1)) })
	})
	t.Run("a serial begins once", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, begin(ctx, w.Store, intentOf("0a", 1)))
		again := intentOf("0a", 2)
		is(t, begin(ctx, w.Store, again), directory.ErrExists)
	})
	t.Run("a certificate without its intent is refused and leaves nothing", func(t *testing.T) {
		w := newWorld(t, fresh)
		w.refused(t, directory.ErrState, func() error { return finish(ctx, w.Store, "0a") })
		must(t, begin(ctx, w.Store, intentOf("0a", 1)))
		other := certificate("another", "app", "x")
		w.refused(t, directory.ErrState, func() error {
			return w.FinishIssue(ctx, event("certificate.issued", "0a"), "0a", []byte("x"), other)
		})
		w.refused(t, directory.ErrState, func() error { return finish(ctx, w.Store, "0b") })
		must(t, finish(ctx, w.Store, "0a"))
		w.refused(t, directory.ErrState, func() error { return finish(ctx, w.Store, "0a") })
	})
	t.Run("a certificate that is known keeps its intent open", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.CreateCredential(ctx, event("credential.registered", "x"), certificate("x", "app", "der 0a")))
		must(t, begin(ctx, w.Store, intentOf("0a", 1)))
		w.refused(t, directory.ErrExists, func() error { return finish(ctx, w.Store, "0a") })
		if open := openIntents(t, w); len(open) != 1 {
			t.Fatalf("%v", open)
		}
	})
	t.Run("a key that ended after its certificate was begun gets none, whatever shape it ended in", func(t *testing.T) {
		key := signingKey(t, "c0a", "app", 1, "k1")
		for i, ended := range []directory.Credential{key, dpopKey("d", "app", key.Thumbprint), dpopKey("d", "server", key.Thumbprint)} {
			w := newWorld(t, fresh)
			must(t, begin(ctx, w.Store, intentOf("0a", 1)))
			ended.ID, ended.State = "ended", directory.Revoked
			must(t, w.CreateCredential(ctx, event("credential.revoked", "ended"), ended))
			finish := func() error {
				return w.FinishIssue(ctx, event("certificate.issued", "0a"), "0a", []byte("der 0a"), key)
			}
			if i == 2 { // another application's
				must(t, finish())
				continue
			}
			w.refused(t, directory.ErrInvalid, finish)
		}
	})
	t.Run("an abandoned intent is finished no more, and leaves room", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, begin(ctx, w.Store, intentOf("0a", 1)))
		is(t, begin(ctx, w.Store, intentOf("0b", 1)), ca.ErrBusy)
		must(t, abandon(ctx, w.Store, "0a"))
		w.refused(t, directory.ErrState, func() error { return abandon(ctx, w.Store, "0a") })
		w.refused(t, directory.ErrState, func() error { return finish(ctx, w.Store, "0a") })
		must(t, begin(ctx, w.Store, intentOf("0b", 1)))
		must(t, finish(ctx, w.Store, "0b"))
		w.refused(t, directory.ErrState, func() error { return abandon(ctx, w.Store, "0b") })
	})
	runIssueRules(t, fresh)
	runRequests(t, fresh)
	runNames(t, fresh)
}

// runIssueRules is who gets a certificate, and when nobody does.
func runIssueRules(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("an application or organisation that is not active gets none", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, begin(ctx, w.Store, intentOf("0a", 1)))
		app := application("app")
		app.State = directory.Suspended
		must(t, w.Put(ctx, event("application.suspended", "app"), directory.Delta{Applications: []directory.Application{app}}))
		is(t, begin(ctx, w.Store, intentOf("0b", 2)), directory.ErrState)
		w.refused(t, directory.ErrState, func() error { return finish(ctx, w.Store, "0a") })
		app.State = directory.Active
		must(t, w.Put(ctx, event("application.resumed", "app"), directory.Delta{Applications: []directory.Application{app}}))
		must(t, w.Put(ctx, event("organisation.suspended", "org"), directory.Delta{Organisations: []directory.Organisation{{ID: "org", Name: "Acme", State: directory.Suspended}}}))
		is(t, begin(ctx, w.Store, intentOf("0b", 2)), directory.ErrState)
		unknown := intentOf("0c", 3)
		unknown.ClientID = "nobody"
		is(t, begin(ctx, w.Store, unknown), directory.ErrNotFound)
	})
	t.Run("the stop holds for whoever begins and whoever finishes, not for our own listeners", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, begin(ctx, w.Store, intentOf("0a", 1)))
		must(t, w.SetSwitch(ctx, event("authority.stopped", "x"), true))
		w.refused(t, directory.ErrState, func() error { return w.SetSwitch(ctx, event("authority.stopped", "x"), true) })
		is(t, begin(ctx, w.Store, intentOf("0b", 2)), ca.ErrStopped)
		w.refused(t, ca.ErrStopped, func() error { return finish(ctx, w.Store, "0a") })
		own := intentOf("0c", 3)
		own.ClientID, own.CredentialID, own.Organisation, own.Profile = "", "", "", ca.ServerTLS
		must(t, begin(ctx, w.Store, own))
		must(t, w.FinishIssue(ctx, event("certificate.issued", "0c"), "0c", []byte("der"), directory.Credential{}))
		sw, err := w.Switch(ctx)
		if err != nil || !sw.Stopped || sw.Actor != "operator" || !sw.Since.Equal(at.Truncate(time.Microsecond)) {
			t.Fatalf("%+v, %v", sw, err)
		}
		must(t, w.SetSwitch(ctx, event("authority.resumed", "x"), false))
		must(t, finish(ctx, w.Store, "0a"))
		must(t, begin(ctx, w.Store, intentOf("0b", 2)))
	})
}

func runRequests(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("a request that was answered is answered alike, until half the life", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, begin(ctx, w.Store, intentOf("0a", 1)))
		must(t, finish(ctx, w.Store, "0a"))
		want := &ca.Earlier{Serial: "0a", Issuer: "ca1", CredentialID: "c0a", Certificate: []byte("der 0a"), At: at}
		got, err := w.BeginIssue(ctx, intentOf("0b", 1))
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if open := openIntents(t, w); len(open) != 0 {
			t.Fatalf("an answer left an intent: %v", open)
		}
		for name, change := range map[string]func(*ca.Intent){
			"another request":     func(i *ca.Intent) { i.RequestHash[5] = 1 },
			"another profile":     func(i *ca.Intent) { i.Profile = ca.ClientSigning },
			"another application": func(i *ca.Intent) { i.ClientID = "server" },
			"past half the life":  func(i *ca.Intent) { i.At = i.RenewAt },
		} {
			i := intentOf("b"+name, 1)
			change(&i)
			if err := begin(ctx, w.Store, i); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("a certificate that was revoked answers for nothing", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, begin(ctx, w.Store, intentOf("0a", 1)))
		must(t, finish(ctx, w.Store, "0a"))
		endCredential(t, w, "0a", directory.Revoked)
		must(t, begin(ctx, w.Store, intentOf("0b", 1)))
	})
	t.Run("advisory 47: 64 nodes at once, one certificate", func(t *testing.T) {
		w := newWorld(t, fresh)
		second := w.open(t)
		var begun, busy atomic.Int64
		var wg sync.WaitGroup
		for n := range 64 {
			s := w.Store
			if n%2 == 1 {
				s = second
			}
			wg.Go(func() {
				switch err := begin(ctx, s, intentOf(fmt.Sprintf("%02x", n), 1)); {
				case err == nil:
					begun.Add(1)
				case errors.Is(err, ca.ErrBusy):
					busy.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if begun.Load() != 1 || busy.Load() != 63 {
			t.Errorf("%d begun, %d busy", begun.Load(), busy.Load())
		}
	})
}

// endCredential moves the credential of a certificate to a state.
func endCredential(t *testing.T, w *world, serial string, to directory.State) {
	t.Helper()
	c := certificate(directory.CredentialID("c"+serial), "app", "der "+serial)
	c.State = to
	must(t, w.Put(context.Background(), event("credential.moved", serial), directory.Delta{Credentials: []directory.Credential{c}}))
}

func runNames(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("a name is one organisation's, and certificates have no other", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.CreateOrganisation(ctx, event("organisation.created", "other"), directory.Organisation{ID: "other", Name: "Other", State: directory.Active}))
		name := ca.Name{ID: "n1", Organisation: "org", Name: "api.example", Added: at}
		must(t, w.AddName(ctx, event("organisation.name_added", "org"), name))
		w.refused(t, directory.ErrExists, func() error {
			return w.AddName(ctx, event("organisation.name_added", "other"), ca.Name{ID: "n2", Organisation: "other", Name: "api.example", Added: at})
		})
		must(t, w.AddName(ctx, event("organisation.name_added", "other"), ca.Name{ID: "n3", Organisation: "other", Name: "their.example", Added: at}))
		if names, err := w.Names(ctx, "org"); err != nil || !cmp.Equal(names, []ca.Name{name}) {
			t.Fatalf("%+v, %v", names, err)
		}
		ask := func(serial string, names ...string) error {
			i := intentOf(serial, serial[1])
			i.Profile, i.Names = ca.ServerTLS, names
			return begin(ctx, w.Store, i)
		}
		must(t, ask("1a", "api.example"))
		is(t, ask("1b", "api.example", "their.example"), directory.ErrInvalid)
		is(t, ask("1c", "www.api.example"), directory.ErrInvalid)
		w.refused(t, directory.ErrNotFound, func() error {
			return w.RemoveName(ctx, event("organisation.name_removed", "other"), "other", "api.example")
		})
		must(t, w.RemoveName(ctx, event("organisation.name_removed", "org"), "org", "api.example"))
		is(t, ask("1d", "api.example"), directory.ErrInvalid)
		must(t, w.AddName(ctx, event("organisation.name_added", "other"), ca.Name{ID: "n4", Organisation: "other", Name: "api.example", Added: at}))
	})
	t.Run("each of N names, only the k-th foreign, for all k", func(t *testing.T) {
		w := newWorld(t, fresh)
		var own []string
		for n := range 7 {
			name := fmt.Sprintf("h%d.example", n)
			must(t, w.AddName(ctx, event("organisation.name_added", "org"), ca.Name{ID: name, Organisation: "org", Name: name, Added: at}))
			own = append(own, name)
		}
		for k := range own {
			names := append([]string(nil), own...)
			names[k] = "foreign.example"
			i := intentOf(fmt.Sprintf("0%d", k), byte(k))
			i.Profile, i.Names = ca.ServerTLS, names
			is(t, begin(ctx, w.Store, i), directory.ErrInvalid)
		}
		if open := openIntents(t, w); len(open) != 0 {
			t.Fatalf("%v", open)
		}
	})
}

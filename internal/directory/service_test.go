package directory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

var errDisk = errors.New("disk")

func TestRevokeToken(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	token := directory.RevokedToken{ID: "jti-1", Expires: start.Add(time.Minute)}
	must(t, w.RevokeToken(ctx, "jwt", "jwt", token))
	t.Run("it ends the token at once, with an event", func(t *testing.T) {
		if got := w.Current().Ended(directory.Token{ID: "jti-1", ClientID: "jwt"}); got != "token_revoked" {
			t.Errorf("ended %q", got)
		}
		if e := w.last(t); e.Action != "token.revoked" || e.Subject != "jti-1" || e.Organisation != "acme" || e.Detail != fmt.Sprintf(`{"client_id":"jwt","exp":%d}`, token.Expires.Unix()) {
			t.Errorf("%+v", e)
		}
	})
	t.Run("a token that is revoked or has expired leaves no second record", func(t *testing.T) {
		w.unchanged(t, func() {
			must(t, w.RevokeToken(ctx, "jwt", "jwt", token))
			must(t, w.RevokeToken(ctx, "jwt", "jwt", directory.RevokedToken{ID: "jti-2", Expires: start}))
		})
	})
	t.Run("one that another node revoked meanwhile is no fault", func(t *testing.T) {
		late := directory.RevokedToken{ClientID: "jwt", ID: "jti-3", Expires: start.Add(time.Minute)}
		must(t, w.store.RevokeToken(ctx, audit.Event{At: start, Action: "token.revoked", Detail: "{}"}, late))
		must(t, w.RevokeToken(ctx, "jwt", "jwt", late))
		if got := w.Current().Ended(directory.Token{ID: "jti-3", ClientID: "jwt"}); got != "token_revoked" {
			t.Errorf("ended %q", got)
		}
	})
	t.Run("a jti that is none is refused", func(t *testing.T) {
		w.unchanged(t, func() {
			for _, id := range []string{"", strings.Repeat("a", 129)} {
				at(t, w.RevokeToken(ctx, "jwt", "jwt", directory.RevokedToken{ID: id, Expires: start.Add(time.Minute)}), "jti")
			}
		})
	})
	t.Run("an application that does not exist is not found", func(t *testing.T) {
		is(t, w.RevokeToken(ctx, "none", "none", directory.RevokedToken{ID: "jti-4", Expires: start.Add(time.Minute)}), directory.ErrNotFound)
	})
	t.Run("advisory 50: a store that fails is an error and never success", func(t *testing.T) {
		w.gate.fault.Store(&errDisk)
		defer w.gate.fault.Store(nil)
		is(t, w.RevokeToken(ctx, "jwt", "jwt", directory.RevokedToken{ID: "jti-5", Expires: start.Add(time.Minute)}), errDisk)
	})
	t.Run("a revocation that is not in force here yet is no success", func(t *testing.T) {
		w.gate.load.Store(&errDisk)
		defer w.gate.load.Store(nil)
		is(t, w.RevokeToken(ctx, "jwt", "jwt", directory.RevokedToken{ID: "jti-6", Expires: start.Add(time.Minute)}), errDisk)
	})
}

func TestStoreFails(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	t.Run("a change that the store refuses is an error", func(t *testing.T) {
		w.gate.fault.Store(&errDisk)
		defer w.gate.fault.Store(nil)
		w.unchanged(t, func() {
			_, err := w.CreateOrganisation(ctx, "op", directory.Organisation{Name: "A"})
			is(t, err, errDisk)
		})
	})
	t.Run("a change that is not in force here is an error", func(t *testing.T) {
		w.gate.load.Store(&errDisk)
		_, err := w.CreateOrganisation(ctx, "op", directory.Organisation{ID: "late", Name: "Late"})
		w.gate.load.Store(nil)
		is(t, err, errDisk)
		must(t, w.Refresh(ctx))
		if w.Current().Organisation("late") == nil {
			t.Error("the change was not made")
		}
	})
	t.Run("a directory does not open without its store", func(t *testing.T) {
		w.gate.load.Store(&errDisk)
		defer w.gate.load.Store(nil)
		_, err := directory.Open(ctx, w.gate, w.clock.now)
		is(t, err, errDisk)
	})
	t.Run("a store that goes back in time is not believed", func(t *testing.T) {
		before := w.Current()
		earlier := filled(t) // fewer changes
		w.gate.Store = earlier.store
		defer func() { w.gate.Store = w.store }()
		w.clock.advance(time.Minute)
		if err := w.Refresh(ctx); err == nil {
			t.Error("refreshed")
		}
		if w.Current() != before || w.Age() < time.Minute {
			t.Errorf("age %v", w.Age())
		}
	})
}

func TestOvertaken(t *testing.T) {
	ctx := t.Context()
	// overtake makes another node's change before each of the first n of this node's.
	overtake := func(w *world, n int, change func(i int)) {
		i := 0
		f := func() {
			if i < n {
				i++
				change(i)
			}
		}
		w.gate.before.Store(&f)
	}
	t.Run("a change that others overtake is decided again and made", func(t *testing.T) {
		w := filled(t)
		overtake(w, 3, func(i int) {
			id := directory.OrganisationID(fmt.Sprint("theirs-", i))
			must(t, w.store.CreateOrganisation(ctx, audit.Event{At: start, Detail: "{}"}, directory.Organisation{ID: id, Name: "T", State: directory.Active}))
		})
		_, err := w.CreateOrganisation(ctx, "op", directory.Organisation{ID: "ours", Name: "Ours"})
		must(t, err)
		if w.Current().Organisation("ours") == nil || w.Current().Organisation("theirs-3") == nil {
			t.Error("a change is missing")
		}
	})
	t.Run("promise 7 holds when two nodes retire the last two credentials at once", func(t *testing.T) {
		w := filled(t)
		one, err := w.RegisterKey(ctx, "op", "jwt", publicKey(t, 1, "k1"), time.Time{})
		must(t, err)
		two, err := w.RegisterKey(ctx, "op", "jwt", publicKey(t, 2, "k2"), time.Time{})
		must(t, err)
		overtake(w, 1, func(int) {
			two.State = directory.Retired
			must(t, w.store.Put(ctx, audit.Event{At: start, Detail: "{}"}, directory.Delta{Credentials: []directory.Credential{two}}))
		})
		is(t, w.SetCredentialState(ctx, "op", one.ID, directory.Retired), directory.ErrState)
		if c := w.Current().Credential(one.ID); c.State != directory.Active {
			t.Errorf("state %s", c.State)
		}
	})
	t.Run("who is always overtaken gives up and says so", func(t *testing.T) {
		w := filled(t)
		overtake(w, 1000, func(i int) {
			must(t, w.store.RevokeToken(ctx, audit.Event{At: start, Detail: "{}"}, directory.RevokedToken{ID: fmt.Sprint(i), Expires: start}))
		})
		_, err := w.CreateOrganisation(ctx, "op", directory.Organisation{ID: "ours", Name: "Ours"})
		is(t, err, directory.ErrStale)
	})
	t.Run("who has gone away is not tried for again", func(t *testing.T) {
		w := filled(t)
		gone, cancel := context.WithCancel(ctx)
		tries := 0
		overtake(w, 1000, func(i int) {
			tries++
			must(t, w.store.RevokeToken(ctx, audit.Event{At: start, Detail: "{}"}, directory.RevokedToken{ID: fmt.Sprint(i), Expires: start}))
			cancel()
		})
		if _, err := w.CreateOrganisation(gone, "op", directory.Organisation{ID: "ours", Name: "Ours"}); err == nil || tries != 1 {
			t.Errorf("%d tries, %v", tries, err)
		}
	})
	t.Run("who is overtaken and cannot hear of it is not tried for again", func(t *testing.T) {
		w := filled(t)
		tries := 0
		overtake(w, 1000, func(i int) {
			tries++
			must(t, w.store.RevokeToken(ctx, audit.Event{At: start, Detail: "{}"}, directory.RevokedToken{ID: fmt.Sprint(i), Expires: start}))
			w.gate.load.Store(&errDisk)
		})
		if _, err := w.CreateOrganisation(ctx, "op", directory.Organisation{ID: "ours", Name: "Ours"}); err == nil || tries != 1 {
			t.Errorf("%d tries, %v", tries, err)
		}
	})
	t.Run("a refusal counts only on the newest state", func(t *testing.T) {
		w := filled(t)
		must(t, w.store.CreateOrganisation(ctx, audit.Event{At: start, Detail: "{}"}, directory.Organisation{ID: "new", Name: "New", State: directory.Active}))
		// This node has not heard of it yet.
		_, err := w.CreateResource(ctx, "op", directory.Resource{URI: "https://new.example", Organisation: "new", Name: "New", Scopes: []string{"new"}})
		must(t, err)
	})
}

// TestEverywhere: a change is in force on another node within 2 s.
func TestEverywhere(t *testing.T) {
	w := filled(t)
	other, err := directory.Open(t.Context(), openStore(t, w.path), time.Now)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := other.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	for i, to := range []directory.State{directory.Suspended, directory.Active, directory.Revoked} {
		before := other.Current()
		changed := time.Now()
		must(t, w.SetApplicationState(ctx, "op", "jwt", to))
		if got := w.Current().Client("jwt").State; got != to {
			t.Fatalf("change %d: %s here", i, got)
		}
		select {
		case <-other.Changed(before):
		case <-time.After(2 * time.Second):
			t.Fatalf("change %d: not in force on the other node after 2 s", i)
		}
		if got := other.Current().Client("jwt").State; got != to {
			t.Errorf("change %d: %s there, after %v", i, got, time.Since(changed))
		}
	}
}

func TestAge(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	must(t, w.Refresh(ctx))
	if age := w.Age(); age != 0 {
		t.Errorf("age %v", age)
	}
	w.clock.advance(3 * time.Second)
	if age := w.Age(); age != 3*time.Second {
		t.Errorf("age %v", age)
	}
	w.gate.load.Store(&errDisk)
	is(t, w.Refresh(ctx), errDisk)
	if age := w.Age(); age != 3*time.Second {
		t.Errorf("age %v after a refresh that failed", age)
	}
	w.gate.load.Store(nil)
	before := w.Current()
	must(t, w.Refresh(ctx))
	if age := w.Age(); age != 0 || w.Current() != before {
		t.Errorf("age %v, or a new snapshot without a change", age)
	}
}

func TestRunOutlivesItsStore(t *testing.T) {
	w := filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.gate.load.Store(&errDisk)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	before := w.Current()
	changed := w.Changed(before)
	revoked := before.Client("jwt").Application
	revoked.State = directory.Revoked
	must(t, w.store.Put(ctx, audit.Event{At: start, Detail: "{}"}, directory.Delta{Applications: []directory.Application{revoked}}))
	w.gate.load.Store(nil)
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Fatal("the change never came")
	}
	if got := w.Current().Client("jwt").State; got != directory.Revoked {
		t.Errorf("%s", got)
	}
	cancel()
	must(t, <-done)
}

func TestChanged(t *testing.T) {
	w := filled(t)
	first := w.Current()
	waiting := w.Changed(first)
	select {
	case <-waiting:
		t.Fatal("changed before a change")
	default:
	}
	_, err := w.CreateOrganisation(t.Context(), "op", directory.Organisation{Name: "A"})
	must(t, err)
	<-waiting
	<-w.Changed(first) // at once: it has happened
	select {
	case <-w.Changed(w.Current()):
		t.Fatal("the newest is already past")
	default:
	}
}

func TestDelta(t *testing.T) {
	w := filled(t)
	after := w.Current().Sequence()
	must(t, w.SetApplicationState(t.Context(), "op", "jwt", directory.Suspended))
	d, err := w.Delta(t.Context(), after)
	must(t, err)
	if d.Sequence != after+1 || len(d.Applications) != 1 || len(d.Organisations)+len(d.Resources)+len(d.Credentials)+len(d.Revoked) != 0 {
		t.Fatalf("%+v", d)
	}
}

func TestManyAtOnce(t *testing.T) {
	w := filled(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			id := directory.OrganisationID(fmt.Sprint("org-", i))
			if _, err := w.CreateOrganisation(t.Context(), "op", directory.Organisation{ID: id, Name: "N"}); err != nil {
				t.Error(err)
				return
			}
			if w.Current().Organisation(id) == nil {
				t.Errorf("%s is not in force on return", id)
			}
		})
	}
	wg.Wait()
	if _, err := w.store.VerifyChain(t.Context()); err != nil {
		t.Error(err)
	}
}

package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// restored is the event that goes on after a head, at 1 h past the time of everything here.
func restored(after audit.Head, sequence int64) audit.Event {
	return audit.Event{
		Sequence: sequence, At: at.Add(time.Hour), Actor: "system", Action: audit.ActionRestored, Subject: "x",
		Detail: fmt.Sprintf(`{"after":%d}`, after.Sequence),
	}
}

func runRecover(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("what followed is the chain's again, records end as they had ended, and the numbers go on far above", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.CreateCredential(ctx, event("credential.registered", "c"), certificate("c", "app", "der")))
		after, err := w.Head(ctx)
		must(t, err)
		ended := event("application.revoked", "server")
		ended.Sequence = after.Sequence + 1
		ended.Seal(after.Hash)
		d := w.loaded(t)
		server := d.Applications[1]
		server.State, server.TokensAfter = directory.Revoked, at
		revoked := directory.RevokedToken{ClientID: "app", ID: "jti", Expires: at.Add(2 * time.Hour)}
		key := directory.RevokedKey{KeyID: "k", At: at}
		e := restored(audit.Head{Sequence: ended.Sequence}, 1_000_000)
		_, err = w.Recover(ctx, store.Recovery{
			After: after, Events: []audit.Event{ended}, Event: e,
			Records: directory.Delta{Applications: []directory.Application{server}, Revoked: []directory.RevokedToken{revoked}, RevokedKeys: []directory.RevokedKey{key}},
		})
		must(t, err)
		head, err := w.VerifyChain(ctx)
		must(t, err)
		events, err := w.Events(ctx, after.Sequence, 10)
		must(t, err)
		e.Seal(ended.Hash)
		if diff := cmp.Diff([]audit.Event{ended, e}, events); diff != "" || head != (audit.Head{Sequence: e.Sequence, Hash: e.Hash}) {
			t.Fatalf("head %v, %s", head, diff)
		}
		newer, err := w.Load(ctx, e.Sequence-1)
		must(t, err)
		if newer.Sequence != e.Sequence || len(newer.RevokedKeys) != 1 || newer.Applications[1].State != directory.Revoked || newer.Revoked[0].ID != "jti" {
			t.Fatalf("%+v", newer)
		}
		if diff := cmp.Diff(w.loaded(t), newer); diff != "" {
			t.Fatalf("who followed the lost database does not learn all there is: %s", diff)
		}
		must(t, w.CreateOrganisation(ctx, event("organisation.created", "next"), directory.Organisation{ID: "next", Name: "Next", State: directory.Active}))
		must(t, w.Close())
		if head, err := w.open(t).VerifyChain(ctx); err != nil || head.Sequence != e.Sequence+1 {
			t.Fatalf("%v, %v", head, err)
		}
	})
	t.Run("fault 27: what could have been used before is refused for as long as that is so, after a restart too", func(t *testing.T) {
		open := fresh(t)
		s := open(t)
		e := restored(audit.Head{}, 1000)
		_, err := s.Recover(ctx, store.Recovery{Event: e})
		must(t, err)
		if !s.Restored().Equal(e.At) {
			t.Fatalf("restored at %v", s.Restored())
		}
		must(t, s.Close())
		s = open(t)
		from := func(name string, d time.Duration) token.Use {
			u := use(name)
			u.From, u.Until = e.At.Add(d), e.At.Add(d+time.Hour)
			return u
		}
		for _, doubtful := range []token.Use{use("ever"), from("long before", -time.Hour), from("then", 0), from("by a clock that is behind", 30*time.Second)} {
			is(t, s.FirstUse(ctx, doubtful), token.ErrRestored)
			is(t, s.FirstUse(ctx, from("fine", time.Hour), doubtful), token.ErrRestored)
		}
		certain := from("after", 30*time.Second+time.Microsecond)
		must(t, s.FirstUse(ctx, certain, from("fine", time.Hour))) // and nothing was burnt
		replayed(t, s.FirstUse(ctx, certain), 0)
	})
	t.Run("issuing stops as it had been stopped, and names are taken away, those that are there", func(t *testing.T) { recoverAuthority(t, newWorld(t, fresh)) })
	t.Run("the last restore counts", func(t *testing.T) {
		s := fresh(t)(t)
		first := restored(audit.Head{}, 1000)
		_, err := s.Recover(ctx, store.Recovery{Event: first})
		must(t, err)
		head, err := s.Head(ctx)
		must(t, err)
		second := restored(head, 2000)
		second.At = second.At.Add(time.Hour)
		_, err = s.Recover(ctx, store.Recovery{After: head, Event: second})
		must(t, err)
		if !s.Restored().Equal(second.At) {
			t.Fatalf("restored at %v", s.Restored())
		}
		_, err = s.VerifyChain(ctx)
		must(t, err)
	})
	t.Run("a recovery that was decided on another state is stale and leaves nothing", func(t *testing.T) {
		w := newWorld(t, fresh)
		head, err := w.Head(ctx)
		must(t, err)
		for _, after := range []audit.Head{{}, {Sequence: head.Sequence}, {Sequence: head.Sequence - 1, Hash: head.Hash}, {Sequence: head.Sequence + 1, Hash: head.Hash}} {
			w.refused(t, directory.ErrStale, func() error {
				_, err := w.Recover(ctx, store.Recovery{After: after, Event: restored(after, 1000)})
				return err
			})
		}
		if !w.Restored().IsZero() {
			t.Error("restored")
		}
	})
}

func recoverAuthority(t *testing.T, w *world) {
	ctx := context.Background()
	for _, name := range []string{"gone.example", "kept.example"} {
		must(t, w.AddName(ctx, event("organisation.name_added", "org"), ca.Name{ID: name, Organisation: "org", Name: name, Added: at}))
	}
	for n := range int64(2) { // once more where it is so already
		after, err := w.Head(ctx)
		must(t, err)
		_, err = w.Recover(ctx, store.Recovery{
			After: after, Event: restored(after, 1000*(n+1)), Stopped: &audit.Event{At: at, Actor: "op"},
			Names: []directory.RemovedName{{Organisation: "org", Name: "gone.example"}, {Organisation: "org", Name: "never.example"}},
		})
		must(t, err)
		sw, err := w.Switch(ctx)
		must(t, err)
		names, err := w.Names(ctx, "org")
		if err != nil || !sw.Stopped || sw.Actor != "op" || !sw.Since.Equal(at) || len(names) != 1 || names[0].Name != "kept.example" {
			t.Fatalf("%+v, %+v, %v", sw, names, err)
		}
	}
}

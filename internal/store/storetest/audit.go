package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

func checkpointOf(sequence, previous int64) *audit.Checkpoint {
	return &audit.Checkpoint{
		Issuer: "https://as.example", Head: audit.Head{Sequence: sequence}, Previous: previous, At: at, KeyID: "k", JWS: "jws-" + string(rune('a'+sequence)),
	}
}

func runCheckpoints(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("checkpoints come back in order, in pages, after a restart too", func(t *testing.T) {
		w := newWorld(t, fresh)
		_, err := w.NewestCheckpoint(ctx)
		is(t, err, directory.ErrNotFound)
		for _, c := range []*audit.Checkpoint{checkpointOf(2, 0), checkpointOf(5, 2), checkpointOf(9, 5)} {
			must(t, w.AddCheckpoint(ctx, c))
		}
		must(t, w.Close())
		w.Store = w.open(t)
		all, err := w.Checkpoints(ctx, 0, 10)
		must(t, err)
		want := []audit.SignedCheckpoint{{Sequence: 2, JWS: "jws-c"}, {Sequence: 5, JWS: "jws-f"}, {Sequence: 9, JWS: "jws-j"}}
		if diff := cmp.Diff(want, all); diff != "" {
			t.Error(diff)
		}
		part, err := w.Checkpoints(ctx, 2, 1)
		must(t, err)
		if diff := cmp.Diff(want[1:2], part); diff != "" {
			t.Error(diff)
		}
		if newest, err := w.NewestCheckpoint(ctx); err != nil || newest != want[2] {
			t.Errorf("newest %+v, %v", newest, err)
		}
		if handovers, err := w.Handovers(ctx); err != nil || len(handovers) != 0 {
			t.Errorf("handovers %+v, %v", handovers, err)
		}
	})
	t.Run("a head has one checkpoint, and a checkpoint one that follows it", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.AddCheckpoint(ctx, checkpointOf(2, 0)))
		must(t, w.AddCheckpoint(ctx, checkpointOf(5, 2)))
		is(t, w.AddCheckpoint(ctx, checkpointOf(5, 2)), directory.ErrExists)
		is(t, w.AddCheckpoint(ctx, checkpointOf(6, 2)), directory.ErrExists)
		is(t, w.AddCheckpoint(ctx, checkpointOf(5, 4)), directory.ErrExists)
		is(t, w.AddCheckpoint(ctx, checkpointOf(1, 0)), directory.ErrExists)
	})
	t.Run("of nodes that sign one head at once, one does", func(t *testing.T) {
		w := newWorld(t, fresh)
		other := w.open(t)
		var mu sync.Mutex
		done := 0
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				s := w.Store
				if i%2 == 1 {
					s = other
				}
				if s.AddCheckpoint(ctx, checkpointOf(int64(2+i%3), 0)) == nil {
					mu.Lock()
					defer mu.Unlock()
					done++
				}
			})
		}
		wg.Wait()
		if all, err := w.Checkpoints(ctx, 0, 10); err != nil || done != 1 || len(all) != 1 {
			t.Errorf("%d done, %+v, %v", done, all, err)
		}
	})
	t.Run("a handover is found among the others", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.AddCheckpoint(ctx, checkpointOf(2, 0)))
		handover := checkpointOf(5, 2)
		handover.Next = signingKey(t, "x", "app", 1, "").Key
		must(t, w.AddCheckpoint(ctx, handover))
		must(t, w.AddCheckpoint(ctx, checkpointOf(6, 5)))
		if got, err := w.Handovers(ctx); err != nil || len(got) != 1 || got[0].Sequence != 5 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("the hash of an event", func(t *testing.T) {
		w := newWorld(t, fresh)
		head, err := w.Head(ctx)
		must(t, err)
		if hash, err := w.EventHash(ctx, head.Sequence); err != nil || hash != head.Hash {
			t.Errorf("%x, %v", hash, err)
		}
		_, err = w.EventHash(ctx, head.Sequence+1)
		is(t, err, directory.ErrNotFound)
	})
}

func runSelection(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	w := newWorld(t, fresh)
	add := func(id, actor, action string, after time.Duration) {
		e := audit.Event{At: at.Add(after), Actor: actor, Action: action, Organisation: "org-" + id[:1], Subject: id, Detail: "{}"}
		must(t, w.CreateOrganisation(ctx, e, directory.Organisation{ID: directory.OrganisationID(id + action), Name: id, State: directory.Active}))
	}
	before, err := w.Head(ctx)
	must(t, err)
	add("a1", "op-1", "organisation.created", 0)
	add("a2", "op-1", "credential.created", time.Hour)
	add("a2", "op-2", "credential.revoked", 2*time.Hour)
	add("b1", "op-2", "credentials.other", 3*time.Hour)
	add("a2", "op-2", "application.created", 4*time.Hour)
	first := before.Sequence
	for _, c := range []struct {
		name  string
		by    audit.Selection
		after int64
		limit int
		want  []int64 // counted from the first
	}{
		{"nothing chosen is everything", audit.Selection{}, first, 10, []int64{1, 2, 3, 4, 5}},
		{"an actor", audit.Selection{Actor: "op-2"}, 0, 10, []int64{3, 4, 5}},
		{"an action", audit.Selection{Action: "credential.revoked"}, 0, 10, []int64{3}},
		{"all of a noun, and not of one that begins alike", audit.Selection{Action: "credential.*"}, 0, 10, []int64{2, 3}},
		{"an organisation", audit.Selection{Organisation: "org-b"}, 0, 10, []int64{4}},
		{"a subject", audit.Selection{Subject: "a2"}, 0, 10, []int64{2, 3, 5}},
		{"a subject without a noun", audit.Selection{Subject: "a2", NotNouns: []string{"credential", "organisation"}}, 0, 10, []int64{5}},
		{"from a time on", audit.Selection{Since: at.Add(3 * time.Hour)}, 0, 10, []int64{4, 5}},
		{"before a time", audit.Selection{Since: at.Add(time.Second), Until: at.Add(2 * time.Hour)}, 0, 10, []int64{2}},
		{"all of it together", audit.Selection{Actor: "op-2", Action: "credential.*", Organisation: "org-a", Subject: "a2", Since: at, Until: at.Add(5 * time.Hour)}, 0, 10, []int64{3}},
		{"a page", audit.Selection{Subject: "a2"}, first + 2, 1, []int64{3}},
		{"none", audit.Selection{Subject: "a2' OR '1'='1"}, 0, 10, nil},
		{"a wildcard of SQL is none of ours", audit.Selection{Subject: "a%"}, 0, 10, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			events, err := w.SelectEvents(ctx, c.after, c.limit, c.by)
			must(t, err)
			var got []int64
			for _, e := range events {
				if got = append(got, e.Sequence-first); !e.Verify() {
					t.Errorf("event %d does not verify", e.Sequence)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func runLastUsed(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	use := func(client, credential string, after time.Duration) directory.LastUse {
		return directory.LastUse{ClientID: directory.ClientID(client), CredentialID: directory.CredentialID(credential), At: at.Add(after)}
	}
	t.Run("the greatest wins, whichever node came last, and the chain does not grow", func(t *testing.T) {
		w := newWorld(t, fresh)
		other := w.open(t)
		head, err := w.Head(ctx)
		must(t, err)
		must(t, w.AddLastUsed(ctx, []directory.LastUse{use("app", "a", 2), use("app", "x5t-b", 1*time.Hour), use("server", "a", 1)}))
		must(t, other.AddLastUsed(ctx, []directory.LastUse{use("app", "a", 1*time.Hour), use("app", "x5t-b", 2)}))
		must(t, w.AddLastUsed(ctx, nil))
		got, err := w.LastUsed(ctx, "app")
		must(t, err)
		if diff := cmp.Diff([]directory.LastUse{use("app", "a", time.Hour), use("app", "x5t-b", time.Hour)}, got); diff != "" {
			t.Error(diff)
		}
		all, err := other.LastUsed(ctx, "")
		must(t, err)
		if len(all) != 3 {
			t.Errorf("%+v", all)
		}
		if after, err := w.VerifyChain(ctx); err != nil || after != head {
			t.Errorf("head %+v, %v", after, err)
		}
	})
	t.Run("what was used before a time is forgotten, and no more", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.AddLastUsed(ctx, []directory.LastUse{use("app", "a", 0), use("app", "b", time.Second)}))
		must(t, w.PruneLastUsed(ctx, at.Add(time.Second)))
		got, err := w.LastUsed(ctx, "app")
		must(t, err)
		if diff := cmp.Diff([]directory.LastUse{use("app", "b", time.Second)}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("two nodes that store at once", func(t *testing.T) {
		w := newWorld(t, fresh)
		other := w.open(t)
		names := ids("cred", 50)
		slices.Sort(names)
		var wg sync.WaitGroup
		for round := range 10 {
			for _, s := range []interface {
				AddLastUsed(context.Context, []directory.LastUse) error
			}{w.Store, other} {
				wg.Go(func() {
					var uses []directory.LastUse
					for _, id := range names {
						uses = append(uses, use("app", id, time.Duration(round)*time.Second))
					}
					if err := s.AddLastUsed(ctx, uses); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		got, err := w.LastUsed(ctx, "app")
		must(t, err)
		for _, u := range got {
			if !u.At.Equal(at.Add(9 * time.Second)) {
				t.Fatalf("%+v", u)
			}
		}
		if len(got) != len(names) {
			t.Errorf("%d of %d", len(got), len(names))
		}
	})
}

func runNotices(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	notice := directory.Notice{Action: "credential.expiring", Subject: "c", Organisation: "org", ClientID: "app", NotAfter: at.AddDate(0, 0, 20), Days: 30}
	e, err := notice.Event(at)
	must(t, err)
	t.Run("a notice is given once, with its event", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.AddNotice(ctx, e, notice))
		w.refused(t, directory.ErrExists, func() error { return w.AddNotice(ctx, e, notice) })
		must(t, w.Close())
		w.Store = w.open(t)
		w.refused(t, directory.ErrExists, func() error { return w.AddNotice(ctx, e, notice) })
		nearer, later := notice, notice
		nearer.Days = 14
		later.NotAfter = at.AddDate(1, 0, 0) // something else under the same id, that was renewed
		must(t, w.AddNotice(ctx, e, nearer))
		must(t, w.AddNotice(ctx, e, later))
		events, err := w.SelectEvents(ctx, 0, 10, audit.Selection{Subject: "c"})
		must(t, err)
		if len(events) != 3 || events[0].Action != "credential.expiring" {
			t.Errorf("%+v", events)
		}
		open, err := w.Notices(ctx, at.AddDate(0, 0, 20))
		must(t, err)
		if len(open) != 1 || open[0].Subject != "c" || !open[0].NotAfter.Equal(later.NotAfter) || open[0].Days != 30 {
			t.Errorf("%+v", open)
		}
	})
	t.Run("of nodes that give it at once, one does", func(t *testing.T) {
		w := newWorld(t, fresh)
		other := w.open(t)
		before, err := w.Head(ctx)
		must(t, err)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				s := w.Store
				if i%2 == 1 {
					s = other
				}
				_ = s.AddNotice(ctx, e, notice)
			})
		}
		wg.Wait()
		if after, err := w.VerifyChain(ctx); err != nil || after.Sequence != before.Sequence+1 {
			t.Errorf("head %d after %d, %v", after.Sequence, before.Sequence, err)
		}
	})
}

package directory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

var errAway = errors.New("away")

func TestLastUses(t *testing.T) {
	at := time.Date(2026, 11, 24, 9, 0, 0, 123456000, time.UTC)
	// flushed collects what is stored.
	type flushed struct {
		calls int
		uses  []directory.LastUse
	}
	into := func(f *flushed) func(context.Context, []directory.LastUse) error {
		return func(_ context.Context, uses []directory.LastUse) error {
			f.calls++
			f.uses = append(f.uses, uses...)
			return nil
		}
	}
	flush := func(t *testing.T, u *directory.LastUses) flushed {
		t.Helper()
		var f flushed
		if err := u.Flush(t.Context(), into(&f)); err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Run("the latest use of each credential is stored once, in order", func(t *testing.T) {
		u := directory.NewLastUses()
		u.Note("b", "x", at)
		u.Note("a", "jkt-y", at.Add(time.Hour))
		u.Note("a", "jkt-y", at)
		u.Note("a", "x", at)
		u.Note("a", "x", at.Add(time.Minute))
		want := []directory.LastUse{{ClientID: "a", CredentialID: "jkt-y", At: at.Add(time.Hour)}, {ClientID: "a", CredentialID: "x", At: at.Add(time.Minute)}, {ClientID: "b", CredentialID: "x", At: at}}
		got := flush(t, u)
		if diff := cmp.Diff(want, got.uses); diff != "" || got.calls != 1 {
			t.Errorf("%d calls, %s", got.calls, diff)
		}
		if again := flush(t, u); again.calls != 0 {
			t.Errorf("stored again: %+v", again)
		}
		u.Note("b", "x", at.Add(time.Hour))
		if again := flush(t, u); len(again.uses) != 1 || again.uses[0].ClientID != "b" {
			t.Errorf("%+v", again)
		}
		if u.At("a", "x") != at.Add(time.Minute) || !u.At("a", "none").IsZero() || !u.At("none", "x").IsZero() {
			t.Errorf("%v", u.At("a", "x"))
		}
	})
	t.Run("a store that is away loses nothing", func(t *testing.T) {
		u := directory.NewLastUses()
		for i := range 2500 {
			u.Note("a", directory.CredentialID(fmt.Sprintf("%05d", i)), at)
		}
		calls := 0
		err := u.Flush(t.Context(), func(context.Context, []directory.LastUse) error {
			if calls++; calls == 2 {
				return errAway
			}
			return nil
		})
		if !errors.Is(err, errAway) {
			t.Fatal(err)
		}
		rest := flush(t, u)
		if rest.calls != 2 || len(rest.uses) != 1500 || rest.uses[0].CredentialID != "01000" { // the first thousand is stored
			t.Errorf("%d calls, %d uses", rest.calls, len(rest.uses))
		}
	})
	t.Run("beyond 100,000 what is stored makes room, and what is not is kept", func(t *testing.T) {
		u := directory.NewLastUses()
		note := func(from, to int) {
			for i := from; i < to; i++ {
				u.Note("a", directory.CredentialID(fmt.Sprint(i)), at)
			}
		}
		note(0, 100_005)
		if u.Dropped() != 5 || !u.At("a", "100003").IsZero() || u.At("a", "99999").IsZero() {
			t.Errorf("%d dropped", u.Dropped())
		}
		if f := flush(t, u); len(f.uses) != 100_000 {
			t.Errorf("%d stored", len(f.uses))
		}
		note(200_000, 300_000)
		if f := flush(t, u); len(f.uses) != 100_000 || u.Dropped() != 5 {
			t.Errorf("%d stored, %d dropped", len(f.uses), u.Dropped())
		}
	})
	t.Run("uses that are noted at once are all there", func(t *testing.T) {
		u := directory.NewLastUses()
		var wg sync.WaitGroup
		stored := map[directory.CredentialID]time.Time{}
		for w := range 8 {
			wg.Go(func() {
				for i := range 500 {
					u.Note("a", directory.CredentialID(fmt.Sprint(i%50)), at.Add(time.Duration(i*8+w)*time.Minute))
				}
			})
		}
		store := func(_ context.Context, uses []directory.LastUse) error {
			for _, one := range uses {
				if one.At.After(stored[one.CredentialID]) {
					stored[one.CredentialID] = one.At
				}
			}
			return nil
		}
		for range 20 {
			if err := u.Flush(t.Context(), store); err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
		if err := u.Flush(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			if want := at.Add(time.Duration((450+i)*8+7) * time.Minute); !stored[directory.CredentialID(fmt.Sprint(i))].Equal(want) {
				t.Fatalf("credential %d: %v, want %v", i, stored[directory.CredentialID(fmt.Sprint(i))], want)
			}
		}
	})
	t.Run("a use of a known credential allocates nothing", func(t *testing.T) {
		u := directory.NewLastUses()
		now := at
		u.Note("a", "x", now)
		if n := testing.AllocsPerRun(1000, func() {
			now = now.Add(2 * time.Second)
			u.Note("a", "x", now)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func BenchmarkNoteUse(b *testing.B) {
	u := directory.NewLastUses()
	b.RunParallel(func(p *testing.PB) {
		now := time.Now()
		for p.Next() {
			u.Note("app-1", "cred-1", now)
		}
	})
}

func TestExpiring(t *testing.T) {
	const day = 24 * time.Hour
	end := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	long := end.Add(-90 * day)
	never := func(directory.ClientID, directory.CredentialID) time.Time { return time.Time{} }
	credential := func(id directory.CredentialID, kind directory.Kind, created, notAfter time.Time) directory.Credential {
		return directory.Credential{ID: id, ClientID: "app", Kind: kind, State: directory.Active, Created: created, NotAfter: notAfter, Thumbprint: [32]byte{id[0]}}
	}
	snapshot := func(state directory.State, credentials ...directory.Credential) *directory.Snapshot {
		return directory.Empty().Apply(directory.Delta{
			Sequence:      1,
			Organisations: []directory.Organisation{{ID: "org", Name: "Org", State: directory.Active}},
			Applications:  []directory.Application{{ClientID: "app", Organisation: "org", Name: "App", State: state}},
			Credentials:   credentials,
		}, long)
	}
	days := func(all []directory.Notice) (of []int64) {
		for _, n := range all {
			of = append(of, n.Days)
		}
		return of
	}
	one := credential("a", directory.Certificate, long, end)
	for _, c := range []struct {
		name string
		left time.Duration
		of   directory.Credential
		want []int64
	}{
		{"61 days before the end nothing is said", 61 * day, one, nil},
		{"60 days before", 60 * day, one, []int64{60}},
		{"31 days before it is still the notice of 60", 31 * day, one, []int64{60}},
		{"30 days before", 30 * day, one, []int64{30}},
		{"14 days before", 14 * day, one, []int64{14}},
		{"7 days before", 7 * day, one, []int64{7}},
		{"one day before", day, one, []int64{1}},
		{"a second before", time.Second, one, []int64{1}},
		{"at the end there is nothing to come", 0, one, nil},
		{"what was made for 7 days is reported one day before alone", 7 * day, credential("a", directory.Certificate, end.Add(-7*day), end), nil},
		{"and that it is", day, credential("a", directory.Certificate, end.Add(-7*day), end), []int64{1}},
		{"what was made for an hour is not", time.Minute, credential("a", directory.Certificate, end.Add(-time.Hour), end), nil},
		{"what has no end is not", day, credential("a", directory.SigningKey, long, time.Time{}), nil},
		{"what is revoked is not", day, func() directory.Credential { c := one; c.State = directory.Revoked; return c }(), nil},
		{"what is retiring is", day, func() directory.Credential { c := one; c.State = directory.Retiring; return c }(), []int64{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := snapshot(directory.Active, c.of).Expiring(end.Add(-c.left), never)
			if !slices.Equal(days(got), c.want) {
				t.Errorf("got %+v, want %v", got, c.want)
			}
		})
	}
	now := end.Add(-day)
	t.Run("an application that is suspended has no notices", func(t *testing.T) {
		if got := snapshot(directory.Suspended, one).Expiring(now, never); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	})
	successor := credential("b", directory.Certificate, end.Add(-20*day), end.Add(90*day))
	usedAt := func(at time.Time) func(directory.ClientID, directory.CredentialID) time.Time {
		return func(client directory.ClientID, id directory.CredentialID) time.Time {
			if client == "app" && id == "b" {
				return at
			}
			return time.Time{}
		}
	}
	after := successor.Created.Add(time.Hour)
	for _, c := range []struct {
		name   string
		change func(s *directory.Credential)
		used   time.Time
		want   int
	}{
		{"a successor in use silences", func(*directory.Credential) {}, after, 0},
		{"one that nobody used does not", func(*directory.Credential) {}, time.Time{}, 1},
		{"one that was last used before it was made does not", func(s *directory.Credential) {}, successor.Created.Add(-time.Hour), 1},
		{"one of another kind does not", func(s *directory.Credential) { s.Kind = directory.DPoPKey }, after, 1},
		{"one that is suspended does not", func(s *directory.Credential) { s.State = directory.Suspended }, after, 1},
		{"one that ends earlier does not", func(s *directory.Credential) { s.NotAfter = end.Add(-time.Hour) }, after, 2}, // and ends itself
		{"one that was there before does not", func(s *directory.Credential) { s.Created = long.Add(-day) }, after, 1},
		{"one without an end does", func(s *directory.Credential) { s.NotAfter = time.Time{} }, after, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := successor
			c.change(&s)
			if got := snapshot(directory.Active, one, s).Expiring(now, usedAt(c.used)); len(got) != c.want {
				t.Errorf("got %+v, want %d", got, c.want)
			}
		})
	}
	t.Run("the event tells what, whose, when and in how many days", func(t *testing.T) {
		e, err := snapshot(directory.Active, one).Expiring(now, never)[0].Event(now)
		if err != nil {
			t.Fatal(err)
		}
		if e.Action != "credential.expiring" || e.Actor != "system" || e.Organisation != "org" || e.Subject != "a" || !e.At.Equal(now) ||
			e.Detail != fmt.Sprintf(`{"client_id":"app","credential_id":"a","days":1,"not_after":%d}`, end.Unix()) {
			t.Errorf("%+v", e)
		}
	})
}

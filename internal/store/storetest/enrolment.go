package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/enrol"
)

func codeOf(id string) (enrol.Code, [32]byte) {
	return enrol.Code{ID: id, ClientID: "app", Profile: ca.ClientTransport, Actor: "operator", Created: at, Expires: at.Add(time.Hour)}, sha256.Sum256([]byte(id))
}

// paid is an intent that a code pays for.
func paid(serial string, request byte, code string) ca.Intent {
	i := intentOf(serial, request)
	i.Code = code
	return i
}

// withCode is a world with the code k1.
func withCode(t *testing.T, fresh func(t *testing.T) Database) *world {
	t.Helper()
	w := newWorld(t, fresh)
	code, hash := codeOf("k1")
	must(t, w.AddCode(context.Background(), event("enrolment_code.created", "k1"), code, hash))
	return w
}

func runEnrolment(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	enrolled := func(t *testing.T) *world { return withCode(t, fresh) }
	t.Run("a code comes back as it was, by id and by hash", func(t *testing.T) {
		w := enrolled(t)
		want, hash := codeOf("k1")
		for name, read := range map[string]func() (enrol.Code, error){
			"id":   func() (enrol.Code, error) { return w.Code(ctx, "k1") },
			"hash": func() (enrol.Code, error) { return w.CodeByHash(ctx, hash) },
			"list": func() (enrol.Code, error) {
				all, err := w.Codes(ctx, "app")
				if len(all) != 1 {
					return enrol.Code{}, err
				}
				return all[0], err
			},
		} {
			got, err := read()
			must(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		_, err := w.CodeByHash(ctx, [32]byte{})
		is(t, err, directory.ErrNotFound)
		_, err = w.Code(ctx, "k2")
		is(t, err, directory.ErrNotFound)
		w.refused(t, directory.ErrExists, func() error { return w.AddCode(ctx, event("enrolment_code.created", "k1"), want, hash) })
	})
	t.Run("advisory 52: used once, with its certificate", func(t *testing.T) {
		w := enrolled(t)
		must(t, begin(ctx, w.Store, paid("0a", 1, "k1")))
		must(t, finish(ctx, w.Store, "0a"))
		c, err := w.Code(ctx, "k1")
		if err != nil || !c.Used.Equal(at) || c.CredentialID != "c0a" || c.RequestHash[0] != 1 {
			t.Fatalf("%+v, %v", c, err)
		}
		is(t, begin(ctx, w.Store, paid("0b", 2, "k1")), ca.ErrCode)
		earlier, err := w.BeginIssue(ctx, paid("0c", 1, "k1"))
		if err != nil || earlier == nil || earlier.Serial != "0a" {
			t.Fatalf("the same request again: %+v, %v", earlier, err)
		}
		endCredential(t, w, "0a", directory.Revoked)
		is(t, begin(ctx, w.Store, paid("0d", 1, "k1")), ca.ErrCode)
		w.refused(t, directory.ErrState, func() error { return w.RevokeCode(ctx, event("enrolment_code.revoked", "k1"), "k1") })
	})
	t.Run("while one is under way nobody begins with it; when that is given up, somebody may", func(t *testing.T) {
		w := enrolled(t)
		must(t, begin(ctx, w.Store, paid("0a", 1, "k1")))
		var busy *ca.BusyError
		if err := begin(ctx, w.Store, paid("0b", 2, "k1")); !errors.As(err, &busy) || busy.Serial != "0a" || !busy.Since.Equal(at) {
			t.Fatalf("%v", err)
		}
		must(t, abandon(ctx, w.Store, "0a"))
		must(t, begin(ctx, w.Store, paid("0b", 2, "k1")))
		w.refused(t, directory.ErrState, func() error { return finish(ctx, w.Store, "0a") })
		must(t, finish(ctx, w.Store, "0b"))
	})
	runCodes(t, fresh)
}

// runCodes is what a code does not pay for, and what it names.
func runCodes(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	enrolled := func(t *testing.T) *world { return withCode(t, fresh) }
	t.Run("unknown, another's, expired, revoked: alike", func(t *testing.T) {
		w := enrolled(t)
		is(t, begin(ctx, w.Store, paid("0a", 1, "k2")), ca.ErrCode)
		another := paid("0b", 1, "k1")
		another.ClientID = "server"
		is(t, begin(ctx, w.Store, another), ca.ErrCode)
		late := paid("0c", 1, "k1")
		late.At = at.Add(time.Hour)
		is(t, begin(ctx, w.Store, late), ca.ErrCode)
		must(t, w.RevokeCode(ctx, event("enrolment_code.revoked", "k1"), "k1"))
		is(t, begin(ctx, w.Store, paid("0d", 1, "k1")), ca.ErrCode)
		w.refused(t, directory.ErrState, func() error { return w.RevokeCode(ctx, event("enrolment_code.revoked", "k1"), "k1") })
	})
	t.Run("a code that is revoked under way pays no more", func(t *testing.T) {
		w := enrolled(t)
		must(t, begin(ctx, w.Store, paid("0a", 1, "k1")))
		must(t, w.RevokeCode(ctx, event("enrolment_code.revoked", "k1"), "k1"))
		w.refused(t, ca.ErrCode, func() error { return finish(ctx, w.Store, "0a") })
	})
	t.Run("what it names is the credential's instance, made once", func(t *testing.T) {
		w := enrolled(t)
		for n, id := range []string{"k2", "k3"} {
			code, hash := codeOf(id)
			code.Instance = "pay-1"
			must(t, w.AddCode(ctx, event("enrolment_code.created", id), code, hash))
			serial := fmt.Sprintf("%02x", 16+n)
			must(t, begin(ctx, w.Store, paid(serial, byte(n), id)))
			must(t, finish(ctx, w.Store, serial))
		}
		d := w.loaded(t)
		if len(d.Instances) != 1 || d.Instances[0].Name != "pay-1" || d.Instances[0].ClientID != "app" || len(d.Credentials) != 2 {
			t.Fatalf("%+v", d.Instances)
		}
		for _, c := range d.Credentials {
			if c.Instance != d.Instances[0].ID {
				t.Errorf("%s is of instance %q", c.ID, c.Instance)
			}
		}
		gone := d.Instances[0]
		gone.State = directory.Revoked
		must(t, w.Put(ctx, event("instance.revoked", "x"), directory.Delta{Instances: []directory.Instance{gone}}))
		code, hash := codeOf("k4")
		code.Instance = "pay-1"
		must(t, w.AddCode(ctx, event("enrolment_code.created", "k4"), code, hash))
		must(t, begin(ctx, w.Store, paid("20", 9, "k4")))
		w.refused(t, directory.ErrState, func() error { return finish(ctx, w.Store, "20") })
	})
	t.Run("advisory 49: 64 at once on two nodes, one certificate", func(t *testing.T) {
		w := enrolled(t)
		second := w.open(t)
		var issued, others atomic.Int64
		var wg sync.WaitGroup
		for n := range 64 {
			s := w.Store
			if n%2 == 1 {
				s = second
			}
			wg.Go(func() {
				serial := fmt.Sprintf("%02x", n)
				err := begin(ctx, s, paid(serial, byte(n), "k1"))
				if err == nil {
					err = finish(ctx, s, serial)
				}
				switch {
				case err == nil:
					issued.Add(1)
				case errors.Is(err, ca.ErrBusy), errors.Is(err, ca.ErrCode):
					others.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if issued.Load() != 1 || others.Load() != 63 || len(w.loaded(t).Credentials) != 1 || len(openIntents(t, w)) != 0 {
			t.Errorf("%d issued, %d refused", issued.Load(), others.Load())
		}
	})
}

// now is when lists are made.
var now = at.Add(time.Minute)

func draft(t *testing.T, w *world, issuer string, want bool) ca.Draft {
	t.Helper()
	d, ok, err := w.DraftCRL(context.Background(), issuer, now, now.Add(-time.Hour), 0, 0)
	must(t, err)
	if ok != want {
		t.Fatalf("a list is due: %t", ok)
	}
	return d
}

func publish(t *testing.T, w *world, issuer string, d ca.Draft) {
	t.Helper()
	must(t, w.PublishCRL(context.Background(), ca.CRL{
		Issuer: issuer, Number: d.Number, Sequence: d.Sequence, ThisUpdate: now, NextUpdate: now.Add(time.Hour), DER: []byte{byte(d.Number)},
	}))
}

func runCRL(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("revoked, held, lifted, superseded: the list follows, once for each change", func(t *testing.T) {
		w := newWorld(t, fresh)
		for _, serial := range []string{"0a", "0b"} {
			must(t, begin(ctx, w.Store, intentOf(serial, serial[1])))
			must(t, finish(ctx, w.Store, serial))
		}
		d := draft(t, w, "ca1", true) // the first
		if len(d.Entries) != 0 || d.Number != 1 {
			t.Fatalf("%+v", d)
		}
		publish(t, w, "ca1", d)
		draft(t, w, "ca1", false)
		for n, step := range []struct {
			to      directory.State
			entries []ca.Entry
		}{
			{directory.Suspended, []ca.Entry{{Serial: "0a", At: now, Reason: 6}}},
			{directory.Active, nil},
			{directory.Compromised, []ca.Entry{{Serial: "0a", At: now, Reason: 1}}},
		} {
			endCredential(t, w, "0a", step.to)
			d := draft(t, w, "ca1", true)
			if diff := cmp.Diff(step.entries, d.Entries); diff != "" || d.Number != int64(n)+2 {
				t.Fatalf("%s: number %d %s", step.to, d.Number, diff)
			}
			publish(t, w, "ca1", d)
			draft(t, w, "ca1", false)
		}
		must(t, w.Put(ctx, event("organisation.revoked", "org"), directory.Delta{Organisations: []directory.Organisation{{ID: "org", Name: "Acme", State: directory.Revoked}}}))
		if d := draft(t, w, "ca1", true); len(d.Entries) != 2 || d.Entries[1] != (ca.Entry{Serial: "0b", At: now, Reason: 5}) {
			t.Fatalf("%+v", d.Entries)
		}
	})
	t.Run("a list that could not be signed is due again", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, begin(ctx, w.Store, intentOf("0a", 1)))
		must(t, finish(ctx, w.Store, "0a"))
		publish(t, w, "ca1", draft(t, w, "ca1", true))
		endCredential(t, w, "0a", directory.Revoked)
		draft(t, w, "ca1", true)
		if d := draft(t, w, "ca1", true); len(d.Entries) != 1 || d.Number != 3 {
			t.Fatalf("%+v", d)
		}
	})
	t.Run("what was looked at already is not looked at again, what came since is", func(t *testing.T) {
		w := newWorld(t, fresh)
		for _, serial := range []string{"0a", "0b"} {
			must(t, begin(ctx, w.Store, intentOf(serial, serial[1])))
			must(t, finish(ctx, w.Store, serial))
		}
		publish(t, w, "ca1", draft(t, w, "ca1", true))
		must(t, w.CreateOrganisation(ctx, event("organisation.created", "o"), directory.Organisation{ID: "o", Name: "O", State: directory.Active}))
		seen, ok, err := w.DraftCRL(ctx, "ca1", now, now.Add(-time.Hour), 0, 0)
		head, headErr := w.Head(ctx)
		if must(t, errors.Join(err, headErr)); ok || seen.Sequence != head.Sequence {
			t.Fatalf("%+v, %t, head %d", seen, ok, head.Sequence)
		}
		endCredential(t, w, "0b", directory.Revoked)
		if d, ok, err := w.DraftCRL(ctx, "ca1", now, now.Add(-time.Hour), 0, seen.Sequence); err != nil || !ok || len(d.Entries) != 1 {
			t.Fatalf("%+v, %t, %v", d, ok, err)
		}
	})
	t.Run("an abandoned serial is on its issuer's list and no other", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, begin(ctx, w.Store, intentOf("0a", 1)))
		publish(t, w, "ca1", draft(t, w, "ca1", true))
		must(t, abandon(ctx, w.Store, "0a"))
		if d := draft(t, w, "ca1", true); len(d.Entries) != 1 || d.Entries[0].Serial != "0a" {
			t.Fatalf("%+v", d)
		}
		if d := draft(t, w, "ca2", true); len(d.Entries) != 0 {
			t.Fatalf("%+v", d)
		}
	})
	runCRLNumbers(t, fresh)
}

func runCRLNumbers(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("numbers never go back: at least as asked, across nodes, a late list loses", func(t *testing.T) {
		w := newWorld(t, fresh)
		old := draft(t, w, "ca1", true)
		second := w.open(t)
		d, ok, err := second.DraftCRL(ctx, "ca1", now, now, 1_000_000, 0)
		if err != nil || !ok || d.Number != 1_000_000 {
			t.Fatalf("%+v, %v", d, err)
		}
		publish(t, w, "ca1", d)
		publish(t, w, "ca1", old)
		numbers, err := second.CRLNumbers(ctx)
		if err != nil || !cmp.Equal(numbers, map[string]int64{"ca1": 1_000_000}) {
			t.Fatalf("%v, %v", numbers, err)
		}
		if c, err := second.CRL(ctx, "ca1"); err != nil || c.Number != d.Number || !c.ThisUpdate.Equal(now) || c.DER[0] != byte(d.Number&0xff) {
			t.Fatalf("%+v, %v", c, err)
		}
		d, ok, err = w.DraftCRL(ctx, "ca1", now.Add(2*time.Hour), now.Add(time.Hour), 5, 0)
		if err != nil || !ok || d.Number != 1_000_001 {
			t.Fatalf("%+v, %v", d, err)
		}
	})
	t.Run("an entry stays until its certificate has been over for two lists", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, begin(ctx, w.Store, intentOf("0a", 1)))
		must(t, abandon(ctx, w.Store, "0a"))
		end := at.AddDate(0, 0, 7)
		for after, n := range map[time.Duration]int{2*ca.ListLife - time.Second: 1, 2 * ca.ListLife: 0} {
			d, ok, err := w.DraftCRL(ctx, "ca1", end.Add(after), end.Add(after), 0, 0)
			if err != nil || !ok || len(d.Entries) != n {
				t.Errorf("%v after its end: %+v, %v", after, d, err)
			}
		}
	})
}

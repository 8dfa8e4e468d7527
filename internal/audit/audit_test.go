package audit_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
)

func sample(sequence int64) audit.Event {
	return audit.Event{
		Sequence: sequence, At: time.Date(2026, 11, 23, 12, 0, 0, 1234, time.UTC), Actor: "operator",
		Action: "credential.revoked", Organisation: "org-1", Subject: fmt.Sprint("cred-", sequence), Detail: `{}`,
	}
}

func chain(n int) []audit.Event {
	var events []audit.Event
	var head audit.Head
	for i := range n {
		e := sample(int64(i + 1))
		e.Seal(head.Hash)
		head = audit.Head{Sequence: e.Sequence, Hash: e.Hash}
		events = append(events, e)
	}
	return events
}

func TestEvent(t *testing.T) {
	t.Run("a sealed event verifies", func(t *testing.T) {
		e := sample(1)
		e.Seal([32]byte{7})
		if !e.Verify() || e.Previous != [32]byte{7} {
			t.Fatalf("verify %v, previous %x", e.Verify(), e.Previous)
		}
	})
	t.Run("time is kept to the microsecond, in UTC", func(t *testing.T) {
		e := sample(1)
		e.At = e.At.In(time.FixedZone("east", 3600))
		e.Seal([32]byte{})
		if want := time.Date(2026, 11, 23, 12, 0, 0, 1000, time.UTC); e.At != want {
			t.Fatalf("at %v, want %v", e.At, want)
		}
	})
	t.Run("a change of any field is found", func(t *testing.T) {
		fields := reflect.TypeFor[audit.Event]()
		for i := range fields.NumField() {
			e := sample(1)
			e.Seal([32]byte{7})
			switch f := reflect.ValueOf(&e).Elem().Field(i).Addr().Interface().(type) {
			case *int64:
				*f++
			case *string:
				*f += "x"
			case *[32]byte:
				f[31] ^= 1
			case *time.Time:
				*f = f.Add(time.Microsecond)
			default:
				t.Fatalf("field %s has a type that this test does not change", fields.Field(i).Name)
			}
			if e.Verify() {
				t.Errorf("event verifies with another %s", fields.Field(i).Name)
			}
		}
	})
	t.Run("a time below the microsecond, which no seal covers, is found", func(t *testing.T) {
		e := sample(1)
		e.Seal([32]byte{})
		e.At = e.At.Add(time.Nanosecond)
		if e.Verify() {
			t.Error("event verifies with another time")
		}
	})
	t.Run("text that moves between fields is found", func(t *testing.T) {
		e := sample(1)
		e.Organisation, e.Subject = "ab", "c"
		e.Seal([32]byte{})
		e.Organisation, e.Subject = "a", "bc"
		if e.Verify() {
			t.Error("event verifies with its text in other fields")
		}
	})
}

func TestVerifyChain(t *testing.T) {
	good := chain(5)
	changed := func(f func(events []audit.Event) []audit.Event) []audit.Event { return f(slices.Clone(good)) }
	resealed := slices.Clone(good)
	resealed[2].Actor = "somebody"
	resealed[2].Seal(resealed[2].Previous)
	gap := slices.Clone(good[:2])
	skipped := sample(4)
	skipped.Seal(good[1].Hash)
	gap = append(gap, skipped)
	for _, c := range []struct {
		name   string
		events []audit.Event
		at     int64 // 0: the chain holds
	}{
		{"a whole chain holds", good, 0},
		{"a changed event is named", changed(func(e []audit.Event) []audit.Event { e[2].Detail = `{"x":1}`; return e }), 3},
		{"an event that was changed and sealed again shows in the next", resealed, 4},
		{"a removed event is named", changed(func(e []audit.Event) []audit.Event { return slices.Delete(e, 1, 2) }), 2},
		{"the first event removed is named", good[1:], 1},
		{"events in another order are named", changed(func(e []audit.Event) []audit.Event { e[1], e[2] = e[2], e[1]; return e }), 2},
		{"a number that was left out is named, though every hash holds", gap, 3},
		{"an event twice is named", changed(func(e []audit.Event) []audit.Event { return slices.Insert(e, 3, e[2]) }), 4},
		{"a changed hash is named", changed(func(e []audit.Event) []audit.Event { e[4].Hash[0]++; return e }), 5},
		{"a changed previous hash is named", changed(func(e []audit.Event) []audit.Event { e[3].Previous[0]++; return e }), 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			head, err := audit.VerifyChain(audit.Head{}, slices.Values(c.events))
			if c.at == 0 {
				if want := (audit.Head{Sequence: 5, Hash: good[4].Hash}); err != nil || head != want {
					t.Fatalf("head %v, error %v", head, err)
				}
				return
			}
			var fault *audit.ChainError
			if !errors.As(err, &fault) || fault.Sequence != c.at {
				t.Fatalf("error %v, want one at %d", err, c.at)
			}
			if head.Sequence != c.at-1 {
				t.Errorf("head at %d, want the last good one, %d", head.Sequence, c.at-1)
			}
		})
	}
	t.Run("a chain goes on from a head", func(t *testing.T) {
		middle := audit.Head{Sequence: 3, Hash: good[2].Hash}
		if head, err := audit.VerifyChain(middle, slices.Values(good[3:])); err != nil || head.Sequence != 5 {
			t.Fatalf("head %v, error %v", head, err)
		}
		middle.Hash[0]++
		if _, err := audit.VerifyChain(middle, slices.Values(good[3:])); err == nil {
			t.Fatal("a chain goes on from a head that is not its own")
		}
	})
	t.Run("a chain that was cut off has another head", func(t *testing.T) {
		head, err := audit.VerifyChain(audit.Head{}, slices.Values(good[:4]))
		if err != nil || head.Sequence != 4 {
			t.Fatalf("head %v, error %v", head, err)
		}
	})
}

func TestRestoredChain(t *testing.T) {
	good := chain(3)
	head := audit.Head{Sequence: 3, Hash: good[2].Hash}
	restored := func(change func(e *audit.Event)) []audit.Event {
		e := sample(1000)
		e.Action, e.Detail = audit.ActionRestored, `{"after":3,"events":0}`
		change(&e)
		e.Seal(head.Hash)
		next := sample(e.Sequence + 1)
		next.Seal(e.Hash)
		return append(slices.Clone(good), e, next)
	}
	for _, c := range []struct {
		name   string
		change func(e *audit.Event)
		at     int64 // 0: the chain holds
	}{
		{"a restored database goes on with a greater number", func(*audit.Event) {}, 0},
		{"or with the next", func(e *audit.Event) { e.Sequence = 4 }, 0},
		{"but nothing else does", func(e *audit.Event) { e.Action = "database.changed" }, 4},
		{"nor one that does not say after which event", func(e *audit.Event) { e.Detail = `{}` }, 4},
		{"nor one that says another", func(e *audit.Event) { e.Detail = `{"after":2}` }, 4},
		{"nor one whose detail cannot be read", func(e *audit.Event) { e.Detail = `{"after":"3"}` }, 4},
		{"nor with a number that was there", func(e *audit.Event) { e.Sequence = 3 }, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			events := restored(c.change)
			got, err := audit.VerifyChain(audit.Head{}, slices.Values(events))
			if c.at == 0 {
				if err != nil || got.Sequence != events[4].Sequence {
					t.Fatalf("head %v, error %v", got, err)
				}
				return
			}
			var fault *audit.ChainError
			if !errors.As(err, &fault) || fault.Sequence != c.at {
				t.Fatalf("error %v, want one at %d", err, c.at)
			}
		})
	}
	t.Run("an event of the lost database over which a checkpoint was signed is missed", func(t *testing.T) {
		v := audit.NewVerification(audit.Head{})
		if err := v.Checkpoint(audit.Checkpoint{Head: audit.Head{Sequence: 5, Hash: [32]byte{5}}}); err != nil {
			t.Fatal(err)
		}
		var err error
		for _, e := range restored(func(*audit.Event) {}) {
			if err == nil {
				err = v.Event(e)
			}
		}
		var fault *audit.ChainError
		if !errors.As(err, &fault) || fault.Sequence != 4 || !strings.Contains(fault.Reason, "a checkpoint was signed over event 5") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a checkpoint of before the copy, or after it, holds", func(t *testing.T) {
		events := restored(func(*audit.Event) {})
		v := audit.NewVerification(audit.Head{})
		for _, e := range []audit.Event{events[2], events[3]} {
			if err := v.Checkpoint(audit.Checkpoint{Head: audit.Head{Sequence: e.Sequence, Hash: e.Hash}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range events {
			if err := v.Event(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.End(); err != nil {
			t.Error(err)
		}
	})
}

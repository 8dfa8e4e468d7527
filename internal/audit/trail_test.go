package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// trail is a chain in memory.
type trail struct {
	events      []audit.Event
	checkpoints []audit.SignedCheckpoint
	head        audit.Head // what the head's row says
}

func (t *trail) Events(_ context.Context, after int64, limit int) ([]audit.Event, error) {
	return after0(t.events, after, limit, func(e audit.Event) int64 { return e.Sequence }), nil
}

func (t *trail) Checkpoints(_ context.Context, after int64, limit int) ([]audit.SignedCheckpoint, error) {
	return after0(t.checkpoints, after, limit, func(c audit.SignedCheckpoint) int64 { return c.Sequence }), nil
}

func (t *trail) Head(context.Context) (audit.Head, error) { return t.head, nil }

// after0 is what SELECT ... WHERE sequence > after ORDER BY sequence LIMIT gives.
func after0[T any](all []T, after int64, limit int, sequence func(T) int64) []T {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b T) int { return int(sequence(a) - sequence(b)) })
	all = slices.DeleteFunc(all, func(one T) bool { return sequence(one) <= after })
	return all[:min(limit, len(all))]
}

func (t *trail) clone() *trail {
	return &trail{slices.Clone(t.events), slices.Clone(t.checkpoints), t.head}
}

// newTrail is n events with checkpoints over some of them.
func newTrail(t testing.TB, by *jose.Signer, n int, at ...int64) *trail {
	t.Helper()
	one := &trail{events: chain(n)}
	one.head = audit.Head{Sequence: int64(n), Hash: one.events[n-1].Hash}
	var previous int64
	for _, s := range at {
		c := signed(t, by, audit.Head{Sequence: s, Hash: one.events[s-1].Hash}, previous, nil)
		one.checkpoints = append(one.checkpoints, audit.SignedCheckpoint{Sequence: s, JWS: c.JWS})
		previous = s
	}
	return one
}

// rewrite changes one event and writes everything from it on anew, with hashes that hold.
func (t *trail) rewrite(from int64, change func(e *audit.Event)) {
	for i := from - 1; i < int64(len(t.events)); i++ {
		var before [32]byte
		if i > 0 {
			before = t.events[i-1].Hash
		}
		if i == from-1 {
			change(&t.events[i])
		}
		t.events[i].Seal(before)
	}
	last := t.events[len(t.events)-1]
	t.head = audit.Head{Sequence: last.Sequence, Hash: last.Hash}
}

func verify(t *testing.T, one *trail, by *jose.Signer, kept ...*audit.Checkpoint) (audit.Report, error) {
	t.Helper()
	return audit.VerifyTrail(t.Context(), one, audit.NewTrust(issuer, by.Public()), kept...)
}

// faultAt wants a fault at the sequence, in one line that names it.
func faultAt(t *testing.T, err error, sequence int64) {
	t.Helper()
	fault, ok := errors.AsType[*audit.ChainError](err)
	if !ok || fault.Sequence != sequence {
		t.Errorf("got %v, want a fault at %d", err, sequence)
		return
	}
	if text := err.Error(); !audit.IsFault(err) || !strings.HasPrefix(text, fmt.Sprintf("audit event %d ", sequence)) || strings.Contains(text, "\n") {
		t.Errorf("says %q", text)
	}
}

// TestEveryCorruptionIsFound changes each field of each event, removes, repeats
// and swaps each, and wants the first bad sequence named every time.
func TestEveryCorruptionIsFound(t *testing.T) {
	const n = 12
	by := newSigner(t)
	good := newTrail(t, by, n, 4, 9)
	if r, err := verify(t, good, by); err != nil || r.Head != good.head || r.Checkpoints != 2 || r.Vouched != 9 || r.First != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	fields := reflect.TypeFor[audit.Event]()
	for i := range n {
		sequence := int64(i + 1)
		for f := range fields.NumField() {
			name := fields.Field(f).Name
			t.Run(fmt.Sprintf("%s of event %d", name, sequence), func(t *testing.T) {
				for _, variant := range variants(t, good.events[i], f) {
					one := good.clone()
					one.events[i] = variant
					_, err := verify(t, one, by)
					if name != "Sequence" {
						faultAt(t, err, sequence)
						continue
					}
					// Which is met first depends on where the other number sorts.
					if fault, ok := errors.AsType[*audit.ChainError](err); !ok || fault.Sequence > sequence {
						t.Errorf("got %v, want a fault at %d or before", err, sequence)
					}
				}
			})
		}
		t.Run(fmt.Sprintf("event %d removed", sequence), func(t *testing.T) {
			one := good.clone()
			one.events = slices.Delete(one.events, i, i+1)
			_, err := verify(t, one, by)
			faultAt(t, err, sequence)
		})
		t.Run(fmt.Sprintf("event %d twice", sequence), func(t *testing.T) {
			v := audit.NewVerification(audit.Head{})
			var err error
			for _, e := range slices.Insert(slices.Clone(good.events), i, good.events[i]) {
				if err = v.Event(e); err != nil {
					break
				}
			}
			faultAt(t, err, sequence+1)
		})
		if i+1 < n {
			t.Run(fmt.Sprintf("events %d and %d swapped", sequence, sequence+1), func(t *testing.T) {
				one := good.clone()
				one.events[i].Sequence, one.events[i+1].Sequence = one.events[i+1].Sequence, one.events[i].Sequence
				_, err := verify(t, one, by)
				faultAt(t, err, sequence)
			})
		}
		t.Run(fmt.Sprintf("event %d sealed anew alone", sequence), func(t *testing.T) {
			one := good.clone()
			one.events[i].Actor = "nobody"
			one.events[i].Seal(one.events[i].Previous)
			_, err := verify(t, one, by)
			if sequence == n { // its hash is the head's
				faultAt(t, err, n)
				return
			}
			if sequence == 4 || sequence == 9 { // its checkpoint comes before the next event
				fault, ok := errors.AsType[*audit.ChainError](err)
				if !ok || fault.Sequence > sequence {
					t.Errorf("got %v", err)
				}
				return
			}
			faultAt(t, err, sequence+1)
		})
		t.Run(fmt.Sprintf("everything from event %d on written anew with hashes that hold", sequence), func(t *testing.T) {
			one := good.clone()
			one.rewrite(sequence, func(e *audit.Event) { e.Actor = "nobody" })
			_, err := verify(t, one, by)
			switch {
			case sequence > 9: // no checkpoint covers it: one kept elsewhere would
				if err != nil {
					t.Errorf("got %v", err)
				}
				last := good.events[n-1]
				_, err = verify(t, one, by, signed(t, by, audit.Head{Sequence: n, Hash: last.Hash}, 9, nil))
				faultAt(t, err, 10)
			case sequence > 4:
				faultAt(t, err, 5)
			default:
				faultAt(t, err, 1)
			}
		})
		t.Run(fmt.Sprintf("everything from event %d on cut off, head and checkpoints too", sequence), func(t *testing.T) {
			one := good.clone()
			one.events = one.events[:i]
			one.head = audit.Head{}
			if i > 0 {
				one.head = audit.Head{Sequence: int64(i), Hash: one.events[i-1].Hash}
			}
			one.checkpoints = slices.DeleteFunc(one.checkpoints, func(c audit.SignedCheckpoint) bool { return c.Sequence > int64(i) })
			if _, err := verify(t, one, by); err != nil {
				t.Fatalf("a shorter chain by itself: %v", err)
			}
			_, err := verify(t, one, by, signed(t, by, audit.Head{Sequence: n, Hash: good.events[n-1].Hash}, 9, nil))
			faultAt(t, err, sequence)
			one.head = good.head
			_, err = verify(t, one, by)
			faultAt(t, err, sequence)
		})
	}
}

// variants are an event with another value of one field.
func variants(t *testing.T, e audit.Event, field int) []audit.Event {
	t.Helper()
	var all []audit.Event
	add := func(change func(v any)) {
		one := e
		change(reflect.ValueOf(&one).Elem().Field(field).Addr().Interface())
		all = append(all, one)
	}
	switch reflect.ValueOf(e).Field(field).Interface().(type) {
	case int64:
		for _, d := range []int64{-1, 1, 100} {
			add(func(v any) { *v.(*int64) += d })
		}
	case string:
		for _, s := range []string{"", "x", " "} {
			add(func(v any) { *v.(*string) += s + "y" })
		}
		add(func(v any) { *v.(*string) = "" })
	case time.Time:
		for _, d := range []time.Duration{-time.Microsecond, time.Microsecond, time.Hour} {
			add(func(v any) { *v.(*time.Time) = v.(*time.Time).Add(d) })
		}
	case [32]byte:
		for _, bit := range []int{0, 100, 255} {
			add(func(v any) { v.(*[32]byte)[bit/8] ^= 1 << (bit % 8) })
		}
	default:
		t.Fatalf("field %d has a type that this test does not change", field)
	}
	return all
}

// TestRandomCorruptions flips one bit of what an export's lines hold.
func TestRandomCorruptions(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	good := chain(5)
	for range 3000 {
		i := random.IntN(len(good))
		line := good[i].AppendJSON(nil)
		line[random.IntN(len(line))] ^= 1 << random.IntN(8)
		e, err := audit.ParseEvent(line)
		if err != nil {
			continue
		}
		before := audit.Head{}
		if i > 0 {
			before = audit.Head{Sequence: good[i-1].Sequence, Hash: good[i-1].Hash}
		}
		if _, err := audit.VerifyChain(before, slices.Values([]audit.Event{e})); err == nil && e != good[i] {
			t.Fatalf("%s passes for event %d", line, i+1)
		}
	}
}

func TestStoredCheckpoints(t *testing.T) {
	by := newSigner(t)
	good := newTrail(t, by, 12, 4, 9)
	for _, c := range []struct {
		name   string
		change func(one *trail)
		says   string
	}{
		{"one that was removed from between", func(one *trail) { one.checkpoints = one.checkpoints[1:] }, "audit event 4 has no checkpoint"},
		{"one of another key", func(one *trail) {
			one.checkpoints[1].JWS = signed(t, newSigner(t), audit.Head{Sequence: 9, Hash: one.events[8].Hash}, 4, nil).JWS
		}, "the checkpoint of event 9: not a checkpoint"},
		{"one under another number", func(one *trail) { one.checkpoints[1].Sequence = 10 }, "audit event 10 has the checkpoint of event 9"},
		{"one of another hash", func(one *trail) {
			one.checkpoints[1].JWS = signed(t, by, audit.Head{Sequence: 9, Hash: [32]byte{1}}, 4, nil).JWS
		}, "audit event 5 or one after it, up to 9, is not what the checkpoint of event 9 was signed over"},
		{"one beyond the end", func(one *trail) {
			one.checkpoints = append(one.checkpoints, audit.SignedCheckpoint{Sequence: 20, JWS: signed(t, by, audit.Head{Sequence: 20}, 9, nil).JWS})
		}, "audit event 13 is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			one := good.clone()
			c.change(one)
			_, err := verify(t, one, by)
			if err == nil || !audit.IsFault(err) || !strings.HasPrefix(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	t.Run("one that was kept and is stored counts once", func(t *testing.T) {
		r, err := verify(t, good, by, signed(t, by, audit.Head{Sequence: 9, Hash: good.events[8].Hash}, 4, nil))
		if err != nil || r.Checkpoints != 2 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("one beyond the end that is none of ours", func(t *testing.T) {
		for _, one := range []*trail{good.clone(), newTrail(t, by, 12, 4, 12)} {
			one.checkpoints = append(one.checkpoints, audit.SignedCheckpoint{Sequence: 13, JWS: "x"})
			if _, err := verify(t, one, by); !errors.Is(err, audit.ErrCheckpoint) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("one of the event right after the last that holds names that event alone", func(t *testing.T) {
		one := newTrail(t, by, 12, 4)
		one.checkpoints = append(one.checkpoints, audit.SignedCheckpoint{Sequence: 5, JWS: signed(t, by, audit.Head{Sequence: 5, Hash: [32]byte{1}}, 4, nil).JWS})
		_, err := verify(t, one, by)
		faultAt(t, err, 5)
		if !strings.Contains(err.Error(), "is not the event that") {
			t.Errorf("says %v", err)
		}
	})
	t.Run("without a key none passes", func(t *testing.T) {
		for _, trust := range []*audit.Trust{nil, audit.NewTrust(issuer)} {
			if _, err := audit.VerifyTrail(t.Context(), good, trust); err == nil || audit.IsFault(err) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("a trail that cannot be read is no fault of the chain", func(t *testing.T) {
		for _, what := range []string{"head", "events", "checkpoints"} {
			if _, err := audit.VerifyTrail(t.Context(), &broken{good, what}, audit.NewTrust(issuer, by.Public())); !errors.Is(err, errBroken) || audit.IsFault(err) {
				t.Errorf("%s: got %v", what, err)
			}
		}
	})
	t.Run("one that comes after its event has passed is refused", func(t *testing.T) {
		v := audit.NewVerification(audit.Head{})
		for _, e := range good.events[:3] {
			if err := v.Event(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.Checkpoint(audit.Checkpoint{Head: audit.Head{Sequence: 2, Hash: good.events[1].Hash}}); err == nil {
			t.Error("taken")
		}
	})
	t.Run("a chain of many pages", func(t *testing.T) {
		large := newTrail(t, by, 2500, 999, 1000, 1001, 2000, 2500)
		if r, err := verify(t, large, by); err != nil || r.Checkpoints != 5 || r.Vouched != 2500 {
			t.Errorf("%+v, %v", r, err)
		}
		large.events[1999].Subject = "x"
		_, err := verify(t, large, by)
		faultAt(t, err, 2000)
	})
	t.Run("a change and its checkpoint that come while the chain is read are no fault", func(t *testing.T) {
		whole := newTrail(t, by, 12, 4, 12)
		if _, err := verifyGrowing(t, whole, by); err != nil {
			t.Error(err)
		}
	})
}

var errBroken = errors.New("broken")

// broken is a trail of which one part cannot be read.
type broken struct {
	*trail
	what string
}

func (b *broken) Head(ctx context.Context) (audit.Head, error) {
	if b.what == "head" {
		return audit.Head{}, errBroken
	}
	return b.trail.Head(ctx)
}

func (b *broken) Events(ctx context.Context, after int64, limit int) ([]audit.Event, error) {
	if b.what == "events" {
		return nil, errBroken
	}
	return b.trail.Events(ctx, after, limit)
}

func (b *broken) Checkpoints(ctx context.Context, after int64, limit int) ([]audit.SignedCheckpoint, error) {
	if b.what == "checkpoints" {
		return nil, errBroken
	}
	return b.trail.Checkpoints(ctx, after, limit)
}

// growing shows the last event only after the events were once read to the end.
type growing struct {
	*trail
	reads int
}

func (g *growing) Head(context.Context) (audit.Head, error) {
	return audit.Head{Sequence: 11, Hash: g.events[10].Hash}, nil
}

func (g *growing) Events(ctx context.Context, after int64, limit int) ([]audit.Event, error) {
	g.reads++
	events, err := g.trail.Events(ctx, after, limit)
	if g.reads == 1 {
		events = events[:11]
	}
	return events, err
}

func verifyGrowing(t *testing.T, one *trail, by *jose.Signer) (audit.Report, error) {
	t.Helper()
	return audit.VerifyTrail(t.Context(), &growing{trail: one}, audit.NewTrust(issuer, by.Public()))
}

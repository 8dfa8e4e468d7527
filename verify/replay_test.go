package verify_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/verify"
)

func id(n int) [32]byte { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n))) }

func TestMemoryReplay(t *testing.T) {
	ctx := context.Background()
	const keep = 100 * time.Second
	use := func(t *testing.T, m *verify.MemoryReplay, key [32]byte, until time.Time) bool {
		t.Helper()
		first, err := m.FirstUse(ctx, key, until)
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	t.Run("first, and never again before its time", func(t *testing.T) {
		clock := verifytest.NewClock()
		m := verify.NewMemoryReplay(clock.Now, 1000)
		until := clock.Now().Add(keep)
		if !use(t, m, id(1), until) || !use(t, m, id(2), until) {
			t.Fatal("the first use is refused")
		}
		for clock.Now().Before(until) {
			if use(t, m, id(1), clock.Now().Add(keep)) {
				t.Fatalf("used again %v before its time", until.Sub(clock.Now()))
			}
			clock.Advance(time.Second)
		}
	})
	t.Run("what expired is forgotten", func(t *testing.T) {
		clock := verifytest.NewClock()
		m := verify.NewMemoryReplay(clock.Now, 10_000)
		for i := range 500 {
			use(t, m, id(i), clock.Now().Add(keep))
		}
		clock.Advance(keep + 10*time.Second)
		for i := range 500 {
			use(t, m, id(1000+i), clock.Now().Add(keep))
		}
		if n := m.Len(); n != 500 {
			t.Errorf("%d remembered, want 500", n)
		}
	})
	t.Run("attack 10: when full it refuses and forgets nothing", func(t *testing.T) {
		clock := verifytest.NewClock()
		m := verify.NewMemoryReplay(clock.Now, 640)
		until := clock.Now().Add(keep)
		var kept []int
		full := 0
		for i := range 5000 {
			switch first, err := m.FirstUse(ctx, id(i), until); {
			case errors.Is(err, verify.ErrReplayFull) && !first:
				full++
			case err == nil && first:
				kept = append(kept, i)
			default:
				t.Fatalf("%t, %v", first, err)
			}
		}
		if len(kept) != 640 || full != 5000-640 {
			t.Errorf("%d kept, %d refused", len(kept), full)
		}
		for _, i := range kept {
			if use(t, m, id(i), until) {
				t.Fatal("forgotten before its time")
			}
		}
	})
	t.Run("attack 10: ids that were made to be alike have the whole store's room", func(t *testing.T) {
		clock := verifytest.NewClock()
		m := verify.NewMemoryReplay(clock.Now, 64_000)
		for i := range 32_000 {
			var key [32]byte
			binary.BigEndian.PutUint16(key[15:], uint16(i))
			if first, err := m.FirstUse(ctx, key, clock.Now().Add(keep)); !first || err != nil {
				t.Fatalf("%d: %t, %v", i, first, err)
			}
		}
	})
	t.Run("64 at a time, one is first", func(t *testing.T) {
		clock := verifytest.NewClock()
		m := verify.NewMemoryReplay(clock.Now, 1000)
		var firsts atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if first, err := m.FirstUse(ctx, id(1), clock.Now().Add(keep)); err == nil && first {
					firsts.Add(1)
				}
			})
		}
		wg.Wait()
		if firsts.Load() != 1 {
			t.Errorf("%d were first", firsts.Load())
		}
	})
}

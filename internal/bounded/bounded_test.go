package bounded_test

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/bounded"
)

func key(i int) bounded.Key {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

func TestMap(t *testing.T) {
	t.Run("a value is found under its key and no other", func(t *testing.T) {
		m := bounded.New[int](100)
		m.Store(key(1), 1)
		if v, ok := m.Load(key(1)); !ok || v != 1 {
			t.Errorf("Load = %d, %t", v, ok)
		}
		if v, ok := m.Load(key(2)); ok || v != 0 {
			t.Errorf("Load of another key = %d, %t", v, ok)
		}
	})
	t.Run("the last value of a key counts", func(t *testing.T) {
		m := bounded.New[int](32)
		for i := range 10 {
			m.Store(key(1), i)
		}
		if v, _ := m.Load(key(1)); v != 9 {
			t.Errorf("Load = %d, want 9", v)
		}
	})
	t.Run("a million keys stay within the bound", func(t *testing.T) {
		m := bounded.New[int](1000)
		for i := range 1_000_000 {
			m.Store(key(i), i)
		}
		if n := m.Len(); n > 1000 {
			t.Errorf("%d values remembered, at most 1000 allowed", n)
		}
	})
	t.Run("what is asked for again and again outlives a flood", func(t *testing.T) {
		m := bounded.New[int](1000)
		m.Store(key(-1), -1)
		for i := range 100_000 {
			m.Store(key(i), i)
			if _, ok := m.Load(key(-1)); !ok {
				t.Fatalf("forgotten after %d other keys", i)
			}
		}
	})
	t.Run("concurrent use", func(t *testing.T) {
		m := bounded.New[int](100)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 10_000 {
					m.Store(key(i), i)
					if v, ok := m.Load(key(i + g)); ok && v != i+g {
						t.Errorf("Load(%d) = %d", i+g, v)
					}
				}
			})
		}
		wg.Wait()
	})
}

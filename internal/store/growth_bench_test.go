package store_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// BenchmarkFirstUseGrown records uses where so many live already.
func BenchmarkFirstUseGrown(b *testing.B) {
	for _, live := range []int{0, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			s, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "holdfast.db"), store.Options{Create: true, Now: time.Now})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			until := time.Now().Add(10 * time.Minute)
			use := func(id [32]byte) error {
				return s.FirstUse(context.Background(), token.Use{Key: id, From: time.Now(), Until: until})
			}
			growTo(b, live, use)
			parallel(b, use)
		})
	}
}

func growTo(b *testing.B, n int, use func(id [32]byte) error) {
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			var id [32]byte
			for range n / 1000 {
				rand.Read(id[:])
				if err := use(id); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

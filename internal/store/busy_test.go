package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/token"
)

func TestBusy(t *testing.T) {
	const busyTimeout = 5 * time.Second
	t.Run("fault 7: while another process writes, uses wait 5 s at most for their commit, are refused with no verdict, and go on at once after it", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "holdfast.db")
		s := open(t, path)
		other, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		other.SetMaxOpenConns(1)
		if _, err := other.Exec("BEGIN IMMEDIATE"); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		release := 7 * time.Second
		time.AfterFunc(release, func() { other.Exec("ROLLBACK") })
		var wg sync.WaitGroup
		var mu sync.Mutex
		first := map[string]int{}
		refused := 0
		for i := range 20 {
			time.Sleep(time.Until(begun.Add(time.Duration(i) * 300 * time.Millisecond)))
			wg.Go(func() {
				asked := time.Now()
				name := fmt.Sprint("busy-", i)
				err := s.FirstUse(context.Background(), crashUse(name))
				took := time.Since(asked)
				mu.Lock()
				defer mu.Unlock()
				var replayed *token.ReplayedError
				switch {
				case err == nil:
					first[name]++
					if time.Since(begun) < release {
						t.Errorf("%s was recorded while another process wrote", name)
					}
				case errors.As(err, &replayed):
					t.Errorf("%s: a verdict: %v", name, err)
				default:
					refused++
				}
				if took > 2*busyTimeout { // for the batch before it, and its own
					t.Errorf("%s took %v", name, took)
				}
			})
		}
		wg.Wait()
		if refused == 0 || len(first) == 0 {
			t.Errorf("%d refused, %d recorded", refused, len(first))
		}
		if took := time.Since(begun); took > release+2*time.Second {
			t.Errorf("the last one was answered after %v", took)
		}
		for name := range first {
			var replayed *token.ReplayedError
			if err := s.FirstUse(context.Background(), crashUse(name)); !errors.As(err, &replayed) {
				t.Errorf("%s may be used again: %v", name, err)
			}
		}
	})
	t.Run("fault 7: the log that a long reader makes grow is bounded again once it has ended", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "holdfast.db")
		s := open(t, path)
		other, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		reading, err := other.Begin()
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := reading.QueryRow("SELECT COUNT(*) FROM used").Scan(&n); err != nil {
			t.Fatal(err)
		}
		size := func() int64 {
			info, err := os.Stat(path + "-wal")
			if err != nil {
				t.Fatal(err)
			}
			return info.Size()
		}
		const limit = 64 << 20
		work := func(name string, until func() bool) {
			for i := 0; !until(); i++ {
				var wg sync.WaitGroup
				for j := range 200 {
					wg.Go(func() {
						if err := s.FirstUse(context.Background(), crashUse(fmt.Sprint(name, i, "-", j))); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if i > 5000 {
					t.Fatalf("the log has %d bytes", size())
				}
			}
		}
		work("long", func() bool { return size() > limit })
		if err := reading.Rollback(); err != nil {
			t.Fatal(err)
		}
		work("after", func() bool { return size() <= limit })
	})
}

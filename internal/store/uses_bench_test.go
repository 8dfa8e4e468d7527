package store_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

const callers = 64

// BenchmarkFirstUse records uses from 64 callers, beside the simplest group
// commit that database/sql allows, in the same process.
func BenchmarkFirstUse(b *testing.B) {
	b.Run("store", func(b *testing.B) {
		s, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "holdfast.db"), store.Options{Create: true, Now: time.Now})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		until := time.Now().Add(time.Minute)
		parallel(b, func(id [32]byte) error { return s.FirstUse(context.Background(), token.Use{Key: id, Until: until}) })
	})
	b.Run("plain", func(b *testing.B) {
		p := openPlain(b)
		parallel(b, p.use)
	})
}

func parallel(b *testing.B, use func(id [32]byte) error) {
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	for worker := range callers {
		wg.Go(func() {
			var id [32]byte
			for i := worker; i < b.N; i += callers {
				rand.Read(id[:])
				if err := use(id); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/row")
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// plain commits whatever waits through database/sql, rows in the order of time.
type plain struct {
	queue chan waiting
}

type waiting struct {
	id   [32]byte
	done chan error
}

func openPlain(b *testing.B) *plain {
	db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "plain.db"))
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, q := range []string{"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
		"CREATE TABLE once (until INTEGER, owner TEXT, id TEXT, PRIMARY KEY (until, owner, id)) WITHOUT ROWID"} {
		if _, err := db.Exec(q); err != nil {
			b.Fatal(err)
		}
	}
	insert, err := db.Prepare("INSERT INTO once (until, owner, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
	if err != nil {
		b.Fatal(err)
	}
	p := &plain{make(chan waiting, 1024)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for first := range p.queue {
			batch := []waiting{first}
			for len(batch) < 256 && len(p.queue) > 0 {
				batch = append(batch, <-p.queue)
			}
			err := commit(db, insert, batch)
			for _, w := range batch {
				w.done <- err
			}
		}
	})
	b.Cleanup(func() {
		close(p.queue)
		wg.Wait()
		db.Close()
	})
	return p
}

func commit(db *sql.DB, insert *sql.Stmt, batch []waiting) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	until := time.Now().Unix() + 60
	in := tx.Stmt(insert)
	for _, w := range batch {
		result, err := in.Exec(until, "client", string(hexed(w.id)))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, errors.New("used before"))
		}
	}
	return tx.Commit()
}

func hexed(id [32]byte) []byte {
	const digits = "0123456789abcdef"
	text := make([]byte, 32) // 128 bits of it, as a jti has
	for i := range text {
		text[i] = digits[id[i/2]>>(4*(1-i%2))&15]
	}
	return text
}

func (p *plain) use(id [32]byte) error {
	w := waiting{id, make(chan error, 1)}
	p.queue <- w
	return <-w.done
}

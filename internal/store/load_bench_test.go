package store_test

import (
	"crypto/ed25519"
	"database/sql"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// BenchmarkOpen opens an existing database, as every start does.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "holdfast.db")
	if err := open(b, path).Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := store.Open(b.Context(), path, store.Options{Now: time.Now})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad makes the first snapshot of 100,000 applications with a key and a
// grant each, and weighs it.
func BenchmarkLoad(b *testing.B) {
	const n = 100000
	path := filepath.Join(b.TempDir(), "holdfast.db")
	s := open(b, path)
	err := withDatabase(path, fill(b, n))
	if err != nil {
		b.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var d *directory.Directory
	for b.Loop() {
		if d, err = directory.Open(b.Context(), s, time.Now); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/application")
	if c := d.Current().Client("app-99999"); c == nil || len(c.Credentials) != 1 || len(c.Grants) != 1 {
		b.Fatalf("%+v", c)
	}
}

// number is a public key of its own for each i.
func number(b *testing.B, i int) *jose.PublicKey {
	seed := make([]byte, 32)
	binary.BigEndian.PutUint64(seed, uint64(i))
	key, err := jose.NewPublicKey(ed25519.NewKeyFromSeed(seed).Public(), "", fmt.Sprint("kid-", i))
	if err != nil {
		b.Fatal(err)
	}
	return key
}

func fill(b *testing.B, n int) func(db *sql.DB) error {
	return func(db *sql.DB) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		run := func(query string, args ...any) {
			if _, err := tx.Exec(query, args...); err != nil {
				b.Fatal(err)
			}
		}
		run("INSERT INTO organisations VALUES ('acme', 'Acme', 'active', 1)")
		run("INSERT INTO resources VALUES ('https://api.example/payments', 'acme', 'Payments', 1)")
		run("INSERT INTO scopes VALUES ('pay', 'https://api.example/payments', 0)")
		for i := range n {
			key := number(b, i)
			thumbprint := key.Thumbprint()
			id := fmt.Sprint("app-", i)
			run("INSERT INTO applications VALUES ($1, 'acme', 'App', 'private_key_jwt', 'dpop', 0, 'active', 1)", id)
			run("INSERT INTO grants VALUES ($1, 0, 'pay')", id)
			run("INSERT INTO credentials VALUES ($1, $2, 'signing_key', 'active', $3, $4, $5, x'', 0, 1, 0, 0, 1)", "cred-"+id, id, key.KeyID(), string(key.JWK()), thumbprint[:])
		}
		run("UPDATE head SET sequence = 1")
		return tx.Commit()
	}
}

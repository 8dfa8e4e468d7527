//go:build postgres

package server_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/server"
	"github.com/holdfast-auth/holdfast/internal/store/postgrestest"
)

// TestAuditOnPostgres: two nodes sign one chain, each head once, and what is done
// to the database is found without them.
func TestAuditOnPostgres(t *testing.T) {
	pg := postgrestest.Start(t)
	url := pg.Fresh(t)
	cfg, first := onPostgres(t, url)
	if _, err := server.Init(t.Context(), cfg, first); err != nil {
		t.Fatal(err)
	}
	one, two := runWith(t, cfg), runWith(t, cfg)
	for _, r := range []*running{one, two} {
		r.stop()
		if err := r.wait(t); err != nil {
			t.Fatal(err)
		}
	}
	records, err := server.OpenRecords(t.Context(), cfg, process())
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	keys, err := records.CheckpointKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	verify := func(kept ...*audit.Checkpoint) (audit.Report, error) {
		return audit.VerifyTrail(t.Context(), records, audit.NewTrust(cfg.Issuer, keys...), kept...)
	}
	whole, err := verify()
	if err != nil || whole.Vouched != whole.Head.Sequence || whole.Checkpoints == 0 {
		t.Fatalf("%+v, %v", whole, err)
	}
	newest, err := records.NewestCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kept, err := audit.ParseCheckpoint(newest.JWS, keys...)
	if err != nil || time.Since(kept.At) > time.Minute {
		t.Fatalf("%+v, %v", kept, err)
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	execute := func(query string) {
		t.Helper()
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	faultAt := func(err error, sequence int64) {
		t.Helper()
		if fault, ok := errors.AsType[*audit.ChainError](err); !ok || fault.Sequence != sequence {
			t.Errorf("got %v, want a fault at %d", err, sequence)
		}
	}
	execute("UPDATE holdfast.events SET detail = detail || ' ' WHERE sequence = 3")
	_, err = verify()
	faultAt(err, 3)
	execute("UPDATE holdfast.events SET detail = rtrim(detail) WHERE sequence = 3")
	execute("DELETE FROM holdfast.events WHERE sequence > 4")
	_, err = verify()
	faultAt(err, 5)
	execute("UPDATE holdfast.head SET sequence = 4, hash = (SELECT hash FROM holdfast.events WHERE sequence = 4)")
	execute("DELETE FROM holdfast.checkpoints WHERE sequence > 4")
	if _, err := verify(); err != nil {
		t.Errorf("a shorter chain by itself: %v", err)
	}
	_, err = verify(kept)
	faultAt(err, 5)
}

package server_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/server"
)

// TestDatabaseCorruptions changes every column of every event in a real database,
// and removes and swaps each, and wants the first bad sequence named.
func TestDatabaseCorruptions(t *testing.T) {
	cfg := initialised(t)
	r := runWith(t, cfg)
	r.stop() // signs the head
	if err := r.wait(t); err != nil {
		t.Fatal(err)
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
	verify := func() (audit.Report, error) {
		return audit.VerifyTrail(t.Context(), records, audit.NewTrust(cfg.Issuer, keys...))
	}
	whole, err := verify()
	if err != nil || whole.Checkpoints == 0 || whole.Vouched != whole.Head.Sequence {
		t.Fatalf("%+v, %v", whole, err)
	}
	n := whole.Head.Sequence
	db, err := sql.Open("sqlite", cfg.Database)
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
	execute("CREATE TABLE good AS SELECT * FROM events")
	for sequence := int64(1); sequence <= n; sequence++ {
		for _, c := range []struct {
			what, change string
			at           int64
		}{
			{"at", "UPDATE events SET at = at + 1", sequence}, {"at", "UPDATE events SET at = 0", sequence},
			{"actor", "UPDATE events SET actor = actor || 'x'", sequence}, {"actor", "UPDATE events SET actor = ''", sequence},
			{"action", "UPDATE events SET action = action || ' '", sequence},
			{"organisation", "UPDATE events SET organisation = organisation || 'x'", sequence},
			{"subject", "UPDATE events SET subject = subject || x'00'", sequence},
			{"detail", "UPDATE events SET detail = detail || ' '", sequence}, {"detail", "UPDATE events SET detail = ''", sequence},
			{"previous", "UPDATE events SET previous = zeroblob(31)", sequence}, {"previous", "UPDATE events SET previous = randomblob(32)", sequence},
			{"hash", "UPDATE events SET hash = randomblob(32)", sequence}, {"hash", "UPDATE events SET hash = x''", sequence},
			{"sequence", "UPDATE events SET sequence = sequence + 1000", sequence}, {"sequence", "UPDATE events SET sequence = -sequence", sequence},
			{"everything", "DELETE FROM events", sequence},
		} {
			t.Run(fmt.Sprintf("%s of event %d: %s", c.what, sequence, c.change), func(t *testing.T) {
				execute(fmt.Sprintf("%s WHERE sequence = %d", c.change, sequence))
				_, err := verify()
				fault, ok := errors.AsType[*audit.ChainError](err)
				if !ok || fault.Sequence != c.at {
					t.Errorf("got %v, want a fault at %d", err, c.at)
				}
				execute("DELETE FROM events")
				execute("INSERT INTO events SELECT * FROM good")
			})
		}
		if sequence < n {
			t.Run(fmt.Sprintf("events %d and %d swapped", sequence, sequence+1), func(t *testing.T) {
				execute(fmt.Sprintf("UPDATE events SET sequence = -sequence WHERE sequence IN (%d, %d)", sequence, sequence+1))
				execute(fmt.Sprintf("UPDATE events SET sequence = CASE sequence WHEN -%[1]d THEN %[2]d ELSE %[1]d END WHERE sequence < 0", sequence, sequence+1))
				_, err := verify()
				if fault, ok := errors.AsType[*audit.ChainError](err); !ok || fault.Sequence != sequence {
					t.Errorf("got %v, want a fault at %d", err, sequence)
				}
				execute("DELETE FROM events")
				execute("INSERT INTO events SELECT * FROM good")
			})
		}
	}
	if _, err := verify(); err != nil {
		t.Errorf("what was put back: %v", err)
	}
}

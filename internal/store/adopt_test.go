package store

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// TestAdoptIntents: what the version before began and issued is on our books.
func TestAdoptIntents(t *testing.T) {
	ctx, s, now := t.Context(), newStore(t), time.Unix(1800000000, 0)
	event := audit.Event{At: now, Actor: "system", Action: "x", Subject: "x", Detail: "{}"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	credential := func(id string) directory.Credential {
		return directory.Credential{
			ID: directory.CredentialID(id), ClientID: "app", Kind: directory.Certificate, State: directory.Active, Issued: true,
			Thumbprint: [32]byte{id[1]}, Certificate: []byte("der " + id), Created: now, NotAfter: now.Add(time.Hour),
		}
	}
	must(s.CreateOrganisation(ctx, event, directory.Organisation{ID: "org", Name: "Acme", State: directory.Active}))
	must(s.CreateApplication(ctx, event, directory.Application{ClientID: "app", Organisation: "org", Name: "App", AuthMethod: directory.TLSClientAuth, State: directory.Active}))
	old := func(serial string, at time.Time, finished int) {
		t.Helper()
		must(s.write(ctx, func(tx *sql.Tx) error {
			_, err := tx.Exec(`INSERT INTO intents (serial, client_id, credential_id, csr_hash, tbs_hash, at, finished) VALUES ($1, 'app', $2, $3, $3, $4, $5)`,
				serial, "c"+serial, make([]byte, 32), micros(at), finished)
			return err
		}))
	}
	old("1", now.Add(-time.Hour), 1)
	must(s.CreateCredential(ctx, event, credential("c1")))
	old("2", now.Add(-time.Hour), 0)   // its process died
	old("3", now.Add(-time.Second), 0) // under way
	old("4", now.Add(-time.Hour), 0)   // slow
	open := func() (serials string) {
		t.Helper()
		intents, err := s.OpenIntents(ctx, "ca1", now.Add(-time.Minute))
		must(err)
		for _, i := range intents {
			serials += i.Serial
			if i.Issuer != "ca1" || i.ClientID != "app" || i.Organisation != "org" || i.Profile != ca.ClientTransport {
				t.Errorf("%+v", i)
			}
		}
		return serials
	}
	if got := open(); got != "24" || open() != "24" {
		t.Fatalf("open are %s", got)
	}
	must(s.AbandonIssue(ctx, event, "2", now))
	// The slow one's process comes back and finishes.
	must(s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE intents SET finished = 1 WHERE serial = '4' AND finished = 0`)
		return err
	}))
	must(s.CreateCredential(ctx, event, credential("c4")))
	if err := s.AbandonIssue(ctx, event, "4", now); !errors.Is(err, directory.ErrState) {
		t.Errorf("a certificate that was issued is given up: %v", err)
	}
	if got := open(); got != "" {
		t.Errorf("open are %s", got)
	}
	for _, id := range []string{"c1", "c4"} {
		c := credential(id)
		c.State = directory.Revoked
		must(s.Put(ctx, event, directory.Delta{Credentials: []directory.Credential{c}}))
	}
	d, ok, err := s.DraftCRL(context.Background(), "ca1", now, now, 0, 0)
	if err != nil || !ok || len(d.Entries) != 3 {
		t.Errorf("%+v, %v", d, err)
	}
	// And the process that died does not come back.
	must(s.write(ctx, func(tx *sql.Tx) error {
		return oneRow(tx, errors.New("none"), `UPDATE intents SET finished = 2 WHERE serial = '2' AND finished = 2`)
	}))
}

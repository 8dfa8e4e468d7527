package store_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// victim names the database to the process that is going to be killed.
const victim = "HOLDFAST_STORE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(victim); path != "" {
		work(path)
		return
	}
	os.Exit(m.Run())
}

// work uses and changes at speed and tells of each that was acknowledged, until
// the process is killed.
func work(path string) {
	ctx := context.Background()
	s, err := store.Open(ctx, path, store.Options{Create: true, Now: time.Now})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	var out sync.Mutex
	tell := func(what, name string, err error) {
		out.Lock()
		defer out.Unlock()
		if err != nil {
			what = "error"
			name += " " + err.Error()
		}
		os.Stdout.WriteString(what + " " + name + "\n") // one write: whole or not at all
	}
	for worker := range 16 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("jti-%d-%d-%d", os.Getpid(), worker, i)
				tell("used", name, s.FirstUse(ctx, crashUse(name)))
			}
		}()
	}
	go func() {
		for {
			tell("pruned", "", s.Prune(ctx, time.Now()))
		}
	}()
	for i := 0; ; i++ {
		id := fmt.Sprintf("org-%d-%d", os.Getpid(), i)
		e := audit.Event{At: time.Now(), Actor: "system", Action: "organisation.created", Subject: id, Detail: "{}"}
		err := s.CreateOrganisation(ctx, e, directory.Organisation{ID: directory.OrganisationID(id), Name: id, State: directory.Active})
		tell("changed", id, err)
	}
}

func crashUse(name string) token.Use {
	return token.Use{Key: sha256.Sum256([]byte(name)), Until: time.Now().Add(time.Hour)}
}

func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "holdfast.db")
	uses, changes := map[string]bool{}, map[string]bool{}
	for round := range 20 {
		// In every fourth round while it starts, otherwise while it works.
		kill(t, path, round%4 == 0, time.Duration(rand.IntN(100))*time.Millisecond, uses, changes)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue // killed before there was a database
		}
		var result string
		check := open(t, path)
		err := withDatabase(path, func(db *sql.DB) error { return db.QueryRow("PRAGMA integrity_check").Scan(&result) })
		if err != nil || result != "ok" {
			t.Fatalf("integrity check: %s, %v", result, err)
		}
		checkChain(t, check, changes)
		if err := check.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(uses) == 0 || len(changes) == 0 {
		t.Fatalf("only %d uses and %d changes were acknowledged", len(uses), len(changes))
	}
	t.Logf("%d uses and %d changes were acknowledged", len(uses), len(changes))
	s := open(t, path)
	var wg sync.WaitGroup
	for name := range uses {
		wg.Go(func() {
			var replayed *token.ReplayedError
			if err := s.FirstUse(t.Context(), crashUse(name)); !errors.As(err, &replayed) {
				t.Errorf("%s was acknowledged and may be used again: %v", name, err)
			}
		})
	}
	wg.Wait()
}

// kill starts a process that works, kills it a while after its start or after its
// first word, and adds what it was told.
func kill(t *testing.T, path string, early bool, after time.Duration, uses, changes map[string]bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), victim+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	doom := func() { once.Do(func() { time.AfterFunc(after, func() { cmd.Process.Kill() }) }) }
	if early {
		doom()
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line that was cut off told nothing
		}
		doom()
		what, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch what {
		case "used":
			uses[name] = true
		case "changed":
			changes[name] = true
		case "error":
			t.Error(name)
		}
	}
	cmd.Wait() // killed: its error is what this test is about
}

func withDatabase(path string, f func(db *sql.DB) error) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	return errors.Join(f(db), db.Close())
}

// checkChain wants a whole chain, with every acknowledged change in it, and of
// each event the record that it tells of.
func checkChain(t *testing.T, s *store.Store, changes map[string]bool) {
	t.Helper()
	head, err := s.VerifyChain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), 0, int(head.Sequence)+1)
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	for _, e := range events {
		recorded[e.Subject] = true
	}
	for id := range changes {
		if !recorded[id] {
			t.Errorf("%s was acknowledged and is not in the audit", id)
		}
	}
	delta, err := s.Load(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(delta.Organisations) != len(events) {
		t.Errorf("%d organisations and %d events", len(delta.Organisations), len(events))
	}
	for _, o := range delta.Organisations {
		if !recorded[string(o.ID)] {
			t.Errorf("%s has no event", o.ID)
		}
	}
}

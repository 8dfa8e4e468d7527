package dev_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/dev"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/feed"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// events is the event stream of a stack.
type events struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (e *events) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.Write(p)
}

// alarms are the reasons of the audit alarms.
func (e *events) alarms(t *testing.T) (reasons []string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for line := range strings.Lines(e.text.String()) {
		var one struct{ Level, Msg, Reason string }
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatal(err)
		}
		if one.Msg == "audit alarm" && one.Level == "ERROR" {
			reasons = append(reasons, one.Reason)
		}
	}
	return reasons
}

// held is the event of the checkpoint that the gateway keeps; 0 for none.
func held(t *testing.T, dir string) int64 {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "gateway-state", feed.CheckpointFile))
	if os.IsNotExist(err) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	kept, err := audit.ParseKept(data)
	if err != nil {
		t.Fatal(err)
	}
	_, c, err := kept.Open()
	if err != nil {
		t.Fatal(err)
	}
	return c.Sequence
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
}

// withStack runs a stack in dir, and ends it.
func withStack(t *testing.T, dir string, e *events, do func(s *dev.Stack)) {
	t.Helper()
	s, err := dev.Start(context.Background(), dev.Options{Dir: dir, Now: time.Now, Events: e})
	if err != nil {
		t.Fatal(err)
	}
	do(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestGatewayWatchesTheAudit restores, forks and restarts a server before a
// gateway that keeps its checkpoints, everything over its sockets.
func TestGatewayWatchesTheAudit(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(dir, "holdfast.db")
	organisation := func(s *dev.Stack, name string) {
		t.Helper()
		if _, err := s.Admin().CreateOrganisation(t.Context(), admin.NewOrganisation{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	honest := &events{}
	withStack(t, dir, honest, func(*dev.Stack) {
		eventually(t, "the gateway keeps no checkpoint", func() bool { return held(t, dir) > 0 })
	})
	first := held(t, dir)

	// What was changed is signed at the end, and the gateway hears of it after the restart.
	withStack(t, dir, honest, func(s *dev.Stack) {
		eventually(t, "the gateway keeps the old checkpoint", func() bool { return held(t, dir) > first })
		organisation(s, "one")
	})
	older := filepath.Join(t.TempDir(), "older.db")
	copyFile(t, database, older)
	second := held(t, dir)
	withStack(t, dir, honest, func(s *dev.Stack) {
		eventually(t, "the gateway keeps the old checkpoint", func() bool { return held(t, dir) > second })
		organisation(s, "two")
	})
	third := held(t, dir)
	withStack(t, dir, honest, func(*dev.Stack) {
		eventually(t, "the gateway keeps the old checkpoint", func() bool { return held(t, dir) > third })
	})
	if got := honest.alarms(t); len(got) != 0 {
		t.Fatalf("honest restarts raise %v", got)
	}
	newest := held(t, dir)

	t.Run("a server that was restored from an older copy raises the alarm", func(t *testing.T) {
		copyFile(t, older, database)
		e := &events{}
		withStack(t, dir, e, func(*dev.Stack) {
			eventually(t, "no alarm", func() bool { return len(e.alarms(t)) > 0 })
		})
		if got := e.alarms(t); len(got) != 1 || got[0] != "checkpoint_older" || held(t, dir) != newest {
			t.Errorf("alarms %v, held %d", got, held(t, dir))
		}
	})
	t.Run("and still when it has other changes beyond", func(t *testing.T) {
		copyFile(t, older, database)
		s, err := store.Open(t.Context(), database, store.Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} { // a chain that holds
			e := audit.Event{At: time.Now(), Actor: "operator", Action: "organisation.created", Organisation: id, Subject: id, Detail: "{}"}
			if err := s.CreateOrganisation(t.Context(), e, directory.Organisation{ID: directory.OrganisationID(id), Name: id, State: directory.Active}); err != nil {
				t.Fatal(err)
			}
		}
		head, err := s.Head(t.Context())
		if err != nil || head.Sequence <= newest {
			t.Fatalf("head %d, held %d, %v", head.Sequence, newest, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		e := &events{}
		withStack(t, dir, e, func(*dev.Stack) {
			eventually(t, "no alarm", func() bool { return len(e.alarms(t)) > 0 })
		})
		got := e.alarms(t)
		if got[len(got)-1] != "checkpoint_forked" || held(t, dir) != newest {
			t.Errorf("alarms %v, held %d", got, held(t, dir))
		}
	})
}

// TestLastUse: a token request leaves when its credential was used, here at once
// and after a restart from the disk.
func TestLastUse(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e := &events{}
	before := time.Now().Add(-time.Second)
	used := map[string]time.Time{} // by credential
	look := func(s *dev.Stack) map[string]time.Time {
		t.Helper()
		found := map[string]time.Time{}
		for _, c := range s.File().Clients {
			p, err := s.Admin().Credentials(t.Context(), c.ClientID, adminclient.Page{})
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range p.Items {
				if k.LastUsed != nil {
					found[k.ID] = *k.LastUsed
				}
			}
		}
		return found
	}
	withStack(t, dir, e, func(s *dev.Stack) {
		if got := look(s); len(got) != 0 {
			t.Errorf("used before anybody called: %v", got)
		}
		head, err := s.Admin().AuditEvents(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.File().Clients {
			if status := open(t, s.File(), c); status != 200 {
				t.Fatalf("%s: %d", c.ClientID, status)
			}
		}
		used = look(s)
		if len(used) != len(s.File().Clients) {
			t.Errorf("%d credentials were used by %d clients", len(used), len(s.File().Clients))
		}
		for id, at := range used {
			if at.Before(before) || at.After(time.Now()) {
				t.Errorf("%s was used at %v", id, at)
			}
		}
		after, err := s.Admin().AuditEvents(t.Context(), 0, 1000)
		if err != nil || len(after.Items) != len(head.Items) {
			t.Errorf("the chain grew from %d to %d, %v", len(head.Items), len(after.Items), err)
		}
	})
	withStack(t, dir, e, func(s *dev.Stack) {
		got := look(s)
		for id, at := range used {
			if !got[id].Equal(at) {
				t.Errorf("%s: %v after the restart, %v before", id, got[id], at)
			}
		}
	})
}

// TestVerifyOverTheAPI: what somebody changes in the database under a running
// server is found by who reads the audit over the API, white space included.
func TestVerifyOverTheAPI(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "holdfast.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	withStack(t, dir, &events{}, func(s *dev.Stack) {
		trail := adminclient.Trail{Client: s.Admin()}
		verify := func() error {
			t.Helper()
			checkpoints, err := trail.Checkpoints(t.Context(), 0, 1000)
			if err != nil || len(checkpoints) == 0 {
				t.Fatalf("%d checkpoints, %v", len(checkpoints), err)
			}
			events, err := trail.Events(t.Context(), 0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			_, err = audit.VerifyChain(audit.Head{}, slices.Values(events))
			return err
		}
		eventually(t, "no checkpoint", func() bool { return held(t, dir) > 0 })
		if err := verify(); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ column, change string }{
			{"detail", "' ' || detail"}, {"detail", "detail || ' '"}, {"detail", "replace(detail, ':', ': ')"}, {"detail", "'x'"}, {"detail", "'\"x\"'"}, {"detail", "'[]'"},
			{"detail", "replace(detail, '{', '{\"a\":1,')"}, {"subject", "subject || char(0)"}, {"actor", "actor || char(10)"}, {"at", "at + 1"}, {"hash", "x'00'"}, {"previous", "zeroblob(33)"},
		} {
			var before any
			if err := db.QueryRow("SELECT " + c.column + " FROM events WHERE sequence = 3").Scan(&before); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec("UPDATE events SET " + c.column + " = " + c.change + " WHERE sequence = 3"); err != nil {
				t.Fatal(err)
			}
			fault, ok := errors.AsType[*audit.ChainError](verify())
			if !ok || fault.Sequence != 3 {
				t.Errorf("%s = %s: got %v", c.column, c.change, fault)
			}
			if _, err := db.Exec("UPDATE events SET "+c.column+" = ? WHERE sequence = 3", before); err != nil {
				t.Fatal(err)
			}
		}
		if err := verify(); err != nil {
			t.Error(err)
		}
	})
}

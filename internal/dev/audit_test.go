package dev_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
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

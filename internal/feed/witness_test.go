package feed

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

const chainIssuer = "https://as.example"

func newSigner(t *testing.T) *jose.Signer {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner(key, jose.ES256, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// chainOf is a server's Checkpoints: hashes by sequence, in variants that differ.
type chainOf struct {
	variant   byte
	keys      []*jose.Signer
	newest    *audit.Checkpoint
	handovers []string
	waiting   *audit.Checkpoint // what another node signed
	refreshed int
	err       error
}

func (c *chainOf) head(sequence int64) audit.Head {
	return audit.Head{Sequence: sequence, Hash: [32]byte{c.variant, byte(sequence)}}
}

func (c *chainOf) sign(t *testing.T, by *jose.Signer, sequence int64, next *jose.Signer) *audit.Checkpoint {
	t.Helper()
	one := &audit.Checkpoint{Issuer: chainIssuer, Head: c.head(sequence), At: time.Unix(1, 0)}
	if next != nil {
		one.Next = next.Public()
	}
	if err := one.Sign(by); err != nil {
		t.Fatal(err)
	}
	if next != nil {
		c.handovers = append(c.handovers, one.JWS)
	}
	c.newest = one
	return one
}

func (c *chainOf) Newest() *audit.Checkpoint { return c.newest }
func (c *chainOf) Handovers() []string       { return c.handovers }

func (c *chainOf) Keys() (all []*jose.PublicKey) {
	for _, k := range c.keys {
		all = append(all, k.Public())
	}
	return all
}

func (c *chainOf) Refresh(context.Context) error {
	c.refreshed++
	if c.waiting != nil {
		c.newest = c.waiting
	}
	return c.err
}

func (c *chainOf) Hash(_ context.Context, sequence int64) ([32]byte, bool, error) {
	return c.head(sequence).Hash, sequence < 100, c.err
}

// told is a log that tests read.
type told struct{ bytes.Buffer }

func (l *told) alarms() (reasons []string) {
	for line := range strings.Lines(l.String()) {
		var e struct{ Level, Msg, Reason string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Level == "ERROR" && e.Msg == "audit alarm" {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

func openWitness(t *testing.T, folder string) (*Witness, *told) {
	t.Helper()
	log := &told{}
	w, err := OpenWitness(chainIssuer, folder, slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return w, log
}

// hear is one answer of the server, as it comes over the wire.
func hear(t *testing.T, w *Witness, c Checkpoints) {
	t.Helper()
	asked := w.Held()
	s := state(t.Context(), c, asked)
	d, err := ParseDocument(text(t, &Document{Statement: s}))
	if err != nil {
		t.Fatal(err)
	}
	w.Take(d.Statement, asked)
}

func TestWitness(t *testing.T) {
	one := newSigner(t)
	for _, c := range []struct {
		name string
		// later is the server after a checkpoint of event 5 of variant 1 was seen
		later func(t *testing.T, c *chainOf) *chainOf
		alarm string // "" for none
		held  int64
	}{
		{"the same checkpoint again", func(_ *testing.T, c *chainOf) *chainOf { return c }, "", 5},
		{"a later one of the same chain", func(t *testing.T, c *chainOf) *chainOf { c.sign(t, one, 9, nil); return c }, "", 9},
		{"an older one", func(t *testing.T, c *chainOf) *chainOf { c.sign(t, one, 4, nil); return c }, "checkpoint_older", 5},
		{"none at all", func(_ *testing.T, c *chainOf) *chainOf { c.newest = nil; return c }, "checkpoint_older", 5},
		{"one of the same event with another hash", func(t *testing.T, c *chainOf) *chainOf {
			c.variant = 2
			c.sign(t, one, 5, nil)
			return c
		}, "checkpoint_forked", 5},
		{"a later one of a chain with another event 5", func(t *testing.T, c *chainOf) *chainOf {
			c.variant = 2
			c.sign(t, one, 9, nil)
			return c
		}, "checkpoint_forked", 5},
		{"one of another key", func(t *testing.T, c *chainOf) *chainOf {
			other := newSigner(t)
			c.keys = []*jose.Signer{other}
			c.sign(t, other, 9, nil)
			return c
		}, "checkpoint_unverifiable", 5},
		{"one that another node signed meanwhile", func(t *testing.T, c *chainOf) *chainOf {
			c.waiting = c.newest
			c.sign(t, one, 4, nil)
			return c
		}, "", 5},
		{"a server that cannot tell", func(t *testing.T, c *chainOf) *chainOf {
			c.sign(t, one, 4, nil)
			c.err = errors.New("away")
			return c
		}, "", 5},
		{"one that names the key of a later one, missed in between", func(t *testing.T, c *chainOf) *chainOf {
			second, third := newSigner(t), newSigner(t)
			c.keys = append(c.keys, second, third)
			c.sign(t, one, 6, second)
			c.sign(t, second, 7, third)
			c.sign(t, third, 9, nil)
			return c
		}, "", 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			server := &chainOf{variant: 1, keys: []*jose.Signer{one}}
			server.sign(t, one, 5, nil)
			w, log := openWitness(t, dir)
			hear(t, w, server)
			if w.Held() != 5 {
				t.Fatalf("held %d", w.Held())
			}
			server = c.later(t, server)
			// As it runs on, and after a restart.
			hear(t, w, server)
			hear(t, w, server)
			again, logAgain := openWitness(t, dir)
			hear(t, again, server)
			for who, l := range map[string]*told{"running on": log, "after a restart": logAgain} {
				got := l.alarms()
				if c.alarm == "" && len(got) != 0 || c.alarm != "" && (len(got) != 1 || got[0] != c.alarm) {
					t.Errorf("%s: alarms %v, want %q once: %s", who, got, c.alarm, l)
				}
			}
			if w.Held() != c.held || again.Held() != c.held || (w.Problem() != "") != (c.alarm != "") || c.alarm != "" && w.Alarms() != 2 {
				t.Errorf("held %d and %d, problem %q, %d alarms", w.Held(), again.Held(), w.Problem(), w.Alarms())
			}
		})
	}
	t.Run("an alarm ends when the right chain is back", func(t *testing.T) {
		server := &chainOf{variant: 1, keys: []*jose.Signer{one}}
		server.sign(t, one, 5, nil)
		w, log := openWitness(t, "")
		hear(t, w, server)
		server.sign(t, one, 4, nil)
		hear(t, w, server)
		server.sign(t, one, 6, nil)
		hear(t, w, server)
		if w.Problem() != "" || len(log.alarms()) != 1 || w.Held() != 6 {
			t.Errorf("%q, %v, held %d", w.Problem(), log.alarms(), w.Held())
		}
	})
	t.Run("a key that was succeeded signs nothing more", func(t *testing.T) {
		second := newSigner(t)
		server := &chainOf{variant: 1, keys: []*jose.Signer{one, second}}
		server.sign(t, one, 5, nil)
		w, log := openWitness(t, "")
		hear(t, w, server)
		server.sign(t, one, 6, second)
		hear(t, w, server)
		server.sign(t, one, 7, nil)
		hear(t, w, server)
		if got := log.alarms(); len(got) != 1 || got[0] != "checkpoint_unverifiable" || w.Held() != 6 {
			t.Errorf("%v, held %d", got, w.Held())
		}
	})
	t.Run("before the first checkpoint there is nothing to say", func(t *testing.T) {
		w, log := openWitness(t, filepath.Join(t.TempDir(), "state"))
		hear(t, w, &chainOf{})
		w.Take(nil, 0)
		if w.Held() != 0 || len(log.alarms()) != 0 {
			t.Errorf("held %d, %v", w.Held(), log.alarms())
		}
	})
}

func TestWitnessFile(t *testing.T) {
	one := newSigner(t)
	server := &chainOf{variant: 1, keys: []*jose.Signer{one}}
	server.sign(t, one, 5, nil)
	t.Run("it is private, and what audit verify takes", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "a", "state")
		w, _ := openWitness(t, dir)
		hear(t, w, server)
		folder, err := os.Stat(dir)
		if err != nil || folder.Mode().Perm() != 0o700 {
			t.Fatalf("%v, %v", folder, err)
		}
		path := filepath.Join(dir, CheckpointFile)
		file, err := os.Stat(path)
		if err != nil || file.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", file, err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := audit.ParseKept(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, c, err := kept.Open(); err != nil || c.Sequence != 5 {
			t.Errorf("%+v, %v", c, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
		}
	})
	t.Run("a folder that others may write in is not used, and said", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		w, log := openWitness(t, dir)
		hear(t, w, server)
		hear(t, w, server)
		if n := strings.Count(log.String(), "cannot be kept on disk"); n != 1 || w.Held() != 5 {
			t.Errorf("told %d times, held %d", n, w.Held())
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		hear(t, w, server) // and tried again
		if _, err := os.Stat(filepath.Join(dir, CheckpointFile)); err != nil {
			t.Error(err)
		}
	})
	for name, change := range map[string]func(text string) string{
		"another issuer's": func(s string) string {
			return strings.ReplaceAll(s, `"issuer":"https://as.example"`, `"issuer":"https://b"`)
		},
		"no JSON":       func(string) string { return "x" },
		"nothing":       func(string) string { return "" },
		"another key's": func(s string) string { return strings.Replace(s, `"x":"`, `"x":"A`, 1) },
	} {
		t.Run("a file that is "+name+" is refused at the start", func(t *testing.T) {
			dir := t.TempDir()
			w, _ := openWitness(t, dir)
			hear(t, w, server)
			path := filepath.Join(dir, CheckpointFile)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(change(string(data))), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenWitness(chainIssuer, dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestStatement(t *testing.T) {
	one := newSigner(t)
	c := &chainOf{variant: 1, keys: []*jose.Signer{one}}
	c.sign(t, one, 5, newSigner(t))
	for name, s := range map[string]*Statement{
		"nothing signed": {}, "with the hash that was asked for": state(t.Context(), c, 3), "without": state(t.Context(), c, 0),
	} {
		got, err := ParseDocument(text(t, &Document{Statement: s}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, got.Statement); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	head := `{"sequence":1,"full":false,"age_ms":0,"checkpoint":`
	for _, bad := range []string{`"x"`, `[]`, `{"jws":1}`, `{"jws":"a","key":"b"}`, `{"jws":"a","handovers":{}}`, `{"jws":"a","held":"00"}`, `{"jws":"a","held":"` + strings.Repeat("zz", 32) + `"}`, `{"jws":"a","held":"` + strings.Repeat("0", 66) + `"}`} {
		if d, err := ParseDocument([]byte(head + bad + "}")); err == nil {
			t.Errorf("%s: %+v", bad, d)
		}
	}
}

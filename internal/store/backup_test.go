package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

func TestBackup(t *testing.T) {
	t.Run("a backup is one state, whole, of mode 0600, while others change the database", func(t *testing.T) {
		folder := t.TempDir()
		path := filepath.Join(folder, "holdfast.db")
		s := open(t, path)
		change(t, s, "before")
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for worker := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					change(t, s, fmt.Sprintf("o-%d-%d", worker, i))
					if err := s.FirstUse(context.Background(), token.Use{Key: [32]byte{byte(worker), byte(i), byte(i >> 8)}, Until: time.Now()}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		reader, err := store.Open(t.Context(), path, store.Options{ReadOnly: true, Now: time.Now}) // as another process
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			backup := filepath.Join(folder, fmt.Sprint("backup-", i))
			end, err := reader.Backup(t.Context(), backup)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(backup)
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			copied := open(t, backup)
			if head, err := copied.VerifyChain(t.Context()); err != nil || head != end || head.Sequence == 0 {
				t.Errorf("%v, want %v; %v", head, end, err)
			}
			if d, err := copied.Load(t.Context(), 0); err != nil || int64(len(d.Organisations)) != end.Sequence {
				t.Errorf("%d organisations of %d, %v", len(d.Organisations), end.Sequence, err)
			}
		}
		close(stop)
		wg.Wait()
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a file that is there is never replaced, and nothing is left", func(t *testing.T) {
		folder := t.TempDir()
		s := open(t, filepath.Join(t.TempDir(), "holdfast.db"))
		path := filepath.Join(folder, "backup")
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Backup(t.Context(), path); !errors.Is(err, fs.ErrExist) || err.Error() != "backup "+path+" exists" {
			t.Errorf("says %v", err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "mine" || files(t, folder) != "backup" {
			t.Errorf("%q, %v, %q", text, err, files(t, folder))
		}
	})
	t.Run("a folder that is not there is told", func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "holdfast.db"))
		if _, err := s.Backup(t.Context(), "/none/backup"); err == nil || !strings.Contains(err.Error(), "backup /none/backup cannot be made: no such file or directory") {
			t.Errorf("says %v", err)
		}
	})
	t.Run("a chain that does not hold makes no backup", func(t *testing.T) {
		folder := t.TempDir()
		path := filepath.Join(t.TempDir(), "holdfast.db")
		s := open(t, path)
		change(t, s, "one")
		change(t, s, "two")
		execute(t, path, "UPDATE events SET actor = 'nobody' WHERE sequence = 1")
		if _, err := s.Backup(t.Context(), filepath.Join(folder, "backup")); err == nil || files(t, folder) != "" {
			t.Errorf("says %v, and leaves %q", err, files(t, folder))
		}
	})
}

func TestAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "holdfast.db")
	s := open(t, path)
	change(t, s, "one")
	if err := store.Alone(t.Context(), path, store.Options{}); !errors.Is(err, store.ErrInUse) || err.Error() != "database "+path+" is in use by another process" {
		t.Errorf("in use: %v", err)
	}
	if err := s.FirstUse(t.Context(), token.Use{Until: time.Now()}); err != nil {
		t.Errorf("the other is disturbed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Alone(t.Context(), path, store.Options{}); err != nil {
		t.Errorf("not in use: %v", err)
	}
	change(t, open(t, path), "two")
	for name, dsn := range map[string]string{"that is not there": path + ".none", "of another kind": "mysql://x"} {
		if err := store.Alone(t.Context(), dsn, store.Options{}); err == nil || errors.Is(err, store.ErrInUse) {
			t.Errorf("a database %s: %v", name, err)
		}
	}
}

func TestNewDraftOf(t *testing.T) {
	folder := t.TempDir()
	s := open(t, filepath.Join(folder, "lost.db"))
	change(t, s, "one")
	backup := filepath.Join(folder, "backup")
	if _, err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	o := store.Options{Now: time.Now}
	t.Run("a draft of a backup gets its name whole, and the backup stays as it is", func(t *testing.T) {
		before, err := os.ReadFile(backup)
		if err != nil {
			t.Fatal(err)
		}
		place := t.TempDir()
		as := filepath.Join(place, "holdfast.db")
		d, err := store.NewDraftOf(t.Context(), backup, as, t.TempDir(), o)
		if err != nil {
			t.Fatal(err)
		}
		change(t, d.Store, "two")
		if got := files(t, place); got != "" {
			t.Errorf("before it is published: %q", got)
		}
		if err := d.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.Discard(); err != nil {
			t.Error(err)
		}
		if head, err := open(t, as).Head(t.Context()); err != nil || head.Sequence != 2 {
			t.Errorf("%v, %v", head, err)
		}
		if after, err := os.ReadFile(backup); err != nil || string(after) != string(before) {
			t.Error("the backup changed")
		}
	})
	t.Run("a draft that is discarded leaves nothing", func(t *testing.T) {
		staging := t.TempDir()
		d, err := store.NewDraftOf(t.Context(), backup, filepath.Join(t.TempDir(), "x.db"), staging, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Discard(); err != nil || files(t, staging) != "" {
			t.Errorf("%v, %q", err, files(t, staging))
		}
	})
	text := filepath.Join(folder, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a backup\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ backup, as, says string }{
		"where a database is":        {backup, filepath.Join(folder, "lost.db"), "lost.db exists"},
		"from a file that is none":   {text, filepath.Join(folder, "x.db"), "text is not a database"},
		"from a file that is absent": {text + ".none", filepath.Join(folder, "x.db"), "text.none does not exist"},
	} {
		t.Run("a draft "+name+" is refused and leaves nothing", func(t *testing.T) {
			staging := t.TempDir()
			_, err := store.NewDraftOf(t.Context(), c.backup, c.as, staging, o)
			if err == nil || !strings.Contains(err.Error(), c.says) || files(t, staging) != "" {
				t.Errorf("says %v, leaves %q", err, files(t, staging))
			}
		})
	}
}

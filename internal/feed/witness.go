package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// CheckpointFile is the name of the file in a gateway's state folder; its text is
// that of an audit.Kept, which `holdfast audit verify --checkpoint` takes.
const CheckpointFile = "checkpoint.json"

// Witness keeps the newest checkpoint that a server came with, and raises an alarm
// when the server's chain does not go on from it: it was restored from an older
// copy, or written anew. It trusts the key of the first checkpoint that it is
// shown, over the authenticated feed, and from then on only keys that a
// checkpoint under the one before named. Safe for concurrent use.
type Witness struct {
	issuer string
	folder string // "" keeps it in memory
	log    *slog.Logger

	mu      sync.Mutex
	keys    []*jose.PublicKey // the first ones; guarded by mu
	follow  []string          // the handovers after them; guarded by mu
	trust   *audit.Trust      // guarded by mu; nil before the first checkpoint
	held    *audit.Checkpoint // guarded by mu
	problem string            // guarded by mu
	unsaved bool              // guarded by mu
	alarms  atomic.Int64
}

// OpenWitness reads what the folder keeps; "" is no folder. It makes nothing.
func OpenWitness(issuer, folder string, log *slog.Logger) (*Witness, error) {
	w := &Witness{issuer: issuer, folder: folder, log: log}
	if folder == "" {
		return w, nil
	}
	path := filepath.Join(folder, CheckpointFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the kept checkpoint: %w", err)
	}
	kept, err := audit.ParseKept(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if kept.Issuer != issuer {
		return nil, fmt.Errorf("%s is of the issuer %s, and the configuration says %s", path, kept.Issuer, issuer)
	}
	if w.trust, w.held, err = kept.Open(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	w.keys, w.follow = kept.Keys, kept.Handovers
	return w, nil
}

// Held is the event of the kept checkpoint; 0 for none.
func (w *Witness) Held() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		return 0
	}
	return w.held.Sequence
}

// Problem is what is wrong with the server's chain, "" for nothing.
func (w *Witness) Problem() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.problem
}

// Alarms is how often something was wrong.
func (w *Witness) Alarms() int64 { return w.alarms.Load() }

// alarm is a finding, with its reason for the event.
type alarm struct{ reason, text string }

// Take compares what a server says with what is kept; asked is the event whose
// hash the server was asked for. nil, a server that does not say, changes nothing.
func (w *Witness) Take(s *Statement, asked int64) {
	if s == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	found := w.look(s, asked)
	switch {
	case found == nil && w.problem != "":
		w.log.Info("the server's audit chain goes on from the kept checkpoint again")
		w.problem = ""
	case found != nil:
		w.alarms.Add(1)
		if found.text != w.problem { // one that lasts is told once
			w.log.Error("audit alarm", "reason", found.reason, "cause", found.text)
			w.problem = found.text
		}
	}
}

func (w *Witness) look(s *Statement, asked int64) *alarm {
	if w.held == nil {
		return w.begin(s)
	}
	if s.Checkpoint == "" {
		return &alarm{"checkpoint_older", fmt.Sprintf("the server has no checkpoint, and one of event %d was seen", w.held.Sequence)}
	}
	trust, follow := w.successors(s)
	c, err := trust.Open(s.Checkpoint)
	switch {
	case err != nil:
		return &alarm{"checkpoint_unverifiable", "the server's newest checkpoint cannot be verified by the key that was trusted: " + err.Error()}
	case c.Sequence < w.held.Sequence:
		return &alarm{"checkpoint_older", fmt.Sprintf("the server's newest checkpoint is of event %d, and one of event %d was seen: it was restored from an older copy, or its chain was cut off", c.Sequence, w.held.Sequence)}
	case c.Sequence == w.held.Sequence && c.Hash != w.held.Hash:
		return forked(c.Sequence)
	case c.Sequence > w.held.Sequence && asked == w.held.Sequence && (!s.HasHeld || s.Held != w.held.Hash):
		return forked(asked)
	case c.Sequence > w.held.Sequence && asked != w.held.Sequence:
		return nil // somebody else has taken another meanwhile; the next answer tells
	case c.JWS == w.held.JWS && !w.unsaved:
		return nil
	}
	w.trust, w.follow, w.held = trust, follow, c
	w.save()
	return nil
}

func forked(sequence int64) *alarm {
	return &alarm{"checkpoint_forked", fmt.Sprintf("event %d of the server's audit chain is not the one that a checkpoint was seen of: history was written anew", sequence)}
}

// begin trusts the first key.
func (w *Witness) begin(s *Statement) *alarm {
	if s.Checkpoint == "" {
		return nil
	}
	key, err := jose.ParseJWK(s.Key)
	if err != nil {
		return &alarm{"checkpoint_unverifiable", "the key of the server's newest checkpoint cannot be read: " + err.Error()}
	}
	trust := audit.NewTrust(w.issuer, key)
	c, err := trust.Open(s.Checkpoint)
	if err != nil {
		return &alarm{"checkpoint_unverifiable", "the server's newest checkpoint cannot be verified by its key: " + err.Error()}
	}
	w.keys, w.follow, w.trust, w.held = []*jose.PublicKey{key}, nil, trust, c
	w.log.Info("the key of the server's checkpoints is trusted from now on", "kid", key.KeyID(), "checkpoint", c.Sequence)
	w.save()
	return nil
}

// successors follows the handovers since the kept checkpoint, in a copy.
func (w *Witness) successors(s *Statement) (*audit.Trust, []string) {
	trust := &audit.Trust{Issuer: w.trust.Issuer, Keys: slices.Clone(w.trust.Keys)}
	follow := w.follow[:len(w.follow):len(w.follow)]
	for _, h := range s.Handovers {
		before := slices.Clone(trust.Keys)
		// Those of before the first key that was trusted, or of before the kept
		// checkpoint, say nothing that counts.
		if c, err := trust.Open(h); err != nil || c.Sequence < w.held.Sequence {
			trust.Keys = before
		} else if !slices.Contains(follow, h) {
			follow = append(follow, h)
		}
	}
	return trust, follow
}

// save writes the file, whole or not at all. Without it the checkpoint is kept in
// memory, and written with the next one.
func (w *Witness) save() {
	if w.folder == "" {
		return
	}
	kept := audit.Kept{Issuer: w.issuer, Checkpoint: w.held.JWS, Keys: w.keys, Handovers: w.follow}
	err := writePrivate(w.folder, CheckpointFile, kept.JSON())
	if err != nil && !w.unsaved {
		w.log.Error("the checkpoint cannot be kept on disk", "cause", err.Error())
	}
	w.unsaved = err != nil
}

// writePrivate puts a file of mode 0600 in place in a folder of mode 0700.
func writePrivate(folder, name string, data []byte) (err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write in %s (mode 0%o)", folder, info.Mode().Perm())
	}
	tmp, err := os.CreateTemp(folder, ".new-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), filepath.Join(folder, name)); err != nil {
		return err
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/feed"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// Ahead is by how much the numbers of a restored database go on: those of changes,
// which snapshots, nodes and the feed go by, and those of certificate lists.
const Ahead = 1_000_000_000

// restorePatience is how long one statement may take: every record changes.
const restorePatience = 10 * time.Minute

// maxSnapshot bounds a gateway's snapshot, in bytes.
const maxSnapshot = 1 << 30

// Backup writes a copy of the SQLite database that cfg names to a new file, while
// others serve from it. It returns the number of the last change in the copy.
func Backup(ctx context.Context, cfg *config.Serve, path string, now func() time.Time) (last int64, err error) {
	if store.IsPostgres(cfg.Database) {
		return 0, store.ErrNotSQLite
	}
	if err := exists(ctx, cfg); err != nil {
		return 0, err
	}
	st, err := store.Open(ctx, cfg.Database, store.Options{ReadOnly: true, Now: now})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	end, err := st.Backup(ctx, path)
	return end.Sequence, err
}

// RestoreFrom is what a lost database is made of again.
type RestoreFrom struct {
	// Backup is a file that Backup wrote; "" where the copy is in its place already.
	Backup string
	// AuditLog is a file with the events that followed, as audit.Export or the admin
	// API writes them, one JSON object a line; "" for none.
	AuditLog string
	// Snapshot is a file with a document of the status feed, as a gateway has it;
	// "" for none.
	Snapshot string
	// Acknowledged tells that somebody will take away what the copy has and the lost
	// database had not, and what cannot be taken away here.
	Acknowledged bool
	Now          func() time.Time
}

// Restored is what became of a copy.
type Restored struct {
	Database string `json:"database"`
	// Copy is the last change that the copy had, and when that was.
	Copy   int64     `json:"copy_sequence"`
	CopyAt time.Time `json:"copy_at"`
	// Known is the last change that is known of; what came after it is lost, and
	// nobody knows what it was.
	Known   int64     `json:"known_sequence"`
	KnownAt time.Time `json:"known_at"`
	// Ended is how many records and tokens were ended again.
	Ended int `json:"ended"`
	// Lost are the changes that are known of and could not be made again.
	Lost []LostChange `json:"lost"`
	// StillInForce are the changes that took something away which is there again.
	StillInForce []LostChange `json:"still_in_force"`
	// NoOwner tells that no owner can sign in: the copy does not know their keys.
	NoOwner bool `json:"no_owner"`
	// Voided counts what may have been used, and is unusable now.
	Voided map[string]int64 `json:"voided"`
	// Sequence is the number with which the chain goes on.
	Sequence int64     `json:"sequence"`
	At       time.Time `json:"at"`
}

// LostChange is a change that has to be made anew, if it is still wanted.
type LostChange struct {
	Sequence int64     `json:"sequence"`
	At       time.Time `json:"at"`
	Action   string    `json:"action"`
	Subject  string    `json:"subject"`
}

// StillInForceError is a restore that would give back what was taken away, and that
// nobody has acknowledged. Nothing was written.
type StillInForceError struct{ Changes int }

func (e *StillInForceError) Error() string {
	return fmt.Sprintf("%d changes took something away that the copy would give back, and nothing was restored", e.Changes)
}

func lostChanges(events []audit.Event) []LostChange {
	list := []LostChange{}
	for _, e := range events {
		list = append(list, LostChange{e.Sequence, e.At, e.Action, e.Subject})
	}
	return list
}

// Restore puts a copy of a database in its place, or marks one that is there: what
// was used, revoked or given out since the copy was made does not come back.
func Restore(ctx context.Context, cfg *config.Serve, from RestoreFrom) (r Restored, err error) {
	how := store.Options{Now: from.Now, PasswordFile: cfg.DatabasePasswordFile, Patience: restorePatience}
	if from.Backup == "" {
		return restoreInPlace(ctx, cfg, how, from)
	}
	staging, err := stagingFolder(cfg)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	draft, err := store.NewDraftOf(ctx, from.Backup, cfg.Database, staging, how)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, draft.Discard()) }()
	if r, err = recoverInto(ctx, cfg, draft.Store, from); err != nil {
		return r, err
	}
	return r, draft.Publish(ctx)
}

func restoreInPlace(ctx context.Context, cfg *config.Serve, how store.Options, from RestoreFrom) (r Restored, err error) {
	if err := exists(ctx, cfg); err != nil {
		return r, err
	}
	if err := store.Alone(ctx, cfg.Database, how); err != nil {
		return r, err
	}
	st, err := store.Open(ctx, cfg.Database, how)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return recoverInto(ctx, cfg, st, from)
}

func recoverInto(ctx context.Context, cfg *config.Serve, st *store.Store, from RestoreFrom) (r Restored, err error) {
	if err := checkIssuer(ctx, cfg, st); err != nil {
		return r, err
	}
	copied, err := st.VerifyChain(ctx)
	if err != nil {
		return r, err
	}
	r = Restored{Database: store.Name(cfg.Database), Copy: copied.Sequence, Known: copied.Sequence, Lost: []LostChange{}, StillInForce: []LostChange{}, At: from.Now().UTC()}
	last, err := st.Events(ctx, copied.Sequence-1, 1)
	if err != nil {
		return r, err
	}
	r.CopyAt = last[0].At // there is one: its issuer was set by a change
	r.KnownAt = r.CopyAt
	later, err := readAuditLog(from.AuditLog, copied)
	if err != nil {
		return r, err
	}
	seen, err := readSnapshot(from.Snapshot)
	if err != nil {
		return r, err
	}
	if n := len(later); n > 0 {
		r.Known, r.KnownAt = later[n-1].Sequence, later[n-1].At
	}
	d, err := st.Load(ctx, 0)
	if err != nil {
		return r, err
	}
	is := directory.Recover(d, later, seen)
	r.Lost, r.StillInForce, r.NoOwner = lostChanges(is.Lost), lostChanges(is.Standing), !is.OwnerLeft
	if n := len(r.StillInForce); n > 0 && !from.Acknowledged {
		return r, &StillInForceError{n}
	}
	r.Ended = endedRecords(is.Records)
	r.Sequence = r.Known + Ahead
	if seen != nil {
		r.Sequence = max(r.Known, seen.Sequence) + Ahead
	}
	detail, err := json.Marshal(map[string]any{"after": r.Known, "copy": r.Copy, "events": len(later), "ended": r.Ended, "lost": len(r.Lost), "still_in_force": len(r.StillInForce), "snapshot": seen != nil, "ahead": Ahead})
	if err != nil {
		return r, err
	}
	r.Voided, err = st.Recover(ctx, store.Recovery{
		After: copied, Events: later, Records: is.Records, Stopped: is.Stopped, Names: is.Names, CRLNumbers: Ahead,
		Event: audit.Event{Sequence: r.Sequence, At: r.At, Actor: "system", Action: audit.ActionRestored, Subject: cfg.Issuer, Detail: string(detail)},
	})
	return r, err
}

// checkIssuer refuses a copy of another installation.
func checkIssuer(ctx context.Context, cfg *config.Serve, st *store.Store) error {
	issuer, err := st.Meta(ctx, metaIssuer)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return &NotInitialisedError{Database: store.Name(cfg.Database)}
	case err == nil && issuer != cfg.Issuer:
		return &OtherIssuerError{Database: store.Name(cfg.Database), Has: issuer, Wants: cfg.Issuer}
	}
	return err
}

func endedRecords(d directory.Delta) int {
	return len(d.Organisations) + len(d.Applications) + len(d.Resources) + len(d.Roles) + len(d.Instances) + len(d.Credentials) + len(d.Revoked) + len(d.RevokedKeys)
}

// readAuditLog reads the events after those of the copy. The whole file must be
// one chain, and the copy's last event in it, or right before it.
func readAuditLog(path string, copied audit.Head) (later []audit.Event, err error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	defer f.Close()
	events, err := audit.ReadEvents(bufio.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("read the audit log %s: %w", path, err)
	}
	at, there := slices.BinarySearchFunc(events, copied.Sequence, func(e audit.Event, s int64) int { return int(e.Sequence - s) })
	if there {
		if events[at].Hash != copied.Hash {
			return nil, &ForeignLogError{File: path, Sequence: copied.Sequence}
		}
		at++
	}
	later = events[at:]
	if _, err := audit.VerifyChain(copied, slices.Values(later)); err != nil {
		return nil, fmt.Errorf("the audit log %s does not continue the copy: %w", path, err)
	}
	return later, nil
}

// ForeignLogError is an audit log whose events are not those of the copy.
type ForeignLogError struct {
	File     string
	Sequence int64
}

func (e *ForeignLogError) Error() string {
	return fmt.Sprintf("the audit log %s is not of this database: its event %d is another one", e.File, e.Sequence)
}

func readSnapshot(path string) (*directory.Delta, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the snapshot: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSnapshot+1))
	if err == nil && len(data) > maxSnapshot {
		err = errors.New("it is larger than 1 GiB")
	}
	if err != nil {
		return nil, fmt.Errorf("read the snapshot %s: %w", path, err)
	}
	d, err := feed.ParseDocument(data)
	if err != nil {
		return nil, fmt.Errorf("the snapshot %s is no document of a status feed: %w", path, err)
	}
	return &d.Delta, nil
}

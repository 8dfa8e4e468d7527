package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// Recovery is what a copy of a database is told when it takes the place of the one
// it was made of.
type Recovery struct {
	After audit.Head // the copy's last event, for which all this was decided
	// Events followed in the lost database. Whoever calls has verified them.
	Events []audit.Event
	// Records as the lost database left them, as far as anybody knows; each whole.
	Records directory.Delta
	// Stopped is the event that stopped the certificate authority; nil for none.
	Stopped *audit.Event
	// Names were taken from their organisations.
	Names []directory.RemovedName
	// Event is audit.ActionRestored. Its sequence is greater than any that the lost
	// database may have given out.
	Event audit.Event
	// CRLNumbers is by how much the numbers of lists of revoked certificates go on.
	CRLNumbers int64
}

// clockMargin is by how much the clocks of nodes may differ.
const clockMargin = 30 * time.Second

// Recover makes all of a Recovery one change. If the chain has moved on meanwhile,
// it is directory.ErrStale. voided counts what was made unusable, because it may have
// been used or replaced in the lost database.
func (s *Store) Recover(ctx context.Context, r Recovery) (voided map[string]int64, err error) {
	err = s.write(ctx, func(tx *sql.Tx) error {
		head, err := scanHead(tx.QueryRow(queryNext))
		if err != nil {
			return fmt.Errorf("take the next number: %w", err)
		}
		if head.Sequence-1 != r.After.Sequence || head.Hash != r.After.Hash {
			return directory.ErrStale
		}
		last := r.After.Hash
		for _, e := range r.Events {
			if err := appendEvent(tx, e); err != nil {
				return err
			}
			last = e.Hash
		}
		e := r.Event
		e.Seal(last)
		if err := appendEvent(tx, e); err != nil {
			return err
		}
		if err := putRecords(tx, e.Sequence, r.Records); err != nil {
			return err
		}
		// Whoever followed the lost database may know other states by these numbers.
		for _, query := range queriesTouchAll {
			if _, err := tx.Exec(query, e.Sequence); err != nil {
				return fmt.Errorf("make all records new: %w", err)
			}
		}
		for _, t := range r.Records.Revoked {
			if err := add(tx, queryAddRevoked, string(t.ClientID), t.ID, micros(t.Expires), e.Sequence); err != nil && !errors.Is(err, directory.ErrExists) {
				return fmt.Errorf("store revocation of a token: %w", err)
			}
		}
		if err := takeFromAuthority(tx, r); err != nil {
			return err
		}
		if voided, err = void(tx, e.At); err != nil {
			return err
		}
		if _, err := tx.Exec(queryRaiseCRLs, r.CRLNumbers); err != nil {
			return fmt.Errorf("raise the numbers of lists of revoked certificates: %w", err)
		}
		if _, err := tx.Exec(queryAddRestore, e.Sequence, micros(e.At)); err != nil {
			return fmt.Errorf("store the time of the restore: %w", err)
		}
		_, err = tx.Exec(querySetHead, e.Sequence, e.Hash[:])
		return err
	})
	if err == nil {
		restored := r.Event.At
		s.restored.Store(&restored)
	}
	return voided, err
}

// takeFromAuthority stops issuing and takes names away, where the copy has not.
func takeFromAuthority(tx *sql.Tx, r Recovery) error {
	if r.Stopped != nil {
		if _, err := tx.Exec(querySetSwitch, 1, micros(r.Stopped.At), r.Stopped.Actor); err != nil {
			return fmt.Errorf("stop issuing: %w", err)
		}
	}
	for _, n := range r.Names {
		if _, err := tx.Exec(queryRemoveName, micros(r.Event.At), string(n.Organisation), n.Name); err != nil {
			return fmt.Errorf("remove name %s: %w", n.Name, err)
		}
	}
	return nil
}

// voiding ends what may be consumed once, or is replaced when it is used, by the
// name that people read. A registration access token has no time of its end.
var voiding = []struct {
	what, query string
	dated       bool
}{
	{"enrolment codes", queryVoidCodes, true},
	{"initial access tokens", queryVoidInitialTokens, true},
	{"software statements", queryVoidStatements, true},
	{"registration access tokens", queryVoidTokens, false},
}

func void(tx *sql.Tx, at time.Time) (map[string]int64, error) {
	voided := make(map[string]int64, len(voiding))
	for _, v := range voiding {
		var with any = []byte{}
		if v.dated {
			with = micros(at)
		}
		n, err := affected(tx, v.query, with)
		if err != nil {
			return nil, fmt.Errorf("make %s void: %w", v.what, err)
		}
		voided[v.what] = n
	}
	return voided, nil
}

// inDoubt tells whether one of the uses could have happened before the database
// was restored.
func (s *Store) inDoubt(uses []token.Use) bool {
	restored := s.restored.Load()
	if restored == nil {
		return false
	}
	certain := restored.Add(clockMargin)
	return slices.ContainsFunc(uses, func(u token.Use) bool { return !u.From.After(certain) })
}

// readRestored reads when the database was restored last.
func (s *Store) readRestored(ctx context.Context) error {
	var at int64
	switch err := s.readers.QueryRowContext(ctx, queryRestored).Scan(&at); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read when the database was restored: %w", err)
	}
	restored := fromMicros(at)
	s.restored.Store(&restored)
	return nil
}

// Restored is when the database was restored last; the zero time if it never was.
func (s *Store) Restored() time.Time {
	if at := s.restored.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

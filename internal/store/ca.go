package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// BeginIssue is ca.Store's. A serial that was begun before is directory.ErrExists.
func (s *Store) BeginIssue(ctx context.Context, i ca.Intent) (*ca.Earlier, error) {
	var earlier *ca.Earlier
	names, err := json.Marshal(i.Names)
	if err != nil {
		return nil, err
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		var stopped int64
		if err := tx.QueryRow(queryBegin).Scan(&stopped); err != nil {
			return fmt.Errorf("begin certificate %s: %w", i.Serial, err)
		}
		if stopped != 0 && i.ClientID != "" {
			return ca.ErrStopped
		}
		if err := mayIssue(tx, i.ClientID); err != nil {
			return err
		}
		if err := ownsNames(tx, i); err != nil {
			return err
		}
		used, err := mayPay(tx, i)
		if err != nil {
			return err
		}
		if earlier, err = takeRequest(tx, i); err != nil || earlier != nil {
			return err
		}
		if used {
			return ca.ErrCode // what it paid for has ended
		}
		if err := add(tx, queryAddIntent, i.Serial, i.Issuer, string(i.Profile), string(i.Organisation), string(i.ClientID), string(i.CredentialID),
			string(names), i.RequestHash[:], i.TBSHash[:], i.Code, micros(i.At), micros(i.RenewAt), micros(i.NotAfter), []byte{}); err != nil {
			return fmt.Errorf("store intent %s: %w", i.Serial, err)
		}
		if i.Code == "" {
			return nil
		}
		return oneRow(tx, ca.ErrCode, queryClaimCode, i.Serial, i.Code)
	})
	if err != nil {
		return nil, err
	}
	return earlier, nil
}

// mayIssue refuses an application that is not live. No application is a listener
// of our own.
func mayIssue(tx *sql.Tx, id directory.ClientID) error {
	if id == "" {
		return nil
	}
	var application, organisation directory.State
	err := tx.QueryRow(queryOwnerStates, string(id)).Scan(&application, &organisation)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("application %s: %w", id, directory.ErrNotFound)
	case err != nil:
		return err
	case application != directory.Active || organisation != directory.Active:
		return fmt.Errorf("application %s: %w", id, directory.ErrState)
	}
	return nil
}

// neverEnded refuses a certificate of a key that the application had and that was
// revoked or compromised, the last time before it is given out.
func neverEnded(tx *sql.Tx, c directory.Credential) error {
	rows, err := tx.Query(queryEndedKeys, string(c.ClientID))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	same := c.Thumbprints()
	for rows.Next() {
		var ended directory.Credential
		if err := rows.Scan(digest(ended.Thumbprint[:]), &ended.Certificate); err != nil {
			return err
		}
		if slices.ContainsFunc(ended.Thumbprints(), func(t cnf.Thumbprint) bool { return slices.Contains(same, t) }) {
			return &directory.InvalidError{Field: "csr", Reason: "its key was revoked or compromised"}
		}
	}
	return rows.Err()
}

func ownsNames(tx *sql.Tx, i ca.Intent) error {
	if i.ClientID == "" {
		return nil
	}
	for _, name := range i.Names {
		var n int
		if err := tx.QueryRow(queryOwnsName, string(i.Organisation), name).Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			return &directory.InvalidError{Field: "csr", Reason: "it asks for the name " + name + ", which is not one of the organisation's"}
		}
	}
	return nil
}

// takeRequest finds what answers for the same request already, or makes room for
// a new intent.
func takeRequest(tx *sql.Tx, i ca.Intent) (*ca.Earlier, error) {
	var e ca.Earlier
	var at, renewAt int64
	var state string
	var credential directory.State
	err := tx.QueryRow(queryLatest, string(i.ClientID), string(i.Profile), i.RequestHash[:]).
		Scan(&e.Serial, &e.Issuer, &e.CredentialID, &e.Certificate, &at, &renewAt, &state, &credential)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	case state == "begun":
		return nil, &ca.BusyError{Serial: e.Serial, Since: fromMicros(at)}
	case credential.Accepted() && micros(i.At) < renewAt:
		e.At = fromMicros(at)
		return &e, nil
	}
	_, err = tx.Exec(queryNotLatest, e.Serial)
	return nil, err
}

// FinishIssue is ca.Store's.
func (s *Store) FinishIssue(ctx context.Context, e audit.Event, serial string, certificate []byte, c directory.Credential) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		var client directory.ClientID
		var code string
		var request []byte
		var at int64
		err := tx.QueryRow(queryCloseIntent, certificate, serial, string(c.ID)).Scan(&client, &code, &request, &at)
		if errors.Is(err, sql.ErrNoRows) {
			err = directory.ErrState
		}
		if err != nil {
			return fmt.Errorf("close intent %s: %w", serial, err)
		}
		if client == "" {
			return nil
		}
		if sw, err := readSwitch(tx); err != nil || sw.Stopped {
			return errors.Join(err, stoppedIf(sw.Stopped))
		}
		if err := mayIssue(tx, client); err != nil {
			return err
		}
		if err := neverEnded(tx, c); err != nil {
			return err
		}
		if code != "" {
			if err := oneRow(tx, ca.ErrCode, queryUseCode, micros(e.At), string(c.ID), request, code, serial); err != nil {
				return err
			}
			if c.Instance, err = enrolInstance(tx, sequence, e.At, client, code); err != nil {
				return err
			}
		}
		return addCredential(tx, sequence, c)
	})
}

func stoppedIf(stopped bool) error {
	if stopped {
		return ca.ErrStopped
	}
	return nil
}

// oneRow runs a statement that must change one row; otherwise it is the fault.
func oneRow(tx *sql.Tx, fault error, query string, args ...any) error {
	n, err := affected(tx, query, args...)
	if err == nil && n != 1 {
		err = fault
	}
	return err
}

// AbandonIssue is ca.Store's. Without an open intent it is directory.ErrState.
func (s *Store) AbandonIssue(ctx context.Context, e audit.Event, serial string, at time.Time) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		// A node of the version before may finish it meanwhile, and wins.
		var finished int
		if err := tx.QueryRow(queryCountOldIntents, serial).Scan(&finished); err != nil {
			return err
		}
		if finished > 0 {
			return fmt.Errorf("abandon intent %s: %w", serial, directory.ErrState)
		}
		if err := oneRow(tx, directory.ErrState, queryAbandon, micros(at), sequence, serial); err != nil {
			return fmt.Errorf("abandon intent %s: %w", serial, err)
		}
		_, err := tx.Exec(queryAbandonOld, serial)
		return err
	})
}

// OpenIntents is ca.Store's.
func (s *Store) OpenIntents(ctx context.Context, issuer string, until time.Time) ([]ca.Intent, error) {
	var old int
	err := s.readers.QueryRowContext(ctx, queryAnyOldIntents, micros(until)).Scan(&old)
	if err == nil && old > 0 {
		err = s.write(ctx, func(tx *sql.Tx) error {
			if _, err := tx.Exec(queryAdoptIntents, issuer, []byte{}, micros(until)); err != nil {
				return err
			}
			_, err := tx.Exec(queryFinishOld)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("take over old intents: %w", err)
	}
	intents, err := collect(ctx, s.readers, scanIntent, queryOpenIntents)
	if err != nil {
		return nil, fmt.Errorf("read open intents: %w", err)
	}
	return intents, nil
}

func scanIntent(rows *sql.Rows, i *ca.Intent) error {
	var at, renewAt, notAfter int64
	var names string
	err := rows.Scan(&i.Serial, &i.Issuer, &i.Profile, &i.Organisation, &i.ClientID, &i.CredentialID, &names,
		digest(i.RequestHash[:]), digest(i.TBSHash[:]), &i.Code, &at, &renewAt, &notAfter)
	i.At, i.RenewAt, i.NotAfter = fromMicros(at), fromMicros(renewAt), fromMicros(notAfter)
	if err == nil && names != "" {
		err = json.Unmarshal([]byte(names), &i.Names)
	}
	return err
}

// Switch is ca.Store's.
func (s *Store) Switch(ctx context.Context) (ca.Switch, error) {
	var sw ca.Switch
	err := s.read(ctx, func(tx *sql.Tx) (err error) {
		sw, err = readSwitch(tx)
		return err
	})
	return sw, err
}

func readSwitch(tx *sql.Tx) (ca.Switch, error) {
	var stopped, since int64
	var sw ca.Switch
	if err := tx.QueryRow(querySwitch).Scan(&stopped, &since, &sw.Actor); err != nil {
		return ca.Switch{}, fmt.Errorf("read whether issuing is stopped: %w", err)
	}
	sw.Stopped, sw.Since = stopped != 0, fromMicros(since)
	return sw, nil
}

// SetSwitch is ca.Store's.
func (s *Store) SetSwitch(ctx context.Context, e audit.Event, stopped bool) error {
	to := 0
	if stopped {
		to = 1
	}
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		return oneRow(tx, directory.ErrState, querySetSwitch, to, micros(e.At), e.Actor)
	})
}

// AddName is ca.Store's.
func (s *Store) AddName(ctx context.Context, e audit.Event, n ca.Name) error {
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		if err := add(tx, queryAddName, n.ID, string(n.Organisation), n.Name, micros(n.Added)); err != nil {
			return fmt.Errorf("store name %s: %w", n.Name, err)
		}
		return nil
	})
}

// RemoveName is ca.Store's.
func (s *Store) RemoveName(ctx context.Context, e audit.Event, o directory.OrganisationID, name string) error {
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		if err := oneRow(tx, directory.ErrNotFound, queryRemoveName, micros(e.At), string(o), name); err != nil {
			return fmt.Errorf("remove name %s: %w", name, err)
		}
		return nil
	})
}

// Names is ca.Store's.
func (s *Store) Names(ctx context.Context, o directory.OrganisationID) ([]ca.Name, error) {
	names, err := collect(ctx, s.readers, scanName, queryNames, string(o))
	if err != nil {
		return nil, fmt.Errorf("read the names of %s: %w", o, err)
	}
	return names, nil
}

func scanName(rows *sql.Rows, n *ca.Name) error {
	var added, removed int64
	err := rows.Scan(&n.ID, &n.Organisation, &n.Name, &added, &removed)
	n.Added, n.Removed = fromMicros(added), fromMicros(removed)
	return err
}

// touched is a certificate whose owner or credential has changed.
type touched struct {
	serial                                string
	ended, reason                         int64
	credential, application, organisation directory.State
}

// entryLife is how long a certificate that has expired stays on the list: it must
// be on one that was made after its end (RFC 5280 section 3.3).
const entryLife = 2 * ca.ListLife

// DraftCRL is ca.Store's.
func (s *Store) DraftCRL(ctx context.Context, issuer string, now, fresh time.Time, least, looked int64) (d ca.Draft, ok bool, err error) {
	// Looking costs readers only; most looks find nothing to do.
	var l listing
	err = s.read(ctx, func(tx *sql.Tx) error {
		l, err = lookAtList(ctx, tx, issuer, fresh, looked)
		return err
	})
	if err != nil || !l.due {
		return ca.Draft{Sequence: l.head}, false, wrap("look at the list of revoked certificates", err)
	}
	err = s.write(ctx, func(tx *sql.Tx) error {
		d, ok = ca.Draft{}, false
		if _, err := tx.Exec(queryAddCRL, issuer, []byte{}); err != nil {
			return err
		}
		// The number first: it makes those who draft the same list wait for each other.
		if err := tx.QueryRow(queryNextCRL, issuer, least).Scan(&d.Number); err != nil {
			return err
		}
		l, err := lookAtList(ctx, tx, issuer, fresh, looked)
		if err != nil {
			return err
		}
		if !l.due {
			return errNotDue
		}
		for _, m := range l.marks {
			at := int64(0)
			if m.ended {
				at = micros(now)
			}
			if _, err := tx.Exec(querySetEnded, at, m.reason, l.head, m.serial); err != nil {
				return err
			}
		}
		d.Sequence, ok = l.head, true
		d.Entries, err = collect(ctx, tx, scanEntry, queryEnded, issuer, micros(now.Add(-entryLife)))
		return err
	})
	if errors.Is(err, errNotDue) {
		return ca.Draft{}, false, nil
	}
	if err != nil {
		return ca.Draft{}, false, wrap("begin a list of revoked certificates", err)
	}
	return d, ok, nil
}

// errNotDue takes a number back that nobody needs.
var errNotDue = errors.New("the list is true")

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// listing is what a list is to be made of.
type listing struct {
	due   bool
	head  int64
	marks []mark // certificates that go onto the list, leave it or get another reason
}

type mark struct {
	serial string
	ended  bool
	reason int
}

// lookAtList finds out whether the issuer's list is to be made anew: there is
// none, it is older than fresh, or certificates have ended since, or come back.
func lookAtList(ctx context.Context, tx *sql.Tx, issuer string, fresh time.Time, looked int64) (l listing, err error) {
	head, err := scanHead(tx.QueryRowContext(ctx, queryHead))
	if err != nil {
		return l, err
	}
	var published, sequence, made int64
	switch err := tx.QueryRowContext(ctx, queryCRL, issuer).Scan(&published, &sequence, &made); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return l, err
	}
	l.head, l.due = head.Sequence, published == 0 || fromMicros(made).Before(fresh)
	switch since := max(sequence, looked); {
	case since > head.Sequence:
		return l, ca.ErrBehind
	case since == head.Sequence:
		return l, nil
	default:
		return l.changes(ctx, tx, issuer, since)
	}
}

// changes adds what has happened to the issuer's certificates since.
func (l listing) changes(ctx context.Context, tx *sql.Tx, issuer string, since int64) (listing, error) {
	all, err := collect(ctx, tx, scanTouched, queryTouched, issuer, since)
	if err != nil {
		return l, err
	}
	for _, t := range all {
		reason, ended := ca.EndReason(t.credential, t.application, t.organisation)
		if ended != (t.ended > 0) || int64(reason) != t.reason {
			l.marks = append(l.marks, mark{t.serial, ended, reason})
		}
	}
	var n int // marked already: abandoned, or in a list that could not be signed
	if err := tx.QueryRowContext(ctx, queryAnyEnded, issuer, since).Scan(&n); err != nil {
		return l, err
	}
	l.due = l.due || len(l.marks) > 0 || n > 0
	return l, nil
}

func scanTouched(rows *sql.Rows, t *touched) error {
	return rows.Scan(&t.serial, &t.ended, &t.reason, &t.credential, &t.application, &t.organisation)
}

func scanEntry(rows *sql.Rows, e *ca.Entry) error {
	var at int64
	err := rows.Scan(&e.Serial, &at, &e.Reason)
	e.At = fromMicros(at)
	return err
}

// PublishCRL is ca.Store's.
func (s *Store) PublishCRL(ctx context.Context, c ca.CRL) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(queryPublishCRL, c.Number, c.Sequence, micros(c.ThisUpdate), micros(c.NextUpdate), c.DER, c.Issuer)
		return err
	})
}

// CRLNumbers is ca.Store's.
func (s *Store) CRLNumbers(ctx context.Context) (map[string]int64, error) {
	type published struct {
		issuer string
		number int64
	}
	all, err := collect(ctx, s.readers, func(rows *sql.Rows, p *published) error { return rows.Scan(&p.issuer, &p.number) }, queryCRLs)
	if err != nil {
		return nil, wrap("read the numbers of the lists of revoked certificates", err)
	}
	numbers := make(map[string]int64, len(all))
	for _, p := range all {
		numbers[p.issuer] = p.number
	}
	return numbers, nil
}

// CRL is ca.Store's.
func (s *Store) CRL(ctx context.Context, issuer string) (ca.CRL, error) {
	var c ca.CRL
	var this, next int64
	err := s.readers.QueryRowContext(ctx, queryCRLOf, issuer).Scan(&c.Issuer, &c.Number, &c.Sequence, &this, &next, &c.DER)
	c.ThisUpdate, c.NextUpdate = fromMicros(this), fromMicros(next)
	return c, wrap("read the list of revoked certificates of "+issuer, err)
}

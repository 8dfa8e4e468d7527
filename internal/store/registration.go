package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/registration"
)

var _ registration.Store = (*Store)(nil)

// maxStatementClients is how many clients of a statement are told.
const maxStatementClients = 1000

// CreateInitialToken is registration.Store's.
func (s *Store) CreateInitialToken(ctx context.Context, e audit.Event, t registration.InitialToken) error {
	limits, err := json.Marshal(t.Limits)
	if err != nil {
		return err
	}
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		if err := add(tx, queryAddInitialToken, t.ID, t.Hash[:], string(t.Organisation), string(limits), t.Uses, micros(t.Created), micros(t.Expires), t.Actor); err != nil {
			return fmt.Errorf("store initial access token %s: %w", t.ID, err)
		}
		return nil
	})
}

// InitialToken is registration.Store's.
func (s *Store) InitialToken(ctx context.Context, h registration.Hash) (registration.InitialToken, error) {
	return one(ctx, s.readers, "initial access token", scanInitialToken, queryInitialToken, h[:])
}

// InitialTokenByID is registration.Store's.
func (s *Store) InitialTokenByID(ctx context.Context, id string) (registration.InitialToken, error) {
	return one(ctx, s.readers, "initial access token", scanInitialToken, queryInitialTokenByID, id)
}

// InitialTokens is registration.Store's.
func (s *Store) InitialTokens(ctx context.Context, o directory.OrganisationID, after string, limit int) ([]registration.InitialToken, error) {
	return collect(ctx, s.readers, scanInitialToken, queryInitialTokens, string(o), after, limit)
}

func scanInitialToken(rows *sql.Rows, t *registration.InitialToken) error {
	var limits string
	var created, expires, revoked int64
	err := rows.Scan(&t.ID, digest(t.Hash[:]), &t.Organisation, &limits, &t.Uses, &t.Used, &created, &expires, &revoked, &t.Actor)
	if err == nil {
		err = json.Unmarshal([]byte(limits), &t.Limits)
	}
	t.Created, t.Expires, t.Revoked = fromMicros(created), fromMicros(expires), fromMicros(revoked)
	return err
}

// RevokeInitialToken is registration.Store's.
func (s *Store) RevokeInitialToken(ctx context.Context, e audit.Event, o directory.OrganisationID, id string) error {
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		return revoke(tx, queryRevokeInitialToken, queryInitialTokenState, o, id, e.At)
	})
}

// revoke marks a row of an organisation's as revoked: ErrState if it is already.
func revoke(tx *sql.Tx, query, state string, o directory.OrganisationID, id string, at time.Time) error {
	n, err := affected(tx, query, string(o), id, micros(at))
	if err != nil || n == 1 {
		return err
	}
	var revoked int64
	switch err := tx.QueryRow(state, string(o), id).Scan(&revoked); {
	case errors.Is(err, sql.ErrNoRows):
		return directory.ErrNotFound
	case err != nil:
		return err
	}
	return directory.ErrState
}

// one reads the one row of a query; none is ErrNotFound.
func one[T any](ctx context.Context, q querier, what string, scan func(*sql.Rows, *T) error, query string, args ...any) (T, error) {
	rows, err := collect(ctx, q, scan, query, args...)
	if err == nil && len(rows) == 0 {
		err = directory.ErrNotFound
	}
	if err != nil {
		var none T
		return none, fmt.Errorf("read %s: %w", what, err)
	}
	return rows[0], nil
}

// CreateStatement is registration.Store's.
func (s *Store) CreateStatement(ctx context.Context, e audit.Event, r registration.StatementRecord) error {
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		if err := add(tx, queryAddStatement, r.ID, string(r.Organisation), r.SoftwareID, string(r.Claims), r.Standalone, r.Uses, micros(r.Created), micros(r.Expires), r.Actor); err != nil {
			return fmt.Errorf("store software statement %s: %w", r.ID, err)
		}
		return nil
	})
}

// Statement is registration.Store's.
func (s *Store) Statement(ctx context.Context, id string) (registration.StatementRecord, error) {
	r, err := one(ctx, s.readers, "software statement", scanStatement, queryStatement, id)
	if err != nil {
		return r, err
	}
	r.Clients, err = collect(ctx, s.readers, scanClientID, queryStatementUses, id, maxStatementClients)
	return r, err
}

// Statements is registration.Store's.
func (s *Store) Statements(ctx context.Context, o directory.OrganisationID, after string, limit int) ([]registration.StatementRecord, error) {
	var all []registration.StatementRecord
	err := s.read(ctx, func(tx *sql.Tx) (err error) {
		if all, err = collect(ctx, tx, scanStatement, queryStatements, string(o), after, limit); err != nil {
			return err
		}
		for i := range all {
			if all[i].Clients, err = collect(ctx, tx, scanClientID, queryStatementUses, all[i].ID, maxStatementClients); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

func scanClientID(rows *sql.Rows, id *directory.ClientID) error { return rows.Scan(id) }

func scanStatement(rows *sql.Rows, r *registration.StatementRecord) error {
	var claims string
	var created, expires, revoked int64
	err := rows.Scan(&r.ID, &r.Organisation, &r.SoftwareID, &claims, &r.Standalone, &r.Uses, &r.Used, &created, &expires, &revoked, &r.Actor)
	r.Claims = []byte(claims)
	r.Created, r.Expires, r.Revoked = fromMicros(created), fromMicros(expires), fromMicros(revoked)
	return err
}

// RevokeStatement is registration.Store's.
func (s *Store) RevokeStatement(ctx context.Context, e audit.Event, o directory.OrganisationID, id string) error {
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		return revoke(tx, queryRevokeStatement, queryStatementState, o, id, e.At)
	})
}

// Register is registration.Store's.
func (s *Store) Register(ctx context.Context, e audit.Event, c registration.Creation) error {
	r := c.Registration
	limits, err := json.Marshal(r.Limits)
	if err != nil {
		return err
	}
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		if r.InitialToken != "" {
			n, err := affected(tx, queryUseInitialToken, r.InitialToken, micros(c.Now))
			if err == nil && n == 0 {
				err = registration.ErrSpent
			}
			if err != nil {
				return fmt.Errorf("use initial access token %s: %w", r.InitialToken, err)
			}
		}
		if err := putRecords(tx, sequence, c.Delta); err != nil {
			return err
		}
		if err := add(tx, queryAddRegistration, string(r.ClientID), micros(r.Issued), r.SoftwareID, r.SoftwareVersion, r.SigningAlg,
			r.InitialToken, string(limits), r.Statement, string(r.Fixed), r.Token[:], []byte{}); err != nil {
			return fmt.Errorf("store registration of %s: %w", r.ClientID, err)
		}
		return useStatement(tx, r.Statement, r.ClientID, c.Now)
	})
}

func useStatement(tx *sql.Tx, id string, client directory.ClientID, now time.Time) error {
	if id == "" {
		return nil
	}
	var place int64
	err := tx.QueryRow(queryUseStatement, id, micros(now)).Scan(&place)
	if errors.Is(err, sql.ErrNoRows) {
		err = registration.ErrStatementUsed
	}
	if err == nil {
		_, err = tx.Exec(queryAddStatementUse, id, place, string(client), micros(now))
	}
	if err != nil {
		return fmt.Errorf("use software statement %s: %w", id, err)
	}
	return nil
}

// Registration is registration.Store's.
func (s *Store) Registration(ctx context.Context, id directory.ClientID) (registration.Registration, error) {
	return one(ctx, s.readers, "registration", scanRegistration, queryRegistration, string(id))
}

func scanRegistration(rows *sql.Rows, r *registration.Registration) error {
	var issued int64
	var limits, fixed string
	var token, previous []byte
	err := rows.Scan(&r.ClientID, &issued, &r.SoftwareID, &r.SoftwareVersion, &r.SigningAlg, &r.InitialToken, &limits, &r.Statement, &fixed, &token, &previous)
	if err == nil {
		err = json.Unmarshal([]byte(limits), &r.Limits)
	}
	for _, h := range []struct {
		into *registration.Hash
		from []byte
	}{{&r.Token, token}, {&r.Previous, previous}} {
		if len(h.from) > 0 && err == nil {
			err = digest(h.into[:]).Scan(h.from)
		}
	}
	r.Issued, r.Fixed = fromMicros(issued), none([]byte(fixed))
	return err
}

// FirstOf is registration.Store's.
func (s *Store) FirstOf(ctx context.Context, initialToken, statement string) (directory.ClientID, error) {
	if statement != "" {
		return one(ctx, s.readers, "use of a software statement", scanClientID, queryStatementUses, statement, 1)
	}
	return one(ctx, s.readers, "use of an initial access token", scanClientID, queryFirstOfInitialToken, initialToken)
}

// Update is registration.Store's.
func (s *Store) Update(ctx context.Context, e audit.Event, c registration.Change) error {
	r := c.Registration
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		n, err := affected(tx, queryUpdateRegistration, string(r.ClientID), r.SoftwareID, r.SoftwareVersion, r.SigningAlg, r.Statement, string(r.Fixed), c.Next[:], c.Presented[:])
		if err == nil && n == 0 {
			err = registration.ErrToken
		}
		if err != nil {
			return fmt.Errorf("store registration of %s: %w", r.ClientID, err)
		}
		if err := putRecords(tx, sequence, c.Delta); err != nil {
			return err
		}
		return useStatement(tx, c.Statement, r.ClientID, c.Now)
	})
}

// UseToken is registration.Store's.
func (s *Store) UseToken(ctx context.Context, id directory.ClientID, h registration.Hash) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx, queryUseToken, string(id), h[:], []byte{})
		if err == nil && n == 0 {
			err = registration.ErrToken
		}
		if err != nil {
			return fmt.Errorf("use the token of registration %s: %w", id, err)
		}
		return nil
	})
}

// End is registration.Store's.
func (s *Store) End(ctx context.Context, e audit.Event, d directory.Delta, id directory.ClientID, presented registration.Hash) error {
	return s.change(ctx, e, func(tx *sql.Tx, sequence int64) error {
		if presented == (registration.Hash{}) {
			if err := setToken(tx, id, []byte{}); err != nil {
				return err
			}
			return putRecords(tx, sequence, d)
		}
		n, err := affected(tx, queryEndHeldTokens, string(id), presented[:], []byte{})
		if err == nil && n == 0 {
			err = registration.ErrToken
		}
		if err != nil {
			return fmt.Errorf("end the registration of %s: %w", id, err)
		}
		return putRecords(tx, sequence, d)
	})
}

// ReplaceToken is registration.Store's.
func (s *Store) ReplaceToken(ctx context.Context, e audit.Event, id directory.ClientID, next registration.Hash) error {
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error { return setToken(tx, id, next[:]) })
}

// setToken makes one token, or none, that of the registration.
func setToken(tx *sql.Tx, id directory.ClientID, token []byte) error {
	n, err := affected(tx, querySetToken, string(id), token, []byte{})
	if err == nil && n == 0 {
		err = directory.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("set the token of registration %s: %w", id, err)
	}
	return nil
}

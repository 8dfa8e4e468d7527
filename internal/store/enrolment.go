package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/enrol"
)

var _ enrol.Store = (*Store)(nil)

// AddCode is enrol.Store's.
func (s *Store) AddCode(ctx context.Context, e audit.Event, c enrol.Code, hash [32]byte) error {
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		if err := add(tx, queryAddCode, c.ID, string(c.ClientID), hash[:], string(c.Profile), c.Instance, micros(c.Created), c.Actor,
			micros(c.Expires), []byte{}); err != nil {
			return fmt.Errorf("store enrolment code %s: %w", c.ID, err)
		}
		return nil
	})
}

// Code is enrol.Store's.
func (s *Store) Code(ctx context.Context, id string) (enrol.Code, error) {
	return s.oneCode(ctx, queryCode, id)
}

// CodeByHash is enrol.Store's.
func (s *Store) CodeByHash(ctx context.Context, hash [32]byte) (enrol.Code, error) {
	return s.oneCode(ctx, queryCodeByHash, hash[:])
}

func (s *Store) oneCode(ctx context.Context, query string, by any) (enrol.Code, error) {
	found, err := collect(ctx, s.readers, scanCode, query, by)
	switch {
	case err != nil:
		return enrol.Code{}, fmt.Errorf("read an enrolment code: %w", err)
	case len(found) == 0:
		return enrol.Code{}, fmt.Errorf("enrolment code: %w", directory.ErrNotFound)
	}
	return found[0].Code, nil
}

// Codes is enrol.Store's.
func (s *Store) Codes(ctx context.Context, client directory.ClientID) ([]enrol.Code, error) {
	found, err := collect(ctx, s.readers, scanCode, queryCodes, string(client))
	if err != nil {
		return nil, fmt.Errorf("read the enrolment codes of %s: %w", client, err)
	}
	codes := make([]enrol.Code, len(found))
	for i := range found {
		codes[i] = found[i].Code
	}
	return codes, nil
}

// code is one with the serial of the certificate that was begun with it.
type code struct {
	enrol.Code
	serial string
}

func scanCode(rows *sql.Rows, c *code) error {
	var created, expires, revoked, used int64
	var request []byte
	err := rows.Scan(&c.ID, &c.ClientID, &c.Profile, &c.Instance, &created, &c.Actor, &expires, &revoked, &c.serial, &used, &c.CredentialID, &request)
	c.Created, c.Expires, c.Revoked, c.Used = fromMicros(created), fromMicros(expires), fromMicros(revoked), fromMicros(used)
	c.RequestHash = none(request)
	return err
}

// RevokeCode is enrol.Store's.
func (s *Store) RevokeCode(ctx context.Context, e audit.Event, id string) error {
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		if err := oneRow(tx, directory.ErrState, queryRevokeCode, micros(e.At), id); err != nil {
			return fmt.Errorf("revoke enrolment code %s: %w", id, err)
		}
		return nil
	})
}

// mayPay refuses a code that does not pay for the intent: one of another
// application, revoked, expired, or used for another request. While a certificate
// that was begun with it is under way it is a *ca.BusyError; used tells that it
// pays for what it paid for already, and for nothing new.
func mayPay(tx *sql.Tx, i ca.Intent) (used bool, err error) {
	if i.Code == "" {
		return false, nil
	}
	found, err := collect(context.Background(), tx, scanCode, queryCode, i.Code)
	if err != nil {
		return false, err
	}
	if len(found) == 0 || found[0].ClientID != i.ClientID || !found[0].Revoked.IsZero() || !i.At.Before(found[0].Expires) {
		return false, ca.ErrCode
	}
	c := found[0]
	if !c.Used.IsZero() {
		if !bytes.Equal(c.RequestHash, i.RequestHash[:]) {
			return false, ca.ErrCode
		}
		return true, nil
	}
	if c.serial == "" {
		return false, nil
	}
	var state string
	var at int64
	switch err := tx.QueryRow(queryIntent, c.serial).Scan(&state, &at); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case state == "begun":
		return false, &ca.BusyError{Serial: c.serial, Since: fromMicros(at)}
	}
	return false, nil
}

// enrolInstance finds or makes the instance that the code names; "" when it names
// none. One that was revoked is directory.ErrState.
func enrolInstance(tx *sql.Tx, sequence int64, at time.Time, client directory.ClientID, code string) (directory.InstanceID, error) {
	i := directory.Instance{ID: directory.NewInstanceID(), ClientID: client, State: directory.Active, Created: at}
	if err := tx.QueryRow(queryCodeInstance, code).Scan(&i.Name); err != nil || i.Name == "" {
		return "", err
	}
	var known directory.InstanceID
	var state directory.State
	switch err := tx.QueryRow(queryInstanceNamed, string(client), i.Name).Scan(&known, &state); {
	case errors.Is(err, sql.ErrNoRows):
		return i.ID, putInstance(tx, sequence, i)
	case err != nil:
		return "", err
	case state != directory.Active:
		return "", fmt.Errorf("instance %s of application %s: %w", i.Name, client, directory.ErrState)
	}
	return known, nil
}

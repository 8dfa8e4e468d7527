package ca

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

const (
	// ListLife is how long a list is valid, from its making.
	ListLife = 24 * time.Hour
	// listFresh is the age at which a list is made anew though nothing changed.
	listFresh = time.Hour
	// listPoll is how often a node looks for lists that other nodes made, and for
	// ones that are no longer fresh.
	listPoll  = time.Second
	listPause = 100 * time.Millisecond
	// listAlarm is how long before its end a list is too old.
	listAlarm = 12 * time.Hour
)

// ErrBehind is a store that has given out lower CRL numbers than were seen before.
var ErrBehind = errors.New("the store is behind: it has a lower CRL number than was seen before")

// CRL finds the newest list of the issuing CA with this key; nil if there is none.
func (a *Authority) CRL(issuer string) *CRL { return (*a.lists.Load())[issuer] }

// Publish signs the list of each issuing CA in its time when a certificate was
// revoked since the last one, when that is an hour old, or when there is none;
// and takes over the lists that other nodes signed. Numbers strictly increase,
// across nodes and restarts: each is taken in a transaction, is above the one
// before and, because it is at least the time in microseconds, above whatever a
// database was restored from knew.
func (a *Authority) Publish(ctx context.Context) error {
	a.publishing.Lock()
	defer a.publishing.Unlock()
	now := a.Now()
	var errs []error
	for _, by := range a.state.Load().issuers {
		if now.Before(by.certificate.NotBefore) || !now.Before(by.certificate.NotAfter) {
			continue
		}
		if err := a.publish(ctx, by, now); err != nil {
			errs = append(errs, fmt.Errorf("list of revoked certificates of %s: %w", by.id, err))
		}
	}
	return errors.Join(append(errs, a.loadLists(ctx))...)
}

func (a *Authority) publish(ctx context.Context, by issuer, now time.Time) error {
	if by.signer == nil {
		return ErrUnavailable
	}
	d, ok, err := a.Store.DraftCRL(ctx, by.id, now, now.Add(-listFresh), now.UnixMicro(), a.looked[by.id])
	if err != nil {
		return err
	}
	if !ok {
		a.looked[by.id] = d.Sequence
		return nil
	}
	if seen := a.CRL(by.id); seen != nil && d.Number <= seen.Number {
		return ErrBehind
	}
	c, err := signList(by, d, now)
	if err != nil {
		return err
	}
	return a.Store.PublishCRL(ctx, c)
}

// signList is RFC 5280 section 5: a complete list, of one issuer.
func signList(by issuer, d Draft, now time.Time) (CRL, error) {
	c := CRL{Issuer: by.id, Number: d.Number, Sequence: d.Sequence, ThisUpdate: now.UTC().Truncate(time.Second)}
	c.NextUpdate = c.ThisUpdate.Add(ListLife)
	template := &x509.RevocationList{Number: big.NewInt(d.Number), ThisUpdate: c.ThisUpdate, NextUpdate: c.NextUpdate}
	for _, e := range d.Entries {
		serial, ok := new(big.Int).SetString(e.Serial, 16)
		if !ok {
			return CRL{}, fmt.Errorf("serial %q is not hexadecimal", e.Serial)
		}
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serial, RevocationTime: e.At.UTC().Truncate(time.Second), ReasonCode: e.Reason,
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, by.certificate, by.signer)
	if err != nil {
		return CRL{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	c.DER = der
	return c, nil
}

// loadLists takes over what the store has that is newer. It never goes back.
func (a *Authority) loadLists(ctx context.Context) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	numbers, err := a.Store.CRLNumbers(ctx)
	if err != nil {
		return err
	}
	old := *a.lists.Load()
	lists := maps.Clone(old)
	for issuer, number := range numbers {
		switch seen := lists[issuer]; {
		case seen == nil || number > seen.Number:
			c, err := a.Store.CRL(ctx, issuer)
			if err != nil {
				return err
			}
			lists[issuer] = &c
		case number < seen.Number:
			err = ErrBehind
		}
	}
	a.lists.Store(&lists)
	return err
}

// Changes tells when the directory has moved on: *directory.Directory does.
type Changes interface {
	Current() *directory.Snapshot
	Changed(s *directory.Snapshot) <-chan struct{}
}

// Run keeps the lists true until ctx ends: it publishes after each change of the
// directory, and every second what is due. failed hears of what went wrong, once
// for each time in a row.
func (a *Authority) Run(ctx context.Context, d Changes, failed func(error)) error {
	ticker := time.NewTicker(listPoll)
	defer ticker.Stop()
	ailing := false
	for {
		if wait(ctx, listPause) != nil { // changes that come together make one list
			return nil
		}
		s := d.Current()
		err := a.Publish(ctx)
		if err != nil && ctx.Err() == nil && !ailing {
			failed(err)
		}
		ailing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-d.Changed(s):
		case <-ticker.C:
		}
	}
}

// Alarm is what somebody must see to before a date.
type Alarm struct {
	Name    string // "issuing_ca_ends", "root_ends", "crl_ends"
	Subject string // id of the CA key
	Ends    time.Time
}

// Alarms are what must be seen to at now: a CA that ends within 30 days and has no
// successor, and a list that was not made anew for half a day.
func (a *Authority) Alarms(now time.Time) (all []Alarm) {
	s := a.state.Load()
	for _, by := range s.issuers {
		if end := by.certificate.NotAfter; due(now, end) && !s.succeeded(by) {
			all = append(all, Alarm{"issuing_ca_ends", by.id, end})
		}
		if c := a.CRL(by.id); now.Before(by.certificate.NotAfter) && c != nil && !now.Before(c.NextUpdate.Add(-listAlarm)) {
			all = append(all, Alarm{"crl_ends", by.id, c.NextUpdate})
		}
	}
	for _, root := range s.roots {
		if due(now, root.NotAfter) {
			all = append(all, Alarm{"root_ends", fmt.Sprintf("%x", root.SubjectKeyId), root.NotAfter})
		}
	}
	return all
}

// thresholds are the days before the end of a CA at which it is told.
var thresholds = []int64{1, 7, 30}

func due(now, end time.Time) bool { return !now.Before(end.AddDate(0, 0, -int(thresholds[2]))) }

// succeeded tells whether another issuing CA signs after by.
func (s *state) succeeded(by issuer) bool {
	for _, other := range s.issuers {
		if other.certificate.NotAfter.After(by.certificate.NotAfter) {
			return true
		}
	}
	return false
}

// Warn stores an event for each alarm about the end of a CA, once at 30, 7 and 1
// days before it on whatever node, and returns the alarms.
func (a *Authority) Warn(ctx context.Context) ([]Alarm, error) {
	now := a.Now()
	all := a.Alarms(now)
	for _, alarm := range all {
		n := directory.Notice{Action: "authority.expiring", Subject: alarm.Name + "/" + alarm.Subject, NotAfter: alarm.Ends}
		for _, n.Days = range thresholds {
			if !now.Before(alarm.Ends.AddDate(0, 0, -int(n.Days))) {
				break
			}
		}
		if alarm.Name == "crl_ends" {
			continue
		}
		e, err := n.Event(now)
		if err == nil {
			err = a.Store.AddNotice(ctx, e, n)
		}
		if err != nil && !errors.Is(err, directory.ErrExists) {
			return all, err
		}
	}
	return all, nil
}

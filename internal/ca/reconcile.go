package ca

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// abandoned is the age at which an intent without certificate is given up.
const abandoned = time.Minute

// Reconcile gives up the intents that are older than a minute and came to
// nothing: the process that had them died. Each leaves an event, and its serial
// goes onto the list of revoked certificates, because a signature may exist. It
// tells how many there were.
func (a *Authority) Reconcile(ctx context.Context) (int, error) {
	until := a.Now().Add(-abandoned)
	issuers := a.state.Load().issuers
	open, err := a.Store.OpenIntents(ctx, issuers[len(issuers)-1].id, until)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, i := range open {
		if i.At.After(until) {
			continue
		}
		switch err := a.abandon(ctx, i.Serial); {
		case err == nil:
			n++
		case !errors.Is(err, directory.ErrState): // else it was finished, or given up by another node
			return n, err
		}
	}
	return n, nil
}

// Switch tells whether issuing is stopped.
func (a *Authority) Switch(ctx context.Context) (Switch, error) { return a.Store.Switch(ctx) }

// SetSwitch stops issuing or resumes it, on every node with the next certificate:
// it is read in the transactions that begin and finish one. It is
// directory.ErrState when it is so already.
func (a *Authority) SetSwitch(ctx context.Context, actor string, stopped bool) error {
	action := "authority.resumed"
	if stopped {
		action = "authority.stopped"
	}
	e, err := event(actor, action, a.Now(), "", "certificate-authority", map[string]any{})
	if err != nil {
		return err
	}
	return a.Store.SetSwitch(ctx, e, stopped)
}

// AddName lets server certificates of the organisation have a DNS name or an IP
// address. It is directory.ErrExists when it is some organisation's.
func (a *Authority) AddName(ctx context.Context, actor string, o directory.OrganisationID, text string) (Name, error) {
	name, err := ParseName(text)
	if err != nil {
		return Name{}, err
	}
	n := Name{ID: newNameID(), Organisation: o, Name: name, Added: a.Now()}
	e, err := event(actor, "organisation.name_added", n.Added, o, string(o), map[string]any{"name": name})
	if err != nil {
		return Name{}, err
	}
	return n, a.Store.AddName(ctx, e, n)
}

// RemoveName takes a name away. Certificates that have it live on until they end
// or are revoked. It is directory.ErrNotFound when the organisation has no such name.
func (a *Authority) RemoveName(ctx context.Context, actor string, o directory.OrganisationID, text string) error {
	name, err := ParseName(text)
	if err != nil {
		return err
	}
	e, err := event(actor, "organisation.name_removed", a.Now(), o, string(o), map[string]any{"name": name})
	if err != nil {
		return err
	}
	return a.Store.RemoveName(ctx, e, o, name)
}

// Names are those of an organisation that are in force, in their order.
func (a *Authority) Names(ctx context.Context, o directory.OrganisationID) ([]Name, error) {
	return a.Store.Names(ctx, o)
}

func newNameID() string { return "name-" + strings.ToLower(rand.Text()) }

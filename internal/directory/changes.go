package directory

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
)

// The changes. actor is the operator's client_id or "system"; ids are made here
// when the value has none. Each returns after the change is on disk and in
// force in this process.

// newID is a prefix and 128 random bits in 26 lower-case characters.
func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

// NewCredentialID makes the id of a credential.
func NewCredentialID() CredentialID { return CredentialID(newID("cred-")) }

// NewInstanceID makes the id of an instance.
func NewInstanceID() InstanceID { return InstanceID(newID("inst-")) }

// facts is the public detail of an event.
type facts map[string]any

func event(actor, action string, now time.Time, o OrganisationID, subject string, detail facts) (audit.Event, error) {
	text, err := json.Marshal(detail)
	if err != nil {
		return audit.Event{}, fmt.Errorf("write down %s: %w", action, err)
	}
	return audit.Event{At: now, Actor: actor, Action: action, Organisation: string(o), Subject: subject, Detail: string(text)}, nil
}

// CreateOrganisation makes an active organisation.
func (d *Directory) CreateOrganisation(ctx context.Context, actor string, o Organisation, guards ...Guard) (Organisation, error) {
	if o.ID == "" {
		o.ID = OrganisationID(newID("org-"))
	}
	err := checkNew(&o.State)
	if err == nil {
		err = checkID("id", string(o.ID))
	}
	if err == nil {
		err = checkName(o.Name)
	}
	if err != nil {
		return Organisation{}, err
	}
	err = d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		if err := checkOrganisation(s, o); err != nil {
			return audit.Event{}, nil, err
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, "organisation.created", now, o.ID, string(o.ID), describeOrganisation(o))
		return e, &step{Delta{Organisations: []Organisation{o}}, func(ctx context.Context, e audit.Event) error { return d.store.CreateOrganisation(ctx, e, o) }}, err
	})
	return inForce(o, d.Current().Organisation(o.ID), err)
}

// inForce is the record as it is in force after its change.
func inForce[T any](asked T, now *T, err error) (T, error) {
	switch {
	case err != nil:
		var none T
		return none, err
	case now != nil:
		return *now, nil
	}
	return asked, nil
}

// checkNew makes a new record active; nothing begins its life in another state.
func checkNew(s *State) error {
	if *s != "" && *s != Active {
		return invalid("state", "of a new record must be active")
	}
	*s = Active
	return nil
}

// CreateResource makes a resource with its scopes.
func (d *Directory) CreateResource(ctx context.Context, actor string, r Resource, guards ...Guard) (Resource, error) {
	if err := checkNew(&r.State); err != nil {
		return Resource{}, err
	}
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		if err := checkResource(s, r); err != nil {
			return audit.Event{}, nil, err
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, "resource.created", now, r.Organisation, r.URI, describeResource(r))
		return e, &step{Delta{Resources: []Resource{r}}, func(ctx context.Context, e audit.Event) error { return d.store.CreateResource(ctx, e, r) }}, err
	})
	return inForce(r, d.Current().Resource(r.URI), err)
}

// CreateApplication makes an active application with its grants.
func (d *Directory) CreateApplication(ctx context.Context, actor string, a Application, guards ...Guard) (Application, error) {
	if a.ClientID == "" {
		a.ClientID = ClientID(newID("app-"))
	}
	if err := checkNew(&a.State); err != nil {
		return Application{}, err
	}
	err := d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		if err := d.checkApplication(s, a); err != nil {
			return audit.Event{}, nil, err
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, "application.created", now, a.Organisation, string(a.ClientID),
			describeApplication(a))
		return e, &step{Delta{Applications: []Application{a}}, func(ctx context.Context, e audit.Event) error { return d.store.CreateApplication(ctx, e, a) }}, err
	})
	return d.application(a, err)
}

func (d *Directory) application(a Application, err error) (Application, error) {
	var now *Application
	if c := d.Current().Client(a.ClientID); c != nil {
		now = &c.Application
	}
	return inForce(a, now, err)
}

// SetApplicationState suspends, resumes or revokes an application.
func (d *Directory) SetApplicationState(ctx context.Context, actor string, id ClientID, to State, guards ...Guard) error {
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		c := s.Client(id)
		if c == nil {
			return audit.Event{}, nil, fmt.Errorf("application %q: %w", id, ErrNotFound)
		}
		if err := checkMove(ownerMoves, c.State, to); err != nil {
			return audit.Event{}, nil, fmt.Errorf("application %s: %w", id, err)
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, action("application", c.State, to), now, c.Organisation, string(id), facts{"from": c.State})
		a := c.Application
		a.State, a.TokensAfter = to, endTokens(a.TokensAfter, to, now)
		return e, d.put(Delta{Applications: []Application{a}}), err
	})
}

// SetOrganisationState suspends, resumes or revokes an organisation and with it
// all that it has.
func (d *Directory) SetOrganisationState(ctx context.Context, actor string, id OrganisationID, to State, guards ...Guard) error {
	return d.decide(ctx, func(s *Snapshot, now time.Time) (audit.Event, storing, error) {
		o := s.Organisation(id)
		if o == nil {
			return audit.Event{}, nil, fmt.Errorf("organisation %q: %w", id, ErrNotFound)
		}
		if err := checkMove(ownerMoves, o.State, to); err != nil {
			return audit.Event{}, nil, fmt.Errorf("organisation %s: %w", id, err)
		}
		if err := pass(guards, s, now); err != nil {
			return audit.Event{}, nil, err
		}
		e, err := event(actor, action("organisation", o.State, to), now, id, string(id), facts{"from": o.State})
		next := *o
		next.State, next.TokensAfter = to, endTokens(o.TokensAfter, to, now)
		return e, d.put(Delta{Organisations: []Organisation{next}}), err
	})
}

// put is the storing of a change that is records.
func (d *Directory) put(delta Delta) storing {
	return &step{delta, func(ctx context.Context, e audit.Event) error { return d.store.Put(ctx, e, delta) }}
}

// endTokens is when tokens must have been issued to live after a move to a state:
// what ended with a suspension does not come back with its lifting.
func endTokens(before time.Time, to State, now time.Time) time.Time {
	if to.Accepted() {
		return before
	}
	return wholeSecond(now)
}

// wholeSecond is the first whole second that is not before t; iat has no parts of one.
func wholeSecond(t time.Time) time.Time {
	whole := t.Truncate(time.Second)
	if whole.Before(t) {
		whole = whole.Add(time.Second)
	}
	return whole.UTC()
}

// RevokeToken ends one access token of the client. A token that has expired, or is
// revoked already and kept as long, leaves no second record; one that is to be kept
// longer is.
func (d *Directory) RevokeToken(ctx context.Context, actor string, client ClientID, t RevokedToken) error {
	if len(t.ID) < 1 || len(t.ID) > maxTokenID || strings.ContainsFunc(t.ID, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return invalid("jti", "must have 1 to %d printable characters of ASCII", maxTokenID)
	}
	t.ClientID = client
	s, now := d.Current(), d.now()
	c := s.Client(client)
	if c == nil {
		return fmt.Errorf("application %q: %w", client, ErrNotFound)
	}
	if kept, _ := s.revoked.get(tokenKey{client, t.ID}); !kept.Before(t.Expires) || !now.Before(t.Expires) {
		return nil
	}
	e, err := event(actor, "token.revoked", now, c.Organisation, t.ID, facts{"client_id": client, "exp": t.Expires.Unix()})
	if err != nil {
		return err
	}
	if err := d.foresee(ctx, s, e, Delta{Revoked: []RevokedToken{t}}, now); err != nil {
		if errors.Is(err, errDone) {
			return nil
		}
		return err
	}
	// Nothing else was decided on, so that other changes need not be waited for.
	if err := d.store.RevokeToken(ctx, e, t); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	return d.refreshNow(ctx)
}

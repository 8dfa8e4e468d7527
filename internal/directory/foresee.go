package directory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
)

// Outcome is what a change would make of the directory.
type Outcome struct {
	Subject       string // of its event
	Before, After *Snapshot
	Now           time.Time
	Dry           bool // it is decided, and not made
}

// Watcher looks at the outcome of a change before it is stored; its error refuses
// the change. A change that other nodes' changes overtake is looked at again: the
// last look is at the one that happened.
type Watcher func(Outcome) error

type watchKey struct{}

type watch struct {
	look Watcher
	dry  bool
}

// Watch has look called for every change that is made with the context.
func Watch(ctx context.Context, look Watcher) context.Context {
	return context.WithValue(ctx, watchKey{}, watch{look: look})
}

// DryRun is Watch for changes that are decided, by every rule, and not made.
func DryRun(ctx context.Context, look Watcher) context.Context {
	return context.WithValue(ctx, watchKey{}, watch{look: look, dry: true})
}

// foresee works out the outcome where somebody wants to know, if the guards of the
// context let the change through. errDone ends a dry run.
func (d *Directory) foresee(ctx context.Context, s *Snapshot, e audit.Event, delta Delta, now time.Time) error {
	if err := guard(ctx, s, now); err != nil {
		return err
	}
	w, watched := ctx.Value(watchKey{}).(watch)
	owners := d.owners.Load()
	guarded := owners != nil && owners.concerns(s, &delta)
	if !watched && !guarded {
		return nil
	}
	next := s.Apply(numbered(delta, s.Sequence()+1), now)
	if guarded && owners.there(s, now) && !owners.there(next, now) {
		return errLastOwner
	}
	if !watched {
		return nil
	}
	if err := w.look(Outcome{Subject: e.Subject, Before: s, After: next, Now: now, Dry: w.dry}); err != nil {
		return err
	}
	if w.dry {
		return errDone
	}
	return nil
}

// numbered is the delta as it will be loaded: the records have the change's number
// and times as they are stored.
func numbered(d Delta, n int64) Delta {
	d.Sequence = n
	d.Organisations, d.Applications, d.Resources = slices.Clone(d.Organisations), slices.Clone(d.Applications), slices.Clone(d.Resources)
	d.Credentials, d.Roles, d.Instances = slices.Clone(d.Credentials), slices.Clone(d.Roles), slices.Clone(d.Instances)
	for i := range d.Organisations {
		d.Organisations[i].Changed = n
	}
	for i := range d.Applications {
		d.Applications[i].Changed = n
	}
	for i := range d.Resources {
		d.Resources[i].Changed = n
	}
	for i := range d.Credentials {
		c := &d.Credentials[i]
		c.Changed = n
		for _, t := range [...]*time.Time{&c.Created, &c.NotBefore, &c.NotAfter} {
			*t = t.Truncate(time.Microsecond).UTC()
		}
	}
	for i := range d.Roles {
		d.Roles[i].Changed = n
	}
	for i := range d.Instances {
		d.Instances[i].Changed = n
	}
	return d
}

// errLastOwner is a change after which nobody could administer this installation.
var errLastOwner = fmt.Errorf("the last owner cannot be removed: %w", ErrState)

// owners are who may do everything: applications of one organisation with the role
// owner that can get a token for one scope of one resource, the admin API's.
type owners struct {
	organisation OrganisationID
	resource     string
	scope        string // of the resource
}

// KeepOwner has every change refused, whoever makes it, that would leave no owner
// who can sign in. Where there is none already it refuses nothing.
func (d *Directory) KeepOwner(organisation OrganisationID, resource, scope string) {
	d.owners.Store(&owners{organisation, resource, scope})
}

// concerns tells whether the delta touches what an owner needs.
func (o *owners) concerns(s *Snapshot, d *Delta) bool {
	is := func(id ClientID) bool {
		c := s.Client(id)
		return c != nil && c.OperatorRole == Owner
	}
	return len(d.Roles) > 0 ||
		slices.ContainsFunc(d.Organisations, func(r Organisation) bool { return r.ID == o.organisation }) ||
		slices.ContainsFunc(d.Resources, func(r Resource) bool { return r.URI == o.resource }) ||
		slices.ContainsFunc(d.Applications, func(a Application) bool { return is(a.ClientID) }) ||
		slices.ContainsFunc(d.Credentials, func(c Credential) bool { return is(c.ClientID) })
}

// there tells whether somebody can sign in as an owner, and go on to.
func (o *owners) there(s *Snapshot, now time.Time) bool {
	if r := s.Resource(o.resource); r == nil || r.State != Active || !slices.Contains(r.Scopes, o.scope) {
		return false
	}
	for c := range s.Clients() {
		// What a token is bound to must last, too: a certificate ends.
		if c.OperatorRole != Owner || c.Organisation != o.organisation || !c.Live || c.Binding != cnf.DPoP ||
			!slices.ContainsFunc(c.Allowed, func(g Grant) bool { return g.Resource == o.resource && slices.Contains(g.Scopes, o.scope) }) {
			continue
		}
		if slices.ContainsFunc(c.Credentials, func(k *Credential) bool { return lasts(c, k) && k.UsableAt(now) }) {
			return true
		}
	}
	return false
}

// lasts tells whether c authenticates with k, and without an end by itself: a
// certificate ends, and a key with not_after does.
func lasts(c *Client, k *Credential) bool {
	return c.AuthMethod == PrivateKeyJWT && c.JWKSURI == "" && k.Kind == SigningKey && k.NotAfter.IsZero()
}

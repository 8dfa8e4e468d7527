package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/outbound"
)

// Store keeps the directory. Each method but Load is one transaction that takes
// the next number of the chain, seals and appends the event, and makes the
// change; none happens without the others. An event that comes with a Sequence
// was decided on the state before that number: if the chain has another next
// number by then, nothing happens and the error is ErrStale.
type Store interface {
	// Load reads what changed after the sequence; after 0, everything.
	Load(ctx context.Context, after int64) (Delta, error)
	// CreateOrganisation and the three after it are ErrExists if an id is taken.
	CreateOrganisation(ctx context.Context, e audit.Event, o Organisation) error
	// CreateResource stores the resource with its scopes; ErrExists if one of
	// them belongs to another resource.
	CreateResource(ctx context.Context, e audit.Event, r Resource) error
	// CreateApplication stores the application with its grants.
	CreateApplication(ctx context.Context, e audit.Event, a Application) error
	// CreateCredential stores a credential; ErrExists if the thumbprint is
	// registered already for this or any other application (a DPoP key: for
	// this), or the kid for this one.
	CreateCredential(ctx context.Context, e audit.Event, c Credential) error
	// Put makes each record of d what d says of it, new or changed; lists of a
	// record (grants, roles, scopes, servers, anchors) are replaced. d.Sequence,
	// d.Revoked and the records' Changed are not looked at. ErrExists if something
	// that is unique is another's.
	Put(ctx context.Context, e audit.Event, d Delta) error
	// RevokeToken is ErrExists if the token is revoked already.
	RevokeToken(ctx context.Context, e audit.Event, t RevokedToken) error
}

const (
	pollInterval = 500 * time.Millisecond
	// refreshLimit bounds how long a change that is on disk may take to be in
	// force here; a request that has gone away does not shorten it.
	refreshLimit = 5 * time.Second
	// attempts at a change that other nodes' changes overtake.
	attempts = 50
)

// Directory is the rules over a store, and the snapshot that requests decide on.
type Directory struct {
	// Outbound says at which addresses applications may publish their keys. Set it
	// before the first change; the zero one allows public addresses alone.
	Outbound outbound.Policy

	store   Store
	now     func() time.Time
	current atomic.Pointer[view]
	// known is when current was last known to be the newest; with its monotonic
	// part, so that a clock that steps back makes nothing young again.
	known atomic.Pointer[time.Time]
	past  chan struct{} // closed: for whoever waits for what has happened

	owners atomic.Pointer[owners] // whom every change must leave; nil for nobody

	refreshing sync.Mutex // held while current is replaced
	changing   sync.Mutex // held while a change is decided and stored
}

// view is a snapshot with the news of its end.
type view struct {
	snapshot *Snapshot
	changed  chan struct{} // closed when another view is current
}

// Open loads the first snapshot.
func Open(ctx context.Context, store Store, now func() time.Time) (*Directory, error) {
	d := &Directory{store: store, now: now, past: make(chan struct{})}
	close(d.past)
	d.current.Store(&view{Empty(), make(chan struct{})})
	if err := d.Refresh(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// Current is the snapshot now in force.
func (d *Directory) Current() *Snapshot { return d.current.Load().snapshot }

// Age is how long ago the snapshot was last known to be the newest.
func (d *Directory) Age() time.Duration { return d.now().Sub(*d.known.Load()) }

// Changed is closed when a newer snapshot than s is in force (at once, if one is already).
func (d *Directory) Changed(s *Snapshot) <-chan struct{} {
	v := d.current.Load()
	if v.snapshot.Sequence() > s.Sequence() {
		return d.past
	}
	return v.changed
}

// Delta reads what changed after the sequence, for the feed.
func (d *Directory) Delta(ctx context.Context, after int64) (Delta, error) {
	return d.store.Load(ctx, after)
}

// Run keeps the snapshot fresh until ctx ends: it asks the store every 500 ms,
// and at once after a change made through d. While the store does not answer, the
// snapshot stays and Age grows.
func (d *Directory) Run(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		attempt, cancel := context.WithTimeout(ctx, refreshLimit)
		// An error shows in Age, which is what readiness and the token endpoint ask.
		_ = d.Refresh(attempt)
		cancel()
	}
}

// Refresh asks the store now. On return every change that was on disk when it
// was called is in force here; call it after a change that was not made through d.
func (d *Directory) Refresh(ctx context.Context) error {
	d.refreshing.Lock()
	defer d.refreshing.Unlock()
	asked := d.now()
	v := d.current.Load()
	delta, err := d.store.Load(ctx, v.snapshot.Sequence())
	if err != nil {
		return fmt.Errorf("refresh the directory: %w", err)
	}
	switch {
	case delta.Sequence < v.snapshot.Sequence():
		return fmt.Errorf("refresh the directory: the store is at change %d and was at %d before", delta.Sequence, v.snapshot.Sequence())
	case delta.Sequence > v.snapshot.Sequence():
		d.current.Store(&view{v.snapshot.Apply(delta, asked), make(chan struct{})})
		close(v.changed)
	}
	d.known.Store(&asked)
	return nil
}

// storing is how one change is stored, and the records that it makes.
type storing = *step

type step struct {
	delta Delta
	store func(context.Context, audit.Event) error
}

// decision looks at a snapshot and tells what to do: the event of the change and
// the call that stores it, or why not; errDone if there is nothing to do.
type decision func(s *Snapshot, now time.Time) (audit.Event, storing, error)

var errDone = errors.New("done already")

// decide makes a change: decided on the newest snapshot, stored only if nothing
// has changed since, in force here on return.
func (d *Directory) decide(ctx context.Context, decide decision) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	for range attempts {
		s, now := d.Current(), d.now().Truncate(time.Microsecond).UTC() // as it is stored
		e, do, err := decide(s, now)
		if err == nil {
			e.Sequence = s.Sequence() + 1
			if err = d.foresee(ctx, s, e, do.delta, now); err == nil {
				err = do.store(ctx, e)
			}
		}
		if errors.Is(err, errDone) {
			return nil
		}
		refreshed := d.refreshNow(ctx)
		if err == nil {
			return refreshed
		}
		// A refusal counts only when it was decided on the newest state.
		if refreshed != nil || ctx.Err() != nil || !errors.Is(err, ErrStale) && d.Current() == s {
			return err
		}
	}
	return fmt.Errorf("other changes came first %d times: %w", attempts, ErrStale)
}

func (d *Directory) refreshNow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshLimit)
	defer cancel()
	return d.Refresh(ctx)
}

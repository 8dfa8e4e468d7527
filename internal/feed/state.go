package feed

import (
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// State is what the feed has told so far. Safe for concurrent use; only its
// Follower changes it.
type State struct {
	now     func() time.Time
	current atomic.Pointer[directory.Snapshot]
	known   atomic.Int64 // when the server was last heard, Unix nanoseconds; 0: never
}

// NewState knows nothing yet: its Age is beyond every bound.
func NewState(now func() time.Time) *State {
	s := &State{now: now}
	s.current.Store(directory.Empty())
	return s
}

// Current is the snapshot now in force.
func (s *State) Current() *directory.Snapshot { return s.current.Load() }

// Age is how long ago the snapshot was last known to be the newest.
func (s *State) Age() time.Duration {
	known := s.known.Load()
	if known == 0 {
		return never
	}
	return s.now().Sub(time.Unix(0, known))
}

const never = 1<<63 - 1

// apply takes an answer to a question that was asked at asked.
func (s *State) apply(doc document, asked time.Time) error {
	d, err := doc.delta()
	if err != nil {
		return err
	}
	now := s.current.Load()
	if doc.Full {
		d = stillEnded(now, d)
	}
	if doc.Full || doc.Sequence > now.Sequence() {
		s.current.Store(now.Apply(d, s.now()))
	}
	s.known.Store(asked.UnixNano())
	return nil
}

// stillEnded takes from a full answer whatever would bring back to life what we
// know to have ended for good: a server that was restored from a backup may have
// forgotten it.
func stillEnded(known *directory.Snapshot, d directory.Delta) directory.Delta {
	final := func(s directory.State) bool { return s == directory.Revoked || s == directory.Compromised }
	var organisations []directory.Organisation
	for _, o := range d.Organisations {
		if have := known.Organisation(o.ID); have == nil || !final(have.State) {
			organisations = append(organisations, o)
		}
	}
	var applications []directory.Application
	for _, a := range d.Applications {
		if have := known.Client(a.ClientID); have == nil || !final(have.State) {
			applications = append(applications, a)
		}
	}
	var credentials []directory.Credential
	for _, c := range d.Credentials {
		if have := known.Credential(c.ID); have == nil || !final(have.State) {
			credentials = append(credentials, c)
		}
	}
	d.Organisations, d.Applications, d.Credentials = organisations, applications, credentials
	return d
}

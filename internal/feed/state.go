package feed

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/verify"
)

// maxKept bounds the snapshots that are kept of a server that was restored.
const maxKept = 4

// State is what a gateway knows of the directory. It is a verify.RevocationSource
// and verify.Certificates. Asking it takes no lock. It begins knowing nothing,
// with an age beyond every bound.
type State struct {
	now      func() time.Time
	changing sync.Mutex // held while current is replaced
	current  atomic.Pointer[view]
}

// view is one immutable generation of a State.
type view struct {
	snapshot *directory.Snapshot
	// kept are snapshots of before the server was restored; what they hold for
	// ended for good stays so.
	kept  []*directory.Snapshot
	known time.Time // when all this was the newest there was
}

// NewState makes a State whose age is measured with now.
func NewState(now func() time.Time) *State {
	s := &State{now: now}
	s.current.Store(&view{snapshot: directory.Empty()})
	return s
}

// Current is the server's directory as far as s knows it, without roles,
// instances and keys. Whether a token ended is for Ended to say, which also knows what was
// revoked before the server was restored.
func (s *State) Current() *directory.Snapshot { return s.current.Load().snapshot }

// Age is how long ago s was last known to be up to date.
func (s *State) Age() time.Duration { return s.age(s.current.Load()) }

func (s *State) age(v *view) time.Duration { return s.now().Sub(v.known) }

// Ended tells why t is good no more, "" when it still is, with the reasons of
// directory.Snapshot.Ended. Before anything was heard there is no reason to give,
// only an age beyond every bound.
func (s *State) Ended(t *verify.Token) (verify.Reason, time.Duration) {
	v := s.current.Load()
	if v.known.IsZero() {
		return "", s.age(v)
	}
	reason := v.ended(t, t.Binding())
	if c := t.Confirmation; reason == "" && c.HasCertificate && c.HasKey {
		reason = v.ended(t, cnf.ToCertificate(c.Certificate))
	}
	return verify.Reason(reason), s.age(v)
}

func (v *view) ended(t *verify.Token, b cnf.Binding) string {
	token := directory.Token{
		ID: t.ID, KeyID: t.KeyID, ClientID: directory.ClientID(t.ClientID), CredentialID: directory.CredentialID(t.CredentialID),
		Binding: b, IssuedAt: t.IssuedAt,
	}
	if len(t.Audience) == 1 { // as our own tokens have it
		token.Audience = t.Audience[0]
	}
	reason := v.snapshot.Ended(token)
	for i := 0; reason == "" && i < len(v.kept); i++ {
		if was := v.kept[i].Ended(token); forGood(was) {
			reason = was
		}
	}
	return reason
}

// forGood tells the endings that nobody can take back. A suspension ends, and
// what an older snapshot does not know may have come later.
func forGood(reason string) bool {
	switch reason {
	case "token_revoked", "signing_key_revoked", "application_revoked", "organisation_revoked", "resource_revoked",
		"application_tokens_revoked", "organisation_tokens_revoked", "resource_tokens_revoked", "credential_tokens_revoked",
		"credential_revoked", "credential_compromised", "credential_retired", "credential_expired":
		return true
	}
	return false
}

// Classify is part of verify.Certificates.
func (s *State) Classify(thumbprint cnf.Thumbprint, clientID string) (of string, known bool) {
	return s.current.Load().snapshot.Classify(thumbprint, clientID)
}

var errOutOfOrder = errors.New("the document does not follow what is known")

// Apply takes a document that answers a question of after, received at received.
func (s *State) Apply(d *Document, after int64, received time.Time) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	old := s.current.Load()
	next := &view{snapshot: old.snapshot, kept: old.kept, known: received.Add(-d.Age)}
	at := old.snapshot.Sequence()
	switch {
	case after != at || !d.Full && d.Delta.Sequence < at:
		return fmt.Errorf("%w: change %d after %d, known are %d", errOutOfOrder, d.Delta.Sequence, after, at)
	case d.Full:
		if d.Delta.Sequence < at {
			next.kept = append([]*directory.Snapshot{old.snapshot}, old.kept[:min(len(old.kept), maxKept-1)]...)
		}
		next.snapshot = directory.Empty().Apply(d.Delta, received)
	case d.Delta.Sequence > at:
		next.snapshot = old.snapshot.Apply(d.Delta, received)
	}
	s.current.Store(next)
	return nil
}

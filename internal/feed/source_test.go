package feed

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// book is a Source in memory: a list of deltas, number by number.
type book struct {
	mu       sync.Mutex
	now      time.Time
	deltas   []directory.Delta
	snapshot *directory.Snapshot
	changed  chan struct{}
	age      time.Duration
	fault    error
}

func newBook(deltas ...directory.Delta) *book {
	b := &book{snapshot: directory.Empty(), changed: make(chan struct{}), now: time.Unix(1000, 0)}
	for _, d := range deltas {
		b.append(d)
	}
	return b
}

// append is the next change.
func (b *book) append(d directory.Delta) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d.Sequence = int64(len(b.deltas) + 1)
	b.deltas = append(b.deltas, d)
	b.snapshot = b.snapshot.Apply(d, b.now)
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *book) Current() *directory.Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.snapshot
}

func (b *book) Changed(s *directory.Snapshot) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.snapshot.Sequence() > s.Sequence() {
		past := make(chan struct{})
		close(past)
		return past
	}
	return b.changed
}

func (b *book) Delta(_ context.Context, after int64) (directory.Delta, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := directory.Delta{Sequence: int64(len(b.deltas))}
	for _, d := range b.deltas[after:] {
		all.Organisations = append(all.Organisations, d.Organisations...)
		all.Applications = append(all.Applications, d.Applications...)
		all.Credentials = append(all.Credentials, d.Credentials...)
		all.Revoked = append(all.Revoked, d.Revoked...)
	}
	return all, b.fault
}

func (b *book) Age() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.age
}

// The changes that tests make.

func organisation(id directory.OrganisationID, state directory.State) directory.Delta {
	return directory.Delta{Organisations: []directory.Organisation{{ID: id, State: state}}}
}

func application(id directory.ClientID, of directory.OrganisationID, state directory.State) directory.Delta {
	return directory.Delta{Applications: []directory.Application{{ClientID: id, Organisation: of, State: state}}}
}

func credential(id directory.CredentialID, of directory.ClientID, kind directory.Kind, state directory.State) directory.Delta {
	return directory.Delta{Credentials: []directory.Credential{{ID: id, ClientID: of, Kind: kind, State: state, Thumbprint: thumbprint(string(id))}}}
}

func revoked(jti string) directory.Delta {
	return directory.Delta{Revoked: []directory.RevokedToken{{ClientID: "billing", ID: jti, Expires: time.Unix(5000, 0)}}}
}

func thumbprint(of string) cnf.Thumbprint { return cnf.CertificateThumbprint([]byte(of)) }

// world is one live application with a signing key and a certificate.
func world() []directory.Delta {
	return []directory.Delta{
		organisation("acme", directory.Active),
		application("billing", "acme", directory.Active),
		credential("key", "billing", directory.SigningKey, directory.Active),
		credential("certificate", "billing", directory.Certificate, directory.Active),
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // between two looks, not for the state
	}
}

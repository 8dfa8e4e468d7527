package ca

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

const (
	// renewAhead is how long before the end of the issuing CA the next is made: a
	// leaf's life and a month.
	renewAhead = 120 * 24 * time.Hour
	// publishAhead is how long the next one is known to all before it signs.
	publishAhead = 7 * 24 * time.Hour
	// importAhead is the same for one that an operator imports.
	importAhead = 2 * time.Minute
)

// Renew makes the next issuing CA when the newest ends within four months, if the
// root's key is here: it signs a week later, when every node knows it, and the old
// one goes on verifying what it signed. With the root offline that is Import's.
func (a *Authority) Renew(ctx context.Context) error {
	if err := a.Reload(ctx); err != nil {
		return err
	}
	now := a.Now()
	newest := slices.MaxFunc(a.state.Load().issuers, func(x, y issuer) int {
		return x.certificate.NotAfter.Compare(y.certificate.NotAfter)
	})
	if now.Before(newest.certificate.NotAfter.Add(-renewAhead)) {
		return nil
	}
	roots, err := a.Ring.Certified(ctx, keyring.Root)
	if err != nil {
		return err
	}
	// Not for the sake of days: a root that ends cannot make a CA that lasts longer.
	i := slices.IndexFunc(roots, func(r keyring.Key) bool {
		return r.Signer != nil && r.Certificate.NotAfter.After(newest.certificate.NotAfter.Add(renewAhead))
	})
	if i < 0 {
		return nil
	}
	next, err := newIssuing(a.TrustDomain, now, roots[i])
	if err != nil {
		return err
	}
	next.ID, next.NotBefore = successor(newest.id), a.signsFrom(now, publishAhead)
	if err := a.Ring.Create(ctx, "system", false, next); err != nil && !errors.Is(err, directory.ErrExists) {
		return err // it exists when another node made it just now
	}
	return a.Reload(ctx)
}

// successor is the id of the CA that follows: there is one, however many nodes make it.
func successor(id string) string {
	hash := sha256.Sum256([]byte("holdfast: the issuing CA after " + id))
	return strings.ToLower(base32.StdEncoding.EncodeToString(hash[:]))[:26]
}

// signsFrom is when a new issuing CA begins to sign: at once if no other does.
func (a *Authority) signsFrom(now time.Time, ahead time.Duration) time.Time {
	if _, err := a.issuerAt(now.Add(ahead)); err != nil {
		return now
	}
	return now.Add(ahead)
}

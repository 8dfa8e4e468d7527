package clientauth

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/mtls"
)

// anchors makes the pools of organisations' own CAs. A pool is made of one
// organisation as one snapshot has it and swapped whole: a request on a snapshot
// without an anchor never meets a chain that was remembered with it.
type anchors struct{ pools sync.Map } // directory.OrganisationID to *anchored

// anchored is the pool of one generation of an organisation's anchors.
type anchored struct {
	organisation *directory.Organisation // as the last snapshot that asked had it
	generation   [sha256.Size]byte       // over the certificates that are trusted
	pool         *mtls.Pool              // nil: trusts nobody
}

// pool is the one for the organisation; nil, which trusts nobody, if it has no
// anchor that is trusted.
func (a *anchors) pool(o *directory.Organisation) *mtls.Pool {
	if o == nil || len(o.Anchors) == 0 {
		return nil
	}
	known, _ := a.pools.Load(o.ID)
	last, _ := known.(*anchored)
	if last != nil && last.organisation == o {
		return last.pool
	}
	trusted, generation := trustedAnchors(o)
	next := &anchored{organisation: o, generation: generation}
	if last != nil && last.generation == generation {
		next.pool = last.pool // with what it remembers: something else of the organisation changed
	} else {
		next.pool, _ = mtls.NewPool(trusted, nil) // nil when nothing is trusted
	}
	a.pools.Store(o.ID, next)
	return next.pool
}

// trustedAnchors are the active and the retiring ones.
func trustedAnchors(o *directory.Organisation) (trusted []*x509.Certificate, generation [sha256.Size]byte) {
	h := sha256.New()
	for _, a := range o.Anchors {
		if !a.State.Accepted() {
			continue
		}
		c, err := x509.ParseCertificate(a.Certificate)
		if err != nil || sha256.Sum256(c.RawSubjectPublicKeyInfo) != a.SPKI {
			continue // the pin is the key's: this is not what was registered
		}
		trusted = append(trusted, c)
		digest := sha256.Sum256(c.Raw)
		h.Write(digest[:])
	}
	h.Sum(generation[:0])
	return trusted, generation
}

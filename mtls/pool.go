package mtls

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Pool is a set of trusted CA certificates that has no usable zero value: a zero
// or nil Pool trusts nobody. (A nil x509.VerifyOptions.Roots would mean the
// system's.) It is immutable: trusting other CAs means another Pool, which
// begins with nothing remembered. Safe for concurrent use.
type Pool struct {
	roots         *x509.CertPool
	intermediates []*x509.Certificate
	good          remembered
}

// NewPool refuses an empty list of roots and certificates that are not CAs.
func NewPool(roots, intermediates []*x509.Certificate) (*Pool, error) {
	if len(roots) == 0 {
		return nil, errors.New("a pool needs at least one CA certificate")
	}
	pool := &Pool{roots: x509.NewCertPool(), intermediates: intermediates}
	for _, c := range roots {
		if err := checkCA(c); err != nil {
			return nil, err
		}
		pool.roots.AddCert(c)
	}
	for _, c := range intermediates {
		if err := checkCA(c); err != nil {
			return nil, err
		}
	}
	return pool, nil
}

func checkCA(c *x509.Certificate) error {
	if !c.IsCA {
		return fmt.Errorf("certificate %q is not a CA's", c.Subject.CommonName)
	}
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fmt.Errorf("certificate %q may not sign certificates", c.Subject.CommonName)
	}
	return nil
}

// Verify builds a chain from the peer to the pool, for client authentication, at
// now. A chain that verified before is remembered by the hash of all that the
// peer sent, for as long as every certificate of the chain is valid.
func (pool *Pool) Verify(now time.Time, p *Peer) error {
	if err := p.ValidAt(now); err != nil {
		return err
	}
	if pool == nil || pool.roots == nil {
		return ErrUntrusted
	}
	if pool.good.holds(p.chain, now) {
		return nil
	}
	if p.leaf.IsCA || p.leaf.KeyUsage != 0 && p.leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return ErrUsage
	}
	chains, err := p.leaf.Verify(pool.options(now, p))
	if err != nil {
		var invalid x509.CertificateInvalidError
		if errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage {
			return ErrUsage
		}
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	pool.good.remember(p.chain, longest(chains))
	return nil
}

func (pool *Pool) options(now time.Time, p *Peer) x509.VerifyOptions {
	between := x509.NewCertPool()
	for _, c := range pool.intermediates {
		between.AddCert(c)
	}
	for _, c := range p.intermediates {
		between.AddCert(c)
	}
	return x509.VerifyOptions{
		Roots:         pool.roots,
		Intermediates: between,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// window is the time in which every certificate of one chain is valid.
type window struct{ from, until time.Time }

func (w window) holds(now time.Time) bool { return !now.Before(w.from) && !now.After(w.until) }

// longest is the window of the chain that stays valid longest.
func longest(chains [][]*x509.Certificate) window {
	var best window
	for _, chain := range chains {
		w := window{chain[0].NotBefore, chain[0].NotAfter}
		for _, c := range chain[1:] {
			if c.NotBefore.After(w.from) {
				w.from = c.NotBefore
			}
			if c.NotAfter.Before(w.until) {
				w.until = c.NotAfter
			}
		}
		if w.until.After(best.until) {
			best = w
		}
	}
	return best
}

// maxRemembered bounds each of the two generations of remembered chains.
const maxRemembered = 4096

// remembered is a bounded set of chains that verified. When the young generation
// is full the old one is forgotten and the young one takes its place: what was
// forgotten is verified again, which costs time and nothing else.
type remembered struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]window // guarded by mu
}

func (r *remembered) holds(chain [sha256.Size]byte, now time.Time) bool {
	r.mu.RLock()
	w, young := r.young[chain]
	if !young {
		w = r.old[chain] // or the zero window, which holds no time
	}
	r.mu.RUnlock()
	if !w.holds(now) {
		return false
	}
	if !young {
		r.remember(chain, w)
	}
	return true
}

func (r *remembered) remember(chain [sha256.Size]byte, w window) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.young == nil || len(r.young) >= maxRemembered {
		r.old, r.young = r.young, make(map[[sha256.Size]byte]window)
	}
	r.young[chain] = w
}

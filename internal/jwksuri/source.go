package jwksuri

import (
	"context"
	"crypto/x509"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-auth/holdfast/internal/outbound"
	"github.com/holdfast-auth/holdfast/mtls"
)

// Config of a Source. Roots and Now are required.
type Config struct {
	// Dialer decides whom to call.
	Dialer *outbound.Dialer
	// Roots verify the servers' certificates.
	Roots *x509.CertPool
	Now   func() time.Time
	Log   *slog.Logger // fetches that failed; may be nil
}

// Source holds the keys of every place. Safe for concurrent use. It fetches while
// Run runs.
type Source struct {
	http *http.Client
	now  func() time.Time
	log  *slog.Logger

	mu     sync.RWMutex
	places map[Place]*entry // guarded by mu

	dispatching sync.Mutex
	queue       queue           // guarded by dispatching
	ctx         context.Context // guarded by dispatching: of Run; nil when it does not run
	fetches     sync.WaitGroup
}

// New fetches nothing: Run does.
func New(c Config) (*Source, error) {
	if c.Dialer == nil || c.Now == nil {
		return nil, errors.New("jwksuri: dialer and clock are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	config, err := mtls.ClientConfig(c.Roots, nil)
	if err != nil {
		return nil, err
	}
	config.ClientSessionCache = nil // each fetch verifies whom it calls
	return &Source{
		now: c.Now, log: c.Log, places: map[Place]*entry{}, queue: queue{owners: map[string]*owner{}},
		http: &http.Client{
			// No proxy, no compression, no connection that is kept: each fetch calls by
			// itself, and what it reads is what was sent.
			Transport: &http.Transport{
				DialContext: c.Dialer.DialContext, TLSClientConfig: config, DisableKeepAlives: true, DisableCompression: true,
				MaxResponseHeaderBytes: maxHeader,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Keys are those at hand; nil when there are none, or when the last fetch that
// succeeded was an hour ago.
func (s *Source) Keys(p Place) *Set {
	s.mu.RLock()
	e := s.places[p]
	s.mu.RUnlock()
	if e == nil {
		return nil
	}
	h := e.held.Load()
	if h == nil || s.now().Sub(h.at) > maxStale {
		return nil
	}
	return h.set
}

// Want asks for a fetch, if there is budget for one, and waits for it, until
// 250 ms after it was first asked for. It tells whether one has succeeded.
func (s *Source) Want(ctx context.Context, p Place, name string) bool {
	if p.URI == "" {
		return false
	}
	e, now := s.entry(p), s.now()
	f, patience, urge := e.join(name, now)
	if urge {
		s.push(e, true)
	}
	if patience <= 0 {
		return false // nobody waits for a server that is slow, nor for nothing
	}
	end := time.NewTimer(patience)
	defer end.Stop()
	select {
	case <-f.done:
		return f.succeeded
	case <-end.C:
	case <-ctx.Done():
	}
	return false
}

func (s *Source) entry(p Place) *entry {
	s.mu.RLock()
	e := s.places[p]
	s.mu.RUnlock()
	if e != nil {
		return e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e = s.places[p]; e == nil {
		e = newEntry(p, s.now())
		s.places[p] = e
	}
	return e
}

// Keep says which places there are: their keys are fetched before anybody asks,
// and those of others are forgotten.
func (s *Source) Keep(places iter.Seq[Place]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make(map[Place]*entry, len(s.places))
	for p := range places {
		if e := s.places[p]; e != nil {
			next[p] = e
		} else {
			next[p] = newEntry(p, s.now())
		}
	}
	s.places = next
}

// Run keeps the keys fresh until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	s.dispatching.Lock()
	s.ctx = ctx
	s.dispatching.Unlock()
	tick := time.NewTicker(scanEvery)
	defer tick.Stop()
	for {
		s.scan()
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.dispatching.Lock()
			s.ctx = nil // nothing new begins
			s.dispatching.Unlock()
			s.fetches.Wait()
			return nil
		}
	}
}

// scan puts into the queue what is due.
func (s *Source) scan() {
	now := s.now()
	var due []*entry
	s.mu.RLock()
	for _, e := range s.places {
		if e.takeDue(now) {
			due = append(due, e)
		}
	}
	s.mu.RUnlock()
	for _, e := range due {
		s.push(e, false)
	}
}

func (s *Source) push(e *entry, urgent bool) {
	s.dispatching.Lock()
	defer s.dispatching.Unlock()
	s.queue.push(e, urgent)
	s.dispatch()
}

// dispatch begins what may begin. The caller holds dispatching.
func (s *Source) dispatch() {
	if s.ctx == nil {
		return
	}
	ctx := s.ctx
	for e := s.queue.next(); e != nil; e = s.queue.next() {
		e.begin()
		s.fetches.Go(func() {
			set, life, err := s.fetch(ctx, e.place.URI)
			if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "keys", "client_id", e.place.Application, "organisation", e.place.Owner, "outcome", "failed", "cause", err.Error())
			}
			e.settle(set, life, s.now())
			s.dispatching.Lock()
			defer s.dispatching.Unlock()
			s.queue.finish(e)
			s.dispatch()
		})
	}
}

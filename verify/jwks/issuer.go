package jwks

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/verify"
)

// held is a set and when it was fetched.
type held struct {
	set *verify.KeySet
	at  time.Time
}

// issuer is the keys of one, and the one goroutine that fetches them.
type issuer struct {
	name string
	url  *url.URL
	http *http.Client
	now  func() time.Time
	log  *slog.Logger
	held atomic.Pointer[held] // nil until the first fetch succeeded

	mu sync.Mutex
	// guarded by mu: what requests with unknown kids may still cause
	tokens  float64
	filled  time.Time
	absent  map[string]struct{} // not in the set that held has
	fetched chan struct{}       // closed when the fetch that was asked for has ended; nil: none was
	ask     chan struct{}       // of capacity 1: wakes the goroutine

	jwksURI string // of the goroutine alone
}

func newIssuer(c *Config, name string, u *url.URL) *issuer {
	return &issuer{
		name: name, url: u, http: c.HTTP, now: c.Now, log: c.Log,
		tokens: burst, filled: c.Now(), absent: make(map[string]struct{}), ask: make(chan struct{}, 1),
	}
}

func (i *issuer) keys() (*verify.KeySet, error) {
	h := i.held.Load()
	if h == nil || i.now().Sub(h.at) > maxStale {
		return nil, verify.ErrNoKeys
	}
	return h.set, nil
}

// want asks for a fetch, if there is budget for one, and waits for it.
func (i *issuer) want(ctx context.Context, kid string) verify.Outcome {
	done, outcome := i.join(kid)
	if done == nil {
		return outcome
	}
	patience := time.NewTimer(maxWait)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
		return verify.Unknown
	case <-ctx.Done():
		return verify.Unknown
	}
	if h := i.held.Load(); h != nil && h.set.Has(kid) {
		return verify.Refreshed
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, known := i.absent[kid]; known {
		return verify.Absent
	}
	return verify.Unknown // the fetch failed
}

// join finds the fetch that will tell about kid: one under way or a new one.
// Without budget, or when kid is known to be absent, there is none.
func (i *issuer) join(kid string) (done <-chan struct{}, outcome verify.Outcome) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if h := i.held.Load(); h != nil && h.set.Has(kid) {
		return nil, verify.Refreshed
	}
	if i.fetched == nil {
		if !i.mayFetch() {
			if _, known := i.absent[kid]; known {
				return nil, verify.Absent
			}
			return nil, verify.Unknown
		}
		i.tokens--
		i.fetched = make(chan struct{})
		select {
		case i.ask <- struct{}{}:
		default: // asked already
		}
	}
	if len(i.absent) >= maxAbsent {
		clear(i.absent)
	}
	i.absent[kid] = struct{}{} // unless the fetch finds it
	return i.fetched, 0
}

// mayFetch refills the budget and tells whether there is one fetch in it. The
// caller holds mu.
func (i *issuer) mayFetch() bool {
	now := i.now()
	if passed := now.Sub(i.filled); passed > 0 {
		i.tokens = min(burst, i.tokens+passed.Seconds()/everyKid.Seconds())
	}
	i.filled = now
	return i.tokens >= 1
}

// run fetches at once, then whenever it is time or somebody asks.
func (i *issuer) run(ctx context.Context) {
	pause := retryFailed
	for {
		life, err := i.fetch(ctx)
		if ctx.Err() != nil {
			i.settle(false)
			return
		}
		next := life
		if err != nil {
			i.log.WarnContext(ctx, "keys", "issuer", i.name, "outcome", "failed", "cause", err.Error())
			next, pause = pause, min(2*pause, maxRefresh)
		} else {
			pause = retryFailed
		}
		i.settle(err == nil)
		wait := time.NewTimer(jitter(next))
		select {
		case <-ctx.Done():
		case <-wait.C:
		case <-i.ask:
		}
		wait.Stop()
	}
}

// settle tells those who wait that a fetch has ended. Only one that succeeded
// says what is absent.
func (i *issuer) settle(succeeded bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if succeeded {
		set := i.held.Load().set
		for kid := range i.absent {
			if set.Has(kid) {
				delete(i.absent, kid)
			}
		}
	} else {
		clear(i.absent)
	}
	if i.fetched != nil {
		close(i.fetched)
		i.fetched = nil
	}
}

// jitter takes up to a tenth off, so that many gateways do not ask at once.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/10+1) }

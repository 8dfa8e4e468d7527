package jwksuri

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// held is a set and when it was fetched.
type held struct {
	set *Set
	at  time.Time
}

// entry is what is known of one place.
type entry struct {
	place Place
	held  atomic.Pointer[held] // nil until the first fetch succeeded

	mu sync.Mutex
	// guarded by mu:
	flight *flight              // the fetch that is waited for or under way; nil: none
	due    time.Time            // of the next fetch in the background
	pause  time.Duration        // before it, after a fetch that failed
	budget float64              // fetches that keys nobody has seen may still cause
	filled time.Time            // when the budget was last filled
	absent map[string]time.Time // names and when they were looked for in vain
}

// flight is one fetch, which everybody shares who wants one while it lasts.
type flight struct {
	asked     time.Time     // by the first request, or when it was due
	urgent    bool          // a request has asked
	begun     bool          // it is under way
	done      chan struct{} // closed at its end
	succeeded bool          // to be read after done
}

func newEntry(p Place, now time.Time) *entry {
	return &entry{place: p, due: now, pause: minRefresh, budget: burst, filled: now, absent: map[string]time.Time{}}
}

// join finds the fetch that will tell about name, and how long to wait for it:
// the one there is, or a new one. Nil: there is none, because name was looked for
// just now or because nothing is left of the budget. With urge the caller puts it
// into the queue, before the others that wait there.
func (e *entry) join(name string, now time.Time) (f *flight, patience time.Duration, urge bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f := e.flight; f != nil {
		if !f.begun && !f.urgent { // it was due, and waits behind others
			f.urgent, f.asked, urge = true, now, true
		}
		return f, maxWait - now.Sub(f.asked), urge
	}
	if at, ok := e.absent[name]; ok && now.Sub(at) < everyFetch {
		return nil, 0, false
	}
	if passed := now.Sub(e.filled); passed > 0 {
		e.budget = min(burst, e.budget+passed.Seconds()/everyFetch.Seconds())
	}
	e.filled = now
	if now.Before(e.due) { // else it would be fetched anyway, as is a place that nobody knew
		if e.budget < 1 {
			return nil, 0, false
		}
		e.budget--
	}
	e.remember(name, now)
	e.flight = &flight{asked: now, urgent: true, done: make(chan struct{})}
	return e.flight, maxWait, true
}

// begin marks the fetch as under way.
func (e *entry) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flight.begun = true
}

// remember notes that name is being looked for. The caller holds mu.
func (e *entry) remember(name string, now time.Time) {
	if len(e.absent) >= maxAbsent {
		clear(e.absent)
	}
	e.absent[name] = now
}

// takeDue begins a fetch in the background, if it is time for one.
func (e *entry) takeDue(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight != nil || now.Before(e.due) {
		return false
	}
	e.flight = &flight{asked: now, done: make(chan struct{})}
	return true
}

// settle ends the fetch: set is what it brought, or nil when it failed; the next
// one is after life, or after a pause that doubles.
func (e *entry) settle(set *Set, life time.Duration, now time.Time) {
	if set != nil {
		e.held.Store(&held{set, now})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if set != nil {
		e.pause = minRefresh
	} else {
		life, e.pause = e.pause, min(2*e.pause, maxRefresh)
		clear(e.absent) // nobody said that they are not there
	}
	e.due = now.Add(jitter(life))
	e.flight.succeeded = set != nil
	close(e.flight.done)
	e.flight = nil
}

// jitter takes up to a tenth off, so that many nodes do not ask at once.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/10+1) }

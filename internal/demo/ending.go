package demo

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// A change of what is allowed is in force everywhere within this time.
const inForce = 2 * time.Second

// Step 8: both consumers have a connection open and a token that is still good.
func (s *story) revoke(ctx context.Context) (seen []Observation, err error) {
	for _, c := range []struct {
		consumer   *consumer
		credential string
		what       string
	}{{s.app, s.appKey, "signing key"}, {s.certApp, s.certCred, "certificate"}} {
		before, err := c.consumer.served(ctx, s, s.payments())
		seen = append(seen, before)
		if err != nil {
			return seen, err
		}
		start := time.Now() // the operator asks; what follows counts
		if _, err := s.admin.RevokeCredential(ctx, c.credential); err != nil {
			return seen, fmt.Errorf("revoke the %s: %w", c.what, err)
		}
		after, err := s.refusedSoon(ctx, start, c.consumer, "the "+c.what+" "+c.credential+" was revoked: the same call again")
		seen = append(seen, after)
		if err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// refusedSoon calls until the answer is a refusal, and demands that it came in
// time, for the right reason, over the connection that was open.
func (s *story) refusedSoon(ctx context.Context, start time.Time, c *consumer, did string) (Observation, error) {
	for {
		a, err := c.call(ctx, s, s.payments())
		if err != nil {
			return Observation{Did: did}, err
		}
		took := time.Since(start)
		if a.status == http.StatusOK && took < inForce {
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return Observation{Did: did}, err
			}
			continue
		}
		o, err := s.observe(ctx, did, a)
		if err != nil {
			return o, err
		}
		ms := took.Milliseconds()
		o.AfterMS, o.Reused = &ms, a.reused
		switch {
		case a.status != http.StatusUnauthorized:
			return o, fmt.Errorf("%s: status %d after %v", did, a.status, took.Round(time.Millisecond))
		case took >= inForce:
			return o, fmt.Errorf("refused only after %v", took.Round(time.Millisecond))
		case o.Reason != "credential_revoked":
			return o, fmt.Errorf("%s: the event's reason is %q", did, o.Reason)
		case !a.reused:
			return o, fmt.Errorf("%s: not on the connection that was open", did)
		}
		return o, nil
	}
}

// Step 9: the consumers have new credentials; the old API key ends under their traffic.
func (s *story) switchOff(ctx context.Context) ([]Observation, error) {
	seen, err := s.enrolAgain(ctx)
	if err != nil {
		return seen, err
	}
	const perSecond, lasting = 20, 3 * time.Second
	t := &traffic{story: s, consumers: []*consumer{s.app, s.certApp}, each: time.Second / perSecond, n: int(perSecond * lasting / time.Second)}
	var wg sync.WaitGroup
	wg.Go(func() { t.run(ctx) })
	defer wg.Wait()
	if err := pause(ctx, lasting/3); err != nil {
		return seen, err
	}
	key := attempt{did: "GET " + s.directAPI() + " with X-Api-Key, before", client: s.anyone, method: http.MethodGet, url: s.directAPI(), header: s.withAPIKey(), status: http.StatusOK}
	o, err := s.try(ctx, key)
	seen = append(seen, o)
	if err != nil {
		return seen, err
	}
	s.api.keysOff.Store(true)
	key.did, key.status = "the API key is switched off: the same call again", http.StatusUnauthorized
	o, err = s.try(ctx, key)
	seen = append(seen, o)
	if err != nil {
		return seen, err
	}
	wg.Wait()
	count := Observation{
		Did:      fmt.Sprintf("meanwhile, %d requests/s with bound tokens, by key and by certificate", perSecond),
		Requests: t.sent, Failed: &t.failed, Detail: fmt.Sprintf("in %.1f s", t.took.Seconds()),
	}
	seen = append(seen, count)
	if t.took > 2*lasting { // a busy machine loses beats; half the rate is not the rate
		return seen, fmt.Errorf("%d requests took %v, not %v", t.sent, t.took.Round(time.Millisecond), lasting)
	}
	if t.failed != 0 || t.sent != t.n {
		return seen, fmt.Errorf("%d of %d requests failed, first: %s", t.failed, t.sent, t.first)
	}
	return seen, nil
}

// traffic is a steady rate of calls, each on its own beat, consumers in turn.
type traffic struct {
	story     *story
	consumers []*consumer
	each      time.Duration
	n         int

	sent, failed int
	first        string        // why the first one failed
	took         time.Duration // all of them
}

// run sends n calls. A consumer's calls follow one another, as its nonce does.
func (t *traffic) run(ctx context.Context) {
	start := time.Now()
	defer func() { t.took = time.Since(start) }()
	beat := time.NewTicker(t.each)
	defer beat.Stop()
	for i := range t.n {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		c := t.consumers[i%len(t.consumers)]
		a, err := c.call(ctx, t.story, t.story.payments())
		t.sent++
		if err == nil && a.status == http.StatusOK {
			continue
		}
		t.failed++
		if t.first == "" {
			t.first = fmt.Sprintf("status %d", a.status)
			if err != nil {
				t.first = err.Error()
			}
		}
	}
}

// pause waits, unless the story is called off.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

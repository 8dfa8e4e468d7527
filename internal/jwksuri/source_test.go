package jwksuri

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/outbound"
)

// web is servers without a network, by host. Latencies pass on the clock of the bubble.
type webOf struct {
	mu    sync.Mutex
	hosts map[string]*host // guarded by mu
}

type host struct {
	body    []byte
	status  int
	header  http.Header
	down    bool
	latency time.Duration
	asked   []time.Time
}

func (w *webOf) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	h := w.hosts[r.URL.Host]
	h.asked = append(h.asked, time.Now())
	latency := h.latency
	w.mu.Unlock()
	select {
	case <-time.After(latency):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if h.down {
		return nil, errors.New("down, and secret")
	}
	return &http.Response{StatusCode: h.status, Header: h.header.Clone(), Body: io.NopCloser(bytes.NewReader(h.body)), Request: r}, nil
}

func (w *webOf) set(name string, change func(*host)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w.hosts[name])
}

func (w *webOf) asked(name string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.hosts[name].asked)
}

// bench is a source under test with its servers.
type bench struct {
	*Source
	web *webOf
	log *bytes.Buffer
}

func (b *bench) host(t testing.TB, name string, kids ...string) Place {
	t.Helper()
	b.web.mu.Lock()
	defer b.web.mu.Unlock()
	b.web.hosts[name] = &host{status: 200, header: http.Header{}, body: setOf(t, kids...)}
	return Place{Application: "app-" + name, Owner: "org-" + name, URI: "https://" + name + "/keys"}
}

func setOf(t testing.TB, kids ...string) []byte {
	t.Helper()
	var all []member
	for _, kid := range kids {
		m, _ := newMember(t, jose.EdDSA, kid)
		all = append(all, m)
	}
	return document(t, all...)
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{web: &webOf{hosts: map[string]*host{}}, log: &bytes.Buffer{}}
	s, err := New(Config{Dialer: &outbound.Dialer{}, Roots: x509.NewCertPool(), Now: time.Now, Log: slog.New(slog.NewTextHandler(b.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.http.Transport = b.web
	b.Source = s
	return b
}

// run runs the source until the test's end.
func (b *bench) run(t *testing.T, places ...Place) {
	t.Helper()
	b.Keep(slices.Values(places))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
}

func (b *bench) has(p Place, kid string) bool { return b.Keys(p).ByID(kid) != nil }

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// want wants, and checks that nobody waited longer than allowed.
func (b *bench) want(t *testing.T, p Place, name string) bool {
	t.Helper()
	before := time.Now()
	got := b.Want(t.Context(), p, name)
	if waited := time.Since(before); waited > 250*time.Millisecond {
		t.Errorf("waited %s", waited)
	}
	return got
}

func TestBackground(t *testing.T) {
	bubble(t, "keys are there before anybody asks, and refreshed at 5 min with jitter", func(t *testing.T) {
		b := newBench(t)
		p := b.host(t, "a", "k")
		b.run(t, p)
		if !b.has(p, "k") || b.has(p, "other") {
			t.Error("another set")
		}
		time.Sleep(time.Hour)
		asked := b.web.asked("a")
		different := map[time.Duration]bool{}
		for i := 1; i < len(asked); i++ {
			gap := asked[i].Sub(asked[i-1])
			different[gap.Round(time.Second)] = true
			if gap < 270*time.Second || gap > 301*time.Second {
				t.Errorf("refreshed after %s", gap)
			}
		}
		if len(different) < 3 {
			t.Errorf("no jitter: %v", different)
		}
	})
	for header, most := range map[string]time.Duration{"max-age=60": 61 * time.Second, "max-age=0": 11 * time.Second, "public, max-age=99999": 301 * time.Second, "max-age=x": 11 * time.Second} {
		bubble(t, "RFC 9111 §5.2.2.1: "+header, func(t *testing.T) {
			b := newBench(t)
			p := b.host(t, "a", "k")
			b.web.set("a", func(h *host) { h.header.Set("Cache-Control", header) })
			b.run(t, p)
			time.Sleep(20 * time.Minute)
			asked := b.web.asked("a")
			for i := 1; i < len(asked); i++ {
				if gap := asked[i].Sub(asked[i-1]); gap > most || gap < most*8/10 {
					t.Errorf("refreshed after %s", gap)
				}
			}
		})
	}
	bubble(t, "fault 12: stale keys serve for an hour and then no longer; the server comes back and so do they", func(t *testing.T) {
		b := newBench(t)
		p := b.host(t, "a", "k")
		b.run(t, p)
		b.web.set("a", func(h *host) { h.down = true })
		time.Sleep(59 * time.Minute)
		if !b.has(p, "k") {
			t.Error("gone after 59 min")
		}
		time.Sleep(2 * time.Minute)
		if b.Keys(p) != nil {
			t.Error("there after 61 min")
		}
		if n := len(b.web.asked("a")); n > 20 {
			t.Errorf("asked %d times in an hour", n)
		}
		b.web.set("a", func(h *host) { h.down = false })
		time.Sleep(6 * time.Minute)
		if !b.has(p, "k") {
			t.Error("not there again")
		}
		synctest.Wait()
		if strings.Contains(b.log.String(), "secret") || !strings.Contains(b.log.String(), "client_id=app-a") || strings.Contains(b.log.String(), "https:") {
			t.Errorf("advisory 86: %s", b.log)
		}
	})
	bubble(t, "a set that is refused leaves the last good one", func(t *testing.T) {
		b := newBench(t)
		p := b.host(t, "a", "k")
		b.run(t, p)
		twin, _ := newMember(t, jose.EdDSA, "x")
		for name, change := range map[string]func(*host){
			"one kid twice":     func(h *host) { h.body = document(t, twin, twin) },
			"not JSON":          func(h *host) { h.body = []byte("secret") },
			"status 302":        func(h *host) { h.status = 302 },
			"status 500":        func(h *host) { h.status = 500 },
			"too large":         func(h *host) { h.body = append(setOf(t, "new"), bytes.Repeat([]byte(" "), maxBody)...) },
			"advisory 87: gzip": func(h *host) { h.header.Set("Content-Encoding", "gzip") },
		} {
			b.web.set("a", func(h *host) { h.status, h.header, h.body = 200, http.Header{}, setOf(t, "new"); change(h) })
			time.Sleep(6 * time.Minute)
			if !b.has(p, "k") || b.has(p, "new") {
				t.Errorf("%s: the good set is gone", name)
			}
		}
		synctest.Wait()
		if strings.Contains(b.log.String(), "secret") {
			t.Errorf("advisory 86: %s", b.log)
		}
		b.web.set("a", func(h *host) { h.status, h.header, h.body = 200, http.Header{}, setOf(t, "new") })
		time.Sleep(6 * time.Minute)
		if b.has(p, "k") || !b.has(p, "new") {
			t.Error("the next good set is not there")
		}
	})
	bubble(t, "a place that is no longer there is forgotten, and fetched no more", func(t *testing.T) {
		b := newBench(t)
		p, q := b.host(t, "a", "k"), b.host(t, "b", "k")
		b.run(t, p, q)
		b.Keep(slices.Values([]Place{q}))
		time.Sleep(time.Hour)
		if b.Keys(p) != nil || len(b.web.asked("a")) != 1 {
			t.Error("still there")
		}
		if !b.has(q, "k") || len(b.web.asked("b")) < 10 {
			t.Error("the other one is gone")
		}
	})
}

func TestWant(t *testing.T) {
	bubble(t, "a key that was published meanwhile is found, single flight", func(t *testing.T) {
		b := newBench(t)
		p := b.host(t, "a", "k")
		b.run(t, p)
		b.web.set("a", func(h *host) { h.body, h.latency = setOf(t, "new"), 100*time.Millisecond })
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if !b.want(t, p, "new") {
					t.Error("not waited for")
				}
			})
		}
		wg.Wait()
		if !b.has(p, "new") || len(b.web.asked("a")) != 2 {
			t.Errorf("%d fetches", len(b.web.asked("a")))
		}
	})
	bubble(t, "keys that nobody asked for before", func(t *testing.T) {
		b := newBench(t)
		b.run(t)
		p := b.host(t, "a", "k")
		if b.Keys(p) != nil || !b.want(t, p, "k") || !b.has(p, "k") {
			t.Error("not found")
		}
		if b.want(t, Place{Application: "x"}, "k") || len(b.places) != 1 {
			t.Error("something without a jwks_uri")
		}
	})
	bubble(t, "a place that waits behind others of its owner is fetched at once when somebody asks", func(t *testing.T) {
		b := newBench(t)
		var places []Place
		for i := range 100 {
			p := b.host(t, fmt.Sprintf("h%d", i), "k")
			p.Owner = "one"
			b.web.set(fmt.Sprintf("h%d", i), func(h *host) { h.latency = 200 * time.Millisecond })
			places = append(places, p)
		}
		b.run(t, places...)
		var last Place
		for _, p := range places {
			if len(b.web.asked(p.URI[len("https://"):strings.LastIndexByte(p.URI, '/')])) == 0 {
				last = p
			}
		}
		time.Sleep(190 * time.Millisecond)
		if !b.want(t, last, "k") {
			t.Error("it waits behind the others")
		}
	})
	bubble(t, "fault 12: nobody waits longer than 250 ms, and nobody at all after that", func(t *testing.T) {
		b := newBench(t)
		p := b.host(t, "a", "k")
		b.run(t, p)
		b.web.set("a", func(h *host) { h.latency, h.body = 4*time.Second, setOf(t, "new") })
		if b.want(t, p, "new") {
			t.Error("found")
		}
		before := time.Now()
		for i := range 1000 {
			if b.want(t, p, fmt.Sprint(i)) {
				t.Error("found")
			}
		}
		if time.Since(before) > 0 {
			t.Error("somebody waited for a server that is known to be slow")
		}
		if !b.has(p, "k") {
			t.Error("the keys at hand are gone")
		}
		time.Sleep(4 * time.Second)
		if !b.has(p, "new") {
			t.Error("what came in the end is thrown away")
		}
	})
	bubble(t, "one that gives up does not end the fetch", func(t *testing.T) {
		b := newBench(t)
		p := b.host(t, "a", "k")
		b.run(t, p)
		b.web.set("a", func(h *host) { h.latency, h.body = 100*time.Millisecond, setOf(t, "new") })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if b.Want(ctx, p, "new") {
			t.Error("waited")
		}
		time.Sleep(101 * time.Millisecond)
		if !b.has(p, "new") {
			t.Error("the fetch ended with who asked for it")
		}
	})
	bubble(t, "fault 13: 1,000 unknown kids a second cause one fetch in 10 s and two at once, and remember no more than they may", func(t *testing.T) {
		b := newBench(t)
		p := b.host(t, "a", "k")
		b.run(t, p)
		for i := range 60_000 {
			b.want(t, p, fmt.Sprint("junk", i))
			time.Sleep(time.Millisecond)
		}
		if n := len(b.web.asked("a")); n < 5 || n > 1+2+6 {
			t.Errorf("%d fetches in a minute", n)
		}
		if n := len(b.places[p].absent); n > maxAbsent {
			t.Errorf("%d names are remembered", n)
		}
	})
	bubble(t, "a kid that was looked for just now does not cost the budget again", func(t *testing.T) {
		b := newBench(t)
		p := b.host(t, "a", "k")
		b.run(t, p)
		for range 100 {
			b.want(t, p, "junk")
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(b.web.asked("a")); n != 2 {
			t.Errorf("%d fetches", n)
		}
		b.web.set("a", func(h *host) { h.body = setOf(t, "new") })
		if !b.want(t, p, "new") || !b.has(p, "new") {
			t.Error("nothing was left for a good one")
		}
	})
}

func TestOneOwnersOutage(t *testing.T) {
	bubble(t, "a thousand places that never answer take four fetches; everybody else's keys come at once", func(t *testing.T) {
		b := newBench(t)
		var places []Place
		for i := range 1000 {
			name := fmt.Sprintf("slow%d", i)
			p := b.host(t, name, "k")
			p.Owner = "slow"
			b.web.set(name, func(h *host) { h.latency = time.Hour })
			places = append(places, p)
		}
		good := b.host(t, "good", "k")
		before := runtime.NumGoroutine()
		b.run(t, append(places, good)...)
		if !b.has(good, "k") {
			t.Error("the others wait")
		}
		if n := runtime.NumGoroutine() - before; n > 30 {
			t.Errorf("%d goroutines more", n)
		}
		for range 20 {
			for i := range 1000 {
				b.want(t, places[i], "junk")
			}
			time.Sleep(10 * time.Second)
			b.web.set("good", func(h *host) { h.body = setOf(t, "new") })
			if !b.want(t, good, fmt.Sprint(time.Now())) {
				t.Error("the others wait")
			}
			if n := runtime.NumGoroutine() - before; n > 30 {
				t.Errorf("%d goroutines more", n)
			}
		}
	})
	bubble(t, "with every fetch taken by slow owners, the next owner's turn comes within 5 s, not after all of them", func(t *testing.T) {
		b := newBench(t)
		var places []Place
		for i := range 2000 {
			name := fmt.Sprintf("slow%d", i)
			p := b.host(t, name, "k")
			p.Owner = fmt.Sprint("slow", i%20) // 20 owners want 80 fetches of the 64
			b.web.set(name, func(h *host) { h.latency = time.Hour })
			places = append(places, p)
		}
		b.run(t, places...)
		good := b.host(t, "good", "k")
		b.Keep(slices.Values(append(places, good)))
		time.Sleep(scanEvery + fetchTimeout + time.Second)
		if !b.has(good, "k") {
			t.Error("the others wait")
		}
	})
}

func TestNew(t *testing.T) {
	for name, c := range map[string]Config{
		"no dialer": {Roots: x509.NewCertPool(), Now: time.Now}, "no roots": {Dialer: &outbound.Dialer{}, Now: time.Now}, "no clock": {Dialer: &outbound.Dialer{}, Roots: x509.NewCertPool()},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s", name)
		}
	}
	s, err := New(Config{Dialer: &outbound.Dialer{}, Roots: x509.NewCertPool(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if s.Want(t.Context(), Place{Application: "a", URI: "https://a.example/"}, "k") {
		t.Error("a source that does not run has fetched")
	}
}

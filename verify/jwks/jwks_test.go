package jwks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/jwks"
)

const (
	issuer      = "https://as.example/tenant"
	metadataURL = "https://as.example/.well-known/oauth-authorization-server/tenant"
	keysURL     = "https://as.example/keys"
)

// server is an authorization server without a network. Latencies pass on the
// clock of the synctest bubble.
type server struct {
	testing.TB
	mu       sync.Mutex
	metadata string        // guarded by mu
	keys     []byte        // guarded by mu
	header   http.Header   // guarded by mu: of the key set
	status   int           // guarded by mu: of everything; 0 is 200
	down     bool          // guarded by mu
	latency  time.Duration // guarded by mu
	asked    []ask         // guarded by mu
}

type ask struct {
	url string
	at  time.Time
}

func newServer(t testing.TB, kids ...string) *server {
	s := &server{TB: t, header: http.Header{}}
	s.metadata = `{"issuer":"` + issuer + `","jwks_uri":"` + keysURL + `","other":[1]}`
	s.publish(kids...)
	return s
}

// publish makes a set of new keys with these kids.
func (s *server) publish(kids ...string) {
	var keys []*jose.PublicKey
	for _, kid := range kids {
		keys = append(keys, verifytest.NewSigner(s, jose.EdDSA, kid).Public())
	}
	s.set(func() { s.keys = jose.JWKSet(keys) })
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, ask{r.URL.String(), time.Now()})
	latency, down := s.latency, s.down
	s.mu.Unlock()
	select {
	case <-time.After(latency):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if down {
		return nil, errors.New("no route to host")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := &http.Response{StatusCode: 200, Header: http.Header{}, Request: r}
	if s.status != 0 {
		answer.StatusCode = s.status
		answer.Header.Set("Location", "https://elsewhere.example/keys")
	}
	switch r.URL.String() {
	case metadataURL:
		answer.Body = io.NopCloser(strings.NewReader(s.metadata))
	case keysURL:
		answer.Header = s.header.Clone()
		answer.Body = io.NopCloser(bytes.NewReader(s.keys))
	default:
		answer.StatusCode, answer.Body = 200, io.NopCloser(bytes.NewReader(s.keys))
	}
	return answer, nil
}

// fetches tells when the key set was asked for.
func (s *server) fetches() (times []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.asked {
		if a.url == keysURL {
			times = append(times, a.at)
		}
	}
	return times
}

// start runs a source until the test ends, and waits for its first fetch.
func start(t *testing.T, s *server) *jwks.Source {
	t.Helper()
	source, err := jwks.New(jwks.Config{Issuers: []string{issuer}, HTTP: &http.Client{Transport: s}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = source.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	synctest.Wait()
	return source
}

// has tells whether the source's set has a kid.
func has(t *testing.T, s *jwks.Source, kid string) bool {
	t.Helper()
	set, err := s.Keys(issuer)
	return err == nil && set.Has(kid)
}

func want(t *testing.T, s *jwks.Source, kid string, expected verify.Outcome) {
	t.Helper()
	before := time.Now()
	if got := s.Want(t.Context(), issuer, kid); got != expected {
		t.Errorf("Want(%s) = %d, want %d", kid, got, expected)
	}
	if waited := time.Since(before); waited > 250*time.Millisecond {
		t.Errorf("waited %v", waited)
	}
}

func TestKeys(t *testing.T) {
	bubble(t, "the issuer's keys are found through its metadata", func(t *testing.T) {
		s := newServer(t, "a", "b")
		source := start(t, s)
		if !has(t, source, "a") || !has(t, source, "b") || has(t, source, "c") {
			t.Error("the set is another")
		}
		if s.asked[0].url != metadataURL {
			t.Errorf("RFC 8414 §3.1: asked %s", s.asked[0].url)
		}
		if _, err := source.Keys("https://other.example"); !errors.Is(err, verify.ErrNoKeys) {
			t.Errorf("keys of an issuer that is not configured: %v", err)
		}
		if got := source.Want(t.Context(), "https://other.example", "a"); got != verify.Absent {
			t.Errorf("Want of an issuer that is not configured: %v", got)
		}
		time.Sleep(time.Second)
		if age, ok := source.Age(issuer); !ok || age != time.Second {
			t.Errorf("age %v, %t", age, ok)
		}
		if _, ok := source.Age("https://other.example"); ok {
			t.Error("an age of nothing")
		}
	})
	bubble(t, "before the first fetch there are none", func(t *testing.T) {
		s := newServer(t, "a")
		s.down = true
		source := start(t, s)
		if _, err := source.Keys(issuer); !errors.Is(err, verify.ErrNoKeys) {
			t.Errorf("error is %v", err)
		}
		if _, ok := source.Age(issuer); ok {
			t.Error("an age of nothing")
		}
	})
	bubble(t, "a first fetch that fails is not for ever", func(t *testing.T) {
		s := newServer(t, "a")
		s.down = true
		source := start(t, s)
		s.set(func() { s.down = false })
		time.Sleep(3 * time.Second)
		if !has(t, source, "a") {
			t.Error("no keys")
		}
	})
	bubble(t, "attack 28: a key that is withdrawn is gone after the next refresh, the same keys keep their pointer", func(t *testing.T) {
		s := newServer(t, "a", "b")
		source := start(t, s)
		first, _ := source.Keys(issuer)
		time.Sleep(6 * time.Minute)
		if again, _ := source.Keys(issuer); again != first {
			t.Error("the same keys are another set")
		}
		s.publish("b")
		time.Sleep(6 * time.Minute)
		if has(t, source, "a") || !has(t, source, "b") {
			t.Error("the old set is still trusted")
		}
	})
	bubble(t, "keys that cannot be refreshed serve for an hour", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		s.set(func() { s.down = true })
		time.Sleep(time.Hour)
		if !has(t, source, "a") {
			t.Error("gone within the hour")
		}
		time.Sleep(time.Second)
		if has(t, source, "a") {
			t.Error("trusted beyond the hour")
		}
		s.set(func() { s.down = false })
		time.Sleep(6 * time.Minute)
		if !has(t, source, "a") {
			t.Error("not back")
		}
	})
}

// bubble is a subtest on a clock of its own.
func bubble(t *testing.T, name string, f func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestRefresh(t *testing.T) {
	for cacheControl, longest := range map[string]time.Duration{
		"": 5 * time.Minute, "max-age=300": 5 * time.Minute, "max-age=86400": 5 * time.Minute, "public, Max-Age=60": time.Minute, `max-age="60"`: time.Minute,
		"max-age=0": 10 * time.Second, "max-age=1": 10 * time.Second, "max-age=-1": 10 * time.Second, "max-age=x": 10 * time.Second, "no-store": 5 * time.Minute,
	} {
		bubble(t, "refreshed at min(max-age, 5 min) with jitter: "+cacheControl, func(t *testing.T) {
			s := newServer(t, "a")
			s.header.Set("Cache-Control", cacheControl)
			start(t, s)
			time.Sleep(20 * longest)
			times := s.fetches()
			if len(times) < 20 || len(times) > 24 {
				t.Errorf("%d fetches", len(times))
			}
			differ := false
			for n := 1; n < len(times); n++ {
				gap := times[n].Sub(times[n-1])
				if gap > longest || gap < longest*9/10-time.Millisecond {
					t.Errorf("gap %v", gap)
				}
				differ = differ || n > 1 && gap != times[n-1].Sub(times[n-2])
			}
			if !differ {
				t.Error("no jitter")
			}
		})
	}
	bubble(t, "fetches that fail are tried again, ever less often", func(t *testing.T) {
		s := newServer(t, "a")
		start(t, s)
		s.set(func() { s.status = 500 })
		time.Sleep(2 * time.Hour)
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.asked); n < 20 || n > 100 {
			t.Errorf("%d requests in two hours", n)
		}
	})
}

func TestUnknownKid(t *testing.T) {
	bubble(t, "a new key is found at once, and known from then on", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		s.publish("a", "b")
		want(t, source, "b", verify.Refreshed)
		if !has(t, source, "b") {
			t.Error("not there")
		}
		want(t, source, "b", verify.Refreshed)
		if n := len(s.fetches()); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
	bubble(t, "many requests with one new kid share one fetch, and none is told that it is absent", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		want(t, source, "junk-1", verify.Absent) // of two fetches, one is left
		s.publish("a", "b")
		s.set(func() { s.latency = 100 * time.Millisecond })
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { want(t, source, "b", verify.Refreshed) })
		}
		wg.Wait()
		if n := len(s.fetches()); n != 3 {
			t.Errorf("%d fetches", n)
		}
	})
	bubble(t, "attack 17: ten thousand junk kids cost two fetches, and then one in ten seconds", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		junk := func(from int) (absent, unknown int) {
			for n := range 10_000 {
				switch source.Want(t.Context(), issuer, fmt.Sprint("junk-", from+n)) {
				case verify.Absent:
					absent++
				case verify.Unknown:
					unknown++
				}
			}
			return absent, unknown
		}
		if absent, unknown := junk(0); absent != 2 || unknown != 9998 || len(s.fetches()) != 3 {
			t.Errorf("%d absent, %d unknown, %d fetches", absent, unknown, len(s.fetches()))
		}
		time.Sleep(30 * time.Second)
		if absent, _ := junk(10_000); absent != 2 {
			t.Errorf("saved up for %d", absent)
		}
		before := len(s.fetches())
		for n := range 60 {
			time.Sleep(time.Second)
			source.Want(t.Context(), issuer, fmt.Sprint("more-", n))
		}
		if n := len(s.fetches()) - before; n < 5 || n > 6 {
			t.Errorf("%d fetches in a minute", n)
		}
		if !has(t, source, "a") {
			t.Error("the known key suffers")
		}
	})
	bubble(t, "a kid that was absent is 401, not 503, when the budget is spent", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		want(t, source, "x", verify.Absent)
		want(t, source, "x", verify.Absent)
		want(t, source, "x", verify.Absent)
		want(t, source, "y", verify.Unknown)
		if n := len(s.fetches()); n != 3 {
			t.Errorf("%d fetches", n)
		}
	})
	bubble(t, "a kid that was absent and is published is found within ten seconds", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		for range 3 {
			want(t, source, "b", verify.Absent)
		}
		s.publish("a", "b")
		time.Sleep(10 * time.Second)
		want(t, source, "b", verify.Refreshed)
	})
	bubble(t, "a slow issuer keeps no request longer than 250 ms, and its answer is used", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		s.publish("a", "b")
		s.set(func() { s.latency = time.Second })
		before := time.Now()
		want(t, source, "b", verify.Unknown)
		if waited := time.Since(before); waited != 250*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
		time.Sleep(time.Second)
		want(t, source, "b", verify.Refreshed)
	})
	bubble(t, "a client that is gone waits for nothing", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		s.set(func() { s.latency = time.Second })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		before := time.Now()
		if got := source.Want(ctx, issuer, "b"); got != verify.Unknown || time.Since(before) != 0 {
			t.Errorf("%v after %v", got, time.Since(before))
		}
	})
	bubble(t, "a fetch that fails says nothing of what is absent", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		s.set(func() { s.down = true })
		want(t, source, "b", verify.Unknown)
		want(t, source, "b", verify.Unknown)
		want(t, source, "b", verify.Unknown)
	})
	bubble(t, "the memory of absent kids is bounded", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		s.set(func() { s.latency = 200 * time.Millisecond })
		var wg sync.WaitGroup
		for n := range 10_000 { // all join one fetch
			wg.Go(func() { source.Want(t.Context(), issuer, fmt.Sprint("junk-", n)) })
		}
		wg.Wait()
		absent := 0
		source.Want(t.Context(), issuer, "last") // the budget's end
		for n := range 10_000 {
			if source.Want(t.Context(), issuer, fmt.Sprint("junk-", n)) == verify.Absent {
				absent++
			}
		}
		if absent > 4096 {
			t.Errorf("%d remembered", absent)
		}
	})
}

func TestFetchRefusals(t *testing.T) {
	many := func(n int) (kids []string) {
		for k := range n {
			kids = append(kids, fmt.Sprint("k", k))
		}
		return kids
	}
	for _, tt := range []struct {
		name   string
		change func(*server)
		good   bool
	}{
		{"64 keys", func(s *server) { s.publish(many(64)...) }, true},
		{"advisory 87: 65 keys", func(s *server) { s.publish(many(65)...) }, false},
		{"256 KiB", func(s *server) {
			s.keys = append(s.keys, bytes.Repeat([]byte(" "), 256<<10-len(s.keys))...)
		}, true},
		{"advisory 87: more than 256 KiB", func(s *server) {
			s.keys = append(s.keys, bytes.Repeat([]byte(" "), 256<<10-len(s.keys)+1)...)
		}, false},
		{"advisory 87: an answer that takes longer than 5 s", func(s *server) { s.latency = 6 * time.Second }, false},
		{"a redirect", func(s *server) { s.status = 302 }, false},
		{"an error with keys in it", func(s *server) { s.status = 404 }, false},
		{"no JSON", func(s *server) { s.keys = []byte("<html>") }, false},
		{"advisory 16: one kid twice", func(s *server) { s.publish("a", "a") }, false},
		{"advisory 41: metadata of another issuer", func(s *server) { s.metadata = strings.Replace(s.metadata, issuer, "https://evil.example", 1) }, false},
		{"metadata whose issuer has a slash more", func(s *server) { s.metadata = strings.Replace(s.metadata, issuer, issuer+"/", 1) }, false},
		{"metadata without issuer", func(s *server) { s.metadata = `{"jwks_uri":"` + keysURL + `"}` }, false},
		{"metadata without jwks_uri", func(s *server) { s.metadata = `{"issuer":"` + issuer + `"}` }, false},
		{"advisory 84: keys over http", func(s *server) { s.metadata = strings.Replace(s.metadata, keysURL, "http://as.example/keys", 1) }, false},
		{"advisory 84: keys in a file", func(s *server) { s.metadata = strings.Replace(s.metadata, keysURL, "file:///etc/keys", 1) }, false},
		{"keys at no host", func(s *server) { s.metadata = strings.Replace(s.metadata, keysURL, "https:///keys", 1) }, false},
		{"advisory 90: keys at a host with a user name", func(s *server) {
			s.metadata = strings.Replace(s.metadata, keysURL, "https://good@evil.example/keys", 1)
		}, false},
		{"a jwks_uri that is no URL", func(s *server) { s.metadata = strings.Replace(s.metadata, keysURL, "https://a b", 1) }, false},
		{"a jwks_uri that is a number", func(s *server) { s.metadata = `{"issuer":"` + issuer + `","jwks_uri":1}` }, false},
		{"metadata that is no JSON", func(s *server) { s.metadata = "x" }, false},
		{"metadata with issuer twice", func(s *server) { s.metadata = `{"issuer":"https://evil.example",` + s.metadata[1:] }, false},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			s := newServer(t, "k0")
			tt.change(s)
			source := start(t, s)
			time.Sleep(time.Second)
			if got := has(t, source, "k0"); got != tt.good {
				t.Errorf("keys: %t", got)
			}
		})
	}
	bubble(t, "keys that are held outlive an answer that is refused", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		s.set(func() { s.keys = []byte("x") })
		time.Sleep(10 * time.Minute)
		if !has(t, source, "a") {
			t.Error("thrown away")
		}
	})
	bubble(t, "keys that moved are found through the metadata again", func(t *testing.T) {
		s := newServer(t, "a")
		source := start(t, s)
		s.publish("b")
		s.set(func() {
			s.metadata, s.status = strings.Replace(s.metadata, keysURL, "https://as.example/moved", 1), 404
		})
		time.Sleep(6 * time.Minute)
		s.set(func() { s.status = 0 })
		time.Sleep(6 * time.Minute)
		if !has(t, source, "b") {
			t.Error("not found")
		}
	})
}

func TestConfig(t *testing.T) {
	good := jwks.Config{Issuers: []string{issuer}, HTTP: http.DefaultClient, Now: time.Now}
	for name, change := range map[string]func(*jwks.Config){
		"no issuers": func(c *jwks.Config) { c.Issuers = nil }, "no client": func(c *jwks.Config) { c.HTTP = nil }, "no clock": func(c *jwks.Config) { c.Now = nil },
		"an issuer over http": func(c *jwks.Config) { c.Issuers = []string{"http://as.example"} }, "an issuer without host": func(c *jwks.Config) { c.Issuers = []string{"https:///x"} },
		"an issuer that is no URL": func(c *jwks.Config) { c.Issuers = []string{"https://a b"} }, "an issuer with a query": func(c *jwks.Config) { c.Issuers = []string{"https://as.example?x"} },
		"an issuer with a question mark": func(c *jwks.Config) { c.Issuers = []string{"https://as.example?"} }, "an issuer with a fragment": func(c *jwks.Config) { c.Issuers = []string{"https://as.example#x"} },
		"an issuer with a user name": func(c *jwks.Config) { c.Issuers = []string{"https://u@as.example"} }, "an issuer twice": func(c *jwks.Config) { c.Issuers = []string{issuer, issuer} },
	} {
		c := good
		change(&c)
		if s, err := jwks.New(c); err == nil || s != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := jwks.New(good); err != nil {
		t.Error(err)
	}
}

func TestOverTLS(t *testing.T) {
	l := verifytest.Listen(t)
	signer := verifytest.NewSigner(t, jose.ES256, "a")
	redirected := false
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, l.URL, l.URL+"/keys")
	})
	mux.HandleFunc("/.well-known/oauth-authorization-server/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, _ *http.Request) {
		redirected = true
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, l.URL+"/moved", l.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(jose.JWKSet([]*jose.PublicKey{signer.Public()}))
	})
	l.Serve(t, mux)
	client := l.Client(t, nil)
	client.CheckRedirect = nil // the source does not follow whatever the client would
	source, err := jwks.New(jwks.Config{Issuers: []string{l.URL, l.URL + "/moved"}, HTTP: client, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = source.Run(ctx)
	}()
	defer func() {
		cancel()
		<-done
	}()
	if got := source.Want(ctx, l.URL+"/moved", "a"); got != verify.Unknown {
		t.Errorf("an issuer behind a redirect: %v", got)
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		if set, err := source.Keys(l.URL); err == nil && set.Has("a") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no keys")
		}
		source.Want(ctx, l.URL, "a")
	}
	if _, err := source.Keys(l.URL + "/moved"); !errors.Is(err, verify.ErrNoKeys) || redirected {
		t.Errorf("advisory 85: a redirect was followed: %v, %t", err, redirected)
	}
}

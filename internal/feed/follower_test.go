package feed

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/verify"
)

// serve is a listener as the server has it, with the feed of d.
func serve(t *testing.T, d Source, timeout time.Duration) *httptest.Server {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	table := web.NewTable(web.Options{
		Listener: "public", Now: time.Now, Log: log,
		Render: func(w http.ResponseWriter, _ *web.Request, err error) {
			if e, ok := oauth.AsError(err); ok {
				w.WriteHeader(e.Status)
			}
		},
	}, []web.Route{{Pattern: "GET /feed", Handler: Handler(d, nil, nil)}})
	s := httptest.NewUnstartedServer(nil)
	s.Config = web.NewServer(table, nil, log)
	if timeout > 0 {
		s.Config.ReadTimeout, s.Config.WriteTimeout = timeout, timeout
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func follower(s *httptest.Server) *Follower {
	return &Follower{
		URL: s.URL + "/feed", HTTP: s.Client(), State: NewState(time.Now), Wait: time.Second,
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
}

// start runs f until the test ends.
func start(t *testing.T, f *Follower) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRevocationReachesTheGateway is the whole way: a change through the
// directory, on disk, over TLS, into the State of another process.
func TestRevocationReachesTheGateway(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "holdfast.db"), store.Options{Create: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := directory.Open(t.Context(), s, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := d.CreateOrganisation(ctx, "system", directory.Organisation{ID: "acme", Name: "Acme"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.CreateApplication(ctx, "system", directory.Application{ClientID: "billing", Organisation: "acme", Name: "Billing", AuthMethod: directory.PrivateKeyJWT, Binding: "dpop"}); err != nil {
		t.Fatal(err)
	}
	private, err := jose.GenerateKey(jose.ES256, nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.NewPublicKey(private.Public(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.RegisterKey(ctx, "system", "billing", public, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	f := follower(serve(t, d, 0))
	start(t, f)
	token := &verify.Token{ID: "t", ClientID: "billing", CredentialID: string(key.ID), IssuedAt: time.Now()}
	ended := func(want verify.Reason) {
		t.Helper()
		eventually(t, string("ended: "+want), func() bool {
			reason, age := f.State.Ended(token)
			return reason == want && age < time.Minute
		})
	}
	ended("")
	if err := d.SetApplicationState(ctx, "system", "billing", directory.Suspended); err != nil {
		t.Fatal(err)
	}
	ended("application_suspended")
	if err := d.SetApplicationState(ctx, "system", "billing", directory.Active); err != nil {
		t.Fatal(err)
	}
	ended("application_tokens_revoked")
	token.IssuedAt = time.Now().Add(time.Second)
	ended("")
	if err := d.RevokeToken(ctx, "system", "billing", directory.RevokedToken{ID: "t", Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	ended("token_revoked")
	token.ID = "another"
	ended("")
	if err := d.SetCredentialState(ctx, "system", key.ID, directory.Revoked); err != nil {
		t.Fatal(err)
	}
	ended("credential_revoked")
}

func TestPoll(t *testing.T) {
	t.Run("a wait beyond the listener's timeouts is answered", func(t *testing.T) {
		f := follower(serve(t, newBook(world()...), 300*time.Millisecond))
		for range 3 { // on one connection
			if err := f.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.State.Current().Sequence(); got != 4 {
			t.Errorf("at change %d", got)
		}
	})
	t.Run("a server that is restored is followed, and what was revoked stays so", func(t *testing.T) {
		source := &swap{}
		source.Store(newBook(append(world(), credential("key", "billing", directory.SigningKey, directory.Revoked))...))
		f := follower(serve(t, source, 0))
		start(t, f)
		eventually(t, "the old server's number", func() bool { return f.State.Current().Sequence() == 5 })
		source.Store(newBook(world()...))
		eventually(t, "the restored server's number", func() bool { return f.State.Current().Sequence() == 4 })
		if reason, _ := f.State.Ended(bound()); reason != "credential_revoked" {
			t.Errorf("ended: %q", reason)
		}
	})
	for name, handler := range map[string]http.HandlerFunc{
		"503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"401 with a document": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			w.Write(text(t, &Document{Full: true}))
		},
		"no document": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"half a document": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "900")
			io.WriteString(w, "{")
		},
		"a document that goes back": func(w http.ResponseWriter, _ *http.Request) {
			w.Write(text(t, &Document{Delta: directory.Delta{Sequence: 3}}))
		},
		"a connection that is reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name+" is an error and changes nothing", func(t *testing.T) {
			s := httptest.NewTLSServer(handler)
			defer s.Close()
			f := follower(s)
			d, err := newBook(world()...).Delta(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.State.Apply(&Document{Full: true, Delta: d}, 0, time.Now()); err != nil {
				t.Fatal(err)
			}
			before := f.State.current.Load()
			if err := f.Poll(t.Context()); err == nil || f.State.current.Load() != before {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a URL that is none is an error", func(t *testing.T) {
		f := &Follower{URL: "https://[", HTTP: http.DefaultClient, State: NewState(time.Now), Now: time.Now}
		if err := f.Poll(t.Context()); err == nil {
			t.Error("no error")
		}
	})
	t.Run("a certificate that is not trusted is an error", func(t *testing.T) {
		f := follower(serve(t, newBook(world()...), 0))
		transport := &http.Transport{TLSClientConfig: &tls.Config{ServerName: "elsewhere"}}
		defer transport.CloseIdleConnections()
		f.HTTP = &http.Client{Transport: transport}
		if err := f.Poll(t.Context()); err == nil {
			t.Error("no error")
		}
	})
}

// swap is a Source that can be exchanged for another.
type swap struct{ atomic.Pointer[book] }

func (s *swap) Current() *directory.Snapshot                    { return s.Load().Current() }
func (s *swap) Changed(old *directory.Snapshot) <-chan struct{} { return s.Load().Changed(old) }
func (s *swap) Age() time.Duration                              { return s.Load().Age() }
func (s *swap) Delta(ctx context.Context, n int64) (directory.Delta, error) {
	return s.Load().Delta(ctx, n)
}

// wire is a server without a network, for tests on a fake clock.
type wire func(r *http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func TestRunOnFakeClock(t *testing.T) {
	t.Run("a server that is away is asked with growing pauses, told of once, and alarmed about after a minute", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var log journal
			var asked atomic.Int32
			var back atomic.Bool
			f := &Follower{URL: "https://as/feed", State: NewState(time.Now), Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))}
			f.HTTP = &http.Client{Transport: wire(func(*http.Request) (*http.Response, error) {
				asked.Add(1)
				if !back.Load() {
					return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
				}
				time.Sleep(time.Second)
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"sequence":0,"full":false,"age_ms":0}`))}, nil
			})}
			if err := f.State.Apply(&Document{}, 0, time.Now()); err != nil {
				t.Fatal(err)
			}
			pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- f.Run(ctx) }()
			pass(2 * time.Second)
			if asked.Load() < 4 {
				t.Errorf("asked %d times in the first 2 s", asked.Load())
			}
			pass(56 * time.Second)
			if strings.Contains(log.String(), "ERROR") {
				t.Error("alarmed before 60 s")
			}
			pass(2 * time.Minute)
			if asked.Load() > 80 {
				t.Errorf("asked %d times in 3 minutes", asked.Load())
			}
			if w, e := strings.Count(log.String(), "WARN"), strings.Count(log.String(), "ERROR"); w != 1 || e != 1 {
				t.Errorf("%d warnings, %d alarms", w, e)
			}
			back.Store(true)
			pass(maxBackoff + 2*time.Second)
			if !strings.Contains(log.String(), "answers again") || f.State.Age() > 2*time.Second {
				t.Errorf("not heard again: age %v, log %s", f.State.Age(), log.String())
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("a server that neither waits nor tells anything is not asked in a circle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			f := &Follower{URL: "https://as/feed", State: NewState(time.Now), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
			f.HTTP = &http.Client{Transport: wire(func(*http.Request) (*http.Response, error) {
				asked++
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"sequence":0,"full":false,"age_ms":0}`))}, nil
			})}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := f.Run(ctx); err != nil || asked > 40 {
				t.Errorf("asked %d times in a minute, %v", asked, err)
			}
		})
	})
	t.Run("a server that never answers is given up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &Follower{URL: "https://as/feed", State: NewState(time.Now), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
			f.HTTP = &http.Client{Transport: wire(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})}
			begin := time.Now()
			if err := f.Poll(t.Context()); err == nil || time.Since(begin) > time.Minute {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
		})
	})
	t.Run("what is asked for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var urls []string
			f := &Follower{URL: "https://as/feed", State: NewState(time.Now), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
			f.HTTP = &http.Client{Transport: wire(func(r *http.Request) (*http.Response, error) {
				urls = append(urls, r.URL.String())
				return nil, errors.New("away")
			})}
			f.Poll(t.Context())
			f.Wait = 3 * time.Second
			f.Poll(t.Context())
			if strings.Join(urls, " ") != "https://as/feed?after=0&wait=20 https://as/feed?after=0&wait=3" {
				t.Errorf("asked %v", urls)
			}
		})
	})
}

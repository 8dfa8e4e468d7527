package feed

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/web"
)

func TestParseQuery(t *testing.T) {
	for raw, want := range map[string]query{
		"after=0":                   {after: 0, wait: 20 * time.Second},
		"after=4711&wait=1":         {after: 4711, wait: time.Second},
		"wait=20&after=1":           {after: 1, wait: 20 * time.Second},
		"after=7&checkpoint=5":      {after: 7, wait: 20 * time.Second, held: 5},
		"after=9223372036854775807": {after: 1<<63 - 1, wait: 20 * time.Second},
	} {
		if got, err := parseQuery(raw); err != nil || got != want {
			t.Errorf("%s: got %v, %v", raw, got, err)
		}
	}
	for _, raw := range []string{
		"", "after", "after=", "wait=5", "after=1&after=1", "after=-1", "after=+1", "after=01", "after=1.0", "after=1e3", "after=x",
		"after=9223372036854775808", "after=1&wait=0", "after=1&wait=21", "after=1&wait=1&wait=1", "after=1&checkpoint=-1", "after=1&checkpoint=1&checkpoint=1", "after=1&checkpoint=", "after=1&token=x", "after=1&x=1", "after=%zz", "after=1;wait=1", "After=1",
	} {
		if got, err := parseQuery(raw); err == nil {
			t.Errorf("%q: got %v", raw, got)
		}
	}
}

// ask calls next and tells how long it took on the bubble's clock.
func ask(d Source, q query) (*Document, time.Duration, error) {
	begin := time.Now()
	document, err := next(context.Background(), d, q, nil)
	return document, time.Since(begin), err
}

func TestNext(t *testing.T) {
	t.Run("all of it, at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d, took, err := ask(newBook(world()...), query{after: 0, wait: maxWait})
			if err != nil || took != 0 || !d.Full || d.Delta.Sequence != 4 || len(d.Delta.Credentials) != 2 {
				t.Errorf("got %+v after %v, %v", d, took, err)
			}
		})
	})
	t.Run("what is newer, at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d, took, err := ask(newBook(world()...), query{after: 3, wait: maxWait})
			if err != nil || took != 0 || d.Full || d.Delta.Sequence != 4 || len(d.Delta.Credentials) != 1 {
				t.Errorf("got %+v after %v, %v", d, took, err)
			}
		})
	})
	t.Run("what is newer, as soon as there is something", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBook(world()...)
			go func() { time.Sleep(3 * time.Second); b.append(revoked("t")) }()
			d, took, err := ask(b, query{after: 4, wait: maxWait})
			if err != nil || took != 3*time.Second || d.Full || d.Delta.Sequence != 5 || len(d.Delta.Revoked) != 1 {
				t.Errorf("got %+v after %v, %v", d, took, err)
			}
		})
	})
	t.Run("nothing after the wait, with the age of the server's own knowledge", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBook(world()...)
			b.age = 10 * time.Second
			d, took, err := ask(b, query{after: 4, wait: 7 * time.Second})
			if err != nil || took != 7*time.Second || d.Full || d.Delta.Sequence != 4 || d.Age != 10*time.Second || len(d.Delta.Applications) != 0 {
				t.Errorf("got %+v after %v, %v", d, took, err)
			}
		})
	})
	t.Run("a server that is cut off from its database does not say that nothing changed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBook(world()...)
			b.age = 10*time.Second + 1
			if _, _, err := ask(b, query{after: 4, wait: time.Second}); !errors.Is(err, errCutOff) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("a clock that went back is no negative age", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBook(world()...)
			b.age = -time.Second
			if d, _, err := ask(b, query{after: 4, wait: time.Second}); err != nil || d.Age != 0 {
				t.Errorf("got %+v, %v", d, err)
			}
		})
	})
	t.Run("a node that is behind another catches up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBook(world()...)
			go func() {
				time.Sleep(time.Second)
				b.append(revoked("t"))
				time.Sleep(time.Second)
				b.append(revoked("u"))
			}()
			d, took, err := ask(b, query{after: 5, wait: maxWait})
			if err != nil || took != 2*time.Second || d.Full || d.Delta.Sequence != 6 || len(d.Delta.Revoked) != 1 {
				t.Errorf("got %+v after %v, %v", d, took, err)
			}
		})
	})
	t.Run("a server that stays behind was restored and tells all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d, took, err := ask(newBook(world()...), query{after: 900, wait: maxWait})
			if err != nil || took != maxBehind || !d.Full || d.Delta.Sequence != 4 || len(d.Delta.Applications) != 1 {
				t.Errorf("got %+v after %v, %v", d, took, err)
			}
		})
	})
	t.Run("a server that stays behind for a shorter wait, too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d, took, err := ask(newBook(world()...), query{after: 900, wait: time.Second})
			if err != nil || took != time.Second || !d.Full {
				t.Errorf("got %+v after %v, %v", d, took, err)
			}
		})
	})
	t.Run("an empty directory does not answer in a circle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if d, took, err := ask(newBook(), query{after: 0, wait: maxWait}); err != nil || took != maxWait || d.Delta.Sequence != 0 {
				t.Errorf("got %+v after %v, %v", d, took, err)
			}
		})
	})
	t.Run("a server that drains sends everybody away at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ending, begin := make(chan struct{}), time.Now()
			go func() { time.Sleep(2 * time.Second); close(ending) }()
			_, err := next(context.Background(), newBook(world()...), query{after: 4, wait: maxWait}, ending)
			if took := time.Since(begin); !errors.Is(err, errEnding) || took != 2*time.Second {
				t.Errorf("got %v after %v", err, took)
			}
		})
	})
	t.Run("a gateway that is gone frees the handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if _, err := next(ctx, newBook(world()...), query{after: 4, wait: maxWait}, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	})
}

func TestHandler(t *testing.T) {
	call := func(d Source, target string) (*httptest.ResponseRecorder, error) {
		w := httptest.NewRecorder()
		r := &web.Request{Request: httptest.NewRequest("GET", target, nil), Event: &web.Event{Time: time.Now()}}
		return w, Handler(d, nil, nil)(w, r)
	}
	t.Run("a document that nobody keeps", func(t *testing.T) {
		w, err := call(newBook(world()...), "/feed?after=0")
		if err != nil || w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("got %d, %v, %v", w.Code, w.Header(), err)
		}
		if _, err := ParseDocument(w.Body.Bytes()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a wrong query is invalid_request", func(t *testing.T) {
		w, err := call(newBook(), "/feed?after=x")
		if e, ok := oauth.AsError(err); !ok || e.Code != oauth.InvalidRequest || e.Status != http.StatusBadRequest || w.Body.Len() != 0 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a directory that cannot be read is 503 with Retry-After and no document", func(t *testing.T) {
		b := newBook(world()...)
		b.fault = errors.New("disk on fire")
		w, err := call(b, "/feed?after=1")
		e, ok := oauth.AsError(err)
		if !ok || e.Status != http.StatusServiceUnavailable || e.RetryAfter == 0 || !errors.Is(err, b.fault) || strings.Contains(e.Description, "fire") || w.Body.Len() != 0 {
			t.Errorf("got %v", err)
		}
	})
}

var _ Source = (*directory.Directory)(nil)

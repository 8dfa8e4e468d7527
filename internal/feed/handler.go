package feed

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// MaxWait is how long a request without news is held.
const MaxWait = 5 * time.Second

// Source is the directory as the feed reads it: a *directory.Directory.
type Source interface {
	Current() *directory.Snapshot
	Changed(*directory.Snapshot) <-chan struct{}
	Delta(ctx context.Context, after int64) (directory.Delta, error)
	Age() time.Duration
}

// Handler answers GET /feed?after=N. It holds a request without news until there
// is some, for MaxWait at most. A sequence that this
// server has not reached (it was restored from a backup) is answered in full.
func Handler(source Source) web.Handler {
	return func(w http.ResponseWriter, r *web.Request) error {
		after, ok := parseAfter(r.URL.RawQuery)
		if !ok {
			http.Error(w, "after is the sequence of the last answer, or 0", http.StatusBadRequest)
			return nil
		}
		now := source.Current()
		if after == now.Sequence() {
			hold := time.NewTimer(MaxWait)
			defer hold.Stop()
			select {
			case <-source.Changed(now):
			case <-hold.C:
			case <-r.Context().Done():
				return r.Context().Err()
			}
		}
		// What is older than this server may answer for is not news.
		if source.Age() > maxAge {
			w.Header().Set("Retry-After", "2")
			http.Error(w, "the directory cannot be read", http.StatusServiceUnavailable)
			return nil
		}
		full := after == 0 || after > source.Current().Sequence()
		if full {
			after = 0
		}
		delta, err := source.Delta(r.Context(), after)
		if err != nil {
			return err
		}
		body, err := json.Marshal(newDocument(delta, full))
		if err != nil {
			return err
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		_, err = w.Write(body)
		return err
	}
}

// maxAge is how old the directory's knowledge may be that is fed as news.
const maxAge = 10 * time.Second

// parseAfter reads the one parameter.
func parseAfter(query string) (after int64, ok bool) {
	text, ok := strings.CutPrefix(query, "after=")
	if !ok || text == "" || len(text) > 19 || text != "0" && text[0] == '0' {
		return 0, false
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	after, err := strconv.ParseInt(text, 10, 64)
	return after, err == nil
}

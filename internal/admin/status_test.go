package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// set changes what the status reports.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) status() admin.Status {
	return admin.Status{
		Age:      func() time.Duration { w.mu.Lock(); defer w.mu.Unlock(); return w.age },
		Draining: func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.draining },
		Ping: func(ctx context.Context) error {
			if _, limited := ctx.Deadline(); !limited {
				return errors.New("no deadline")
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.pingErr
		},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a_metric 1\n") }),
		Version: map[string]string{"version": "1.2.3"},
	}
}

func TestStatus(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{"/healthz": `{"status":"alive"}` + "\n", "/version": `{"version":"1.2.3"}` + "\n", "/metrics": "a_metric 1\n"} {
		got := w.ask(http.MethodGet, path, "", "")
		if got.status != 200 || got.body != want {
			t.Errorf("%s: %d %q", path, got.status, got.body)
		}
		if e := w.lastEvent(got); e.Route != "GET "+path || e.Outcome != "served" {
			t.Errorf("%s: %+v", path, e)
		}
	}
	for _, c := range []struct {
		name         string
		age          time.Duration
		ping         error
		draining     bool
		status       int
		text         string
		snapshot, ok bool // of the checks
	}{
		{"all is well", 10 * time.Second, nil, false, 200, "ready", true, true},
		{"the snapshot is older than 10 s", 10*time.Second + 1, nil, false, 503, "not_ready", false, true},
		{"the store does not answer", time.Second, errDisk, false, 503, "not_ready", true, false},
		{"neither", time.Hour, errDisk, true, 503, "not_ready", false, false},
		{"the process is about to end", 0, nil, true, 503, "draining", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.set(func() { w.age, w.pingErr, w.draining = c.age, c.ping, c.draining })
			got := w.ask(http.MethodGet, "/readyz", "", "")
			var body struct {
				Status string
				Checks map[string]struct {
					OK         bool    `json:"ok"`
					AgeSeconds float64 `json:"age_seconds"`
					Problem    string
				}
			}
			check(t, json.Unmarshal([]byte(got.body), &body))
			snapshot, store := body.Checks["snapshot"], body.Checks["store"]
			if got.status != c.status || body.Status != c.text || snapshot.OK != c.snapshot || store.OK != c.ok || snapshot.AgeSeconds != c.age.Seconds() {
				t.Errorf("%d %s", got.status, got.body)
			}
			if (snapshot.Problem == "") != c.snapshot || (store.Problem == "") != c.ok || strings.Contains(got.body, "disk") {
				t.Errorf("%s", got.body)
			}
			if e := w.lastEvent(got); c.status == 503 && e.Reason != c.text || c.ping != nil && e.Cause != errDisk.Error() {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestStatusThatCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	c := w.config(w.URL, w.noEvents)
	status := w.status()
	status.Version = func() {}
	c.Routes = status.Routes()
	h, err := admin.New(c)
	check(t, err)
	if got := serve(h, http.MethodGet, "/version"); got != http.StatusInternalServerError {
		t.Errorf("%d", got)
	}
}

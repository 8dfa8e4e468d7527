package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/web"
)

const pingTimeout = 2 * time.Second

// Status tells load balancers and people how the process does. Its routes need
// no token, change nothing and name nobody.
type Status struct {
	// Age is how long ago the snapshot was last known to be the newest.
	Age func() time.Duration
	// Ping asks the store for a sign of life.
	Ping func(context.Context) error
	// Draining tells that the process is about to end.
	Draining func() bool
	// Audit tells what is wrong with the audit chain, "" for nothing. May be nil.
	Audit   func() string
	Metrics http.Handler
	// Version is what /version shows, as JSON.
	Version any
}

// Routes are /healthz (the process answers), /readyz (it can do its work; 503
// when not), /metrics and /version.
func (s Status) Routes() []web.Route {
	return []web.Route{
		{Pattern: "GET /healthz", Handler: func(w http.ResponseWriter, _ *web.Request) error {
			return writeJSON(w, http.StatusOK, readiness{Status: "alive"})
		}},
		{Pattern: "GET /readyz", Handler: s.ready},
		{Pattern: "GET /metrics", Handler: web.Plain(s.Metrics)},
		{Pattern: "GET /version", Handler: func(w http.ResponseWriter, _ *web.Request) error {
			return writeJSON(w, http.StatusOK, s.Version)
		}},
	}
}

// readiness is the answer of /readyz.
type readiness struct {
	Status string           `json:"status"` // "ready", "not_ready", "draining"; "alive" at /healthz
	Checks map[string]check `json:"checks,omitempty"`
}

type check struct {
	OK         bool    `json:"ok"`
	AgeSeconds float64 `json:"age_seconds,omitempty"`
	Problem    string  `json:"problem,omitempty"`
}

func (s Status) ready(w http.ResponseWriter, r *web.Request) error {
	age := s.Age()
	snapshot, store := check{OK: true, AgeSeconds: age.Seconds()}, check{OK: true}
	if age > directory.MaxAge {
		snapshot.OK, snapshot.Problem = false, "older than 10 s"
	}
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	if err := s.Ping(ctx); err != nil {
		store.OK, store.Problem = false, "does not answer"
		r.Event.Cause = err.Error()
	}
	answer := readiness{Status: "ready", Checks: map[string]check{"snapshot": snapshot, "store": store}}
	if s.Audit != nil { // for people: tokens do not wait for them
		problem := s.Audit()
		answer.Checks["audit"] = check{OK: problem == "", Problem: problem}
	}
	switch {
	case !snapshot.OK || !store.OK:
		answer.Status = "not_ready"
	case s.Draining():
		answer.Status = "draining"
	default:
		return writeJSON(w, http.StatusOK, answer)
	}
	r.Event.Reason = answer.Status
	return writeJSON(w, http.StatusServiceUnavailable, answer)
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone if this fails
	return nil
}

package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/metrics"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// scrape is what GET /metrics says about our own metrics, line by line.
func scrape(t *testing.T, m *metrics.Metrics) []string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d", w.Code)
	}
	var own []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "holdfast_") {
			own = append(own, strings.TrimSuffix(line, "\n"))
		}
	}
	return own
}

func wantLines(t *testing.T, m *metrics.Metrics, want ...string) {
	t.Helper()
	got := "\n" + strings.Join(scrape(t, m), "\n") + "\n"
	for _, line := range want {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("no line %s in%s", line, got)
		}
	}
}

func TestObserve(t *testing.T) {
	m := metrics.New("1.2.3")
	m.Watch("snapshot_age_seconds", "Age.", func() float64 { return 1.5 })
	token := web.Event{Listener: "public", Route: "POST /token", Status: 200, Outcome: "issued", AuthMethod: "private_key_jwt", Binding: "dpop", Duration: 3 * time.Millisecond}
	m.Observe(&token)
	m.Observe(&token)
	m.Observe(&web.Event{Listener: "mtls", Route: "POST /token", Status: 401, Outcome: "refused", Reason: "unknown_client", AuthMethod: "sesame", Binding: "sesame"})
	m.Observe(&web.Event{Listener: "public", Route: "POST /token", Status: 503, Outcome: "failed", AuthMethod: "tls_client_auth", Binding: "mtls", Reason: "store"})
	m.Observe(&web.Event{Listener: "public", Status: 404, Outcome: "refused", Reason: "no_such_path"})
	m.Observe(&web.Event{Listener: "admin", Route: "GET /healthz", Status: 999, Outcome: "sesame", Reason: web.ReasonPanic})
	m.Observe(&web.Event{Listener: "mtls", Route: "POST /token", Status: 200, Outcome: "sesame", AuthMethod: "self_signed_tls_client_auth", Binding: "mtls"})
	wantLines(t, m,
		`holdfast_requests_total{listener="public",route="POST /token",status="200"} 2`,
		`holdfast_requests_total{listener="mtls",route="POST /token",status="401"} 1`,
		`holdfast_requests_total{listener="public",route="none",status="404"} 1`,
		`holdfast_requests_total{listener="admin",route="GET /healthz",status="other"} 1`,
		`holdfast_request_duration_seconds_bucket{listener="public",route="POST /token",le="0.005"} 3`,
		`holdfast_request_duration_seconds_bucket{listener="public",route="POST /token",le="0.0025"} 1`,
		`holdfast_refusals_total{listener="mtls",reason="unknown_client"} 1`,
		`holdfast_refusals_total{listener="public",reason="no_such_path"} 1`,
		`holdfast_token_requests_total{auth_method="private_key_jwt",binding="dpop",result="issued"} 2`,
		`holdfast_token_requests_total{auth_method="none",binding="none",result="refused"} 1`,
		`holdfast_token_requests_total{auth_method="tls_client_auth",binding="mtls",result="failed"} 1`,
		`holdfast_token_requests_total{auth_method="self_signed_tls_client_auth",binding="mtls",result="other"} 1`,
		`holdfast_panics_total{listener="admin"} 1`,
		`holdfast_snapshot_age_seconds 1.5`,
	)
	for _, line := range scrape(t, m) {
		if strings.Contains(line, "sesame") {
			t.Errorf("a label that is in no fixed set: %s", line)
		}
		if strings.HasPrefix(line, "holdfast_build_info{") && !strings.Contains(line, `,version="1.2.3"}`) {
			t.Errorf("build facts: %s", line)
		}
	}
}

func TestRegistriesAreApart(t *testing.T) {
	a, b := metrics.New("a"), metrics.New("b")
	a.Observe(&web.Event{Listener: "public", Route: "GET /x", Status: 200})
	for _, line := range scrape(t, b) {
		if strings.Contains(line, "GET /x") {
			t.Errorf("seen in the other registry: %s", line)
		}
	}
}

func TestSeriesAreBounded(t *testing.T) {
	t.Run("advisory 103: 100,000 random client_ids make no series", func(t *testing.T) {
		m := metrics.New("")
		e := web.Event{Listener: "public", Route: "POST /token", Status: 401, Outcome: "refused", Reason: "unknown_client"}
		m.Observe(&e)
		before := len(scrape(t, m))
		for i := range 100_000 {
			id := fmt.Sprintf("client-%d", i)
			e.ClientID, e.CredentialID, e.Organisation, e.Resource, e.TokenID, e.RequestID = id, id, id, id, id, id
			e.Method, e.Error, e.Cause, e.AuthMethod, e.Binding, e.Outcome = id, id, id, id, id, "refused"
			m.Observe(&e)
		}
		if after := len(scrape(t, m)); after != before {
			t.Errorf("%d lines before, %d after", before, after)
		}
	})
	t.Run("a reason or route that is in no fixed set after all is counted as other", func(t *testing.T) {
		m := metrics.New("")
		for i := range 5000 {
			m.Observe(&web.Event{Listener: "gateway", Route: fmt.Sprintf("/%d", i), Status: 200 + i%700, Outcome: "refused", Reason: fmt.Sprintf("reason_%d", i)})
		}
		lines := scrape(t, m)
		if len(lines) > 20_000 {
			t.Errorf("%d lines", len(lines))
		}
		wantLines(t, m, `holdfast_refusals_total{listener="gateway",reason="other"} 4744`,
			`holdfast_requests_total{listener="gateway",route="other",status="other"} 3976`)
	})
}

func TestObserveTogether(t *testing.T) {
	m := metrics.New("")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				m.Observe(&web.Event{Listener: "public", Route: fmt.Sprintf("GET /%d", i%20), Status: 200, Outcome: "served"})
			}
		})
	}
	wg.Wait()
	wantLines(t, m, `holdfast_requests_total{listener="public",route="GET /7",status="200"} 80`)
}

func BenchmarkObserve(b *testing.B) {
	m := metrics.New("")
	e := web.Event{Listener: "public", Route: "POST /token", Status: 200, Outcome: "issued", AuthMethod: "private_key_jwt", Binding: "dpop"}
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(&e)
	}
}

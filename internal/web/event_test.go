package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/web"
)

// record serves one request on a table with a clock of its own and returns the
// one record it left.
func record(t *testing.T, h web.Handler) map[string]any {
	t.Helper()
	out := &stream{}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	table := web.NewTable(web.Options{
		Listener: "public", Log: slog.New(slog.NewJSONHandler(out, nil)), Render: render,
		Now: func() time.Time { defer func() { now = now.Add(1500 * time.Microsecond) }(); return now },
	}, []web.Route{{Pattern: "POST /token", Handler: h}})
	table.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/token", nil))
	records, writes := out.lines(t)
	if len(records) != 1 || writes != 1 {
		t.Fatalf("%d records in %d writes, want one in one", len(records), writes)
	}
	return records[0]
}

func TestRecord(t *testing.T) {
	got := record(t, func(w http.ResponseWriter, r *web.Request) error {
		e := r.Event
		e.Outcome, e.Reason, e.Error = "issued", "because", "an_error"
		e.ClientID, e.Organisation, e.CredentialID, e.AuthMethod, e.Binding = "c1", "o1", "k1", "private_key_jwt", "dpop"
		e.Resource, e.TokenID, e.Cause = "https://api.example", "t1", "a cause"
		return nil
	})
	delete(got, "request_id")
	if _, err := netip.ParseAddrPort(got["peer"].(string)); err != nil {
		t.Errorf("peer: %v", err)
	}
	delete(got, "peer")
	want := map[string]any{
		"time": "2026-01-02T03:04:05.0015Z", "level": "INFO", "msg": "request", "listener": "public", "route": "POST /token", "method": "POST",
		"status": 200.0, "duration_us": 1500.0, "outcome": "issued", "reason": "because", "error": "an_error", "client_id": "c1", "organisation": "o1",
		"credential_id": "k1", "auth_method": "private_key_jwt", "binding": "dpop", "resource": "https://api.example", "token_id": "t1", "cause": "a cause",
	}
	for key := range want {
		if got[key] != want[key] {
			t.Errorf("%s: %v, want %v", key, got[key], want[key])
		}
	}
	if len(got) != len(want) {
		t.Errorf("members %v", got)
	}
}

func TestRecordLevels(t *testing.T) {
	for _, c := range []struct {
		status         int
		outcome, level string
		want           string
	}{
		{200, "", "INFO", "served"}, {302, "", "INFO", "served"}, {400, "", "WARN", "refused"}, {499, "", "WARN", "refused"}, {500, "", "ERROR", "failed"},
		{404, "served", "INFO", "served"}, // an upstream's answer, handed on
		{502, "served", "ERROR", "served"}, {200, "refused", "WARN", "refused"}, {503, "refused", "WARN", "refused"}, {200, "failed", "ERROR", "failed"},
	} {
		got := record(t, func(w http.ResponseWriter, r *web.Request) error {
			r.Event.Outcome = c.outcome
			w.WriteHeader(c.status)
			return nil
		})
		if got["level"] != c.level || got["outcome"] != c.want {
			t.Errorf("%+v: %v %v", c, got["level"], got["outcome"])
		}
	}
}

func TestRecordsBelowTheLevelAreNotMade(t *testing.T) {
	out := &stream{}
	table := web.NewTable(web.Options{
		Now: time.Now, Log: slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn})), Render: render,
	}, []web.Route{{Pattern: "GET /", Handler: say("x")}})
	table.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if records, _ := out.lines(t); len(records) != 0 {
		t.Errorf("%v", records)
	}
}

func TestRecordOfHostileText(t *testing.T) {
	set := func(e *web.Event, text string) {
		e.Outcome, e.Reason, e.Error, e.ClientID, e.Organisation, e.CredentialID = text, text, text, text, text, text
		e.AuthMethod, e.Binding, e.Resource, e.TokenID, e.Cause, e.Method = text, text, text, text, text, text
	}
	for name, text := range map[string]string{
		"advisory 102: CR LF":               "a\r\nb",
		"advisory 102: ANSI escapes":        "a\x1b[31mb",
		"advisory 102: 1 MB":                strings.Repeat("a", 1<<20),
		"advisory 102: a JSON line inside":  "\"}\n{\"level\":\"INFO\"}",
		"a right-to-left override":          "a\u202eb",
		"text that is not UTF-8":            "a\xff\xfeb",
		"NUL and DEL":                       "a\x00\x7fb",
		"a rune that the cut goes through":  strings.Repeat("a", 255) + "é",
		"the longest text that is not cut":  strings.Repeat("a", 256),
		"a text with a hostile byte at 257": strings.Repeat("a", 256) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := record(t, func(_ http.ResponseWriter, r *web.Request) error {
				set(r.Event, text)
				return nil
			})
			for _, key := range []string{"outcome", "reason", "error", "client_id", "organisation", "credential_id", "auth_method", "binding", "resource", "token_id", "cause", "method"} {
				value, _ := got[key].(string)
				if value == "" || len(value) > 256 || len(value) < min(len(text), 256) || value[0] != text[0] {
					t.Errorf("%s has %d bytes: %.20q", key, len(value), value)
				}
				if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("%s is not printable: %.20q", key, value)
				}
			}
		})
	}
}

func BenchmarkTable(b *testing.B) {
	table := web.NewTable(web.Options{
		Listener: "public", Now: time.Now, Log: slog.New(slog.NewJSONHandler(discard{}, nil)), Render: render,
	}, []web.Route{
		{Pattern: "POST /token", Handler: func(w http.ResponseWriter, r *web.Request) error {
			e := r.Event
			e.Outcome, e.ClientID, e.Organisation, e.CredentialID, e.AuthMethod, e.Binding = "issued", "c1", "o1", "k1", "private_key_jwt", "dpop"
			w.WriteHeader(http.StatusOK)
			return nil
		}},
		{Pattern: "POST /revoke", Handler: say("")}, {Pattern: "GET /jwks.json", Handler: say("")},
	})
	r := httptest.NewRequest(http.MethodPost, "/token", nil)
	w := &nowhere{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		table.ServeHTTP(w, r)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}

package conformance_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// request is a request to be: change it before it is sent.
type request struct {
	client *http.Client
	method string
	url    string
	header http.Header
	form   url.Values // nil: body as it stands
	body   string
}

// clone shares nothing that a test changes.
func (r *request) clone() *request {
	c := *r
	c.header = r.header.Clone()
	if r.form != nil {
		c.form = url.Values(http.Header(r.form).Clone())
	}
	return &c
}

// answer is what came back.
type answer struct {
	*world
	t      testing.TB
	status int
	header http.Header
	body   string
	json   map[string]any // when the body is an object
	proto  int
}

func (a *answer) String() string { return fmt.Sprintf("%d %v %.300q", a.status, a.header, a.body) }

func (a *answer) text(name string) string { s, _ := a.json[name].(string); return s }

// event is the request's line in the event stream.
func (a *answer) event() map[string]any { return a.events.of(a.t, a.header.Get("Request-Id")) }

// reason is why it was refused, which the wire does not say.
func (a *answer) reason() string { s, _ := a.event()["reason"].(string); return s }

// send sends r and checks what holds for every answer of every listener.
func (w *world) send(t testing.TB, r *request) *answer {
	t.Helper()
	got, err := w.try(t, r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.url, err)
	}
	return got
}

// try is send for those who are not in the test's own goroutine.
func (w *world) try(t testing.TB, r *request) (*answer, error) {
	body := r.body
	if r.form != nil {
		body = r.form.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, r.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if r.form != nil && r.header["Content-Type"] == nil {
		req.Header.Set("Content-Type", formType)
	}
	for name, lines := range r.header {
		req.Header[http.CanonicalHeaderKey(name)] = lines
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		return nil, err
	}
	a := &answer{world: w, t: t, status: res.StatusCode, header: res.Header, body: string(data), proto: res.ProtoMajor}
	_ = json.Unmarshal(data, &a.json)
	a.checkEvery(r.method)
	return a, nil
}

// checkEvery checks what every answer has: Date (FAPI 2.0 section 5.3.3: a client
// with a bad clock goes by it), Request-Id, and for a refusal no-store and an error that
// tells nothing and can be put into a header.
func (a *answer) checkEvery(method string) {
	a.t.Helper()
	date, err := http.ParseTime(a.header.Get("Date"))
	if since := time.Since(date); err != nil || since < -5*time.Second || since > 30*time.Second {
		a.t.Errorf("Date is %q", a.header.Get("Date"))
	}
	if len(a.header.Get("Request-Id")) != 26 {
		a.t.Errorf("Request-Id is %q", a.header.Get("Request-Id"))
	}
	if a.status < 400 || method == http.MethodHead {
		return
	}
	if a.header.Get("Cache-Control") != "no-store" {
		a.t.Errorf("a refusal with Cache-Control %q: %s", a.header.Get("Cache-Control"), a)
	}
	if a.body != "" && !strings.HasPrefix(a.header.Get("Content-Type"), "application/") {
		a.t.Errorf("a refusal with Content-Type %q: %s", a.header.Get("Content-Type"), a)
	}
	for _, c := range a.text("error_description") {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			a.t.Errorf("error_description has %q", c)
		}
	}
}

// refused checks status and error of an answer of the authorization server.
func (a *answer) refused(status int, code string) {
	a.t.Helper()
	if a.status != status || a.text("error") != code || a.header.Get("Content-Type") != "application/json" {
		a.t.Fatalf("want %d %s, got %s (%s)", status, code, a, a.reason())
	}
	if a.json["access_token"] != nil {
		a.t.Fatal("a refusal with a token")
	}
}

// served checks that the resource was opened.
func (a *answer) served() {
	a.t.Helper()
	if a.status != http.StatusOK || a.text("path") == "" {
		a.t.Fatalf("not served: %s (%s)", a, a.reason())
	}
}

// denied checks that the resource was not opened, and why.
func (a *answer) denied(status int, code, reason string) {
	a.t.Helper()
	if a.status != status || a.text("error") != code || a.reason() != reason {
		a.t.Fatalf("want %d %s (%s), got %s (%s)", status, code, reason, a, a.reason())
	}
	if a.json["path"] != nil {
		a.t.Fatal("the upstream was reached")
	}
}

// ath is RFC 9449 section 4.2.
func ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return b64(sum[:])
}

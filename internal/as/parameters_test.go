package as_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// TestParameters sends each parameter of the token endpoint missing, empty, twice,
// too long and as something else than it should be. Nothing is lost by it: no
// refusal uses the assertion up, and the same request, mended, gets its token.
func TestParameters(t *testing.T) {
	key := authtest.New(t).NewSigner(jose.ES256, "")
	long := strings.Repeat("a", 20<<10)
	const (
		invalidRequest = "400 invalid_request"
		invalidClient  = "401 invalid_client"
		served         = "200 "
	)
	for _, p := range []struct {
		name                         string
		missing, empty, long, absurd string // status and error
	}{
		{"grant_type", invalidRequest, invalidRequest, "400 unsupported_grant_type", "400 unsupported_grant_type"},
		{"client_id", served, served, invalidClient, invalidClient}, // the assertion says who it is
		{"client_assertion_type", invalidRequest, invalidRequest, invalidRequest, invalidRequest},
		{"client_assertion", invalidRequest, invalidRequest, invalidClient, invalidClient},
		{"scope", served, served, "400 invalid_scope", "400 invalid_scope"},
		{"resource", served, served, "400 invalid_target", "400 invalid_target"},
		{"somebody_elses", served, served, served, served}, // RFC 6749 §3.2: unknown ones are ignored
	} {
		twice := invalidRequest
		if p.name == "resource" {
			twice = "400 invalid_target" // RFC 8707 §2 allows it to be there twice; one token has one audience
		}
		for _, c := range []struct {
			how  string
			want string
			edit func(values []string) []string
		}{
			{"missing", p.missing, func([]string) []string { return nil }},
			{"empty", p.empty, func([]string) []string { return []string{""} }},
			{"twice", twice, func(v []string) []string { return append(v, v...) }},
			{"twice, with another value", twice, func(v []string) []string { return append(v, "x") }},
			{"of 20 KiB", p.long, func([]string) []string { return []string{long} }},
			{"a JSON array", p.absurd, func([]string) []string { return []string{`["a",1]`} }},
			{"control characters", invalidRequest, func([]string) []string { return []string{"\x00\r\n"} }},
			{"not UTF-8", invalidRequest, func([]string) []string { return []string{"\xff\xfe"} }},
		} {
			t.Run(p.name+" "+c.how, func(t *testing.T) {
				w := newWorld(t)
				request := w.dpopCall(key, "resource", authtest.Payments, "somebody_elses", "x")
				good := request.form[p.name]
				request.form[p.name] = c.edit(good)
				a := w.do(request)
				if got := fmt.Sprintf("%d %s", a.Code, a.text("error")); got != c.want {
					t.Fatalf("got %s (%s), want %s", got, w.event.Reason, c.want)
				}
				if c.want == served {
					return
				}
				if a.JSON["access_token"] != nil || len(w.uses.seen) != 0 {
					t.Errorf("a token, or %d uses", len(w.uses.seen))
				}
				request.form[p.name] = good
				if a := w.do(request); a.Code != 200 {
					t.Errorf("mended: %d %s (%s)", a.Code, a.Body, w.event.Reason)
				}
			})
		}
	}
	t.Run("a form beyond 64 KiB is invalid_request, and so are more than 100 parameters", func(t *testing.T) {
		w := newWorld(t)
		request := w.dpopCall(key, "somebody_elses", strings.Repeat("a", 64<<10))
		if a := w.do(request); a.Code != 400 || a.text("error") != "invalid_request" {
			t.Errorf("got %d %s", a.Code, a.Body)
		}
		request = w.dpopCall(key)
		for i := range 100 {
			request.form.Set(fmt.Sprintf("p%d", i), "x")
		}
		if a := w.do(request); a.Code != 400 || a.text("error") != "invalid_request" {
			t.Errorf("got %d %s", a.Code, a.Body)
		}
	})
}

package as_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/as"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/enrol"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// desk is the routes of the certificate authority over an enrolment that answers
// as it is told.
type desk struct {
	t       testing.TB
	handler http.Handler
	fault   error
	asked   []enrol.Attempt
	list    *ca.CRL
	event   web.Event
}

func newDesk(t testing.TB) *desk {
	d := &desk{t: t}
	c := as.Certificates{
		Issuer: authtest.Issuer + "/tenant", Redeem: d.redeem, Refresh: func(context.Context) error { return nil },
		CRL: func(issuer string) *ca.CRL {
			if d.list == nil || issuer != d.list.Issuer {
				return nil
			}
			return d.list
		},
		Roots: func() []byte { return []byte("roots") },
	}
	d.handler = web.NewTable(web.Options{
		Listener: "public", Now: time.Now, Log: slog.New(slog.DiscardHandler), Observe: func(e *web.Event) { d.event = *e }, Render: as.Render,
	}, c.Routes("/tenant"))
	return d
}

func (d *desk) redeem(_ context.Context, a enrol.Attempt) (enrol.Result, error) {
	d.asked = append(d.asked, a)
	if d.fault != nil {
		return enrol.Result{}, d.fault
	}
	return enrol.Result{
		Client: &directory.Client{Application: directory.Application{
			ClientID: "billing", Organisation: "acme", AuthMethod: directory.TLSClientAuth, Binding: cnf.MTLS,
			Grants: []directory.Grant{{Resource: "https://api.example", Scopes: []string{"read", "write"}}},
		}},
		Instance: "pay-1", Profile: ca.ClientTransport,
		Issued: ca.Issued{Serial: "0a", Chain: [][]byte{{1}, {2}}, Credential: directory.Credential{ID: "cred-1", NotAfter: time.Unix(1800000000, 0)}},
	}, nil
}

func (d *desk) post(body, media string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/tenant/enrol", strings.NewReader(body))
	r.Header.Set("Content-Type", media)
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

const goodEnrolment = `{"code":"hfe_abc","csr":"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----"}`

func TestEnrolmentAnswer(t *testing.T) {
	d := newDesk(t)
	w := d.post(`{"profile":"client_transport","life_seconds":60,`+goodEnrolment[1:], "application/json; charset=utf-8")
	if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s %v", w.Code, w.Body, w.Header())
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"issuer": authtest.Issuer + "/tenant", "metadata_url": authtest.Issuer + "/.well-known/oauth-authorization-server/tenant", "client_id": "billing",
		"credential_id": "cred-1", "instance": "pay-1", "token_endpoint_auth_method": "tls_client_auth", "binding": "mtls", "profile": "client_transport",
		"roots": "roots", "not_after": time.Unix(1800000000, 0).UTC().Format(time.RFC3339),
		"certificate_chain": "-----BEGIN CERTIFICATE-----\nAQ==\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nAg==\n-----END CERTIFICATE-----\n",
	} {
		if text, _ := got[name].(string); text != want && !(name == "not_after" && strings.HasPrefix(text, want[:19])) {
			t.Errorf("%s is %q", name, got[name])
		}
	}
	if grants, _ := json.Marshal(got["grants"]); string(grants) != `[{"resource":"https://api.example","scope":"read write"}]` {
		t.Errorf("grants %s", grants)
	}
	if a := d.asked[0]; a.Code != "hfe_abc" || a.Profile != ca.ClientTransport || a.Life != time.Minute || !strings.HasPrefix(string(a.CSR), "-----BEGIN") {
		t.Errorf("asked %+v", a)
	}
	if e := d.event; e.Outcome != "enrolled" || e.ClientID != "billing" || e.CredentialID != "cred-1" || e.Organisation != "acme" || e.Route != "POST /tenant/enrol" {
		t.Errorf("event %+v", e)
	}
}

func TestEnrolmentMalformed(t *testing.T) {
	csr := strings.Repeat("A", ca.MaxCSR)
	for name, c := range map[string]struct{ body, media, code, reason string }{
		"not JSON":                       {"code=x", "application/x-www-form-urlencoded", "invalid_request", "body_media_type"},
		"no media type":                  {goodEnrolment, "", "invalid_request", "body_media_type"},
		"empty":                          {"", "application/json", "invalid_request", "body_malformed"},
		"a list":                         {"[]", "application/json", "invalid_request", "body_malformed"},
		"no code":                        {`{"csr":"x"}`, "application/json", "invalid_request", "member_missing"},
		"no CSR":                         {`{"code":"x"}`, "application/json", "invalid_request", "member_missing"},
		"a code that is a number":        {`{"code":1,"csr":"x"}`, "application/json", "invalid_request", "body_malformed"},
		"advisory 108: code twice":       {`{"code":"a","code":"b","csr":"x"}`, "application/json", "invalid_request", "body_malformed"},
		"advisory 108: deep":             {`{"code":` + strings.Repeat("[", 100), "application/json", "invalid_request", "body_malformed"},
		"a member that nobody knows":     {`{"client_id":"other",` + goodEnrolment[1:], "application/json", "invalid_request", "member_unknown"},
		"a member in another case":       {`{"Code":"x","csr":"x"}`, "application/json", "invalid_request", "member_unknown"},
		"more after it":                  {goodEnrolment + "{}", "application/json", "invalid_request", "body_malformed"},
		"a life of none":                 {`{"life_seconds":0,` + goodEnrolment[1:], "application/json", "invalid_request", "life_seconds"},
		"a life of 91 days":              {`{"life_seconds":7862400,` + goodEnrolment[1:], "application/json", "invalid_request", "life_seconds"},
		"a life with a fraction":         {`{"life_seconds":1.5,` + goodEnrolment[1:], "application/json", "invalid_request", "body_malformed"},
		"advisory 109: a body of 96 KiB": {`{"code":"` + strings.Repeat("a", 96<<10) + `"}`, "application/json", "invalid_request", "body_too_large"},
		"advisory 109: a CSR of 64 KiB":  {`{"code":"x","csr":"-----BEGIN` + csr + `"}`, "application/json", "invalid_client_metadata", "enrolment_csr"},
		"a CSR that is not PEM":          {`{"code":"x","csr":"AAAA"}`, "application/json", "invalid_client_metadata", "enrolment_csr"},
		"a code of 129 characters":       {`{"code":"` + strings.Repeat("a", 129) + `","csr":"-----BEGIN"}`, "application/json", "invalid_grant", "enrolment_code"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			w := d.post(c.body, c.media)
			if w.Code != 400 || !strings.HasPrefix(w.Body.String(), `{"error":"`+c.code+`","error_description":"`) || d.event.Reason != c.reason || len(d.asked) != 0 {
				t.Errorf("%d %s (%s), asked %d", w.Code, w.Body, d.event.Reason, len(d.asked))
			}
		})
	}
}

func TestEnrolmentRefusals(t *testing.T) {
	wrapped := func(err error) error { return errors.Join(errors.New("deep inside"), err) }
	for name, c := range map[string]struct {
		fault        error
		status       int
		code, retry  string
		descriptions string
	}{
		"a code":                  {wrapped(ca.ErrCode), 400, "invalid_grant", "", "the enrolment code is not valid"},
		"a CSR":                   {&directory.InvalidError{Field: "csr", Reason: "it asks for \"x\"\n"}, 400, "invalid_client_metadata", "", "csr: it asks for ?x??"},
		"a suspended application": {wrapped(directory.ErrState), 400, "unauthorized_client", "", "the application may not have a certificate now"},
		"a key that is known":     {wrapped(directory.ErrExists), 400, "invalid_client_metadata", "", "csr: its key is registered already"},
		"stopped":                 {wrapped(ca.ErrStopped), 503, "temporarily_unavailable", "60", "issuing certificates is stopped"},
		"under way":               {&ca.BusyError{Serial: "0a"}, 503, "temporarily_unavailable", "10", "the same request is being served"},
		"the CA's key is away":    {wrapped(ca.ErrUnavailable), 503, "temporarily_unavailable", "30", "the certificate authority is not available"},
		"no CA in its time":       {wrapped(ca.ErrClosed), 503, "temporarily_unavailable", "30", "the certificate authority is not available"},
		"advisory 50: the store":  {errors.New("disk"), 503, "temporarily_unavailable", "30", "the certificate authority is not available"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.fault = c.fault
			w := d.post(goodEnrolment, "application/json")
			want := `{"error":"` + c.code + `","error_description":"` + c.descriptions + `"}`
			if w.Code != c.status || w.Body.String() != want || w.Header().Get("Retry-After") != c.retry || d.event.ClientID != "" {
				t.Errorf("%d %s %q", w.Code, w.Body, w.Header().Get("Retry-After"))
			}
			if strings.Contains(d.event.Cause, "hfe_") || strings.Contains(d.event.Reason, "hfe_") {
				t.Error("the event has the code")
			}
		})
	}
}

func TestServeList(t *testing.T) {
	d := newDesk(t)
	d.list = &ca.CRL{Issuer: "ca1", Number: 17, ThisUpdate: time.Unix(1700000000, 0), DER: []byte("der")}
	get := func(method, path, match string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		if match != "" {
			r.Header.Set("If-None-Match", match)
		}
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, r)
		return w
	}
	w := get("GET", "/tenant/crl/ca1.crl", "")
	h := w.Header()
	if w.Code != 200 || w.Body.String() != "der" || h.Get("Content-Type") != "application/pkix-crl" || h.Get("ETag") != `"17"` ||
		h.Get("Cache-Control") != "public, max-age=60" || h.Get("Last-Modified") != "Tue, 14 Nov 2023 22:13:20 GMT" {
		t.Errorf("%d %s %v", w.Code, w.Body, h)
	}
	for match, want := range map[string]int{`"17"`: 304, `W/"17"`: 304, `"16", "17"`: 304, "*": 304, `"16"`: 200, "17": 200} {
		if w := get("GET", "/tenant/crl/ca1.crl", match); w.Code != want || want == 304 && w.Body.Len() != 0 || w.Header().Get("ETag") != `"17"` {
			t.Errorf("%s: %d", match, w.Code)
		}
	}
	for path, want := range map[string]int{"/tenant/crl/ca2.crl": 404, "/tenant/crl/ca1": 404, "/tenant/crl/ca1.pem": 404, "/tenant/crl/.crl": 404, "/crl/ca1.crl": 404} {
		if w := get("GET", path, ""); w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := get("POST", "/tenant/crl/ca1.crl", ""); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

func FuzzEnrolment(f *testing.F) {
	f.Add(goodEnrolment)
	f.Add(`{"code":"a","csr":"-----BEGIN","profile":"client_signing","life_seconds":1}`)
	f.Add(`{"code":"a","csr":"\ud800"}`)
	f.Fuzz(func(t *testing.T, body string) {
		// What reaches the service has a code and a CSR within their limits; the
		// rest is a 400 that quotes nothing.
		d := newDesk(t)
		w := d.post(body, "application/json")
		switch {
		case len(d.asked) == 1:
			a := d.asked[0]
			if a.Code == "" || len(a.Code) > 128 || len(a.CSR) == 0 || len(a.CSR) > ca.MaxCSR || a.Life < 0 || a.Life > ca.MaxClientLife || w.Code != 200 {
				t.Errorf("%d, asked %+v", w.Code, a)
			}
		case w.Code != 400 || w.Body.Len() > 300:
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

package adminclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

// stub answers every request in one way and keeps the last one.
type stub struct {
	status int
	header map[string]string
	body   string

	method, target, contentType, sent string
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.method, s.target, s.contentType, s.sent = r.Method, r.RequestURI, r.Header.Get("Content-Type"), string(body)
	for name, value := range s.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(s.status)
	_, _ = io.WriteString(w, s.body)
}

func newClient(t *testing.T, s *stub) *adminclient.Client {
	t.Helper()
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	return &adminclient.Client{URL: server.URL, HTTP: server.Client()}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		stub stub
		want adminclient.Error
		text string
	}{
		{"an RFC 9457 problem with fields",
			stub{status: 422, header: map[string]string{"Request-Id": "abc"}, body: `{"title":"Unprocessable Entity","status":422,"detail":"validation failed","errors":[{"message":"too long","location":"body.name"}]}`},
			adminclient.Error{Status: 422, Title: "Unprocessable Entity", Detail: "validation failed", Fields: []adminclient.Field{{Location: "body.name", Message: "too long"}}, RequestID: "abc"},
			"admin API: 422 validation failed; body.name: too long (request abc)"},
		{"an RFC 9457 problem without detail", stub{status: 404, body: `{"title":"Not Found","status":404}`},
			adminclient.Error{Status: 404, Title: "Not Found"}, "admin API: 404 Not Found"},
		{"RFC 6750: the token's check", stub{status: 401, body: `{"error":"invalid_token"}`},
			adminclient.Error{Status: 401, Detail: "invalid_token"}, "admin API: 401 invalid_token"},
		{"a proxy's page", stub{status: 502, body: `<html>`}, adminclient.Error{Status: 502}, "admin API: 502"},
		{"a redirect that the client does not follow", stub{status: 304}, adminclient.Error{Status: 304}, "admin API: 304"},
		{"an answer without content", stub{status: 204}, adminclient.Error{Status: 204}, "admin API: 204"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newClient(t, &c.stub).Organisation(t.Context(), "x")
			e, ok := errors.AsType[*adminclient.Error](err)
			if !ok {
				t.Fatal(err)
			}
			if e.Status != c.want.Status || e.Title != c.want.Title || e.Detail != c.want.Detail || e.RequestID != c.want.RequestID || len(e.Fields) != len(c.want.Fields) {
				t.Errorf("%+v", e)
			}
			for i := range e.Fields {
				if e.Fields[i] != c.want.Fields[i] {
					t.Errorf("%+v", e.Fields)
				}
			}
			if e.Error() != c.text {
				t.Errorf("%q, want %q", e, c.text)
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, s := range map[string]stub{
		"not JSON":           {status: 200, body: "sesame"},
		"another type":       {status: 200, body: `{"id":5}`},
		"larger than 16 MiB": {status: 200, body: `{"id":"x"}` + strings.Repeat(" ", 16<<20)},
		"cut":                {status: 200, header: map[string]string{"Content-Length": "100"}, body: `{"id":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := newClient(t, &s).Organisation(t.Context(), "x"); err == nil {
				t.Error("accepted")
			}
		})
	}
	t.Run("a URL that is none", func(t *testing.T) {
		c := &adminclient.Client{URL: "https://%zz", HTTP: http.DefaultClient}
		if _, err := c.Organisation(t.Context(), "x"); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("a context that ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := newClient(t, &stub{status: 200, body: "{}"}).Organisation(ctx, "x"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("a JWK that is not JSON is not sent", func(t *testing.T) {
		s := &stub{status: 200, body: "{}"}
		if _, err := newClient(t, s).RegisterKey(t.Context(), "x", admin.NewSigningKey{JWK: []byte("{")}); err == nil || s.method != "" {
			t.Error(err)
		}
	})
}

func TestRequests(t *testing.T) {
	s := &stub{status: 200, body: "{}"}
	c := newClient(t, s)
	ctx := t.Context()
	page := adminclient.Page{Cursor: "a b&c", Limit: 7}
	for want, call := range map[string]func() error{
		"GET /v1/organisations?cursor=a+b%26c&limit=7":               func() error { _, err := c.Organisations(ctx, page); return err },
		"GET /v1/organisations/a%2Fb":                                func() error { _, err := c.Organisation(ctx, "a/b"); return err },
		"GET /v1/organisations/%2E":                                  func() error { _, err := c.Organisation(ctx, "."); return err },
		"GET /v1/applications/%2E%2E":                                func() error { _, err := c.Application(ctx, ".."); return err },
		"GET /v1/resources/https:%2F%2Fapi.example%2Fx%3Fy":          func() error { _, err := c.Resource(ctx, "https://api.example/x?y"); return err },
		"GET /v1/resources":                                          func() error { _, err := c.Resources(ctx, adminclient.Page{}); return err },
		"GET /v1/applications?organisation=acme":                     func() error { _, err := c.Applications(ctx, "acme", adminclient.Page{}); return err },
		"GET /v1/applications/shop/credentials?limit=1":              func() error { _, err := c.Credentials(ctx, "shop", adminclient.Page{Limit: 1}); return err },
		"GET /v1/credentials/k1":                                     func() error { _, err := c.Credential(ctx, "k1"); return err },
		"GET /v1/audit?after=5&limit=2":                              func() error { _, err := c.AuditEvents(ctx, 5, 2); return err },
		"POST /v1/organisations/acme/suspend":                        func() error { _, err := c.SuspendOrganisation(ctx, "acme"); return err },
		"POST /v1/organisations/acme/resume":                         func() error { _, err := c.ResumeOrganisation(ctx, "acme"); return err },
		"POST /v1/organisations/acme/revoke":                         func() error { _, err := c.RevokeOrganisation(ctx, "acme"); return err },
		"POST /v1/applications/shop/suspend":                         func() error { _, err := c.SuspendApplication(ctx, "shop"); return err },
		"POST /v1/applications/shop/resume":                          func() error { _, err := c.ResumeApplication(ctx, "shop"); return err },
		"POST /v1/applications/shop/revoke":                          func() error { _, err := c.RevokeApplication(ctx, "shop"); return err },
		"POST /v1/credentials/k1/suspend":                            func() error { _, err := c.SuspendCredential(ctx, "k1"); return err },
		"POST /v1/credentials/k1/resume":                             func() error { _, err := c.ResumeCredential(ctx, "k1"); return err },
		"POST /v1/credentials/k1/retire":                             func() error { _, err := c.RetireCredential(ctx, "k1"); return err },
		"POST /v1/credentials/k1/revoke":                             func() error { _, err := c.RevokeCredential(ctx, "k1"); return err },
		"POST /v1/credentials/k1/compromise":                         func() error { _, err := c.CompromiseCredential(ctx, "k1"); return err },
		"POST /v1/applications/shop/dpop-keys/jkt/revoke":            func() error { _, err := c.RevokeDPoPKey(ctx, "shop", "jkt"); return err },
		`POST /v1/organisations {"name":"Acme"}`:                     func() error { _, err := c.CreateOrganisation(ctx, admin.NewOrganisation{Name: "Acme"}); return err },
		`POST /v1/applications/s/signing-keys {"jwk":{}}`:            func() error { _, err := c.RegisterKey(ctx, "s", admin.NewSigningKey{JWK: []byte("{}")}); return err },
		`POST /v1/applications/s/certificates {"certificate":"pem"}`: func() error { _, err := c.RegisterCertificate(ctx, "s", "pem"); return err },
		`POST /v1/applications/s/certificate-requests {"csr":"pem"}`: func() error {
			_, err := c.IssueCertificate(ctx, "s", admin.NewRequest{CSR: "pem"})
			return err
		},
		`POST /v1/resources {"uri":"u","organisation":"o","name":"n","scopes":["s"]}`: func() error {
			_, err := c.CreateResource(ctx, admin.NewResource{URI: "u", Organisation: "o", Name: "n", Scopes: []string{"s"}})
			return err
		},
		`POST /v1/applications {"organisation":"o","name":"n","auth_method":"m","binding":"b"}`: func() error {
			_, err := c.CreateApplication(ctx, admin.NewApplication{Organisation: "o", Name: "n", AuthMethod: "m", Binding: "b"})
			return err
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		got := strings.TrimSpace(s.method + " " + s.target + " " + s.sent)
		if got != want || (s.sent != "") != (s.contentType == "application/json") {
			t.Errorf("got  %s (%s)\nwant %s", got, s.contentType, want)
		}
	}
}

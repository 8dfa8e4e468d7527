package admin_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
)

func (w *world) noEvents(context.Context, int64, int) ([]audit.Event, error) { return nil, nil }

// serve runs a handler without a socket.
func serve(h http.Handler, method, path string) (status int) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code
}

func TestBodies(t *testing.T) {
	w := newWorld(t)
	token := w.token(nil)
	shop := "/applications/" + w.application("private_key_jwt", "dpop").ClientID
	const app = `"organisation":"o","auth_method":"private_key_jwt","binding":"dpop"`
	for _, c := range []struct {
		name, path, body string
		status           int
		reason, location string
	}{
		{"an unknown member", "/organisations", `{"name":"x","sesame":1}`, 400, "unknown_member", "body.sesame"},
		{"a member in another case", "/organisations", `{"Name":"x"}`, 400, "unknown_member", "body.Name"},
		{"a member in another case beside the right one", "/organisations", `{"name":"x","NAME":"y"}`, 400, "unknown_member", "body.NAME"},
		{"an unknown member in a list", "/applications", `{"name":"x",` + app + `,"grants":[{"resource":"r","scopes":[]},{"resource":"r","scopes":[],"sesame":1}]}`, 400, "unknown_member", "body.grants[1].sesame"},
		{"a very long unknown member", "/organisations", `{"name":"x","` + strings.Repeat("s", 500) + `":1}`, 400, "unknown_member", "body." + strings.Repeat("s", 64)},
		{"advisory 108: a member twice", "/organisations", `{"name":"x","name":"y"}`, 400, "malformed_json", ""},
		{"advisory 108: a member twice, spelt differently", "/organisations", `{"name":"x","n\u0061me":"y"}`, 400, "malformed_json", ""},
		{"advisory 108: a member twice, deeper", "/applications", `{"name":"x",` + app + `,"grants":[{"resource":"r","resource":"s"}]}`, 400, "malformed_json", ""},
		{"advisory 108: a member twice in a key", "/applications/x/signing-keys", `{"jwk":{"kty":"EC","kty":"RSA"}}`, 400, "malformed_json", ""},
		{"advisory 108: 33 levels", "/applications/x/signing-keys", `{"jwk":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, 400, "malformed_json", ""},
		{"advisory 108: a million levels", "/applications/x/signing-keys", strings.Repeat(`{"a":`, 100_000), 400, "malformed_json", ""},
		{"advisory 108: more than 1 MiB", "/organisations", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "body_too_large", ""},
		{"nothing", "/organisations", ` `, 400, "malformed_json", ""},
		{"an array", "/organisations", `[]`, 400, "malformed_json", ""},
		{"null", "/organisations", `null`, 400, "malformed_json", ""},
		{"text after the object", "/organisations", `{"name":"x"} {}`, 400, "malformed_json", ""},
		{"text that is not UTF-8", "/organisations", "{\"name\":\"\xff\"}", 400, "malformed_json", ""},
		{"a missing member", "/organisations", `{}`, 422, "not_valid", "body"},
		{"null for a required member", "/organisations", `{"name":null}`, 422, "not_valid", "body.name"},
		{"a number for text", "/organisations", `{"name":5}`, 422, "not_valid", "body.name"},
		{"text for a list", "/applications", `{"name":"x",` + app + `,"grants":"sesame"}`, 422, "not_valid", "body.grants"},
		{"text for a truth value", "/applications", `{"name":"x",` + app + `,"require_nonce":"sesame"}`, 422, "not_valid", "body.require_nonce"},
		{"a name that is too long", "/organisations", `{"name":"` + strings.Repeat("s", 300) + `"}`, 422, "not_valid", "body.name"},
		{"an unknown method of authentication", "/applications", `{"name":"x","organisation":"o","auth_method":"client_secret_basic","binding":"dpop"}`, 422, "not_valid", "body.auth_method"},
		{"no binding", "/applications", `{"name":"x","organisation":"o","auth_method":"private_key_jwt","binding":"none"}`, 422, "not_valid", "body.binding"},
		{"a list of a list", "/resources", `{"uri":"https://a","organisation":"o","name":"n","scopes":[["sesame"]]}`, 422, "not_valid", "body.scopes[0]"},
		{"a time that is none", "/applications/x/signing-keys", `{"jwk":{},"not_after":"sesame"}`, 422, "not_valid", "body.not_after"},
		{"a key that is text", shop + "/signing-keys", `{"jwk":"sesame"}`, 422, "not_valid", "body.jwk"},
		{"a life that is not whole", "/applications/x/certificate-requests", `{"csr":"x","life_seconds":1.5}`, 422, "not_valid", "body.life_seconds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.ask(http.MethodPost, "/v1"+c.path, token, c.body)
			p := got.problem(t)
			if got.status != c.status {
				t.Errorf("%d %s", got.status, got.body)
			}
			if c.location != "" && (len(p.Errors) != 1 || p.Errors[0].Location != c.location || p.Errors[0].Message == "") {
				t.Errorf("errors %+v, want %s", p.Errors, c.location)
			}
			if e := w.lastEvent(got); e.Reason != c.reason || e.Outcome != "refused" {
				t.Errorf("event %+v", e)
			}
			if len(got.body) > 2000 || strings.Contains(got.body, `"value"`) || c.location != "body.sesame" && c.location != "body.grants[1].sesame" && strings.Contains(got.body, "sesame") {
				t.Errorf("the answer quotes the body: %.300s", got.body)
			}
		})
	}
	t.Run("many unknown members are named as far as they help", func(t *testing.T) {
		var b strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&b, `,"m%d":1`, i)
		}
		if p := w.ask(http.MethodPost, "/v1/organisations", token, `{"name":"x"`+b.String()+"}").problem(t); len(p.Errors) != 20 {
			t.Errorf("%d errors", len(p.Errors))
		}
	})
}

func TestNamesAreNoIdentity(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"tls_client_auth_subject_dn", "tls_client_auth_issuer_dn"} {
		t.Run("RFC 8705 §2.1.2: "+name+" is refused with the reason", func(t *testing.T) {
			got := w.ask(http.MethodPost, "/v1/applications", w.token(nil), `{"name":"x","organisation":"o","auth_method":"tls_client_auth","binding":"mtls","`+name+`":"CN=shop"}`)
			p := got.problem(t)
			if got.status != 400 || len(p.Errors) != 1 || p.Errors[0].Location != "body."+name || !strings.Contains(p.Errors[0].Message, "a name is not an identity") {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

func TestMediaTypes(t *testing.T) {
	w := newWorld(t)
	for contentType, want := range map[string]int{
		"application/json": 201, "Application/JSON; charset=UTF-8": 201, "": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415,
		"application/json; charset=latin1": 415, "application/vnd.x+json": 415, "application/json, text/plain": 415,
	} {
		t.Run(contentType, func(t *testing.T) {
			got := w.ask(http.MethodPost, "/v1/organisations", w.token(nil), `{"name":"x"}`, "Content-Type", contentType)
			if got.status != want {
				t.Errorf("%d %s", got.status, got.body)
			}
			if want == 415 && w.lastEvent(got).Reason != "media_type" {
				t.Errorf("%+v", w.lastEvent(got))
			}
		})
	}
}

// TestPrivateKeyIsNeverRepeated: advisory 101: an operator who sends a private
// key by mistake does not find it again in an answer, an event or the audit.
func TestPrivateKeyIsNeverRepeated(t *testing.T) {
	w := newWorld(t)
	app := w.application("private_key_jwt", "dpop")
	public := string(verifytest.NewSigner(t, jose.ES256, "").Public().JWK())
	const canary = "c2VzYW1lLW9wZW4tc2VzYW1lLW9wZW4tc2VzYW1lLW8"
	for name, body := range map[string]string{
		"in the JWK":         `{"jwk":` + strings.TrimSuffix(public, "}") + `,"d":"` + canary + `"}}`,
		"a symmetric key":    `{"jwk":{"kty":"oct","k":"` + canary + `"}}`,
		"as another member":  `{"jwk":` + public + `,"d":"` + canary + `"}`,
		"as the wrong type":  `{"jwk":` + public + `,"not_after":"` + canary + `"}`,
		"as text for a JWK":  `{"jwk":"` + canary + `"}`,
		"in malformed JSON":  `{"jwk":"` + canary,
		"in a name of a key": `{"jwk":{"kty":"` + canary + `"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := w.ask(http.MethodPost, "/v1/applications/"+app.ClientID+"/signing-keys", w.token(nil), body)
			if got.status != 400 && got.status != 422 {
				t.Errorf("%d", got.status)
			}
			w.lastEvent(got)
			if strings.Contains(got.body, canary) {
				t.Errorf("%s", got.body)
			}
		})
	}
	t.Run("a PEM private key for a certificate", func(t *testing.T) {
		got := w.ask(http.MethodPost, "/v1/applications/"+app.ClientID+"/certificates", w.token(nil), `{"certificate":"-----BEGIN PRIVATE KEY-----\n`+canary+`\n-----END PRIVATE KEY-----\n"}`)
		if got.status != 422 || strings.Contains(got.body, canary) {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	events, err := w.admin.AuditEvents(t.Context(), 0, 1000)
	check(t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Contains(w.log.String(), canary) || strings.Contains(fmt.Sprint(events, w.events), canary) {
		t.Error("the canary is in the log, the events or the audit")
	}
	if strings.Contains(w.log.String(), "Bearer") || strings.Contains(w.log.String(), w.admin.HTTP.Transport.(bearer).token) {
		t.Error("a token is in the log")
	}
}

func TestBodyThatBreaksOff(t *testing.T) {
	w := newWorld(t)
	config := w.transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", w.Listener.Addr().String(), config)
	check(t, err)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, "POST /v1/organisations HTTP/1.1\r\nHost: "+w.Listener.Addr().String()+"\r\nContent-Type: application/json\r\n"+
		"Authorization: Bearer "+w.token(nil)+"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	check(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	check(t, err)
	text, _ := io.ReadAll(res.Body)
	got := answer{res.StatusCode, res.Header, string(text)}
	got.problem(t)
	if e := w.lastEvent(got); got.status != 400 || e.Reason != "body_unreadable" {
		t.Errorf("%d, %+v", got.status, e)
	}
}

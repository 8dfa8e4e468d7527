package client_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/client"
)

// certificateFor is a certificate for a key, PEM.
func certificateFor(t *testing.T, public any) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestEnrol(t *testing.T) {
	key := newKey(t)
	good := certificateFor(t, key.Public())
	answer := func(issuer, chain string) string {
		text, err := json.Marshal(map[string]any{
			"issuer": issuer, "client_id": "billing", "credential_id": "cred-1", "instance": "pay-1", "token_endpoint_auth_method": "private_key_jwt", "binding": "dpop",
			"profile": "client_signing", "kid": "k", "certificate_chain": chain, "not_after": "2027-01-02T03:04:05Z", "roots": "x", "later": []int{1},
			"grants": []map[string]string{{"resource": "https://api.example", "scope": "read write"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var status int
	var say string
	var sent []byte
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ = io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Path != "/tenant/enrol" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		w.Header().Set("Retry-After", "60")
		w.Header().Set("Location", "https://elsewhere.example/enrol")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, say)
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	issuer := server.URL + "/tenant"
	enrol := func(how int, what string) (client.Enrolled, error) {
		status, say = how, what
		return client.Enrolment{Issuer: issuer, Code: "hfe_x", Key: key, Profile: "client_signing", Life: time.Minute}.Enrol(t.Context(), server.Client())
	}
	got, err := enrol(200, answer(issuer, good+good))
	if err != nil {
		t.Fatal(err)
	}
	if got.ClientID != "billing" || got.CredentialID != "cred-1" || got.Instance != "pay-1" || got.AuthMethod != "private_key_jwt" || got.Binding != "dpop" || got.Profile != "client_signing" ||
		got.KeyID != "k" || string(got.Chain) != good+good || !got.NotAfter.Equal(time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)) || len(got.Grants) != 1 || got.Grants[0].Scope != "read write" {
		t.Errorf("%+v", got)
	}
	t.Run("the code goes with a request for the key, which is the same each time but for its signature", func(t *testing.T) {
		tbs := func() string {
			var body struct {
				Code, CSR, Profile string
				Life               int `json:"life_seconds"`
			}
			if err := json.Unmarshal(sent, &body); err != nil || body.Code != "hfe_x" || body.Profile != "client_signing" || body.Life != 60 {
				t.Errorf("%s: %v", sent, err)
			}
			block, _ := pem.Decode([]byte(body.CSR))
			csr, err := x509.ParseCertificateRequest(block.Bytes)
			if err != nil || csr.CheckSignature() != nil || !key.PublicKey.Equal(csr.PublicKey) {
				t.Fatal(err)
			}
			return string(csr.RawTBSCertificateRequest)
		}
		first := tbs()
		if _, err := enrol(200, answer(issuer, good)); err != nil || tbs() != first {
			t.Errorf("again: %v", err)
		}
	})
	for name, c := range map[string]string{
		"another issuer's":             answer(server.URL, good),
		"for another key":              answer(issuer, certificateFor(t, newKey(t).Public())),
		"no certificate":               answer(issuer, ""),
		"advisory 91: more than PEM":   answer(issuer, good+"$(reboot)"),
		"a key in place of it":         answer(issuer, strings.ReplaceAll(good, "CERTIFICATE", "PRIVATE KEY")),
		"six certificates":             answer(issuer, strings.Repeat(good, 6)),
		"no client_id":                 strings.Replace(answer(issuer, good), `"client_id":"billing",`, "", 1),
		"an end that is no time":       strings.Replace(answer(issuer, good), "2027-01-02T03:04:05Z", "soon", 1),
		"advisory 108: a member twice": strings.Replace(answer(issuer, good), `"kid":"k"`, `"kid":"k","kid":"l"`, 1),
		"not JSON":                     "ok",
		"advisory 87: without an end":  strings.Repeat(" ", 2<<20),
	} {
		if got, err := enrol(200, c); !errors.Is(err, client.ErrAnswer) || got.Chain != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for status, want := range map[int]string{400: "invalid_grant", 503: "temporarily_unavailable", 302: ""} {
		var refusal *client.Error
		if _, err := enrol(status, `{"error":"`+want+`","error_description":"no"}`); !errors.As(err, &refusal) || refusal.Status != status || refusal.Code != want || refusal.RetryAfter != time.Minute {
			t.Errorf("%d: %v", status, err)
		}
	}
	for _, bad := range []string{"", "http://" + server.URL[8:], server.URL + "?x", "https://a@b"} {
		if _, err := (client.Enrolment{Issuer: bad, Key: key}).Enrol(t.Context(), server.Client()); err == nil {
			t.Errorf("%q is an issuer", bad)
		}
	}
}

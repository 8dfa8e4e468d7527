package admin_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/enrol"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// namedCSR asks for DNS names.
func namedCSR(t testing.TB, names ...string) string {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	check(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	check(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func TestSameRequestAgain(t *testing.T) {
	w := newWorld(t)
	app, csr := w.application("tls_client_auth", "mtls"), newCSR(t)
	body, err := json.Marshal(admin.NewRequest{CSR: csr})
	check(t, err)
	path := "/v1/applications/" + app.ClientID + "/certificate-requests"
	var answers [2]admin.IssuedCertificate
	for i, want := range []int{http.StatusCreated, http.StatusOK} {
		got := w.ask("POST", path, w.token(nil), string(body))
		if got.status != want {
			t.Fatalf("answer %d: %d %s", i, got.status, got.body)
		}
		check(t, json.Unmarshal([]byte(got.body), &answers[i]))
	}
	if answers[0] != answers[1] || answers[0].Serial == "" || answers[0].Profile != "client_transport" {
		t.Errorf("%+v\n%+v", answers[0], answers[1])
	}
}

func TestProfilesAndNames(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	app := w.application("private_key_jwt", "dpop")
	t.Run("client_signing becomes a signing key", func(t *testing.T) {
		issued, err := w.admin.IssueCertificate(ctx, app.ClientID, admin.NewRequest{CSR: newCSR(t), Profile: "client_signing"})
		check(t, err)
		c, err := w.admin.Credential(ctx, issued.CredentialID)
		check(t, err)
		if c.Kind != "signing_key" || !c.Issued || c.KeyID != issued.KeyID || c.KeyID == "" || !strings.HasPrefix(issued.Chain, c.Certificate) || c.Certificate == "" {
			t.Errorf("%+v\n%+v", issued, c)
		}
	})
	t.Run("server_tls for names that an owner gave to the organisation", func(t *testing.T) {
		n, err := w.admin.AddName(ctx, app.Organisation, "API.Example")
		check(t, err)
		if n.Name != "api.example" || n.Organisation != app.Organisation || n.Added.IsZero() {
			t.Errorf("%+v", n)
		}
		issued, err := w.admin.IssueCertificate(ctx, app.ClientID, admin.NewRequest{CSR: namedCSR(t, "api.example"), Profile: "server_tls"})
		check(t, err)
		c, err := w.admin.Credential(ctx, issued.CredentialID)
		check(t, err)
		if c.Kind != "server_certificate" {
			t.Errorf("%+v", c)
		}
		page, err := w.admin.Names(ctx, app.Organisation)
		check(t, err)
		if len(page.Items) != 1 || page.Items[0].Name != "api.example" {
			t.Errorf("%+v", page)
		}
		page, err = w.admin.RemoveName(ctx, app.Organisation, "api.EXAMPLE")
		check(t, err)
		if len(page.Items) != 0 {
			t.Errorf("%+v", page)
		}
		_, err = w.admin.RemoveName(ctx, app.Organisation, "api.example")
		wantStatus(t, err, http.StatusNotFound)
		_, err = w.admin.RemoveName(ctx, app.Organisation, "*")
		wantStatus(t, err, http.StatusNotFound)
	})
	t.Run("each of N names, only the k-th foreign, for all k: the field is named, nothing stored", func(t *testing.T) {
		var own []string
		for i := range 5 {
			own = append(own, fmt.Sprintf("h%d.example", i))
			_, err := w.admin.AddName(ctx, app.Organisation, own[i])
			check(t, err)
		}
		other := w.application("tls_client_auth", "mtls")
		_, err := w.admin.AddName(ctx, other.Organisation, "foreign.example")
		check(t, err)
		before, err := w.admin.Credentials(ctx, app.ClientID, adminclient.Page{})
		check(t, err)
		for k := range own {
			names := append([]string(nil), own...)
			names[k] = "foreign.example"
			_, err := w.admin.IssueCertificate(ctx, app.ClientID, admin.NewRequest{CSR: namedCSR(t, names...), Profile: "server_tls"})
			wantField(t, err, "body.csr", "foreign.example")
		}
		after, err := w.admin.Credentials(ctx, app.ClientID, adminclient.Page{})
		check(t, err)
		if len(after.Items) != len(before.Items) {
			t.Errorf("%d credentials, %d before", len(after.Items), len(before.Items))
		}
		_, err = w.admin.AddName(ctx, other.Organisation, own[0])
		wantStatus(t, err, http.StatusConflict)
	})
	t.Run("names that nobody can have", func(t *testing.T) {
		for _, name := range []string{"*.example", "a b", "a..b", "0.0.0.0", "1.2.3", "https://a"} {
			_, err := w.admin.AddName(ctx, app.Organisation, name)
			wantField(t, err, "body.name", "")
		}
		_, err := w.admin.AddName(ctx, "nobody", "a.example")
		wantStatus(t, err, http.StatusNotFound)
		_, err = w.admin.Names(ctx, "nobody")
		wantStatus(t, err, http.StatusNotFound)
	})
}

// wantField wants a problem about one field.
func wantField(t *testing.T, err error, location, says string) {
	t.Helper()
	e := wantStatus(t, err, http.StatusUnprocessableEntity)
	if len(e.Fields) != 1 || e.Fields[0].Location != location || !strings.Contains(e.Fields[0].Message, says) {
		t.Errorf("%v", err)
	}
}

func TestEnrolmentCodes(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	app := w.application("tls_client_auth", "mtls")
	made, err := w.admin.CreateEnrolmentCode(ctx, app.ClientID, admin.NewCode{Instance: "pay-1", LifeSeconds: 3600})
	check(t, err)
	if made.State != "open" || made.Instance != "pay-1" || made.CreatedBy != operator || made.Expires.Sub(made.Created) != time.Hour || !strings.HasPrefix(made.Code, "hfe_") {
		t.Errorf("%+v", made)
	}
	second, err := w.admin.CreateEnrolmentCode(ctx, app.ClientID, admin.NewCode{})
	check(t, err)
	t.Run("advisory 113: it is shown this once", func(t *testing.T) {
		for _, path := range []string{"", "/" + made.ID} {
			got := w.ask("GET", "/v1/applications/"+app.ClientID+"/enrolment-codes"+path, w.token(nil), "")
			if got.status != 200 || strings.Contains(got.body, "hfe_") || !strings.Contains(got.body, made.ID) {
				t.Errorf("%d %s", got.status, got.body)
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if strings.Contains(w.log.String(), "hfe_") {
			t.Error("it is in the log")
		}
	})
	t.Run("list, in pages", func(t *testing.T) {
		first, err := w.admin.EnrolmentCodes(ctx, app.ClientID, adminclient.Page{Limit: 1})
		check(t, err)
		rest, err := w.admin.EnrolmentCodes(ctx, app.ClientID, adminclient.Page{Cursor: first.Next})
		check(t, err)
		if len(first.Items) != 1 || len(rest.Items) != 1 || first.Items[0].ID == rest.Items[0].ID || rest.Next != "" {
			t.Errorf("%+v %+v", first, rest)
		}
	})
	t.Run("used, and revoked", func(t *testing.T) {
		_, err := w.enrolment.Redeem(ctx, enrol.Attempt{Code: made.Code, CSR: []byte(newCSR(t))})
		check(t, err)
		used, err := w.admin.EnrolmentCode(ctx, app.ClientID, made.ID)
		check(t, err)
		if used.State != "used" || used.Used == nil || used.CredentialID == "" {
			t.Errorf("%+v", used)
		}
		_, err = w.admin.RevokeEnrolmentCode(ctx, app.ClientID, made.ID)
		wantStatus(t, err, http.StatusConflict)
		gone, err := w.admin.RevokeEnrolmentCode(ctx, app.ClientID, second.ID)
		check(t, err)
		if gone.State != "revoked" || gone.Revoked == nil {
			t.Errorf("%+v", gone)
		}
	})
	t.Run("refusals name the field", func(t *testing.T) {
		_, err := w.admin.CreateEnrolmentCode(ctx, app.ClientID, admin.NewCode{Profile: "client_signing"})
		wantField(t, err, "body.profile", "private_key_jwt")
		_, err = w.admin.CreateEnrolmentCode(ctx, app.ClientID, admin.NewCode{Instance: "a/b"})
		wantField(t, err, "body.instance", "")
		_, err = w.admin.CreateEnrolmentCode(ctx, app.ClientID, admin.NewCode{LifeSeconds: 86401})
		wantField(t, err, "body.life_seconds", "")
		other := w.application("tls_client_auth", "mtls")
		_, err = w.admin.EnrolmentCode(ctx, other.ClientID, made.ID)
		wantStatus(t, err, http.StatusNotFound)
		_, err = w.admin.RevokeEnrolmentCode(ctx, other.ClientID, made.ID)
		wantStatus(t, err, http.StatusNotFound)
		_, err = w.admin.CreateEnrolmentCode(ctx, "nobody", admin.NewCode{})
		wantStatus(t, err, http.StatusNotFound)
	})
}

func TestCertificateAuthority(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	app := w.application("tls_client_auth", "mtls")
	check(t, w.authority.Publish(ctx))
	shown, err := w.admin.Authority(ctx)
	check(t, err)
	if shown.Stopped || len(shown.Roots) != 1 || len(shown.Issuing) != 1 || !shown.Issuing[0].Available || shown.Issuing[0].CRLNumber == 0 ||
		shown.Issuing[0].CRL != "https://as.example/crl/"+shown.Issuing[0].ID+".crl" || shown.Issuing[0].NextUpdate == nil {
		t.Errorf("%+v", shown)
	}
	t.Run("stop, twice, and resume", func(t *testing.T) {
		for range 2 {
			stopped, err := w.admin.StopIssuing(ctx)
			check(t, err)
			if !stopped.Stopped || stopped.Since == nil || stopped.Actor != operator {
				t.Errorf("%+v", stopped)
			}
		}
		body, err := json.Marshal(admin.NewRequest{CSR: newCSR(t)})
		check(t, err)
		got := w.ask("POST", "/v1/applications/"+app.ClientID+"/certificate-requests", w.token(nil), string(body))
		if got.status != 503 || got.header.Get("Retry-After") != "60" || !strings.Contains(got.problem(t).Detail, "stopped") || w.lastEvent(got).Reason != "issuing_stopped" {
			t.Errorf("%d %s %v", got.status, got.body, got.header)
		}
		resumed, err := w.admin.ResumeIssuing(ctx)
		check(t, err)
		if resumed.Stopped {
			t.Errorf("%+v", resumed)
		}
		_, err = w.admin.IssueCertificate(ctx, app.ClientID, admin.NewRequest{CSR: newCSR(t)})
		check(t, err)
	})
	t.Run("a request for a new one, and what is not made of it", func(t *testing.T) {
		r, err := w.admin.RequestAuthority(ctx)
		check(t, err)
		block, _ := pem.Decode([]byte(r.CSR))
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		check(t, err)
		check(t, csr.CheckSignature())
		for _, text := range []string{"", "x", shown.Issuing[0].Certificate} {
			_, err := w.admin.ImportAuthority(ctx, text)
			wantField(t, err, "body.certificates", "")
		}
	})
}

package admin_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// TestDryRunOfWhatEnds: every operation that ends something takes dry_run, decides
// and changes nothing; and what is decided is what then comes.
func TestDryRunOfWhatEnds(t *testing.T) {
	w := newWorld(t)
	x := w.tenant("acme")
	_, err := w.admin.AddName(t.Context(), x.organisation, "host.example")
	check(t, err)
	ends := []string{"revoke", "suspend", "retire", "compromise", "stop", "rekey", "remove", "start-retirement", "revoke-tokens"}
	changes := func() int {
		t.Helper()
		page, err := w.admin.AuditEvents(t.Context(), 0, 1000)
		check(t, err)
		return len(page.Items)
	}
	names := []string{}
	for name := range whoMay {
		if path := strings.Split(name, "/"); strings.HasPrefix(name, "POST ") && slices.Contains(ends, path[len(path)-1]) {
			names = append(names, name)
		}
	}
	names = append(names, "PATCH /v1/applications/{client_id}", "POST /v1/certificate-authority/certificates")
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			method, path, _ := strings.Cut(name, " ")
			media, body, want := "application/json", x.body(t, w, name), http.StatusOK
			switch {
			case method == "PATCH":
				media, body = "application/merge-patch+json", `{"grants":[]}`
			case strings.HasSuffix(path, "/certificates"): // which are none
				want = http.StatusUnprocessableEntity
			}
			before := changes()
			got := w.ask(method, x.path(t, path)+"?dry_run=true", w.token(nil), body, "Content-Type", media, "If-Match", "*")
			if got.status != want {
				t.Errorf("%d %s", got.status, got.body)
			}
			if n := changes(); n != before {
				t.Errorf("%d events more", n-before)
			}
		})
	}
	t.Run("what was ended is not ended again, dry or not", func(t *testing.T) {
		for _, path := range []string{"/v1/organisations/acme/initial-access-tokens/" + x.initial, "/v1/organisations/acme/software-statements/" + x.statement,
			"/v1/applications/" + x.client + "/enrolment-codes/" + x.code} {
			if got := w.ask("POST", path+"/revoke", w.token(nil), ""); got.status != http.StatusOK {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
			if dry, got := w.ask("POST", path+"/revoke?dry_run=true", w.token(nil), ""), w.ask("POST", path+"/revoke", w.token(nil), ""); dry.status != http.StatusConflict || got.status != dry.status {
				t.Errorf("%s: dry %d %s, then %d %s", path, dry.status, dry.body, got.status, got.body)
			}
			other := strings.Replace(strings.Replace(path, "/acme/", "/holdfast/", 1), x.client, x.operator, 1)
			if dry := w.ask("POST", other+"/revoke?dry_run=true", w.token(nil), ""); dry.status != http.StatusNotFound {
				t.Errorf("%s: %d %s", other, dry.status, dry.body)
			}
		}
	})
	t.Run("a stopped authority would be stopped", func(t *testing.T) {
		got := w.ask("POST", "/v1/certificate-authority/stop?dry_run=true", w.token(nil), "")
		if !strings.Contains(got.body, `"stopped":true`) {
			t.Errorf("%d %s", got.status, got.body)
		}
		now, err := w.admin.Authority(t.Context())
		check(t, err)
		if now.Stopped {
			t.Error("it is stopped")
		}
	})
	t.Run("a change of grants tells whom it leaves with less", func(t *testing.T) {
		_, err := w.admin.UpdateApplication(t.Context(), x.client, admin.ApplicationPatch{Roles: &[]string{x.role}})
		check(t, err)
		got := w.ask("PATCH", "/v1/applications/"+x.client+"?dry_run=true", w.token(nil), `{"roles":[]}`, "Content-Type", "application/merge-patch+json", "If-Match", "*")
		if !strings.Contains(got.body, `"ends":{"applications":["`+x.client+`"]`) {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
}

package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// TestRevokeTokenByItsID: whoever does not have the token says what it says.
func TestRevokeTokenByItsID(t *testing.T) {
	w := newWorld(t)
	north, south := w.tenant("north"), w.tenant("south")
	now := w.clock.Now()
	revoke := func(x tenant, jti string, exp int64) answer {
		return w.ask(http.MethodPost, "/v1/tokens/revoke", w.as(x.operator, directory.OrganisationID(x.organisation)),
			fmt.Sprintf(`{"jti":%s,"client_id":%q,"exp":%d}`, jti, x.client, exp))
	}
	token := directory.Token{ID: "jti", ClientID: directory.ClientID(north.client), IssuedAt: now}
	if got := revoke(south, `"jti"`, now.Unix()+6); got.status != 200 || w.directory.Current().Ended(token) != "" {
		t.Errorf("advisory 98: another tenant's jti: %d %s, ended: %q", got.status, got.body, w.directory.Current().Ended(token))
	}
	if got := revoke(north, `"jti"`, now.Unix()+6); got.status != 200 || w.directory.Current().Ended(token) != "token_revoked" {
		t.Errorf("its own: %d %s", got.status, got.body)
	}
	w.clock.Advance(time.Hour - time.Second)
	revoke(south, `"another"`, w.clock.Now().Unix()+6) // what has expired is forgotten with a change
	if got := w.directory.Current().Ended(token); got != "token_revoked" {
		t.Errorf("an exp that nobody verified shortens the record: %q", got)
	}
	before := w.directory.Current().Sequence()
	for name, exp := range map[string]int64{"passed": 1, "just passed": w.clock.Now().Unix() - 1, "further ahead than any": w.clock.Now().Unix() + 3602, "the last": 1<<63 - 1} {
		if got := revoke(north, `"new"`, exp); got.status != 422 || !strings.Contains(got.body, "body.exp") {
			t.Errorf("exp %s: %d %s", name, got.status, got.body)
		}
	}
	for _, jti := range []string{`"a\u0000b"`, `"a\nb"`, `"\u0085"`} {
		if got := revoke(north, jti, w.clock.Now().Unix()+6); got.status != 422 && got.status != 400 {
			t.Errorf("jti %s: %d %s", jti, got.status, got.body)
		}
	}
	if w.directory.Current().Sequence() != before {
		t.Error("something was stored")
	}
}

// TestTrustAnchorsWhereOperatorsAre: a CA that is trusted could name any operator.
func TestTrustAnchorsWhereOperatorsAre(t *testing.T) {
	w := newWorld(t)
	w.operator("security", w.owner.ID, directory.Security)
	x := w.tenant("acme")
	security, own := w.as("security", w.owner.ID), w.as(x.operator, directory.OrganisationID(x.organisation))
	body := func() string {
		return `{"name":"CA","certificate":` + strconv.Quote(newAuthority(t, w.clock.Now())) + `}`
	}
	add := func(token, organisation string) answer {
		return w.ask(http.MethodPost, "/v1/organisations/"+organisation+"/trust-anchors", token, body())
	}
	refused := func(what string, got answer) {
		t.Helper()
		if got.status != 403 || w.lastEvent(got).Reason != "operator_application" {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	refused("a security officer, in the operator's organisation", add(security, string(w.owner.ID)))
	refused("a security officer, where an organisation has an operator", add(security, x.organisation))
	if got := add(own, x.organisation); got.status != 201 {
		t.Errorf("an operator of the organisation, whose operators are its peers: %d %s", got.status, got.body)
	}
	plain, err := w.admin.CreateOrganisation(t.Context(), admin.NewOrganisation{Name: "without operators"})
	check(t, err)
	if got := add(security, plain.ID); got.status != 201 {
		t.Errorf("a security officer, where there is no operator: %d %s", got.status, got.body)
	}
	step := func(token, verb string) answer {
		return w.ask(http.MethodPost, "/v1/organisations/"+x.organisation+"/trust-anchors/"+x.anchor+"/"+verb, token, "")
	}
	if got := step(security, "suspend"); got.status != 200 || !strings.Contains(got.body, "tokens_issued_before") {
		t.Errorf("suspend, which ends trust and tokens: %d %s", got.status, got.body)
	}
	refused("resume by a security officer", step(security, "resume"))
	if got := step(w.token(nil), "resume"); got.status != 200 {
		t.Errorf("resume by an owner: %d %s", got.status, got.body)
	}
}

// TestHowOperatorsAuthenticate: by what is registered here or issued by our own CA.
func TestHowOperatorsAuthenticate(t *testing.T) {
	w := newWorld(t)
	for _, role := range []string{"owner", "security", "auditor"} {
		for members, field := range map[string]string{
			`"auth_method":"tls_client_auth","tls_client_auth_san_dns":"` + role + `.example"`:                   "tls_client_auth_san_dns",
			`"auth_method":"private_key_jwt","tls_client_auth_san_uri":"spiffe://example/` + role + `"`:          "tls_client_auth_san_uri",
			`"auth_method":"private_key_jwt","jwks_uri":"https://` + role + `.example/jwks"`:                     "jwks_uri",
			`"auth_method":"self_signed_tls_client_auth","jwks_uri":"https://` + role + `.example/certificates"`: "jwks_uri",
		} {
			common := `{"name":"x","organisation":"` + string(w.owner.ID) + `","binding":"mtls",` + members
			got := w.ask(http.MethodPost, "/v1/applications", w.token(nil), common+`,"operator_role":"`+role+`"}`)
			if got.status != 422 || !strings.Contains(got.body, "body."+field) {
				t.Errorf("%s by %s: %d %s", role, members, got.status, got.body)
			}
			made := w.ask(http.MethodPost, "/v1/applications", w.token(nil), common+`}`)
			var app admin.Application
			check(t, json.Unmarshal([]byte(made.body), &app))
			got = w.ask(http.MethodPatch, "/v1/applications/"+app.ClientID, w.token(nil), `{"operator_role":"`+role+`"}`, "If-Match", "*", "Content-Type", "application/merge-patch+json")
			if got.status != 422 || !strings.Contains(got.body, "body."+field) {
				t.Errorf("%s given to %s: %d %s", role, members, got.status, got.body)
			}
			_, err := w.admin.RevokeApplication(t.Context(), app.ClientID)
			check(t, err)
		}
	}
}

// TestNamesThatAnOrganisationOwns: an operator of one gives its applications no others.
func TestNamesThatAnOrganisationOwns(t *testing.T) {
	w := newWorld(t)
	x := w.tenant("acme")
	w.registration.Names = func(_ context.Context, o directory.OrganisationID) ([]string, error) {
		return map[directory.OrganisationID][]string{"acme": {"acme.example"}, "globex": {"globex.example"}}[o], nil
	}
	token := w.as(x.operator, directory.OrganisationID(x.organisation))
	make := func(token, name string) answer {
		return w.ask(http.MethodPost, "/v1/applications", token, `{"name":"x","organisation":"acme","auth_method":"tls_client_auth","binding":"mtls",`+name+`}`)
	}
	made := make(token, `"tls_client_auth_san_dns":"shop.acme.example"`)
	if made.status != 201 {
		t.Fatalf("its own: %d %s", made.status, made.body)
	}
	var app admin.Application
	check(t, json.Unmarshal([]byte(made.body), &app))
	patch := func(token, body string) answer {
		return w.ask(http.MethodPatch, "/v1/applications/"+app.ClientID, token, body, "If-Match", "*", "Content-Type", "application/merge-patch+json")
	}
	for _, name := range []string{
		`"tls_client_auth_san_dns":"shop.globex.example"`, `"tls_client_auth_san_email":"a@globex.example"`, `"tls_client_auth_san_ip":"192.0.2.1"`,
		`"tls_client_auth_san_uri":"https://globex.example/"`, `"tls_client_auth_san_uri":"ftp://acme.example/"`,
	} {
		field := "body." + strings.Trim(strings.SplitN(name, ":", 2)[0], `"`)
		if got := make(token, name); got.status != 422 || !strings.Contains(got.body, field) {
			t.Errorf("another's, %s: %d %s", name, got.status, got.body)
		}
		other := name
		if !strings.Contains(name, "san_dns") {
			other = `"tls_client_auth_san_dns":null,` + name
		}
		if got := patch(token, "{"+other+"}"); got.status != 422 || !strings.Contains(got.body, field) {
			t.Errorf("changed to another's, %s: %d %s", name, got.status, got.body)
		}
	}
	if got := patch(token, `{"name":"y"}`); got.status != 200 {
		t.Errorf("what it has stays: %d %s", got.status, got.body)
	}
	if got := patch(w.token(nil), `{"tls_client_auth_san_dns":"any.example"}`); got.status != 200 {
		t.Errorf("an owner gives any: %d %s", got.status, got.body)
	}
	if got := patch(token, `{"name":"z"}`); got.status != 200 {
		t.Errorf("and that stays: %d %s", got.status, got.body)
	}
}

// TestWhatIsNoText: no id has such a character, and PostgreSQL takes none of them.
func TestWhatIsNoText(t *testing.T) {
	w := newWorld(t)
	x := w.tenant("acme")
	for _, bad := range []string{"%00", "a%00b", "%ff", "a%0Ab", "%C2%85"} {
		for _, path := range []string{
			"/v1/organisations/" + bad, "/v1/applications/" + bad, "/v1/resources/" + bad, "/v1/credentials/" + bad + "/history",
			"/v1/applications/" + x.client + "/enrolment-codes/" + bad,
		} {
			if got := w.ask(http.MethodGet, path, w.token(nil), ""); got.status != 404 {
				t.Errorf("GET %s: %d %s", path, got.status, got.body)
			}
		}
		for _, path := range []string{
			"/v1/organisations/acme/initial-access-tokens/" + bad + "/revoke", "/v1/organisations/acme/software-statements/" + bad + "/revoke",
			"/v1/applications/" + x.client + "/enrolment-codes/" + bad + "/revoke", "/v1/organisations/acme/names/" + bad + "/remove", "/v1/signing-keys/" + bad + "/revoke",
		} {
			if got := w.ask(http.MethodPost, path, w.token(nil), ""); got.status != 404 {
				t.Errorf("POST %s: %d %s", path, got.status, got.body)
			}
		}
		for _, filter := range []string{"actor", "action", "organisation", "subject"} {
			if got := w.ask(http.MethodGet, "/v1/audit?"+filter+"="+bad, w.token(nil), ""); got.status != 200 || !strings.Contains(got.body, `"items":[]`) {
				t.Errorf("audit by %s %s: %d %s", filter, bad, got.status, got.body)
			}
		}
	}
}

package admin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
)

// whoMay says of every operation who may call it: o is an owner, s security, a an
// auditor, t an operator of one organisation. An operation that is not here fails
// the test below.
var whoMay = map[string]string{
	"GET /v1/organisations":                                                         "osat",
	"POST /v1/organisations":                                                        "o",
	"GET /v1/organisations/{organisation}":                                          "osat",
	"PATCH /v1/organisations/{organisation}":                                        "o",
	"POST /v1/organisations/{organisation}/suspend":                                 "os",
	"POST /v1/organisations/{organisation}/resume":                                  "os",
	"POST /v1/organisations/{organisation}/revoke":                                  "os",
	"POST /v1/organisations/{organisation}/revoke-tokens":                           "ost",
	"GET /v1/organisations/{organisation}/history":                                  "osat",
	"GET /v1/organisations/{organisation}/names":                                    "osat",
	"POST /v1/organisations/{organisation}/names":                                   "o",
	"POST /v1/organisations/{organisation}/names/{name}/remove":                     "os",
	"GET /v1/organisations/{organisation}/trust-anchors":                            "osat",
	"POST /v1/organisations/{organisation}/trust-anchors":                           "ost",
	"GET /v1/organisations/{organisation}/trust-anchors/{anchor}":                   "osat",
	"POST /v1/organisations/{organisation}/trust-anchors/{anchor}/start-retirement": "ost",
	"POST /v1/organisations/{organisation}/trust-anchors/{anchor}/retire":           "ost",
	"POST /v1/organisations/{organisation}/trust-anchors/{anchor}/suspend":          "ost",
	"POST /v1/organisations/{organisation}/trust-anchors/{anchor}/resume":           "ost",
	"POST /v1/organisations/{organisation}/trust-anchors/{anchor}/revoke":           "ost",
	"POST /v1/organisations/{organisation}/trust-anchors/{anchor}/compromise":       "ost",
	"GET /v1/roles":                                                           "osat",
	"POST /v1/roles":                                                          "o",
	"GET /v1/roles/{role}":                                                    "osat",
	"PATCH /v1/roles/{role}":                                                  "o",
	"POST /v1/roles/{role}/suspend":                                           "o",
	"POST /v1/roles/{role}/resume":                                            "o",
	"POST /v1/roles/{role}/revoke":                                            "o",
	"GET /v1/resources":                                                       "osat",
	"POST /v1/resources":                                                      "o",
	"GET /v1/resources/{uri}":                                                 "osat",
	"PATCH /v1/resources/{uri}":                                               "o",
	"POST /v1/resources/{uri}/suspend":                                        "os",
	"POST /v1/resources/{uri}/resume":                                         "os",
	"POST /v1/resources/{uri}/revoke":                                         "os",
	"GET /v1/applications":                                                    "osat",
	"POST /v1/applications":                                                   "ot",
	"GET /v1/applications/{client_id}":                                        "osat",
	"PATCH /v1/applications/{client_id}":                                      "ot",
	"POST /v1/applications/{client_id}/suspend":                               "ost",
	"POST /v1/applications/{client_id}/resume":                                "ost",
	"POST /v1/applications/{client_id}/revoke":                                "ost",
	"POST /v1/applications/{client_id}/revoke-tokens":                         "ost",
	"GET /v1/applications/{client_id}/history":                                "osat",
	"GET /v1/applications/{client_id}/instances":                              "osat",
	"POST /v1/applications/{client_id}/instances":                             "ot",
	"GET /v1/applications/{client_id}/instances/{instance}":                   "osat",
	"POST /v1/applications/{client_id}/instances/{instance}/revoke":           "ost",
	"GET /v1/applications/{client_id}/credentials":                            "osat",
	"POST /v1/applications/{client_id}/signing-keys":                          "ost",
	"POST /v1/applications/{client_id}/certificates":                          "ost",
	"POST /v1/applications/{client_id}/certificate-requests":                  "ost",
	"POST /v1/applications/{client_id}/dpop-keys/{jkt}/revoke":                "ost",
	"POST /v1/applications/{client_id}/trusted-certificates/{x5t}/revoke":     "ost",
	"POST /v1/applications/{client_id}/published-keys/{jkt}/revoke":           "ost",
	"GET /v1/applications/{client_id}/enrolment-codes":                        "osat",
	"POST /v1/applications/{client_id}/enrolment-codes":                       "ost",
	"GET /v1/applications/{client_id}/enrolment-codes/{code_id}":              "osat",
	"POST /v1/applications/{client_id}/enrolment-codes/{code_id}/revoke":      "ost",
	"GET /v1/credentials":                                                     "osat",
	"GET /v1/credentials/{credential_id}":                                     "osat",
	"POST /v1/credentials/{credential_id}/suspend":                            "ost",
	"POST /v1/credentials/{credential_id}/resume":                             "ost",
	"POST /v1/credentials/{credential_id}/retire":                             "ost",
	"POST /v1/credentials/{credential_id}/revoke":                             "ost",
	"POST /v1/credentials/{credential_id}/compromise":                         "ost",
	"POST /v1/credentials/{credential_id}/revoke-tokens":                      "ost",
	"GET /v1/credentials/{credential_id}/history":                             "osat",
	"GET /v1/operators":                                                       "osat",
	"POST /v1/operators":                                                      "o",
	"GET /v1/operators/{client_id}":                                           "osat",
	"POST /v1/operators/{client_id}/rekey":                                    "osat", // every one its own
	"POST /v1/operators/{client_id}/suspend":                                  "o",
	"POST /v1/operators/{client_id}/resume":                                   "o",
	"POST /v1/operators/{client_id}/revoke":                                   "o",
	"POST /v1/tokens/revoke":                                                  "ost",
	"GET /v1/signing-keys":                                                    "osa",
	"POST /v1/signing-keys/{kid}/revoke":                                      "os",
	"GET /v1/organisations/{organisation}/initial-access-tokens":              "osat",
	"POST /v1/organisations/{organisation}/initial-access-tokens":             "ot",
	"POST /v1/organisations/{organisation}/initial-access-tokens/{id}/revoke": "ost",
	"GET /v1/organisations/{organisation}/software-statements":                "osat",
	"POST /v1/organisations/{organisation}/software-statements":               "ot",
	"POST /v1/organisations/{organisation}/software-statements/{id}/revoke":   "ost",
	"GET /v1/audit":                               "osa",
	"GET /v1/audit/checkpoints":                   "osa",
	"GET /v1/certificate-authority":               "osa",
	"POST /v1/certificate-authority/stop":         "os",
	"POST /v1/certificate-authority/resume":       "os",
	"POST /v1/certificate-authority/requests":     "o",
	"POST /v1/certificate-authority/certificates": "o",
}

// tenant is one organisation with one of everything.
type tenant struct {
	organisation, client, operator, credential, instance, uri, role, code, anchor, initial, statement string
}

func (w *world) tenant(name string) tenant {
	w.t.Helper()
	ctx := w.t.Context()
	x := tenant{organisation: name, client: name + "-app", operator: name + "-operator", uri: "https://api.example/" + name, role: name + "-role"}
	_, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{ID: name, Name: name})
	check(w.t, err)
	_, err = w.admin.CreateResource(ctx, admin.NewResource{URI: x.uri, Organisation: name, Name: name, Scopes: []string{name}})
	check(w.t, err)
	_, err = w.admin.CreateRole(ctx, admin.NewRole{ID: x.role, Name: name, Grants: []admin.Grant{{Resource: x.uri, Scopes: []string{name}}}})
	check(w.t, err)
	_, err = w.admin.UpdateOrganisation(ctx, name, admin.OrganisationPatch{Roles: &[]string{x.role}})
	check(w.t, err)
	_, err = w.admin.CreateApplication(ctx, admin.NewApplication{ClientID: x.client, Organisation: name, Name: name, AuthMethod: "private_key_jwt", Binding: "dpop"})
	check(w.t, err)
	for range 2 { // one more than needed, so that one may be retired
		c, err := w.admin.RegisterKey(ctx, x.client, admin.NewSigningKey{JWK: verifytest.NewSigner(w.t, jose.ES256, "").Public().JWK()})
		check(w.t, err)
		x.credential = c.ID
	}
	i, err := w.admin.CreateInstance(ctx, x.client, admin.NewInstance{Name: "one"})
	check(w.t, err)
	x.instance = i.ID
	w.operator(directory.ClientID(x.operator), directory.OrganisationID(name), directory.OrganisationOperator)
	made := w.ask("POST", "/v1/applications/"+x.client+"/enrolment-codes", w.token(nil), "{}")
	var code struct {
		ID string `json:"code_id"`
	}
	check(w.t, json.Unmarshal([]byte(made.body), &code))
	x.code = code.ID
	for path, into := range map[string]*string{"initial-access-tokens": &x.initial, "software-statements": &x.statement} {
		made := w.ask("POST", "/v1/organisations/"+name+"/"+path, w.token(nil), x.body(w.t, w, "POST /v1/organisations/{organisation}/"+path))
		var of struct{ ID string }
		check(w.t, json.Unmarshal([]byte(made.body), &of))
		if *into = of.ID; of.ID == "" {
			w.t.Fatalf("%s: %d %s", path, made.status, made.body)
		}
	}
	anchor, err := w.admin.AddTrustAnchor(ctx, name, admin.NewTrustAnchor{Name: "CA", Certificate: newAuthority(w.t, w.clock.Now())})
	check(w.t, err)
	x.anchor = anchor.ID
	return x
}

// path fills a template with what the tenant has.
func (x tenant) path(t *testing.T, template string) string {
	t.Helper()
	client := x.client
	if strings.HasPrefix(template, "/v1/operators/") {
		client = x.operator
	}
	id := x.initial
	if strings.Contains(template, "/software-statements/") {
		id = x.statement
	}
	for name, value := range map[string]string{
		"organisation": x.organisation, "id": id, "client_id": client, "credential_id": x.credential, "instance": x.instance, "uri": url.PathEscape(x.uri), "role": x.role,
		"code_id": x.code, "anchor": x.anchor, "jkt": strings.Repeat("A", 43), "x5t": strings.Repeat("A", 43), "kid": "key-1", "name": "host.example",
	} {
		template = strings.ReplaceAll(template, "{"+name+"}", value)
	}
	if strings.Contains(template, "{") {
		t.Fatalf("%s: say what stands there in matrix_test.go", template)
	}
	return template
}

// body is one that the operation takes.
func (x tenant) body(t *testing.T, w *world, operation string) string {
	jwk := func() string { return string(verifytest.NewSigner(t, jose.ES256, "").Public().JWK()) }
	text := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	switch operation {
	case "POST /v1/organisations":
		return `{"name":"new"}`
	case "POST /v1/roles":
		return `{"id":"` + strings.ToLower(jwk()[len(jwk())-12:len(jwk())-4]) + `","name":"new","grants":[]}`
	case "POST /v1/resources":
		return `{"uri":"https://api.example/` + x.organisation + `/more","organisation":"` + x.organisation + `","name":"new","scopes":["` + x.organisation + `.more"]}`
	case "POST /v1/applications":
		return `{"organisation":"` + x.organisation + `","name":"new","auth_method":"private_key_jwt","binding":"dpop"}`
	case "POST /v1/applications/{client_id}/signing-keys", "POST /v1/operators/{client_id}/rekey":
		return `{"jwk":` + jwk() + `}`
	case "POST /v1/applications/{client_id}/certificates":
		return `{"certificate":` + text(certificatePEM(verifytest.NewClient(t, w.clock).Certificate)) + `}`
	case "POST /v1/organisations/{organisation}/trust-anchors":
		return `{"name":"new","certificate":` + text(newAuthority(t, w.clock.Now())) + `}`
	case "POST /v1/applications/{client_id}/certificate-requests":
		return `{"csr":` + text(newCSR(t)) + `}`
	case "POST /v1/applications/{client_id}/instances", "POST /v1/organisations/{organisation}/names":
		return `{"name":"new.example"}`
	case "POST /v1/organisations/{organisation}/software-statements":
		return `{"metadata":{"software_id":"software-1"},"uses":5}`
	case "POST /v1/operators":
		return `{"name":"new","role":"auditor","jwk":` + jwk() + `}`
	case "POST /v1/tokens/revoke":
		return `{"token":"token-of-` + x.client + `"}`
	case "POST /v1/certificate-authority/certificates":
		return `{"certificates":"none"}`
	}
	return "{}"
}

// TestWhoMay: advisories 45, 98 and 99: each route x each role x {own, foreign}.
func TestWhoMay(t *testing.T) {
	w := newWorld(t)
	own, foreign := w.tenant("acme"), w.tenant("globex")
	none := tenant{"nobody", "nobody-app", "nobody-operator", "cred-nobody", "inst-nobody", "https://api.example/nobody", "nobody-role", "nobody-code", "ca-nobody", "nobody-token", "nobody-statement"}
	w.operator("security", w.owner.ID, directory.Security)
	w.operator("auditor", w.owner.ID, directory.Auditor)
	tokens := map[rune]string{}
	for r, who := range map[rune][2]string{
		'o': {operator, string(w.owner.ID)}, 's': {"security", string(w.owner.ID)}, 'a': {"auditor", string(w.owner.ID)}, 't': {own.operator, own.organisation},
	} {
		tokens[r] = w.token(verifytest.Claims{
			"client_id": who[0], "sub": who[0], "organisation": who[1], "iat": w.clock.Now().Unix(), "exp": w.clock.Now().Add(endless).Unix(),
		})
	}
	roles := map[rune]string{'o': "owner", 's': "security", 'a': "auditor", 't': "organisation_operator"}
	seen := map[string]bool{}
	for path, methods := range w.document(t).Paths {
		for method, op := range methods {
			name := strings.ToUpper(method) + " " + path
			seen[name] = true
			may, ok := whoMay[name]
			if !ok {
				t.Errorf("%s: say in matrix_test.go who may do this", name)
				continue
			}
			ask := func(token string, x tenant) answer {
				body, media := "", "application/json"
				if op.RequestBody != nil {
					body = x.body(t, w, name)
					for media = range op.RequestBody.Content {
					}
				}
				return w.ask(strings.ToUpper(method), x.path(t, path), token, body, "Content-Type", media, "If-Match", "*")
			}
			t.Run(name, func(t *testing.T) {
				var want []string
				for _, r := range may {
					want = append(want, roles[r])
				}
				if strings.Join(op.Roles, " ") != strings.Join(want, " ") {
					t.Errorf("the description says %q, the table %q", op.Roles, want)
				}
				for _, r := range "tsao" { // those who may least come first: what an owner ends is gone for the rest
					before := w.directory.Current().Sequence()
					allowed := strings.ContainsRune(may, r)
					if r == 't' && allowed {
						got, nothing := ask(tokens[r], foreign), ask(tokens[r], none)
						if strings.Contains(path, "{") || name == "POST /v1/applications" || name == "POST /v1/tokens/revoke" {
							hidden(t, got, nothing)
						}
						if strings.Contains(got.body, `"globex"`) || w.directory.Current().Sequence() != before {
							t.Errorf("one organisation sees or changes another: %d %s", got.status, got.body)
						}
					}
					got := ask(tokens[r], own)
					rekeyOther := strings.HasSuffix(path, "/rekey") && r != 'o' && r != 't'
					// The organisation has an operator: only an owner, or its own, trusts CAs for it.
					trusts := r == 's' && w.directory.Current().Client(directory.ClientID(own.operator)).State != directory.Revoked &&
						(strings.HasSuffix(path, "/trust-anchors") && method == "post" || strings.HasSuffix(path, "/{anchor}/resume"))
					switch {
					case !allowed || rekeyOther || trusts:
						if e := w.lastEvent(got); got.status != 403 || e.Reason == "" || w.directory.Current().Sequence() != before {
							t.Errorf("%s is not refused: %d %s", roles[r], got.status, got.body)
						}
					case got.status == 401 || got.status == 403 || got.status == 404 && path != "/v1/organisations/{organisation}/names/{name}/remove" || got.status >= 500 && !strings.Contains(got.body, "issuing certificates is stopped"):
						t.Errorf("%s is refused: %d %s", roles[r], got.status, got.body)
					case method == "get" && got.status != 200:
						t.Errorf("%s reads: %d %s", roles[r], got.status, got.body)
					}
				}
			})
		}
	}
	for name := range whoMay {
		if !seen[name] {
			t.Errorf("%s is no operation", name)
		}
	}
}

// hidden wants that what is another's is answered as what is not there.
func hidden(t *testing.T, foreign, nothing answer) {
	t.Helper()
	a, b := foreign.body, strings.ReplaceAll(nothing.body, "nobody", "globex")
	for _, ids := range [][2]string{{"cred-", `"`}, {"inst-", `"`}, {"ca-", `"`}, {"enrolment code ", `"`}} {
		a, b = cutID(a, ids[0], ids[1]), cutID(b, ids[0], ids[1])
	}
	if foreign.status != nothing.status || foreign.status != 404 && foreign.status != 422 || a != b {
		t.Errorf("another's: %d %s\nnobody's: %d %s", foreign.status, foreign.body, nothing.status, nothing.body)
	}
}

func cutID(s, from, to string) string {
	i := strings.Index(s, from)
	if i < 0 {
		return s
	}
	j := strings.Index(s[i:], to)
	if j < 0 {
		return s
	}
	return s[:i] + s[i+j:]
}

// TestListsOfOne: advisory 98: lists and their filters show to an operator of one
// organisation that organisation alone.
func TestListsOfOne(t *testing.T) {
	w := newWorld(t)
	own, foreign := w.tenant("acme"), w.tenant("globex")
	token := w.as(own.operator, "acme")
	for _, path := range []string{"/organisations", "/roles", "/resources", "/applications", "/credentials", "/operators"} {
		var p struct{ Items []json.RawMessage }
		got := w.ask(http.MethodGet, "/v1"+path, token, "")
		check(t, json.Unmarshal([]byte(got.body), &p))
		if got.status != 200 || len(p.Items) == 0 || strings.Contains(got.body, "globex") || strings.Contains(got.body, string(w.owner.ID)) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for _, query := range []string{"/applications?organisation=globex", "/resources?organisation=globex", "/credentials?organisation=globex", "/operators?organisation=globex",
		"/applications?name_prefix=globex", "/organisations?name_prefix=globex", "/roles?name_prefix=globex"} {
		nothing := w.ask(http.MethodGet, strings.ReplaceAll("/v1"+query, "globex", "nobody"), token, "")
		if got := w.ask(http.MethodGet, "/v1"+query, token, ""); got.status != 200 || got.body != nothing.body {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	t.Run("advisory 98: an instance under another application's path", func(t *testing.T) {
		got := w.ask(http.MethodGet, "/v1/applications/"+own.client+"/instances/"+foreign.instance, token, "")
		if got.status != 404 {
			t.Errorf("%d %s", got.status, got.body)
		}
		got = w.ask(http.MethodGet, "/v1/applications/"+own.client+"/enrolment-codes/"+foreign.code, token, "")
		if got.status != 404 {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	t.Run("advisory 98: another's token and statement under the path of one's own organisation", func(t *testing.T) {
		for _, path := range []string{"initial-access-tokens/" + foreign.initial, "software-statements/" + foreign.statement} {
			before := w.directory.Current().Sequence()
			got := w.ask(http.MethodPost, "/v1/organisations/acme/"+path+"/revoke", token, "")
			if got.status != 404 || w.directory.Current().Sequence() != before {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
	})
	t.Run("grants go no further than what the organisation holds by role, and ids are not chosen", func(t *testing.T) {
		for body, want := range map[string]int{
			`"grants":[{"resource":"` + own.uri + `","scopes":["acme"]}]`: 201,
			`"roles":["acme-role"]`: 201,
			`"grants":[{"resource":"` + foreign.uri + `","scopes":["globex"]}]`: 422,
			`"grants":[{"resource":"` + resource + `","scopes":["admin"]}]`:     422,
			`"grants":[{"resource":"https://api.example/x","scopes":["x"]}]`:    422,
			`"roles":["globex-role"]`:                 422,
			`"client_id":"globex-app"`:                422,
			`"client_id":"new-app"`:                   422,
			`"operator_role":"organisation_operator"`: 403,
		} {
			got := w.ask(http.MethodPost, "/v1/applications", token, `{"organisation":"acme","name":"x","auth_method":"private_key_jwt","binding":"dpop",`+body+`}`)
			if got.status != want {
				t.Errorf("%s: %d %s", body, got.status, got.body)
			}
		}
		for body, want := range map[string]int{
			`{"grants":[{"resource":"` + foreign.uri + `","scopes":["globex"]}]}`: 422,
			`{"operator_role":"owner"}`:                                     403,
			`{"operator_role":null}`:                                        200,
			`{"grants":[{"resource":"` + own.uri + `","scopes":["acme"]}]}`: 200,
		} {
			got := w.ask(http.MethodPatch, "/v1/applications/"+own.client, token, body, "Content-Type", "application/merge-patch+json", "If-Match", "*")
			if got.status != want {
				t.Errorf("%s: %d %s", body, got.status, got.body)
			}
		}
	})
	t.Run("what another may be granted is refused as what does not exist", func(t *testing.T) {
		ask := func(uri string) answer {
			return w.ask(http.MethodPost, "/v1/applications", token, `{"organisation":"acme","name":"x","auth_method":"private_key_jwt","binding":"dpop","grants":[{"resource":"`+uri+`","scopes":["x"]}]}`)
		}
		if a, b := ask(foreign.uri), ask("https://api.example/nobody"); a.body != b.body {
			t.Errorf("%s\n%s", a.body, b.body)
		}
		role := func(id string) answer {
			return w.ask(http.MethodPost, "/v1/applications", token, `{"organisation":"acme","name":"x","auth_method":"private_key_jwt","binding":"dpop","roles":["`+id+`"]}`)
		}
		hidden(t, role("globex-role"), role("nobody-role"))
	})
}

// Package contract has the admin API's own description judged by a validator that
// is not ours: every operation is called, with what it takes and with what it
// refuses, and each request and each answer must be as the document says.
package contract_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/dev"
)

const publicKey = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`

// bodies are what operations take; an operation with a body that is not here gets {}.
var bodies = map[string]string{
	"POST /v1/organisations":                                      `{"name":"made"}`,
	"PATCH /v1/organisations/{organisation}":                      `{"name":"changed"}`,
	"POST /v1/roles":                                              `{"id":"made","name":"made","grants":[]}`,
	"PATCH /v1/roles/{role}":                                      `{"name":"changed"}`,
	"POST /v1/resources":                                          `{"uri":"https://made.example","organisation":"acme","name":"made","scopes":["made"]}`,
	"PATCH /v1/resources/{uri}":                                   `{"name":"changed"}`,
	"POST /v1/applications":                                       `{"organisation":"acme","name":"made","auth_method":"private_key_jwt","binding":"dpop"}`,
	"PATCH /v1/applications/{client_id}":                          `{"name":"changed","jwks_uri":null}`,
	"POST /v1/applications/{client_id}/instances":                 `{"name":"made"}`,
	"POST /v1/applications/{client_id}/signing-keys":              `{"jwk":` + publicKey + `}`,
	"POST /v1/applications/{client_id}/certificates":              `{"certificate":"none"}`,
	"POST /v1/applications/{client_id}/certificate-requests":      `{"csr":"none"}`,
	"POST /v1/applications/{client_id}/enrolment-codes":           `{}`,
	"POST /v1/organisations/{organisation}/names":                 `{"name":"host.example"}`,
	"POST /v1/organisations/{organisation}/trust-anchors":         `{"name":"CA","certificate":"none"}`,
	"POST /v1/organisations/{organisation}/software-statements":   `{"metadata":{"software_id":"s"}}`,
	"POST /v1/organisations/{organisation}/initial-access-tokens": `{}`,
	"POST /v1/operators":                                          `{"name":"made","role":"auditor","jwk":` + publicKey + `}`,
	"POST /v1/operators/{client_id}/rekey":                        `{"jwk":` + publicKey + `}`,
	"POST /v1/tokens/revoke":                                      `{"jti":"x","client_id":"shop","exp":` + "EXP" + `}`,
	"POST /v1/certificate-authority/certificates":                 `{"certificates":"none"}`,
}

// never are operations that would end the test.
var never = []string{"POST /v1/signing-keys/{kid}/revoke"}

type document struct {
	Paths map[string]map[string]struct {
		RequestBody *struct{ Content map[string]any } `json:"requestBody"`
	}
}

func TestContract(t *testing.T) {
	stack, err := dev.Start(t.Context(), dev.Options{Dir: t.TempDir(), Now: time.Now})
	must(t, err)
	t.Cleanup(func() { must(t, stack.Close()) })
	api := stack.Admin()
	ctx := t.Context()
	_, err = api.CreateOrganisation(ctx, admin.NewOrganisation{ID: "acme", Name: "Acme"})
	must(t, err)
	_, err = api.CreateResource(ctx, admin.NewResource{URI: "https://api.example", Organisation: "acme", Name: "API", Scopes: []string{"api"}})
	must(t, err)
	_, err = api.CreateRole(ctx, admin.NewRole{ID: "buyer", Name: "Buyer", Grants: []admin.Grant{{Resource: "https://api.example", Scopes: []string{"api"}}}})
	must(t, err)
	_, err = api.CreateApplication(ctx, admin.NewApplication{ClientID: "shop", Organisation: "acme", Name: "Shop", AuthMethod: "private_key_jwt", Binding: "dpop"})
	must(t, err)
	_, err = api.CreateInstance(ctx, "shop", admin.NewInstance{ID: "one", Name: "one"})
	must(t, err)
	credentials, err := api.Credentials(ctx, stack.File().Clients[0].ClientID, adminclient.Page{})
	must(t, err)

	text := fetch(t, api.HTTP, api.URL+"/openapi.json")
	described, err := libopenapi.NewDocument(text)
	must(t, err)
	v, errs := validator.NewValidator(described, config.WithoutSecurityValidation())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, faults := v.ValidateDocument(); !ok {
		for _, f := range faults {
			t.Errorf("the document: %s: %s", f.Message, f.Reason)
		}
	}
	var d document
	must(t, json.Unmarshal(text, &d))
	fixtures := map[string]string{
		"organisation": "acme", "client_id": "shop", "uri": "https://api.example", "role": "buyer", "instance": "one", "credential_id": credentials.Items[0].ID,
		"jkt": strings.Repeat("A", 43), "x5t": strings.Repeat("A", 43), "kid": "none", "code_id": "none", "name": "host.example", "id": "none", "anchor": "none",
	}
	var names []string
	for path, methods := range d.Paths {
		for method := range methods {
			names = append(names, strings.ToUpper(method)+" "+path)
		}
	}
	// What ends something comes last, and reading first.
	slices.SortFunc(names, func(a, b string) int { return rank(a)*2 - rank(b)*2 + strings.Compare(a, b) })
	for _, name := range names {
		if slices.Contains(never, name) {
			continue
		}
		method, path, _ := strings.Cut(name, " ")
		content := d.Paths[path][strings.ToLower(method)].RequestBody
		t.Run(name, func(t *testing.T) {
			c := &caller{t: t, client: api.HTTP, base: api.URL, v: v, method: method, path: path}
			if content != nil {
				for c.media = range content.Content {
				}
				if c.body = bodies[name]; c.body == "" {
					c.body = "{}"
				}
				c.body = strings.Replace(c.body, "EXP", strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10), 1)
			}
			c.ask(fixtures, true)
			nobody := map[string]string{}
			for k := range fixtures {
				nobody[k] = "nobody"
			}
			c.ask(nobody, true)
			if content != nil {
				c.body = `{"sesame":1}`
				c.ask(fixtures, false)
			}
		})
	}
}

func rank(name string) int {
	switch {
	case strings.HasPrefix(name, "GET"):
		return 0
	case strings.HasSuffix(name, "/revoke"), strings.HasSuffix(name, "/compromise"), strings.HasSuffix(name, "/retire"):
		return 200
	}
	return 100
}

// caller calls one operation.
type caller struct {
	t                  *testing.T
	client             *http.Client
	base, method, path string
	media, body        string
	v                  validator.Validator
}

// ask calls it with these path parameters and has the request, which is good or not,
// and the answer validated.
func (c *caller) ask(parameters map[string]string, good bool) {
	c.t.Helper()
	fill := func(uri string) *http.Request {
		path := c.path
		for name, value := range parameters {
			if name == "uri" && uri != "" {
				value = uri // the validator knows no escaped slash
			}
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
		}
		if strings.Contains(path, "{") {
			c.t.Fatalf("%s: what stands there?", path)
		}
		r, err := http.NewRequestWithContext(c.t.Context(), c.method, c.base+path, strings.NewReader(c.body))
		must(c.t, err)
		if c.media != "" {
			r.Header.Set("Content-Type", c.media)
		}
		if c.method == http.MethodPatch {
			r.Header.Set("If-Match", "*")
		}
		return r
	}
	res, err := c.client.Do(fill(""))
	must(c.t, err)
	body, err := io.ReadAll(res.Body)
	must(c.t, err)
	must(c.t, res.Body.Close())
	res.Body = io.NopCloser(bytes.NewReader(body))
	if res.StatusCode >= 500 {
		c.t.Errorf("%d %s", res.StatusCode, body)
	}
	ok, faults := c.v.ValidateHttpRequest(fill("x"))
	if ok != good {
		c.t.Errorf("the request is good: %t; the validator says %t", good, ok)
		for _, f := range faults {
			c.t.Logf("%s: %s", f.Message, f.Reason)
		}
	}
	if ok, faults := c.v.ValidateHttpResponse(fill("x"), res); !ok {
		c.t.Errorf("the answer is not as described: %d %s", res.StatusCode, body)
		for _, f := range faults {
			c.t.Logf("%s: %s", f.Message, f.Reason)
			for _, s := range f.SchemaValidationErrors {
				c.t.Logf("  %s", s.Reason)
			}
		}
	}
}

func fetch(t *testing.T, c *http.Client, url string) []byte {
	t.Helper()
	res, err := c.Get(url)
	must(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	return text
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

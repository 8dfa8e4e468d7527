package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/idempotency"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
)

func TestIdempotency(t *testing.T) {
	w := newWorld(t)
	token := w.token(nil)
	w.operator("second", w.owner.ID, directory.Owner)
	post := func(path, body, key string) answer {
		return w.ask(http.MethodPost, "/v1"+path, token, body, "Idempotency-Key", key)
	}
	sequence := func() int64 { return w.directory.Current().Sequence() }
	t.Run("the same request has the same answer, and is carried out once", func(t *testing.T) {
		app := w.application("private_key_jwt", "dpop")
		jwk := string(verifytest.NewSigner(t, jose.ES256, "").Public().JWK())
		for path, body := range map[string]string{
			"/organisations": `{"name":"Once"}`,
			"/applications":  `{"organisation":"` + app.Organisation + `","name":"once","auth_method":"private_key_jwt","binding":"dpop"}`,
			"/applications/" + app.ClientID + "/signing-keys":                                     `{"jwk":` + jwk + `,"not_after":"` + w.clock.Now().Add(time.Hour).Format("2006-01-02T15:04:05.123456789Z07:00") + `"}`,
			"/applications/" + app.ClientID + "/instances":                                        `{"name":"one"}`,
			"/applications/" + app.ClientID + "/suspend":                                          "",
			"/applications/" + app.ClientID + "/revoke-tokens":                                    "",
			"/applications/" + app.ClientID + "/enrolment-codes":                                  `{}`,
			"/applications/" + app.ClientID + "/dpop-keys/" + strings.Repeat("A", 43) + "/revoke": "",
			"/tokens/revoke": `{"token":"token-of-` + app.ClientID + `"}`,
			"/operators":     `{"name":"x","role":"auditor","jwk":` + string(verifytest.NewSigner(t, jose.ES256, "").Public().JWK()) + `}`,
		} {
			key := "once " + path
			first := post(path, body, key)
			before := sequence()
			w.clock.Advance(time.Second)
			again := post(path, body, key)
			if first.status > 201 || again.status != first.status || again.body != first.body || again.header.Get("ETag") != first.header.Get("ETag") ||
				again.header.Get("Content-Type") != first.header.Get("Content-Type") || sequence() != before {
				t.Errorf("%s:\n%d %s %v\n%d %s %v", path, first.status, first.body, first.header, again.status, again.body, again.header)
			}
			if other := post(path, body, key+"'"); first.status == 201 && path != "/applications/"+app.ClientID+"/signing-keys" && path != "/operators" && other.body == first.body {
				t.Errorf("%s: another key has the same answer", path)
			}
		}
	})
	t.Run("an answer is what it would be without the key, and what is shown next", func(t *testing.T) {
		first := post("/organisations", `{"id":"plain","name":"Plain"}`, "plain")
		shown := w.ask(http.MethodGet, "/v1/organisations/plain", token, "")
		if first.status != 201 || first.body != shown.body || first.header.Get("ETag") != shown.header.Get("ETag") || shown.header.Get("ETag") == "" {
			t.Errorf("%s %v\n%s %v", first.body, first.header, shown.body, shown.header)
		}
	})
	t.Run("another request with the key is refused", func(t *testing.T) {
		post("/organisations", `{"name":"One"}`, "reused")
		before := sequence()
		for _, c := range [][2]string{{"/organisations", `{"name":"Two"}`}, {"/organisations", `{"name": "One"}`}, {"/organisations/plain/suspend", ""}} {
			got := post(c[0], c[1], "reused")
			if e := w.lastEvent(got); got.status != 422 || e.Reason != "idempotency_key_reused" || len(got.problem(t).Errors) != 1 || sequence() != before {
				t.Errorf("%v: %d %s %+v", c, got.status, got.body, e)
			}
		}
	})
	t.Run("a key is its caller's own", func(t *testing.T) {
		first := post("/organisations", `{"name":"Mine"}`, "shared")
		other := w.ask(http.MethodPost, "/v1/organisations", w.as("second", w.owner.ID), `{"name":"Mine"}`, "Idempotency-Key", "shared")
		if other.status != 201 || other.body == first.body {
			t.Errorf("%d %s", other.status, other.body)
		}
	})
	t.Run("a refusal is not remembered", func(t *testing.T) {
		if got := post("/organisations/late/suspend", "", "early"); got.status != 404 {
			t.Errorf("%d", got.status)
		}
		if got := post("/organisations", `{"name":""}`, "empty"); got.status != 422 {
			t.Errorf("%d", got.status)
		}
		post("/organisations", `{"id":"late","name":"Late"}`, "late")
		if got := post("/organisations/late/suspend", "", "early"); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
		if got := post("/organisations", `{"name":"Full"}`, "empty"); got.status != 201 {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	t.Run("a key is 1 to 255 printable characters of ASCII, once", func(t *testing.T) {
		for key, want := range map[string]int{"x": 201, strings.Repeat("k", 255): 201, "a b~!": 201, strings.Repeat("k", 256): 400, "ä": 400, "": 400} {
			got := post("/organisations", `{"name":"Key"}`, key)
			if got.status != want || want == 400 && (len(got.problem(t).Errors) != 1 || strings.Contains(got.body, strings.Repeat("k", 256))) {
				t.Errorf("%.20q: %d %s", key, got.status, got.body)
			}
		}
	})
	t.Run("it is kept for 24 hours", func(t *testing.T) {
		later := time.Duration(0)
		c := w.config(w.URL, nil)
		c.Require = func(next http.Handler) http.Handler { return next }
		c.Caller = w.itself
		c.Table.Now = func() time.Time { return w.clock.Now().Add(later) }
		h, err := admin.New(c)
		check(t, err)
		day := func() string {
			r := httptest.NewRequest(http.MethodPost, "/v1/organisations", strings.NewReader(`{"name":"Day"}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "day")
			a := httptest.NewRecorder()
			h.ServeHTTP(a, r)
			if a.Code != 201 {
				t.Errorf("%d %s", a.Code, a.Body)
			}
			return a.Body.String()
		}
		first := day()
		later = 24*time.Hour - time.Second
		if again := day(); again != first {
			t.Error(again)
		}
		later = 24 * time.Hour
		if again := day(); again == first {
			t.Error(again)
		}
	})
	t.Run("of the same request at once, one is carried out: the others have its answer or 409", func(t *testing.T) {
		before := sequence()
		answers := make([]answer, 16)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = post("/organisations", `{"name":"Race"}`, "race") })
		}
		wg.Wait()
		bodies := map[string]bool{}
		for _, a := range answers {
			switch a.status {
			case 201:
				bodies[a.body] = true
			case 409:
				if e := w.lastEvent(a); e.Reason != "idempotency_key_under_way" {
					t.Errorf("%+v", e)
				}
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		if len(bodies) != 1 || sequence() != before+1 {
			t.Errorf("%v, %d changes", bodies, sequence()-before)
		}
	})
	t.Run("the answer lies sealed in the database", func(t *testing.T) {
		app := w.application("private_key_jwt", "dpop")
		got := post("/applications/"+app.ClientID+"/enrolment-codes", `{}`, "secret")
		var made struct{ Code string }
		check(t, json.Unmarshal([]byte(got.body), &made))
		if made.Code == "" || w.inDatabase(made.Code) || !w.inDatabase("enrolment_code") {
			t.Errorf("the code %q is in the database", made.Code)
		}
	})
}

// TestIdempotencyOnTwoNodes: another node has the answer, and a node that died after
// its change has left it.
func TestIdempotencyOnTwoNodes(t *testing.T) {
	w := newWorld(t)
	other := w.node()
	token := w.token(nil)
	first := w.ask(http.MethodPost, "/v1/organisations", token, `{"name":"Once"}`, "Idempotency-Key", "k")
	again := other.ask(http.MethodPost, "/v1/organisations", token, `{"name":"Once"}`, "Idempotency-Key", "k")
	if first.status != 201 || again.status != 201 || again.body != first.body {
		t.Errorf("%d %s\n%d %s", first.status, first.body, again.status, again.body)
	}
	for round := range 10 {
		var wg sync.WaitGroup
		answers := make([]answer, 8)
		body := fmt.Sprintf(`{"id":"race-%d","name":"Race"}`, round)
		for i := range answers {
			node := []*world{w, other}[i%2]
			wg.Go(func() {
				answers[i] = node.ask(http.MethodPost, "/v1/organisations", token, body, "Idempotency-Key", fmt.Sprint("race ", round))
			})
		}
		wg.Wait()
		bodies := map[string]int{}
		for _, a := range answers {
			if a.status == 201 {
				bodies[a.body]++
			} else if a.status != 409 || !strings.Contains(a.body, "under way") {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		if len(bodies) != 1 {
			t.Errorf("%v", bodies)
		}
	}
}

// forgetful is a store that keeps no answer by itself: what a node does that dies
// between a change that is not the directory's and its answer.
type forgetful struct{ *store.Store }

func (forgetful) Remember(context.Context, *idempotency.Pending) error { return errDisk }

func TestAnswerLost(t *testing.T) {
	w := newWorld(t)
	app := w.application("private_key_jwt", "dpop")
	c := w.config(w.URL, nil)
	c.Require = func(next http.Handler) http.Handler { return next }
	c.Caller = w.itself
	c.Answers = forgetful{w.store}
	h, err := admin.New(c)
	check(t, err)
	ask := func(path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/v1"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "lost "+path)
		a := httptest.NewRecorder()
		h.ServeHTTP(a, r)
		return a
	}
	codes := "/applications/" + app.ClientID + "/enrolment-codes"
	if a := ask(codes, `{}`); a.Code != 500 {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	before := w.directory.Current().Sequence()
	if a := ask(codes, `{}`); a.Code != 409 || !strings.Contains(a.Body.String(), "was carried out") || w.directory.Current().Sequence() != before {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	t.Run("an answer to a change of the directory is never lost", func(t *testing.T) {
		first, again := ask("/organisations", `{"name":"Kept"}`), ask("/organisations", `{"name":"Kept"}`)
		if first.Code != 201 || again.Code != 201 || first.Body.String() != again.Body.String() {
			t.Errorf("%d %s\n%d %s", first.Code, first.Body, again.Code, again.Body)
		}
	})
}

func TestConditions(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	token := w.token(nil)
	x := w.tenant("acme")
	patch := func(path, body string, header ...string) answer {
		return w.ask(http.MethodPatch, "/v1"+path, token, body, append([]string{"Content-Type", "application/merge-patch+json"}, header...)...)
	}
	for path, body := range map[string]string{
		"/organisations/acme": `{"name":"Next"}`, "/roles/acme-role": `{"name":"Next"}`, "/applications/acme-app": `{"name":"Next"}`,
		"/resources/" + strings.ReplaceAll(x.uri, "/", "%2F"): `{"name":"Next"}`,
	} {
		t.Run(path, func(t *testing.T) {
			shown := w.ask(http.MethodGet, "/v1"+path, token, "")
			tag := shown.header.Get("ETag")
			if shown.status != 200 || len(tag) < 3 || strings.HasPrefix(tag, "W/") {
				t.Fatalf("%d, ETag %q", shown.status, tag)
			}
			same := w.ask(http.MethodGet, "/v1"+path, token, "", "If-None-Match", `"x", `+tag)
			if same.status != 304 || same.body != "" || same.header.Get("ETag") != tag {
				t.Errorf("If-None-Match: %d %q", same.status, same.body)
			}
			if got := w.ask(http.MethodGet, "/v1"+path, token, "", "If-None-Match", `"x"`); got.status != 200 {
				t.Errorf("If-None-Match of another: %d", got.status)
			}
			before := w.directory.Current().Sequence()
			if got := patch(path, body); got.status != 428 || w.lastEvent(got).Reason != "no_if_match" {
				t.Errorf("no If-Match: %d %s", got.status, got.body)
			}
			for _, stale := range []string{`"1"`, "W/" + tag, "x"} {
				if got := patch(path, body, "If-Match", stale); got.status != 412 || w.lastEvent(got).Reason != "changed_meanwhile" {
					t.Errorf("If-Match %s: %d %s", stale, got.status, got.body)
				}
			}
			if w.directory.Current().Sequence() != before {
				t.Error("something was stored")
			}
			next := patch(path, body, "If-Match", tag)
			if next.status != 200 || !strings.Contains(next.body, "Next") || next.header.Get("ETag") == tag {
				t.Errorf("%d %s", next.status, next.body)
			}
			if now := w.ask(http.MethodGet, "/v1"+path, token, ""); now.body != next.body || now.header.Get("ETag") != next.header.Get("ETag") {
				t.Errorf("%s\n%s", now.body, next.body)
			}
			if got := patch(path, body, "If-Match", tag); got.status != 412 {
				t.Errorf("twice: %d", got.status)
			}
		})
	}
	t.Run("what is shown of an application changes its ETag, wherever it comes from", func(t *testing.T) {
		_, err := w.admin.UpdateApplication(ctx, x.client, admin.ApplicationPatch{Roles: &[]string{x.role}})
		check(t, err)
		last := w.ask(http.MethodGet, "/v1/applications/"+x.client, token, "")
		for _, change := range []func() error{
			func() error { _, err := w.admin.EndRole(ctx, x.role, adminclient.Suspend, false); return err },
			func() error { _, err := w.admin.EndRole(ctx, x.role, adminclient.Resume, false); return err },
			func() error {
				_, err := w.admin.UpdateOrganisation(ctx, "acme", admin.OrganisationPatch{Roles: &[]string{}})
				return err
			},
		} {
			check(t, change())
			now := w.ask(http.MethodGet, "/v1/applications/"+x.client, token, "")
			if now.body == last.body || now.header.Get("ETag") == last.header.Get("ETag") {
				t.Errorf("%s\n%s", last.body, now.body)
			}
			last = now
		}
	})
	t.Run("RFC 7396: null takes away, and only what may be taken", func(t *testing.T) {
		a, err := w.admin.CreateApplication(ctx, admin.NewApplication{Organisation: "acme", Name: "x", AuthMethod: "private_key_jwt", Binding: "dpop", JWKSURI: "https://keys.example/x"})
		check(t, err)
		path := "/applications/" + a.ClientID
		if got := patch(path, `{"jwks_uri":null}`, "If-Match", "*"); got.status != 200 || strings.Contains(got.body, "jwks_uri") {
			t.Errorf("%d %s", got.status, got.body)
		}
		for _, name := range []string{"name", "grants", "roles", "binding", "auth_method", "require_nonce"} {
			got := patch(path, `{"`+name+`":null}`, "If-Match", "*")
			if p := got.problem(t); got.status != 422 || len(p.Errors) != 1 || p.Errors[0].Location != "body."+name {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
	})
}

func TestCursors(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	token := w.token(nil)
	for i := range 5 {
		_, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{ID: fmt.Sprint("o-", i), Name: fmt.Sprint("Name ", i%2)})
		check(t, err)
	}
	var first struct{ Next string }
	check(t, json.Unmarshal([]byte(w.ask(http.MethodGet, "/v1/organisations?limit=2", token, "").body), &first))
	t.Run("advisory 22: a cursor that was changed, or is of another list, is refused", func(t *testing.T) {
		bad := []string{first.Next[:len(first.Next)-1], first.Next + "A", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA", first.Next + "="}
		for i := range first.Next {
			c := byte('A')
			if first.Next[i] == 'A' {
				c = 'B'
			}
			bad = append(bad, first.Next[:i]+string(c)+first.Next[i+1:])
		}
		for _, cursor := range bad {
			got := w.ask(http.MethodGet, "/v1/organisations?cursor="+cursor, token, "")
			if p := got.problem(t); got.status != 400 || len(p.Errors) != 1 || p.Errors[0].Location != "query.cursor" {
				t.Errorf("%s: %d %s", cursor, got.status, got.body)
			}
		}
		if got := w.ask(http.MethodGet, "/v1/applications?cursor="+first.Next, token, ""); got.status != 400 {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	t.Run("pages are each once and in order, whatever is filtered", func(t *testing.T) {
		for _, filter := range []string{"", "&name_prefix=Name", "&state=active", "&name_prefix=Name+1"} {
			var ids []string
			for cursor := ""; ; {
				var p struct {
					Items []admin.Organisation
					Next  string
				}
				check(t, json.Unmarshal([]byte(w.ask(http.MethodGet, "/v1/organisations?limit=2"+filter+"&cursor="+cursor, token, "").body), &p))
				for _, o := range p.Items {
					if len(ids) > 0 && o.ID <= ids[len(ids)-1] {
						t.Errorf("%s after %s", o.ID, ids[len(ids)-1])
					}
					ids = append(ids, o.ID)
				}
				if cursor = p.Next; cursor == "" {
					break
				}
			}
			if want := map[string]int{"": 6, "&name_prefix=Name": 5, "&state=active": 6, "&name_prefix=Name+1": 2}[filter]; len(ids) != want {
				t.Errorf("%q: %q", filter, ids)
			}
		}
	})
	t.Run("credentials by end", func(t *testing.T) {
		app := w.application("private_key_jwt", "dpop")
		soon := w.clock.Now().Add(time.Hour)
		_, err := w.admin.RegisterKey(ctx, app.ClientID, admin.NewSigningKey{JWK: verifytest.NewSigner(t, jose.ES256, "").Public().JWK(), NotAfter: &soon})
		check(t, err)
		_, err = w.admin.RegisterKey(ctx, app.ClientID, admin.NewSigningKey{JWK: verifytest.NewSigner(t, jose.ES256, "").Public().JWK()})
		check(t, err)
		for before, want := range map[time.Time]int{soon.Add(time.Second): 1, soon: 0} {
			p, err := w.admin.AllCredentials(ctx, adminclient.Page{Filter: map[string][]string{"expires_before": {before.UTC().Format(time.RFC3339)}}})
			check(t, err)
			if len(p.Items) != want {
				t.Errorf("%s: %+v", before, p.Items)
			}
		}
	})
}

func TestDryRun(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	x := w.tenant("acme")
	_, err := w.admin.UpdateApplication(ctx, x.client, admin.ApplicationPatch{Roles: &[]string{x.role}})
	check(t, err)
	before := w.directory.Current().Sequence()
	for _, c := range []struct {
		name                      string
		run                       func(dry bool) (*admin.Ends, string, error)
		state                     string
		applications, credentials int
		tokens                    bool
	}{
		{"organisation", func(dry bool) (*admin.Ends, string, error) {
			o, err := w.admin.EndOrganisation(ctx, "acme", adminclient.Suspend, dry)
			return o.Ends, o.State, err
		}, "suspended", 1, 2, true},
		{"application", func(dry bool) (*admin.Ends, string, error) {
			a, err := w.admin.EndApplication(ctx, x.client, adminclient.Revoke, dry)
			return a.Ends, a.State, err
		}, "revoked", 1, 2, true},
		{"credential", func(dry bool) (*admin.Ends, string, error) {
			k, err := w.admin.EndCredential(ctx, x.credential, adminclient.Compromise, dry)
			return k.Ends, k.State, err
		}, "compromised", 0, 1, true},
		{"role", func(dry bool) (*admin.Ends, string, error) {
			r, err := w.admin.EndRole(ctx, x.role, adminclient.Suspend, dry)
			return r.Ends, r.State, err
		}, "suspended", 1, 0, false},
		{"resource", func(dry bool) (*admin.Ends, string, error) {
			r, err := w.admin.EndResource(ctx, x.uri, adminclient.Suspend, dry)
			return r.Ends, r.State, err
		}, "suspended", 1, 0, true},
		{"tokens", func(dry bool) (*admin.Ends, string, error) {
			a, err := w.admin.EndApplication(ctx, x.client, adminclient.RevokeTokens, dry)
			return a.Ends, a.State, err
		}, "active", 0, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ends, state, err := c.run(true)
			check(t, err)
			if state != c.state || ends == nil || ends.ApplicationCount != c.applications || ends.CredentialCount != c.credentials || (ends.TokensIssued != nil) != c.tokens ||
				len(ends.Applications) != c.applications || len(ends.Credentials) != c.credentials {
				t.Errorf("%s, %+v", state, ends)
			}
		})
	}
	if w.directory.Current().Sequence() != before {
		t.Error("a dry run has stored something")
	}
	t.Run("a dry run is refused as the change would be", func(t *testing.T) {
		_, err := w.admin.EndApplication(ctx, x.client, adminclient.Resume, true)
		wantStatus(t, err, http.StatusConflict)
		_, err = w.admin.EndOrganisation(ctx, string(w.owner.ID), adminclient.Suspend, true)
		wantStatus(t, err, http.StatusConflict)
		_, err = w.admin.EndApplication(ctx, "nobody", adminclient.Revoke, true)
		wantStatus(t, err, http.StatusNotFound)
	})
	t.Run("and tells what the change then ends", func(t *testing.T) {
		dry, err := w.admin.EndApplication(ctx, x.client, adminclient.Suspend, true)
		check(t, err)
		done, err := w.admin.EndApplication(ctx, x.client, adminclient.Suspend, false)
		check(t, err)
		a, _ := json.Marshal(dry)
		b, _ := json.Marshal(done)
		if string(a) != string(b) || w.directory.Current().Sequence() != before+1 {
			t.Errorf("%s\n%s", a, b)
		}
	})
}

// TestListOfMany: a page of 100,000 applications takes no longer than a person notices.
func TestListOfMany(t *testing.T) {
	w := newWorld(t)
	d := directory.Delta{Sequence: w.directory.Current().Sequence()}
	const many = 100_000
	for i := range many {
		d.Applications = append(d.Applications, directory.Application{
			ClientID: directory.ClientID(fmt.Sprintf("app-%06d", i*7919%many)), Organisation: w.owner.ID, Name: "many", State: directory.Active,
		})
	}
	c := w.config(w.URL, nil)
	var err error
	c.Directory, err = directory.Open(t.Context(), loaded{Store: w.store, more: d}, w.clock.Now)
	check(t, err)
	c.Require = func(next http.Handler) http.Handler { return next }
	c.Caller = w.itself
	h, err := admin.New(c)
	check(t, err)
	best := time.Hour
	for range 5 {
		from := time.Now()
		if status := serve(h, http.MethodGet, "/v1/applications?limit=1000"); status != 200 {
			t.Fatal(status)
		}
		best = min(best, time.Since(from))
	}
	if best > 500*time.Millisecond { // 50 ms on a quiet machine
		t.Errorf("a page took %s", best)
	}
	t.Logf("a page of 1,000 of %d applications: %s", many, best)
}

// loaded is a store with more records than it has.
type loaded struct {
	*store.Store
	more directory.Delta
}

func (l loaded) Load(ctx context.Context, after int64) (directory.Delta, error) {
	d, err := l.Store.Load(ctx, after)
	d.Applications = append(d.Applications, l.more.Applications...)
	return d, err
}

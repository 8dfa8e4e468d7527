package directory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

func TestOrganisations(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	t.Run("a new organisation gets an id of 128 random bits and is active", func(t *testing.T) {
		a, err := w.CreateOrganisation(ctx, "op", directory.Organisation{Name: "Größe & Söhne 株式会社"})
		must(t, err)
		b, err := w.CreateOrganisation(ctx, "op", directory.Organisation{Name: "B"})
		must(t, err)
		if a.ID == b.ID || len(a.ID) != len("org-")+26 || !strings.HasPrefix(string(a.ID), "org-") || strings.ToLower(string(a.ID)) != string(a.ID) || a.State != directory.Active {
			t.Fatalf("%+v, %+v", a, b)
		}
		if got := w.Current().Organisation(a.ID); got == nil || !cmp.Equal(*got, a) {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("the event says who, what and when", func(t *testing.T) {
		_, err := w.CreateOrganisation(ctx, "op-1", directory.Organisation{ID: "named", Name: "Named"})
		must(t, err)
		e := w.last(t)
		if e.Actor != "op-1" || e.Action != "organisation.created" || e.Organisation != "named" || e.Subject != "named" || e.Detail != `{"name":"Named"}` || !e.At.Equal(start) {
			t.Fatalf("%+v", e)
		}
	})
	t.Run("an id is used once", func(t *testing.T) {
		w.unchanged(t, func() {
			_, err := w.CreateOrganisation(ctx, "op", directory.Organisation{ID: "acme", Name: "Again"})
			is(t, err, directory.ErrExists)
		})
	})
	t.Run("a new record is active", func(t *testing.T) {
		w.unchanged(t, func() {
			_, err := w.CreateOrganisation(ctx, "op", directory.Organisation{Name: "A", State: directory.Suspended})
			at(t, err, "state")
			_, err = w.CreateApplication(ctx, "op", directory.Application{State: directory.Revoked})
			at(t, err, "state")
		})
	})
}

func TestIDs(t *testing.T) {
	w := filled(t)
	for _, id := range []string{".", "..", "a/b", "a b", "a%2e", "ä", "a\n", "a\x00", "a:b", "a~b", strings.Repeat("a", 65)} {
		t.Run(fmt.Sprintf("%q is refused", id), func(t *testing.T) {
			w.unchanged(t, func() {
				_, err := w.CreateOrganisation(t.Context(), "op", directory.Organisation{ID: directory.OrganisationID(id), Name: "A"})
				at(t, err, "id")
				_, err = w.CreateApplication(t.Context(), "op", directory.Application{ClientID: directory.ClientID(id), Organisation: "acme", Name: "A", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP})
				at(t, err, "client_id")
			})
		})
	}
	for _, id := range []string{"...", "a", "A.b_c-9", "-", "_", strings.Repeat("Z", 64)} {
		t.Run(fmt.Sprintf("%q is accepted", id), func(t *testing.T) {
			_, err := w.CreateOrganisation(t.Context(), "op", directory.Organisation{ID: directory.OrganisationID(id), Name: "A"})
			must(t, err)
		})
	}
}

func TestNames(t *testing.T) {
	w := filled(t)
	for _, name := range []string{"", " ", " a", "a ", "a\nb", "a\tb", "a\x00b", "a\u202eb", "a\u00a0b", "a\x7f", "\xff", "a\ufeffb", strings.Repeat("ä", 201)} {
		t.Run(fmt.Sprintf("%q is refused", name), func(t *testing.T) {
			w.unchanged(t, func() {
				_, err := w.CreateOrganisation(t.Context(), "op", directory.Organisation{Name: name})
				at(t, err, "name")
				_, err = w.CreateResource(t.Context(), "op", directory.Resource{URI: "https://x.example", Organisation: "acme", Name: name, Scopes: []string{"x"}})
				at(t, err, "name")
				_, err = w.CreateApplication(t.Context(), "op", directory.Application{Organisation: "acme", Name: name, AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP})
				at(t, err, "name")
			})
		})
	}
	t.Run("200 characters are accepted, however many bytes", func(t *testing.T) {
		_, err := w.CreateOrganisation(t.Context(), "op", directory.Organisation{Name: strings.Repeat("株", 200)})
		must(t, err)
	})
}

func TestResources(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	valid := directory.Resource{URI: "https://new.example/v1", Organisation: "acme", Name: "New", Scopes: []string{"new"}, Servers: []directory.ClientID{"tls"}}
	for _, c := range []struct {
		name, field string
		change      func(r *directory.Resource)
	}{
		{"no URI", "uri", func(r *directory.Resource) { r.URI = "" }},
		{"a long URI", "uri", func(r *directory.Resource) { r.URI = "https://x.example/" + strings.Repeat("a", 500) }},
		{"a relative URI", "uri", func(r *directory.Resource) { r.URI = "/payments" }},
		{"no scheme", "uri", func(r *directory.Resource) { r.URI = "api.example/payments" }},
		{"http", "uri", func(r *directory.Resource) { r.URI = "http://api.example" }},
		{"http to a host that begins like a loopback one", "uri", func(r *directory.Resource) { r.URI = "http://localhost.example" }},
		{"another scheme", "uri", func(r *directory.Resource) { r.URI = "urn:x" }},
		{"a scheme in upper case", "uri", func(r *directory.Resource) { r.URI = "HTTPS://api.example" }},
		{"no host", "uri", func(r *directory.Resource) { r.URI = "https:///payments" }},
		{"a port alone", "uri", func(r *directory.Resource) { r.URI = "https://:443/" }},
		{"an empty port", "uri", func(r *directory.Resource) { r.URI = "https://api.example:/" }},
		{"a port that is none", "uri", func(r *directory.Resource) { r.URI = "https://api.example:x/" }},
		{"a host in upper case", "uri", func(r *directory.Resource) { r.URI = "https://API.example" }},
		{"a fragment", "uri", func(r *directory.Resource) { r.URI = "https://api.example/#a" }},
		{"an empty fragment", "uri", func(r *directory.Resource) { r.URI = "https://api.example/#" }},
		{"user information", "uri", func(r *directory.Resource) { r.URI = "https://u:p@api.example/" }},
		{"empty user information", "uri", func(r *directory.Resource) { r.URI = "https://@api.example/" }},
		{"a space", "uri", func(r *directory.Resource) { r.URI = "https://api.example/a b" }},
		{"a quote", "uri", func(r *directory.Resource) { r.URI = `https://api.example/"` }},
		{"a control character", "uri", func(r *directory.Resource) { r.URI = "https://api.example/\n" }},
		{"a letter beyond ASCII", "uri", func(r *directory.Resource) { r.URI = "https://api.example/ä" }},
		{"an escape that is none", "uri", func(r *directory.Resource) { r.URI = "https://api.example/%zz" }},
		{"no scopes", "scopes", func(r *directory.Resource) { r.Scopes = nil }},
		{"an empty scope", "scopes", func(r *directory.Resource) { r.Scopes = []string{""} }},
		{"a long scope", "scopes", func(r *directory.Resource) { r.Scopes = []string{strings.Repeat("s", 65)} }},
		{"a scope with a space", "scopes", func(r *directory.Resource) { r.Scopes = []string{"a b"} }},
		{"a scope with a quote", "scopes", func(r *directory.Resource) { r.Scopes = []string{`a"b`} }},
		{"a scope with a backslash", "scopes", func(r *directory.Resource) { r.Scopes = []string{`a\b`} }},
		{"a scope beyond ASCII", "scopes", func(r *directory.Resource) { r.Scopes = []string{"ä"} }},
		{"a scope with a control character", "scopes", func(r *directory.Resource) { r.Scopes = []string{"a\x7f"} }},
		{"a scope twice", "scopes", func(r *directory.Resource) { r.Scopes = []string{"a", "b", "a"} }},
		{"101 scopes", "scopes", func(r *directory.Resource) {
			for i := range 101 {
				r.Scopes = append(r.Scopes, fmt.Sprint("s", i))
			}
		}},
		{"no organisation", "organisation", func(r *directory.Resource) { r.Organisation = "none" }},
		{"a server that does not exist", "servers", func(r *directory.Resource) { r.Servers = []directory.ClientID{"none"} }},
		{"a server twice", "servers", func(r *directory.Resource) { r.Servers = []directory.ClientID{"tls", "tls"} }},
		{"101 servers", "servers", func(r *directory.Resource) { r.Servers = make([]directory.ClientID, 101) }},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			r := valid
			c.change(&r)
			w.unchanged(t, func() {
				_, err := w.CreateResource(ctx, "op", r)
				at(t, err, c.field)
			})
		})
	}
	t.Run("a URI or a scope that another resource has is refused", func(t *testing.T) {
		w.unchanged(t, func() {
			r := valid
			r.URI = payments
			_, err := w.CreateResource(ctx, "op", r)
			is(t, err, directory.ErrExists)
			r = valid
			r.Scopes = []string{"new", "pay"}
			_, err = w.CreateResource(ctx, "op", r)
			is(t, err, directory.ErrExists)
		})
	})
	for i, uri := range []string{
		"https://new.example", "https://new.example/", "https://new.example:8443/a/b?c=d", "https://192.0.2.1", "https://[2001:db8::1]:8443/",
		"http://localhost", "http://localhost:8080/payments", "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:80/", "https://localhost/payments",
	} {
		t.Run(uri+" is accepted", func(t *testing.T) {
			r := directory.Resource{URI: uri, Organisation: "acme", Name: "New", Scopes: []string{fmt.Sprintf("!#[]~%d", i), strings.Repeat("s", 62) + fmt.Sprintf("%02d", i)}, Servers: []directory.ClientID{"tls", "jwt"}}
			got, err := w.CreateResource(ctx, "op", r)
			must(t, err)
			r.State, r.Changed = directory.Active, w.Current().Sequence()
			if diff := cmp.Diff(&r, w.Current().Resource(uri)); diff != "" || cmp.Diff(r, got) != "" {
				t.Error(diff)
			}
			if e := w.last(t); e.Action != "resource.created" || e.Subject != uri || e.Organisation != "acme" {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestApplications(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	valid := directory.Application{Organisation: "acme", Name: "New", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP}
	grant := func(resource string, scopes ...string) directory.Grant {
		return directory.Grant{Resource: resource, Scopes: scopes}
	}
	for _, c := range []struct {
		name, field string
		change      func(a *directory.Application)
	}{
		{"no method", "auth_method", func(a *directory.Application) { a.AuthMethod = "" }},
		{"a method with a shared secret", "auth_method", func(a *directory.Application) { a.AuthMethod = "client_secret_basic" }},
		{"a method with a shared secret in a JWT", "auth_method", func(a *directory.Application) { a.AuthMethod = "client_secret_jwt" }},
		{"the method none", "auth_method", func(a *directory.Application) { a.AuthMethod = "none" }},
		{"no binding", "binding", func(a *directory.Application) { a.Binding = "" }},
		{"the binding none", "binding", func(a *directory.Application) { a.Binding = "none" }},
		{"no organisation", "organisation", func(a *directory.Application) { a.Organisation = "none" }},
		{"a grant of a resource that does not exist", "grants", func(a *directory.Application) { a.Grants = []directory.Grant{grant("https://none.example", "pay")} }},
		{"a grant of a scope that does not exist", "grants", func(a *directory.Application) { a.Grants = []directory.Grant{grant(payments, "none")} }},
		{"a grant of another resource's scope", "grants", func(a *directory.Application) { a.Grants = []directory.Grant{grant(payments, "pay", "report")} }},
		{"a grant of no scope", "grants", func(a *directory.Application) { a.Grants = []directory.Grant{grant(payments)} }},
		{"a grant of one scope twice", "grants", func(a *directory.Application) { a.Grants = []directory.Grant{grant(payments, "pay", "pay")} }},
		{"two grants of one resource", "grants", func(a *directory.Application) {
			a.Grants = []directory.Grant{grant(payments, "pay"), grant(payments, "refund")}
		}},
		{"101 grants", "grants", func(a *directory.Application) { a.Grants = make([]directory.Grant, 101) }},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			a := valid
			c.change(&a)
			w.unchanged(t, func() {
				_, err := w.CreateApplication(ctx, "op", a)
				at(t, err, c.field)
			})
		})
	}
	t.Run("a client_id is never used again", func(t *testing.T) {
		a := valid
		a.ClientID = "gone"
		_, err := w.CreateApplication(ctx, "op", a)
		must(t, err)
		must(t, w.SetApplicationState(ctx, "op", "gone", directory.Revoked))
		w.unchanged(t, func() {
			_, err = w.CreateApplication(ctx, "op", a)
			is(t, err, directory.ErrExists)
		})
	})
	for _, method := range []directory.AuthMethod{directory.PrivateKeyJWT, directory.TLSClientAuth, directory.SelfSignedTLSClientAuth} {
		for _, binding := range []cnf.Method{cnf.MTLS, cnf.DPoP} {
			t.Run(fmt.Sprintf("%s with tokens bound by %s is accepted", method, binding), func(t *testing.T) {
				a := valid
				a.AuthMethod, a.Binding, a.RequireNonce = method, binding, true
				a.Grants = []directory.Grant{grant(reports, "report"), grant(payments, "refund", "pay")}
				got, err := w.CreateApplication(ctx, "op", a)
				must(t, err)
				if !strings.HasPrefix(string(got.ClientID), "app-") || len(got.ClientID) != 30 || got.State != directory.Active {
					t.Errorf("%+v", got)
				}
				c := w.Current().Client(got.ClientID)
				if diff := cmp.Diff(got, c.Application); diff != "" || !c.Live {
					t.Error(diff)
				}
				if e := w.last(t); e.Action != "application.created" || e.Subject != string(got.ClientID) || e.Organisation != "acme" ||
					!strings.Contains(e.Detail, `"auth_method":"`+string(method)+`"`) || !strings.Contains(e.Detail, `"`+payments+`":["refund","pay"]`) {
					t.Errorf("%+v", e)
				}
			})
		}
	}
}

func TestOwnerStates(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	t.Run("what does not exist is not found", func(t *testing.T) {
		w.unchanged(t, func() {
			is(t, w.SetApplicationState(ctx, "op", "none", directory.Revoked), directory.ErrNotFound)
			is(t, w.SetOrganisationState(ctx, "op", "none", directory.Revoked), directory.ErrNotFound)
			is(t, w.SetCredentialState(ctx, "op", "none", directory.Revoked), directory.ErrNotFound)
		})
	})
	t.Run("an application is suspended, resumed and revoked for good", func(t *testing.T) {
		for _, step := range []struct {
			to     directory.State
			action string
			live   bool
		}{{directory.Suspended, "application.suspended", false}, {directory.Active, "application.resumed", true}, {directory.Revoked, "application.revoked", false}} {
			must(t, w.SetApplicationState(ctx, "op", "tls", step.to))
			if c := w.Current().Client("tls"); c.State != step.to || c.Live != step.live {
				t.Errorf("%+v", c)
			}
			if e := w.last(t); e.Action != step.action || e.Subject != "tls" || e.Organisation != "acme" {
				t.Errorf("%+v", e)
			}
		}
		w.unchanged(t, func() { is(t, w.SetApplicationState(ctx, "op", "tls", directory.Active), directory.ErrState) })
	})
	t.Run("an organisation is suspended, resumed and revoked for good, with its applications", func(t *testing.T) {
		before := w.clock.now()
		for _, step := range []struct {
			to     directory.State
			action string
			ended  string
		}{{directory.Suspended, "organisation.suspended", "organisation_suspended"}, {directory.Active, "organisation.resumed", "organisation_tokens_revoked"}, {directory.Revoked, "organisation.revoked", "organisation_revoked"}} {
			must(t, w.SetOrganisationState(ctx, "op", "acme", step.to))
			w.clock.advance(time.Second)
			if got := w.Current().Ended(directory.Token{ClientID: "jwt", IssuedAt: before.Add(-time.Second)}); got != step.ended {
				t.Errorf("%s: ended %q", step.to, got)
			}
			if e := w.last(t); e.Action != step.action || e.Subject != "acme" {
				t.Errorf("%+v", e)
			}
		}
		w.unchanged(t, func() {
			is(t, w.SetOrganisationState(ctx, "op", "acme", directory.Active), directory.ErrState)
			_, err := w.CreateApplication(ctx, "op", directory.Application{Organisation: "acme", Name: "Late", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP})
			is(t, err, directory.ErrState)
			_, err = w.CreateResource(ctx, "op", directory.Resource{URI: "https://late.example", Organisation: "acme", Name: "Late", Scopes: []string{"late"}})
			is(t, err, directory.ErrState)
		})
	})
}

func FuzzResourceURI(f *testing.F) {
	for _, seed := range []string{"https://api.example/payments", "http://localhost:1/", "https://u@h/", "https://h/#f", "http://127.0.0.1", "https://[::1]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		err := directory.CheckURI(uri)
		if err != nil {
			if !errors.Is(err, directory.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		rest, secure := strings.CutPrefix(uri, "https://")
		if !secure {
			var plain bool
			if rest, plain = strings.CutPrefix(uri, "http://"); !plain {
				t.Fatalf("%q has another scheme", uri)
			}
		}
		authority, _, _ := strings.Cut(rest, "/")
		authority, _, _ = strings.Cut(authority, "?")
		if authority == "" || strings.ContainsAny(authority, "@") || strings.ContainsAny(uri, "# \"<>\\") || strings.ToLower(authority) != authority {
			t.Fatalf("%q is accepted", uri)
		}
		if !secure && !strings.HasPrefix(authority, "localhost") && !strings.HasPrefix(authority, "127.") && !strings.HasPrefix(authority, "[") {
			t.Fatalf("%q is plain HTTP to another host", uri)
		}
	})
}

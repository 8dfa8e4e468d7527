package directory_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// notActions are the texts of the same form in packages that write events.
var notActions = map[string]bool{
	"holdfast.db": true, "query.cursor": true, "dpop.key": true, "enrolled.key": true, "enrolled.pem": true, "operator.key": true,
	"roots.pem": true, "operator.json": true, "vcs.revision": true, "vcs.modified": true, "checkpoint.json": true,
}

// TestEveryActionIsClassified reads the source: an action that somebody adds, and
// that a restore does not know, is found here and not by whoever loses a database.
func TestEveryActionIsClassified(t *testing.T) {
	known, _ := directory.Actions()
	form := regexp.MustCompile(`^[a-z_]+\.[a-z_]+$`)
	found := map[string]bool{}
	for folder, files := range sources(t) {
		if !writesEvents(files) {
			continue
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				text, ok := n.(*ast.BasicLit)
				if !ok || text.Kind != token.STRING {
					return true
				}
				if value, err := strconv.Unquote(text.Value); err == nil && form.MatchString(value) && !notActions[value] {
					found[value] = true
					if !known[value] {
						t.Errorf("%s: what does a restore make of %q? See effect.go", folder, value)
					}
				}
				return true
			})
		}
	}
	for _, noun := range movedNouns(t) {
		for _, verb := range []string{"suspended", "revoked", "resumed"} {
			if !known[noun+"."+verb] {
				t.Errorf("a restore does not know %s.%s", noun, verb)
			}
		}
	}
	for _, one := range []string{"operator.rekeyed", "authority.stopped", "application.registered", "key.created", "enrolment_code.revoked", "database.restored", "installation.initialised"} {
		if !found[one] {
			t.Errorf("%s was not found in the source: the search finds nothing", one)
		}
	}
}

// sources are the files of the program, without tests, by their folder.
func sources(t *testing.T) map[string][]*ast.File {
	t.Helper()
	by := map[string][]*ast.File{}
	set := token.NewFileSet()
	for _, root := range []string{"../../internal", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test") {
				return err
			}
			f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			by[filepath.Dir(path)] = append(by[filepath.Dir(path)], f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return by
}

func writesEvents(files []*ast.File) bool {
	for _, f := range files {
		if f.Name.Name == "audit" {
			return true
		}
		for _, i := range f.Imports {
			if strings.HasSuffix(i.Path.Value, `/internal/audit"`) {
				return true
			}
		}
	}
	return false
}

// movedNouns are those whose states change: the first argument of action.
func movedNouns(t *testing.T) (nouns []string) {
	t.Helper()
	for _, f := range sources(t)["../../internal/directory"] {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "action" {
				if text, ok := call.Args[0].(*ast.BasicLit); ok {
					noun, _ := strconv.Unquote(text.Value)
					nouns = append(nouns, noun)
				}
			}
			return true
		})
	}
	if len(nouns) < 6 {
		t.Fatalf("found %q", nouns)
	}
	return nouns
}

// ending is an event of each action that ends or narrows something that copied has.
func ending(action string) audit.Event {
	e := audit.Event{At: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Action: action, Organisation: "o", Detail: `{"client_id":"a","issued_before":1764000000,"exp":1764000000,"revoked":["c"],"credentials":["c"],"name":"x.example"}`}
	noun, _, _ := strings.Cut(action, ".")
	e.Subject = map[string]string{"organisation": "o", "application": "a", "operator": "a", "resource": "https://api.example", "role": "r", "trust_anchor": "ca", "credential": "c", "instance": "i", "token": "t", "signing_key": "k", "authority": "certificate-authority"}[noun]
	if _, verb, _ := strings.Cut(action, "."); verb == "updated" {
		e.Detail = `{"name":"N","auth_method":"private_key_jwt","binding":"dpop","require_nonce":false,"grants":{}}`
	}
	return e
}

func everythingLives() directory.Delta {
	grants := []directory.Grant{{Resource: "https://api.example", Scopes: []string{"s"}}}
	return directory.Delta{
		Organisations: []directory.Organisation{{ID: "o", Name: "N", State: directory.Active, Roles: []directory.RoleID{"r"}, Anchors: []directory.TrustAnchor{{ID: "ca", State: directory.Active}}}},
		Applications: []directory.Application{{ClientID: "a", Organisation: "o", Name: "N", State: directory.Active, AuthMethod: directory.PrivateKeyJWT, Binding: "dpop",
			OperatorRole: directory.Owner, Roles: []directory.RoleID{"r"}, Grants: grants}},
		Resources:   []directory.Resource{{URI: "https://api.example", Organisation: "o", Name: "N", State: directory.Active, Scopes: []string{"s"}, Servers: []directory.ClientID{"a"}}},
		Roles:       []directory.Role{{ID: "r", Name: "N", State: directory.Active, Grants: grants}},
		Instances:   []directory.Instance{{ID: "i", ClientID: "a", State: directory.Active}},
		Credentials: []directory.Credential{{ID: "c", ClientID: "a", Kind: directory.SigningKey, State: directory.Active}},
	}
}

func TestRecoverEveryEnding(t *testing.T) {
	_, actions := directory.Actions()
	if len(actions) < 25 {
		t.Fatalf("only %d", len(actions))
	}
	for _, action := range actions {
		t.Run(action+" is taken over, or stands", func(t *testing.T) {
			got := directory.Recover(everythingLives(), []audit.Event{ending(action)}, nil)
			if reflect.ValueOf(got.Records).IsZero() && got.Stopped == nil && len(got.Names) == 0 || len(got.Standing) > 0 {
				t.Errorf("%+v", got)
			}
		})
		t.Run(action+" without a detail that can be read stands", func(t *testing.T) {
			e := ending(action)
			e.Detail = "x"
			if got := directory.Recover(everythingLives(), []audit.Event{e}, nil); len(got.Standing) != 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestRecoverWhatStands(t *testing.T) {
	update := func(detail string) audit.Event {
		return audit.Event{Action: "application.updated", Organisation: "o", Subject: "a", Detail: detail}
	}
	with := func(members string) audit.Event {
		return update(fmt.Sprintf(`{"name":"N","binding":"dpop","require_nonce":false,"grants":{"https://api.example":["s"]},"roles":["r"],"operator_role":"owner",%s}`, members))
	}
	same := with(`"auth_method":"private_key_jwt"`)
	for _, c := range []struct {
		name                string
		events              []audit.Event
		lost, standing, set int
	}{
		{"an action that nobody knows stands", []audit.Event{{Action: "widget.ended", Subject: "a", Detail: `{}`}}, 0, 1, 0},
		{"an update that changed nothing is done", []audit.Event{same}, 0, 0, 0},
		{"another way to sign in stands", []audit.Event{with(`"auth_method":"tls_client_auth"`)}, 1, 1, 0},
		{"other keys stand", []audit.Event{with(`"auth_method":"private_key_jwt","jwks_uri":"https://k.example"`)}, 1, 1, 0},
		{"another name stands", []audit.Event{with(`"auth_method":"private_key_jwt","tls_client_auth_san_dns":"k.example"`)}, 1, 1, 0},
		{"one that was changed back does not", []audit.Event{with(`"auth_method":"tls_client_auth"`), same}, 1, 0, 0},
		{"an update without its lists stands", []audit.Event{update(`{"name":"N","auth_method":"private_key_jwt"}`), {Action: "role.updated", Subject: "r", Detail: `{}`}}, 0, 2, 0},
		{"the keys that a registration dropped are retired", []audit.Event{with(`"auth_method":"private_key_jwt","credentials":[],"retired":[{"credential_id":"c"}]`)}, 0, 0, 1},
		{"the keys that it made are lost", []audit.Event{with(`"auth_method":"private_key_jwt","credentials":[{"credential_id":"n"}],"retired":[]`)}, 1, 0, 0},
		{"a rekeying that does not say which keys ended stands", []audit.Event{{Action: "operator.rekeyed", Subject: "a", Detail: `{}`}}, 0, 1, 0},
		{"tokens that ended at no time stand", []audit.Event{{Action: "application.tokens_revoked", Subject: "a", Detail: `{}`}, {Action: "token.revoked", Subject: "t", Detail: `{}`}}, 0, 2, 0},
		{"a credential of nobody stands", []audit.Event{{Action: "credential.revoked", Subject: "x", Detail: `{}`}}, 0, 1, 0},
		{"a name that nobody can read stands", []audit.Event{{Action: "organisation.name_removed", Subject: "o", Detail: `{}`}}, 0, 1, 0},
		{"a certificate of after the copy that was revoked stands: no list has it", []audit.Event{
			{Action: "certificate.issued", Subject: "x", Detail: `{}`}, {Action: "credential.revoked", Subject: "x", Detail: `{"client_id":"a","kind":"server_certificate"}`}}, 1, 1, 1},
		{"a restore that a gateway's snapshot was in stands", []audit.Event{{Action: "database.restored", Detail: `{"snapshot":true}`}, {Action: "database.restored", Detail: `{"snapshot":false}`}}, 0, 1, 0},
		{"stopped and resumed is neither", []audit.Event{{Action: "authority.stopped", Detail: `{}`}, {Action: "authority.resumed", Detail: `{}`}}, 0, 0, 0},
		{"a role that was given and taken is not there", []audit.Event{update(`{"name":"N","auth_method":"private_key_jwt","binding":"dpop","require_nonce":true,"grants":{"https://api.example":["s","t"]},"operator_role":"auditor"}`), same}, 2, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.events {
				c.events[i].At = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
			}
			got := directory.Recover(everythingLives(), c.events, nil)
			set := len(got.Records.Applications) + len(got.Records.Credentials)
			if len(got.Lost) != c.lost || len(got.Standing) != c.standing || set != c.set || got.Stopped != nil {
				t.Errorf("%d lost, %d stand, %d changed: %+v", len(got.Lost), len(got.Standing), set, got)
			}
		})
	}
	t.Run("no more than both had is left", func(t *testing.T) {
		got := directory.Recover(everythingLives(), []audit.Event{
			update(`{"name":"N","auth_method":"private_key_jwt","binding":"dpop","require_nonce":true,"grants":{"https://other.example":["s"]},"roles":["q"],"operator_role":"security"}`)}, nil)
		a := got.Records.Applications[0]
		if len(a.Grants) != 0 || len(a.Roles) != 0 || a.OperatorRole != directory.Security || !a.RequireNonce || got.OwnerLeft {
			t.Errorf("%+v", a)
		}
	})
	t.Run("a recovered owner has no key, and no other way to sign in", func(t *testing.T) {
		d := everythingLives()
		d.Applications[0].JWKSURI = "https://k.example"
		if got := directory.Recover(d, nil, nil); !got.OwnerLeft {
			t.Error("an owner with published keys is none")
		}
		got := directory.Recover(d, []audit.Event{ending("operator.recovered")}, nil)
		if got.OwnerLeft || got.Records.Applications[0].JWKSURI != "" || got.Records.Credentials[0].State != directory.Revoked {
			t.Errorf("%+v", got)
		}
	})
}

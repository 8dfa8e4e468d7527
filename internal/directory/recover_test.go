package directory_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

func TestRecover(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 500_000_000, time.UTC)
	after := time.Date(2026, 11, 23, 12, 0, 1, 0, time.UTC) // the first whole second
	before := at.Add(-time.Hour).Truncate(time.Second)
	thumbprint := cnf.Thumbprint{1}
	copied := directory.Delta{
		Organisations: []directory.Organisation{
			{ID: "o", Name: "O", State: directory.Active, Anchors: []directory.TrustAnchor{{ID: "ca", State: directory.Active}, {ID: "other", State: directory.Active}}},
			{ID: "p", Name: "P", State: directory.Suspended, TokensAfter: before},
		},
		Applications: []directory.Application{{ClientID: "a", Organisation: "o", State: directory.Active, Roles: []directory.RoleID{"r"}}, {ClientID: "b", Organisation: "p", State: directory.Revoked}},
		Resources:    []directory.Resource{{URI: "https://api.example", Organisation: "o", State: directory.Active, Scopes: []string{"s"}}},
		Roles:        []directory.Role{{ID: "r", State: directory.Active}},
		Instances:    []directory.Instance{{ID: "i", ClientID: "a", State: directory.Active}},
		Credentials: []directory.Credential{
			{ID: "c", ClientID: "a", Kind: directory.SigningKey, State: directory.Active},
			{ID: "d", ClientID: "a", Kind: directory.Certificate, State: directory.Retiring, Instance: "i"},
			{ID: "k", ClientID: "a", Kind: directory.DPoPKey, State: directory.Revoked, Thumbprint: cnf.Thumbprint{9}},
		},
		Revoked: []directory.RevokedToken{{ClientID: "a", ID: "known", Expires: after}},
	}
	event := func(action, organisation, subject, detail string) audit.Event {
		return audit.Event{At: at, Action: action, Organisation: organisation, Subject: subject, Detail: detail}
	}
	organisation := func(change func(o *directory.Organisation)) directory.Delta {
		o := copied.Organisations[0]
		change(&o)
		return directory.Delta{Organisations: []directory.Organisation{o}}
	}
	application := func(state directory.State, tokens time.Time) directory.Delta {
		a := copied.Applications[0]
		a.State, a.TokensAfter = state, tokens
		return directory.Delta{Applications: []directory.Application{a}}
	}
	credential := func(i int, state directory.State, tokens time.Time) directory.Delta {
		c := copied.Credentials[i]
		c.State, c.TokensAfter = state, tokens
		return directory.Delta{Credentials: []directory.Credential{c}}
	}
	dpop := directory.Credential{ID: "new", ClientID: "a", Kind: directory.DPoPKey, State: directory.Revoked, Thumbprint: thumbprint, Created: at, TokensAfter: after}
	named := fmt.Sprintf(`{"client_id":"a","kind":"dpop_key","thumbprint":%q}`, thumbprint)
	suspended := application(directory.Suspended, after)
	for _, c := range []struct {
		name   string
		events []audit.Event
		want   directory.Delta
		lost   int
	}{
		{"an organisation is suspended", []audit.Event{event("organisation.suspended", "o", "o", `{"from":"active"}`)},
			organisation(func(o *directory.Organisation) { o.State, o.TokensAfter = directory.Suspended, after }), 0},
		{"an organisation's tokens end", []audit.Event{event("organisation.tokens_revoked", "o", "o", `{"issued_before":1764000000}`)},
			organisation(func(o *directory.Organisation) { o.TokensAfter = time.Unix(1764000000, 0).UTC() }), 0},
		{"a trust anchor is compromised, and no other, with the tokens of its organisation", []audit.Event{event("trust_anchor.compromised", "o", "ca", `{}`)},
			organisation(func(o *directory.Organisation) {
				o.TokensAfter = after
				o.Anchors = []directory.TrustAnchor{{ID: "ca", State: directory.Compromised}, {ID: "other", State: directory.Active}}
			}), 0},
		{"an application is revoked, whole in all else", []audit.Event{event("application.revoked", "o", "a", `{}`)}, application(directory.Revoked, after), 0},
		{"a suspension that was lifted stays, and the lifting is lost", []audit.Event{
			event("application.suspended", "o", "a", `{}`), event("application.resumed", "o", "a", `{}`)}, suspended, 1},
		{"a suspension does not lift a revocation, and ends no less", []audit.Event{
			event("application.revoked", "o", "a", `{}`), event("application.suspended", "o", "a", `{}`)}, application(directory.Revoked, after), 0},
		{"an application's tokens end", []audit.Event{event("application.tokens_revoked", "o", "a", `{"issued_before":1764000000}`)}, application(directory.Active, time.Unix(1764000000, 0).UTC()), 0},
		{"a resource is suspended", []audit.Event{event("resource.suspended", "o", "https://api.example", `{}`)}, directory.Delta{
			Resources: []directory.Resource{{URI: "https://api.example", Organisation: "o", State: directory.Suspended, Scopes: []string{"s"}, TokensAfter: after}}}, 0},
		{"a role is revoked", []audit.Event{event("role.revoked", "", "r", `{}`)}, directory.Delta{Roles: []directory.Role{{ID: "r", State: directory.Revoked}}}, 0},
		{"a credential is compromised", []audit.Event{event("credential.compromised", "o", "c", `{}`)}, credential(0, directory.Compromised, after), 0},
		{"a credential is retired", []audit.Event{event("credential.retired", "o", "d", `{}`)}, credential(1, directory.Retired, after), 0},
		{"a credential's tokens end", []audit.Event{event("credential.tokens_revoked", "o", "c", `{"issued_before":1764000000}`)}, credential(0, directory.Active, time.Unix(1764000000, 0).UTC()), 0},
		{"an instance is revoked with its credentials", []audit.Event{event("instance.revoked", "o", "i", `{"client_id":"a","credentials":["d"]}`)}, directory.Delta{
			Instances: []directory.Instance{{ID: "i", ClientID: "a", State: directory.Revoked}}, Credentials: credential(1, directory.Revoked, after).Credentials}, 0},
		{"a key that needs no registration is revoked", []audit.Event{event("credential.revoked", "o", "new", named)}, directory.Delta{Credentials: []directory.Credential{dpop}}, 0},
		{"and once only", []audit.Event{event("credential.revoked", "o", "new", named), event("credential.revoked", "o", "newer", named)},
			directory.Delta{Credentials: []directory.Credential{dpop}}, 0},
		{"a token is revoked", []audit.Event{event("token.revoked", "o", "t", `{"client_id":"a","exp":1764000000}`), event("token.revoked", "o", "known", `{"client_id":"a","exp":1764000000}`)}, directory.Delta{
			Revoked: []directory.RevokedToken{{ClientID: "a", ID: "t", Expires: time.Unix(1764000000, 0).UTC()}}}, 0},
		{"a signing key is revoked", []audit.Event{event("signing_key.revoked", "", "kid", `{}`)}, directory.Delta{RevokedKeys: []directory.RevokedKey{{KeyID: "kid", At: at}}}, 0},
		{"what was revoked already stays", []audit.Event{event("application.suspended", "p", "b", `{}`)}, directory.Delta{Applications: []directory.Application{{ClientID: "b", Organisation: "p", State: directory.Revoked, TokensAfter: after}}}, 0},
		{"what the copy does not have is lost", []audit.Event{
			event("organisation.revoked", "x", "x", `{}`), event("application.revoked", "o", "x", `{}`), event("credential.revoked", "o", "x", `{"client_id":"a","kind":"certificate","thumbprint":"x"}`),
			event("resource.revoked", "o", "x", `{}`), event("role.revoked", "", "x", `{}`), event("instance.revoked", "o", "x", `{}`), event("trust_anchor.revoked", "o", "x", `{}`),
			event("trust_anchor.revoked", "x", "ca", `{}`),
			event("credential.revoked", "o", "x", fmt.Sprintf(`{"client_id":"x","kind":"dpop_key","thumbprint":%q}`, thumbprint)),
			event("application.updated", "o", "x", `{"grants":{}}`), event("role.updated", "", "x", `{}`), event("organisation.updated", "x", "x", `{}`), event("resource.updated", "o", "x", `{}`),
		}, application(directory.Active, after), 13},
		{"what was made is lost", []audit.Event{event("application.created", "o", "x", `{}`), event("credential.registered", "o", "x", `{}`)}, directory.Delta{}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := directory.Recover(copied, c.events, nil)
			if diff := cmp.Diff(c.want, got.Records); diff != "" || len(got.Lost) != c.lost || len(got.Standing) != 0 {
				t.Errorf("%d lost, want %d; %d stand; %s", len(got.Lost), c.lost, len(got.Standing), diff)
			}
		})
	}
	if copied.Organisations[0].Anchors[0].State != directory.Active || copied.Applications[0].State != directory.Active {
		t.Error("the copy itself was changed")
	}
	t.Run("what a gateway knew to have ended is taken over, and nothing that lives", func(t *testing.T) {
		seen := &directory.Delta{
			Organisations: []directory.Organisation{{ID: "o", State: directory.Active, TokensAfter: after}, {ID: "p", State: directory.Active}, {ID: "x", State: directory.Revoked}},
			Applications:  []directory.Application{{ClientID: "a", Organisation: "o", State: directory.Suspended, TokensAfter: after}, {ClientID: "b", State: directory.Active}},
			Resources:     []directory.Resource{{URI: "https://api.example", State: directory.Revoked}},
			Credentials: []directory.Credential{
				{ID: "c", ClientID: "a", Kind: directory.SigningKey, State: directory.Active}, {ID: "d", ClientID: "a", Kind: directory.Certificate, State: directory.Revoked, TokensAfter: after},
				{ID: "new", ClientID: "a", Kind: directory.DPoPKey, State: directory.Revoked, Thumbprint: thumbprint, TokensAfter: after},
				{ID: "later", ClientID: "a", Kind: directory.PublishedKey, State: directory.Active, Thumbprint: thumbprint},
			},
			Revoked:     []directory.RevokedToken{{ClientID: "a", ID: "t", Expires: after}, {ClientID: "a", ID: "known", Expires: after}},
			RevokedKeys: []directory.RevokedKey{{KeyID: "kid", At: after}},
		}
		fromGateway := dpop
		fromGateway.Created = time.Time{}
		want := organisation(func(o *directory.Organisation) { o.TokensAfter = after })
		want.Applications = suspended.Applications
		want.Resources = []directory.Resource{{URI: "https://api.example", Organisation: "o", State: directory.Revoked, Scopes: []string{"s"}}}
		want.Credentials = append(credential(1, directory.Revoked, after).Credentials, fromGateway)
		want.Revoked = []directory.RevokedToken{{ClientID: "a", ID: "t", Expires: after}}
		want.RevokedKeys = []directory.RevokedKey{{KeyID: "kid", At: after}}
		got := directory.Recover(copied, nil, seen)
		if diff := cmp.Diff(want, got.Records); diff != "" || len(got.Lost) != 0 {
			t.Errorf("%d lost; %s", len(got.Lost), diff)
		}
	})
}

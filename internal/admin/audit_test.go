package admin_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
)

func actions(p admin.EventPage) []string {
	var all []string
	for _, e := range p.Items {
		all = append(all, e.Action)
	}
	return all
}

func TestAuditFilters(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	a := w.application("self_signed_tls_client_auth", "mtls")
	c, err := w.admin.RegisterCertificate(ctx, a.ClientID, certificatePEM(verifytest.NewClient(t, w.clock).Certificate))
	check(t, err)
	_, err = w.admin.SuspendCredential(ctx, c.ID)
	check(t, err)
	for _, f := range []struct {
		name string
		adminclient.AuditFilter
		want []string
	}{
		{"a subject", adminclient.AuditFilter{Subject: c.ID}, []string{"credential.registered", "credential.suspended"}},
		{"an action", adminclient.AuditFilter{Action: "credential.suspended"}, []string{"credential.suspended"}},
		{"all of a noun", adminclient.AuditFilter{Action: "credential.*", Organisation: a.Organisation}, []string{"credential.registered", "credential.suspended"}},
		{"an organisation", adminclient.AuditFilter{Organisation: a.Organisation}, []string{"organisation.created", "application.created", "credential.registered", "credential.suspended"}},
		{"an actor who did nothing", adminclient.AuditFilter{Actor: "nobody"}, nil},
		{"a time to come", adminclient.AuditFilter{Since: w.clock.Now().Add(time.Hour)}, nil},
		{"a time that has passed", adminclient.AuditFilter{Until: w.clock.Now().Add(-time.Hour)}, nil},
		{"all of it together", adminclient.AuditFilter{Actor: operator, Action: "credential.*", Organisation: a.Organisation, Subject: c.ID, Since: w.clock.Now().Add(-time.Minute), Until: w.clock.Now().Add(time.Minute)}, []string{"credential.registered", "credential.suspended"}},
	} {
		t.Run(f.name, func(t *testing.T) {
			got, err := w.admin.SelectAuditEvents(ctx, f.AuditFilter, 0, 0)
			check(t, err)
			if !slices.Equal(actions(got), f.want) {
				t.Errorf("got %v, want %v", actions(got), f.want)
			}
		})
	}
	t.Run("a page has a next while there may be more", func(t *testing.T) {
		first, err := w.admin.SelectAuditEvents(ctx, adminclient.AuditFilter{Subject: c.ID}, 0, 1)
		check(t, err)
		second, err := w.admin.SelectAuditEvents(ctx, adminclient.AuditFilter{Subject: c.ID}, first.Next, 10)
		check(t, err)
		if first.Next != first.Items[0].Sequence || second.Next != 0 || !slices.Equal(actions(second), []string{"credential.suspended"}) {
			t.Errorf("%+v, %+v", first, second)
		}
	})
	for name, query := range map[string]string{
		"a time that is none": "since=yesterday", "a limit beyond 1000": "limit=1001", "a parameter that nobody knows": "who=x",
		"a negative sequence": "after=-1", "an actor beyond 64 bytes": "actor=" + strings.Repeat("a", 65),
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			if got := w.ask(http.MethodGet, "/v1/audit?"+query, w.token(nil), ""); got.status != 422 && got.status != 400 {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

func TestHistories(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	// An organisation, its application and another's have one id; a history is of one of them.
	for _, id := range []string{"acme", "other"} {
		_, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{ID: id, Name: id})
		check(t, err)
	}
	_, err := w.admin.CreateApplication(ctx, admin.NewApplication{ClientID: "acme", Organisation: "acme", Name: "Shop", AuthMethod: "self_signed_tls_client_auth", Binding: "mtls"})
	check(t, err)
	_, err = w.admin.CreateApplication(ctx, admin.NewApplication{ClientID: "other", Organisation: "acme", Name: "Shop", AuthMethod: "private_key_jwt", Binding: "dpop"})
	check(t, err)
	c, err := w.admin.RegisterCertificate(ctx, "acme", certificatePEM(verifytest.NewClient(t, w.clock).Certificate))
	check(t, err)
	_, err = w.admin.RevokeCredential(ctx, c.ID)
	check(t, err)
	_, err = w.admin.SuspendApplication(ctx, "acme")
	check(t, err)
	_, err = w.admin.SuspendOrganisation(ctx, "acme")
	check(t, err)
	for _, h := range []struct {
		of   string
		get  func(after int64, limit int) (admin.EventPage, error)
		want []string
	}{
		{"an organisation", func(after int64, limit int) (admin.EventPage, error) {
			return w.admin.OrganisationHistory(ctx, "acme", after, limit)
		}, []string{"organisation.created", "organisation.suspended"}},
		{"an organisation whose id is another's application's", func(after int64, limit int) (admin.EventPage, error) {
			return w.admin.OrganisationHistory(ctx, "other", after, limit)
		}, []string{"organisation.created"}},
		{"an application", func(after int64, limit int) (admin.EventPage, error) {
			return w.admin.ApplicationHistory(ctx, "acme", after, limit)
		}, []string{"application.created", "application.suspended"}},
		{"an application whose id is another organisation's", func(after int64, limit int) (admin.EventPage, error) {
			return w.admin.ApplicationHistory(ctx, "other", after, limit)
		}, []string{"application.created"}},
		{"a credential, which ended", func(after int64, limit int) (admin.EventPage, error) {
			return w.admin.CredentialHistory(ctx, c.ID, after, limit)
		}, []string{"credential.registered", "credential.revoked"}},
	} {
		t.Run("the history of "+h.of, func(t *testing.T) {
			all, err := h.get(0, 0)
			check(t, err)
			if !slices.Equal(actions(all), h.want) {
				t.Errorf("got %v, want %v", actions(all), h.want)
			}
			var paged []string
			for after := int64(0); ; {
				p, err := h.get(after, 1)
				check(t, err)
				paged = append(paged, actions(p)...)
				if after = p.Next; after == 0 {
					break
				}
			}
			if !slices.Equal(paged, h.want) {
				t.Errorf("in pages %v, want %v", paged, h.want)
			}
		})
	}
	t.Run("what is another organisation's is not there", func(t *testing.T) {
		w.operator("other-operator", "other", directory.OrganisationOperator)
		token := w.as("other-operator", "other")
		for path, want := range map[string]int{
			"/v1/organisations/acme/history": 404, "/v1/applications/acme/history": 404, "/v1/credentials/" + c.ID + "/history": 404,
			"/v1/organisations/none/history": 404, "/v1/applications/none/history": 404, "/v1/credentials/none/history": 404,
			"/v1/organisations/other/history": 200, "/v1/audit": 403, "/v1/audit/checkpoints": 403,
		} {
			if got := w.ask(http.MethodGet, path, token, ""); got.status != want {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
	})
}

func TestCheckpoints(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	for i, c := range []audit.Checkpoint{{Head: audit.Head{Sequence: 2}, JWS: "a"}, {Head: audit.Head{Sequence: 5}, Previous: 2, JWS: "b"}} {
		c.At = w.clock.Now().Add(time.Duration(i))
		check(t, w.store.AddCheckpoint(ctx, &c))
	}
	first, err := w.admin.Checkpoints(ctx, 0, 1)
	check(t, err)
	second, err := w.admin.Checkpoints(ctx, first.Next, 10)
	check(t, err)
	if first.Next != 2 || second.Next != 0 || len(second.Items) != 1 || second.Items[0] != (admin.AuditCheckpoint{Sequence: 5, Checkpoint: "b"}) {
		t.Errorf("%+v, %+v", first, second)
	}
}

func TestLastUsed(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	a := w.application("self_signed_tls_client_auth", "mtls")
	c, err := w.admin.RegisterCertificate(ctx, a.ClientID, certificatePEM(verifytest.NewClient(t, w.clock).Certificate))
	check(t, err)
	other, err := w.admin.RegisterCertificate(ctx, a.ClientID, certificatePEM(verifytest.NewClient(t, w.clock).Certificate))
	check(t, err)
	at := w.clock.Now().Add(time.Minute).Truncate(time.Microsecond)
	check(t, w.store.AddLastUsed(ctx, []directory.LastUse{
		{ClientID: "another", CredentialID: directory.CredentialID(other.ID), At: at},
		{ClientID: directory.ClientID(a.ClientID), CredentialID: directory.CredentialID(c.ID), At: at},
	}))
	one, err := w.admin.Credential(ctx, c.ID)
	check(t, err)
	if one.LastUsed == nil || !one.LastUsed.Equal(at) {
		t.Errorf("last used %v, want %v", one.LastUsed, at)
	}
	all, err := w.admin.Credentials(ctx, a.ClientID, adminclient.Page{})
	check(t, err)
	for _, k := range all.Items {
		if (k.LastUsed != nil) != (k.ID == c.ID) {
			t.Errorf("%s: last used %v", k.ID, k.LastUsed)
		}
	}
}

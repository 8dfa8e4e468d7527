package admin_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
)

var errDisk = errors.New("disk on fire")

// wantStatus checks that err is the API's refusal of this status.
func wantStatus(t *testing.T, err error, status int) *adminclient.Error {
	t.Helper()
	e, ok := errors.AsType[*adminclient.Error](err)
	if !ok || e.Status != status {
		t.Fatalf("got %v, want status %d", err, status)
	}
	if e.RequestID == "" || e.Detail == "" {
		t.Errorf("%+v", e)
	}
	return e
}

func TestOrganisations(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	o, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{ID: "acme", Name: "Acme Ltd"})
	check(t, err)
	if o.ID != "acme" || o.Name != "Acme Ltd" || o.State != "active" || len(o.Roles) != 0 {
		t.Errorf("%+v", o)
	}
	made, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{Name: "Other"})
	check(t, err)
	if made.ID == "" {
		t.Error("no id was made")
	}
	_, err = w.admin.CreateOrganisation(ctx, admin.NewOrganisation{ID: "acme", Name: "Again"})
	wantStatus(t, err, http.StatusConflict)
	_, err = w.admin.CreateOrganisation(ctx, admin.NewOrganisation{ID: "a/b", Name: "Bad"})
	if e := wantStatus(t, err, http.StatusUnprocessableEntity); len(e.Fields) != 1 || !strings.HasPrefix(e.Fields[0].Location, "body.") {
		t.Errorf("%+v", e)
	}
	for _, id := range []string{"nobody", ".", ".."} {
		_, err = w.admin.Organisation(ctx, id)
		wantStatus(t, err, http.StatusNotFound)
	}
	for _, move := range []struct {
		do   func() (admin.Organisation, error)
		want string
	}{
		{func() (admin.Organisation, error) { return w.admin.SuspendOrganisation(ctx, "acme") }, "suspended"},
		{func() (admin.Organisation, error) { return w.admin.ResumeOrganisation(ctx, "acme") }, "active"},
		{func() (admin.Organisation, error) { return w.admin.RevokeOrganisation(ctx, "acme") }, "revoked"},
	} {
		o, err := move.do()
		check(t, err)
		shown, err := w.admin.Organisation(ctx, "acme")
		check(t, err)
		if o.State != move.want || shown.State != move.want {
			t.Errorf("%+v, want %s", o, move.want)
		}
	}
	_, err = w.admin.ResumeOrganisation(ctx, "acme")
	wantStatus(t, err, http.StatusConflict)
	_, err = w.admin.RevokeOrganisation(ctx, "nobody")
	wantStatus(t, err, http.StatusNotFound)
	t.Run("the operator's own cannot be suspended or revoked here", func(t *testing.T) {
		_, err := w.admin.SuspendOrganisation(ctx, string(w.owner.ID))
		wantStatus(t, err, http.StatusConflict)
		_, err = w.admin.RevokeOrganisation(ctx, string(w.owner.ID))
		wantStatus(t, err, http.StatusConflict)
	})
	t.Run("a list comes in pages, each once and in order", func(t *testing.T) {
		var ids []string
		after := ""
		for {
			p, err := w.admin.Organisations(ctx, adminclient.Page{Cursor: after, Limit: 2})
			check(t, err)
			for _, o := range p.Items {
				ids = append(ids, o.ID)
			}
			if after = p.Next; after == "" {
				break
			}
		}
		if len(ids) != 3 || !slices.IsSorted(ids) {
			t.Errorf("%q", ids)
		}
	})
}

func TestResourcesAndApplications(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	o, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{Name: "Bank"})
	check(t, err)
	const uri = "https://api.example/payments"
	r, err := w.admin.CreateResource(ctx, admin.NewResource{URI: uri, Organisation: o.ID, Name: "Payments", Scopes: []string{"payments", "refunds"}})
	check(t, err)
	if r.URI != uri || r.Organisation != o.ID || r.Name != "Payments" || len(r.Scopes) != 2 || len(r.Servers) != 0 {
		t.Errorf("%+v", r)
	}
	shown, err := w.admin.Resource(ctx, uri)
	check(t, err)
	if shown.Name != "Payments" {
		t.Errorf("%+v", shown)
	}
	_, err = w.admin.Resource(ctx, "https://nobody.example")
	wantStatus(t, err, http.StatusNotFound)
	_, err = w.admin.CreateResource(ctx, admin.NewResource{URI: uri, Organisation: o.ID, Name: "Again", Scopes: []string{"more"}})
	wantStatus(t, err, http.StatusConflict)

	a, err := w.admin.CreateApplication(ctx, admin.NewApplication{
		ClientID: "shop", Organisation: o.ID, Name: "Shop", AuthMethod: "private_key_jwt", Binding: "dpop", RequireNonce: true,
		Grants: []admin.Grant{{Resource: uri, Scopes: []string{"payments"}}},
	})
	check(t, err)
	if a.ClientID != "shop" || a.Organisation != o.ID || a.AuthMethod != "private_key_jwt" || a.Binding != "dpop" || !a.RequireNonce ||
		a.State != "active" || len(a.Grants) != 1 || a.Grants[0].Resource != uri || a.Grants[0].Scopes[0] != "payments" {
		t.Errorf("%+v", a)
	}
	server, err := w.admin.CreateResource(ctx, admin.NewResource{URI: "https://api.example/x", Organisation: o.ID, Name: "X", Scopes: []string{"x"}, Servers: []string{"shop"}})
	check(t, err)
	if len(server.Servers) != 1 || server.Servers[0] != "shop" {
		t.Errorf("%+v", server)
	}
	resources, err := w.admin.Resources(ctx, adminclient.Page{})
	check(t, err)
	if len(resources.Items) != 3 || resources.Items[0].URI != uri || resources.Next != "" {
		t.Errorf("%+v", resources)
	}
	other := w.application("tls_client_auth", "mtls")
	for organisation, want := range map[string]int{"": 3, o.ID: 1, other.Organisation: 1, "nobody": 0} {
		p, err := w.admin.Applications(ctx, organisation, adminclient.Page{})
		check(t, err)
		if len(p.Items) != want {
			t.Errorf("%d applications of %q, want %d", len(p.Items), organisation, want)
		}
	}
	_, err = w.admin.Application(ctx, "nobody")
	wantStatus(t, err, http.StatusNotFound)
	suspended, err := w.admin.SuspendApplication(ctx, "shop")
	check(t, err)
	resumed, err := w.admin.ResumeApplication(ctx, "shop")
	check(t, err)
	revoked, err := w.admin.RevokeApplication(ctx, "shop")
	check(t, err)
	if suspended.State != "suspended" || resumed.State != "active" || revoked.State != "revoked" {
		t.Errorf("%s %s %s", suspended.State, resumed.State, revoked.State)
	}
	_, err = w.admin.ResumeApplication(ctx, "shop")
	wantStatus(t, err, http.StatusConflict)
	_, err = w.admin.SuspendApplication(ctx, "nobody")
	wantStatus(t, err, http.StatusNotFound)
	_, err = w.admin.CreateApplication(ctx, admin.NewApplication{Organisation: "nobody", Name: "x", AuthMethod: "private_key_jwt", Binding: "dpop"})
	if e := wantStatus(t, err, http.StatusUnprocessableEntity); len(e.Fields) != 1 || e.Fields[0].Location != "body.organisation" {
		t.Errorf("%+v", e)
	}
}

func TestSigningKeys(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	app := w.application("private_key_jwt", "dpop")
	public := verifytest.NewSigner(t, jose.ES256, "").Public()
	until := w.clock.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	c, err := w.admin.RegisterKey(ctx, app.ClientID, admin.NewSigningKey{JWK: public.JWK(), NotAfter: &until})
	check(t, err)
	if c.Kind != "signing_key" || c.State != "active" || c.KeyID != public.KeyID() || c.Algorithm != "ES256" || c.ClientID != app.ClientID ||
		c.NotAfter == nil || !c.NotAfter.Equal(until) || c.Issued || c.Certificate != "" || c.Created.IsZero() {
		t.Errorf("%+v", c)
	}
	if key, err := jose.ParseJWK(c.JWK); err != nil || key.Thumbprint() != public.Thumbprint() {
		t.Errorf("jwk %s: %v", c.JWK, err)
	}
	second, err := w.admin.RegisterKey(ctx, app.ClientID, admin.NewSigningKey{JWK: verifytest.NewSigner(t, jose.EdDSA, "").Public().JWK()})
	check(t, err)
	if second.NotAfter != nil {
		t.Errorf("not_after %s", second.NotAfter)
	}
	_, err = w.admin.RegisterKey(ctx, app.ClientID, admin.NewSigningKey{JWK: public.JWK()})
	wantStatus(t, err, http.StatusConflict)
	_, err = w.admin.RegisterKey(ctx, "nobody", admin.NewSigningKey{JWK: verifytest.NewSigner(t, jose.ES256, "").Public().JWK()})
	wantStatus(t, err, http.StatusNotFound)
	list, err := w.admin.Credentials(ctx, app.ClientID, adminclient.Page{})
	check(t, err)
	if len(list.Items) != 2 {
		t.Errorf("%+v", list)
	}
	_, err = w.admin.Credentials(ctx, "nobody", adminclient.Page{})
	wantStatus(t, err, http.StatusNotFound)
	_, err = w.admin.Credential(ctx, "nobody")
	wantStatus(t, err, http.StatusNotFound)

	suspended, err := w.admin.SuspendCredential(ctx, c.ID)
	check(t, err)
	resumed, err := w.admin.ResumeCredential(ctx, c.ID)
	check(t, err)
	retired, err := w.admin.RetireCredential(ctx, c.ID)
	check(t, err)
	revoked, err := w.admin.RevokeCredential(ctx, second.ID)
	check(t, err)
	if suspended.State != "suspended" || resumed.State != "active" || retired.State != "retired" || revoked.State != "revoked" {
		t.Errorf("%s %s %s %s", suspended.State, resumed.State, retired.State, revoked.State)
	}
	shown, err := w.admin.Credential(ctx, c.ID)
	check(t, err)
	if shown.State != "retired" {
		t.Errorf("%+v", shown)
	}
	_, err = w.admin.ResumeCredential(ctx, second.ID)
	wantStatus(t, err, http.StatusConflict)
	_, err = w.admin.RevokeCredential(ctx, "nobody")
	wantStatus(t, err, http.StatusNotFound)
}

func TestCertificates(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	t.Run("one that our authority issues", func(t *testing.T) {
		app := w.application("tls_client_auth", "mtls")
		issued, err := w.admin.IssueCertificate(ctx, app.ClientID, admin.NewRequest{CSR: newCSR(t)})
		check(t, err)
		block, rest := pem.Decode([]byte(issued.Chain))
		leaf, err := x509.ParseCertificate(block.Bytes)
		check(t, err)
		between, rest := pem.Decode(rest)
		if between == nil || len(rest) != 0 {
			t.Fatalf("chain %s", issued.Chain)
		}
		intermediates, roots := x509.NewCertPool(), x509.NewCertPool()
		intermediates.AppendCertsFromPEM(pem.EncodeToMemory(between))
		roots.AddCert(w.authority.Roots()[0])
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: w.clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		check(t, err)
		if want := "spiffe://" + trustDomain + "/organisation/" + app.Organisation + "/application/" + app.ClientID; leaf.URIs[0].String() != want {
			t.Errorf("%s, want %s", leaf.URIs[0], want)
		}
		c, err := w.admin.Credential(ctx, issued.CredentialID)
		check(t, err)
		if !c.Issued || c.State != "active" || c.Thumbprint != issued.Thumbprint || c.NotAfter == nil || !c.NotAfter.Equal(issued.NotAfter) || c.ClientID != issued.ClientID ||
			c.Certificate != string(pem.EncodeToMemory(block)) {
			t.Errorf("%+v\n%+v", c, issued)
		}
		if life := issued.NotAfter.Sub(w.clock.Now()); life < 89*24*time.Hour || life > 90*24*time.Hour {
			t.Errorf("life %s", life)
		}
		if w.directory.Current().Credential("") != nil {
			t.Error("a credential without id")
		}
	})
	t.Run("its life can be shorter", func(t *testing.T) {
		app := w.application("tls_client_auth", "mtls")
		issued, err := w.admin.IssueCertificate(ctx, app.ClientID, admin.NewRequest{CSR: newCSR(t), LifeSeconds: 3600})
		check(t, err)
		if life := issued.NotAfter.Sub(w.clock.Now()); life > time.Hour || life < 59*time.Minute {
			t.Errorf("life %s", life)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		app := w.application("self_signed_tls_client_auth", "mtls")
		_, err := w.admin.IssueCertificate(ctx, "nobody", admin.NewRequest{CSR: newCSR(t)})
		wantStatus(t, err, http.StatusNotFound)
		_, err = w.admin.IssueCertificate(ctx, app.ClientID, admin.NewRequest{CSR: newCSR(t)})
		wantStatus(t, err, http.StatusConflict)
		for _, life := range []int64{-1, 90*86400 + 1} {
			_, err = w.admin.IssueCertificate(ctx, app.ClientID, admin.NewRequest{CSR: newCSR(t), LifeSeconds: life})
			wantStatus(t, err, http.StatusUnprocessableEntity)
		}
	})
	t.Run("one that the application made itself", func(t *testing.T) {
		app := w.application("self_signed_tls_client_auth", "mtls")
		client := verifytest.NewClient(t, w.clock)
		c, err := w.admin.RegisterCertificate(ctx, app.ClientID, "\n"+certificatePEM(client.Certificate)+"\n")
		check(t, err)
		if c.Issued || c.Kind != "certificate" || c.Thumbprint != client.Peer.Thumbprint().String() || c.Certificate != certificatePEM(client.Certificate) {
			t.Errorf("%+v", c)
		}
		marked, err := w.admin.CompromiseCredential(ctx, c.ID)
		check(t, err)
		if marked.State != "compromised" {
			t.Errorf("%+v", marked)
		}
		_, err = w.admin.RegisterCertificate(ctx, app.ClientID, certificatePEM(client.Certificate))
		wantStatus(t, err, http.StatusUnprocessableEntity) // its key is compromised
		other := verifytest.NewClient(t, w.clock)
		_, err = w.admin.RegisterCertificate(ctx, app.ClientID, certificatePEM(other.Certificate))
		check(t, err)
		_, err = w.admin.RegisterCertificate(ctx, app.ClientID, certificatePEM(other.Certificate))
		wantStatus(t, err, http.StatusConflict)
		_, err = w.admin.RegisterCertificate(ctx, "nobody", certificatePEM(verifytest.NewClient(t, w.clock).Certificate))
		wantStatus(t, err, http.StatusNotFound)
	})
}

func TestPEM(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	app := w.application("self_signed_tls_client_auth", "mtls")
	good := certificatePEM(verifytest.NewClient(t, w.clock).Certificate)
	for name, text := range map[string]string{
		"nothing":                           "",
		"no PEM":                            "sesame",
		"advisory 3: text before the block": "sesame\n" + good,
		"advisory 3: a byte order mark":     "\ufeff" + good,
		"text after the block":              good + "sesame",
		"two blocks":                        good + good,
		"a block of another kind":           newCSR(t),
		"headers in the block":              strings.Replace(good, "-----\n", "-----\nA: sesame\n\n", 1),
		"not a certificate":                 string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("sesame")})),
		"advisory 109: more than 64 KiB":    string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: make([]byte, 64<<10)})),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.admin.RegisterCertificate(ctx, app.ClientID, text)
			e := wantStatus(t, err, http.StatusUnprocessableEntity)
			if len(e.Fields) != 1 || e.Fields[0].Location != "body.certificate" || strings.Contains(e.Error(), "sesame") {
				t.Errorf("%v", e)
			}
			if name == "two blocks" && e.Fields[0].Message != "more than one PEM block" {
				t.Errorf("%v", e)
			}
		})
	}
	t.Run("a CSR that is a certificate", func(t *testing.T) {
		app := w.application("tls_client_auth", "mtls")
		_, err := w.admin.IssueCertificate(ctx, app.ClientID, admin.NewRequest{CSR: good})
		if e := wantStatus(t, err, http.StatusUnprocessableEntity); e.Fields[0].Location != "body.csr" || e.Fields[0].Message != "not a PEM block of the kind CERTIFICATE REQUEST" {
			t.Errorf("%v", e)
		}
	})
}

func TestDPoPKeys(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	app := w.application("private_key_jwt", "dpop")
	jkt := w.client.Prover.JKT().String()
	c, err := w.admin.RevokeDPoPKey(ctx, app.ClientID, jkt)
	check(t, err)
	if c.Kind != "dpop_key" || c.State != "revoked" || c.Thumbprint != jkt {
		t.Errorf("%+v", c)
	}
	_, err = w.admin.RevokeDPoPKey(ctx, "nobody", jkt)
	wantStatus(t, err, http.StatusNotFound)
	_, err = w.admin.RevokeDPoPKey(ctx, app.ClientID, "short")
	if e := wantStatus(t, err, http.StatusUnprocessableEntity); e.Fields[0].Location != "path.jkt" {
		t.Errorf("%v", e)
	}
}

func TestAudit(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	o, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{Name: "Acme"})
	check(t, err)
	all, err := w.admin.AuditEvents(ctx, 0, 0)
	check(t, err)
	last := all.Items[len(all.Items)-1]
	if last.Actor != operator || last.Subject != o.ID || last.Organisation != o.ID || len(last.Hash) != 64 || last.At.IsZero() || last.Action == "" || len(last.Detail) < 2 {
		t.Errorf("%+v", last)
	}
	if len(all.Items) < 2 || last.Previous != all.Items[len(all.Items)-2].Hash || all.Next != 0 {
		t.Errorf("%+v", all)
	}
	first, err := w.admin.AuditEvents(ctx, 0, 1)
	check(t, err)
	if len(first.Items) != 1 || first.Items[0].Sequence != 1 || first.Next != 1 {
		t.Errorf("%+v", first)
	}
	rest, err := w.admin.AuditEvents(ctx, first.Next, 100)
	check(t, err)
	if len(rest.Items) != len(all.Items)-1 || rest.Items[0].Sequence != 2 {
		t.Errorf("%+v", rest)
	}
	w.set(func() { w.brokenRead = true })
	_, err = w.admin.AuditEvents(ctx, 0, 0)
	e := wantStatus(t, err, http.StatusInternalServerError)
	if strings.Contains(e.Error(), "disk") {
		t.Errorf("the cause went over the wire: %v", e)
	}
	if got := w.lastEvent(answer{header: http.Header{"Request-Id": {e.RequestID}}}); got.Reason != "internal" || got.Cause != errDisk.Error() || got.Outcome != "failed" {
		t.Errorf("%+v", got)
	}
}

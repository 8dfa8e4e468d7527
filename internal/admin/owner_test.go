package admin_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
)

func TestLastOwner(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	owner := func(name string, grants ...admin.Grant) (application, credential string) {
		role := ""
		if len(grants) > 0 {
			role = "owner"
		}
		a, err := w.admin.CreateApplication(ctx, admin.NewApplication{
			Organisation: string(w.owner.ID), Name: name, AuthMethod: "private_key_jwt", Binding: "dpop", Grants: grants, OperatorRole: role,
		})
		check(t, err)
		c, err := w.admin.RegisterKey(ctx, a.ClientID, admin.NewSigningKey{JWK: verifytest.NewSigner(t, jose.ES256, "").Public().JWK()})
		check(t, err)
		return a.ClientID, c.ID
	}
	opens := admin.Grant{Resource: resource, Scopes: []string{"admin"}}
	first, firstKey := owner("first", opens)
	gateway, gatewayKey := owner("gateway, which opens nothing here")
	refused := func(what string, err error) {
		t.Helper()
		e, ok := errors.AsType[*adminclient.Error](err)
		if !ok || e.Status != 409 || !strings.Contains(e.Detail, "last owner") {
			t.Errorf("%s: %v", what, err)
		}
	}
	application := func(move func(context.Context, string) (admin.Application, error), id string) error {
		_, err := move(ctx, id)
		return err
	}
	credential := func(move func(context.Context, string) (admin.Credential, error), id string) error {
		_, err := move(ctx, id)
		return err
	}
	refused("revoke the last owner", application(w.admin.RevokeApplication, first))
	refused("suspend the last owner", application(w.admin.SuspendApplication, first))
	refused("revoke its last key", credential(w.admin.RevokeCredential, firstKey))
	refused("its last key is compromised", credential(w.admin.CompromiseCredential, firstKey))
	refused("suspend its last key", credential(w.admin.SuspendCredential, firstKey))
	auditor := admin.Removable{Given: true, Value: "auditor"}
	for name, p := range map[string]admin.ApplicationPatch{
		"another role": {OperatorRole: auditor}, "no role": {OperatorRole: admin.Removable{Given: true}}, "no grant of this API": {Grants: &[]admin.Grant{}},
	} {
		_, err := w.admin.UpdateApplication(ctx, first, p)
		refused(name, err)
	}
	mtls := "mtls"
	_, err := w.admin.UpdateApplication(ctx, first, admin.ApplicationPatch{Binding: &mtls})
	refused("tokens bound to a certificate, which ends", err)
	_, err = w.admin.UpdateResource(ctx, resource, admin.ResourcePatch{Scopes: &[]string{"admin", "other"}})
	check(t, err)
	_, err = w.admin.UpdateApplication(ctx, first, admin.ApplicationPatch{Grants: &[]admin.Grant{{Resource: resource, Scopes: []string{"other"}}}})
	refused("another scope of this API", err)
	_, err = w.admin.EndResource(ctx, resource, adminclient.Suspend, false)
	refused("this API's resource suspended", err)
	_, err = w.admin.EndResource(ctx, resource, adminclient.Revoke, true)
	refused("and in a dry run", err)
	_, err = w.admin.EndOperator(ctx, first, adminclient.Suspend, false)
	refused("as an operator", err)
	check(t, credential(w.admin.RevokeCredential, gatewayKey))
	check(t, application(w.admin.RevokeApplication, gateway))

	// A certificate does not sign in an application that authenticates by key, and
	// a key that ends by itself is no owner for long.
	_, err = w.admin.RegisterCertificate(ctx, first, certificatePEM(verifytest.NewClient(t, w.clock).Certificate))
	check(t, err)
	soon := w.clock.Now().Add(time.Hour)
	_, err = w.admin.RegisterKey(ctx, first, admin.NewSigningKey{JWK: verifytest.NewSigner(t, jose.ES256, "").Public().JWK(), NotAfter: &soon})
	check(t, err)
	refused("a certificate and a key that ends are no owner", credential(w.admin.RevokeCredential, firstKey))

	second, secondKey := owner("second", opens)
	check(t, application(w.admin.SuspendApplication, second))
	refused("the other owner is suspended", credential(w.admin.RevokeCredential, firstKey))
	check(t, application(w.admin.ResumeApplication, second))
	check(t, credential(w.admin.SuspendCredential, secondKey))
	refused("the other owner's key is suspended", application(w.admin.RevokeApplication, first))
	check(t, credential(w.admin.ResumeCredential, secondKey))
	check(t, credential(w.admin.RevokeCredential, firstKey))
	check(t, application(w.admin.RevokeApplication, first))
	refused("and now the second is the last", application(w.admin.RevokeApplication, second))
}

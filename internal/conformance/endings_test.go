package conformance_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

// TestAdvisoriesOfEndings: what has ended is refused at once by the server, and by
// the gateway within 2 s; and lifting one suspension lifts no other.
func TestAdvisoriesOfEndings(t *testing.T) {
	w := start(t)
	server := w.server(t)
	type ending struct {
		name     string
		end      func(a *application, token string) error
		lift     func(a *application) error // nil: for good
		byAS     string                     // how the token endpoint sees it; "" not at all
		byTokens string
	}
	endings := []ending{
		{"advisory 38: application suspended", func(a *application, _ string) error {
			_, err := w.admin.SuspendApplication(t.Context(), a.id)
			return err
		}, func(a *application) error {
			_, err := w.admin.ResumeApplication(t.Context(), a.id)
			return err
		}, "client_not_live", "application_suspended"},
		{"advisory 39: organisation suspended", func(a *application, _ string) error {
			_, err := w.admin.SuspendOrganisation(t.Context(), a.organisation)
			return err
		}, func(a *application) error {
			_, err := w.admin.ResumeOrganisation(t.Context(), a.organisation)
			return err
		}, "client_not_live", "organisation_suspended"},
		{"advisory 38: key suspended", func(a *application, _ string) error { return suspendCredentials(t, a) }, func(a *application) error {
			return eachCredential(t, a, func(id string) error {
				_, err := w.admin.ResumeCredential(t.Context(), id)
				return err
			})
		}, "key_not_accepted", "credential_suspended"},
		{"DPoP key revoked", func(a *application, _ string) error {
			_, err := w.admin.RevokeDPoPKey(t.Context(), a.id, a.proofKey.jkt)
			return err
		}, nil, "proof_key_not_accepted", "credential_revoked"},
		{"token revoked", func(a *application, token string) error {
			if got := w.revoke(t, a, token); got.status != 200 {
				return fmt.Errorf("%s", got)
			}
			return nil
		}, nil, "", "token_revoked"},
	}
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			a := w.elsewhere(t)
			token, paid := a.ledgerToken(t), a.token(t)
			w.pass(t, time.Second)
			must(t, e.end(a, token))
			server.inactive(t, token, e.byTokens)
			if got := w.send(t, a.tokenRequest(t)); e.byAS != "" && (got.status == 200 || got.reason() != e.byAS) {
				t.Errorf("%s (%s)", got, got.reason())
			}
			if e.byTokens != "token_revoked" {
				w.waitFor(t, "the gateway refuses the token", func() bool {
					got := w.send(t, a.resourceRequest(t, paid))
					return got.status == 401 && got.reason() == e.byTokens
				})
			}
			if e.lift == nil {
				return
			}
			must(t, e.lift(a))
			if got := server.introspect(t, token); got.json["active"] != false {
				t.Error("what ended with the suspension came back with its lifting")
			}
			if got := server.introspect(t, a.ledgerToken(t)); got.json["active"] != true {
				t.Errorf("a new token: %s (%s)", got, got.reason())
			}
		})
	}
	for i, first := range endings {
		for j, second := range endings {
			if i == j || first.lift == nil {
				continue
			}
			t.Run(fmt.Sprintf("advisory 96: %s, %s, and the first lifted", first.name, second.name), func(t *testing.T) {
				a := w.elsewhere(t)
				token := a.ledgerToken(t)
				must(t, second.end(a, token)) // the one that stays: a token can be revoked only by who may call
				must(t, first.end(a, token))
				must(t, first.lift(a))
				server.inactive(t, token, second.byTokens)
				if got := w.send(t, a.tokenRequest(t)); second.byAS != "" && (got.status == 200 || got.reason() != second.byAS) {
					t.Errorf("%s (%s)", got, got.reason())
				}
			})
		}
	}
}

// TestSigningKeyRevoked: every token that the key signed ends, and everybody who has
// a key of their own gets on: applications, the operator and the gateway.
func TestSigningKeyRevoked(t *testing.T) {
	w, err := newWorld()
	must(t, err)
	t.Cleanup(func() { must(t, w.end()) })
	server, a := w.server(t), w.application(t, byKey, withLedger)
	token, paid := a.ledgerToken(t), a.token(t)
	header, _ := parts(t, token)
	kid, _ := header["kid"].(string)
	_, err = w.admin.RevokeSigningKey(t.Context(), kid, false)
	must(t, err)
	// Of a revoked key, and a moment later of no key that is there.
	if got := server.introspect(t, token); got.body != `{"active":false}` || got.reason() != "signing_key_revoked" && got.reason() != "token_foreign" {
		t.Errorf("%s (%s)", got, got.reason())
	}
	w.waitFor(t, "the gateway refuses what the key signed", func() bool {
		got := w.send(t, a.resourceRequest(t, paid))
		return got.status == http.StatusUnauthorized
	})
	var fresh string
	w.waitFor(t, "there is a new key", func() bool {
		got := w.send(t, a.tokenRequest(t))
		fresh = got.text("access_token")
		return got.status == http.StatusOK
	})
	header, _ = parts(t, fresh)
	if header["kid"] == kid {
		t.Error("a revoked key signs")
	}
	known := map[any]bool{}
	for _, k := range w.jwks(t) {
		known[k["kid"]] = true
	}
	if known[kid] || !known[header["kid"]] {
		t.Errorf("published: %v", known)
	}
	w.waitFor(t, "the gateway knows the new key", func() bool {
		return w.send(t, a.resourceRequest(t, fresh)).status == http.StatusOK
	})
	w.waitFor(t, "the operator goes on", func() bool { // whose own token has ended, too
		_, err := w.admin.Applications(t.Context(), w.organisation, adminclient.Page{})
		return err == nil
	})
	w.application(t, byKey) // and the gateway hears of what is new
}

// TestNonceByResource: whoever asks for a token of a resource that demands a nonce
// needs one; for others, and for tokens bound to a certificate, nothing changes.
func TestNonceByResource(t *testing.T) {
	w := start(t)
	const uri, scope = "https://vault.example/api", "vault"
	_, err := w.admin.CreateResource(t.Context(), admin.NewResource{URI: uri, Organisation: w.organisation, Name: "Vault", Scopes: []string{scope}, RequireNonce: true})
	must(t, err)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			a := w.application(t, v, func(n *admin.NewApplication) {
				n.Grants = append(n.Grants, admin.Grant{Resource: uri, Scopes: []string{scope}})
			})
			r := a.tokenRequest(t)
			r.form.Set("scope", scope)
			got := w.send(t, r)
			if a.binding == "mtls" {
				if got.status != http.StatusOK {
					t.Errorf("%s (%s)", got, got.reason())
				}
				return
			}
			got.refused(400, "use_dpop_nonce")
			_, good := parts(t, r.header.Get("DPoP"))
			a.reprove(t, r, "", nil, claims{"jti": good["jti"], "nonce": got.header.Get("DPoP-Nonce")})
			if got := w.send(t, r); got.status != http.StatusOK { // the same assertion, the same jti
				t.Errorf("%s (%s)", got, got.reason())
			}
			a.token(t) // of another resource
		})
	}
}

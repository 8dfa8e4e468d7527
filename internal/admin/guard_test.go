package admin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
)

// TestCallerEndsMeanwhile: every change is decided on a snapshot on which the caller
// is still who it was let in as. The node that is asked does not know yet.
func TestCallerEndsMeanwhile(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	x := w.tenant("acme")
	ends := map[string]func(id directory.ClientID, key directory.CredentialID) error{
		"whose key was revoked": func(_ directory.ClientID, key directory.CredentialID) error {
			return w.directory.SetCredentialState(ctx, "system", key, directory.Revoked)
		},
		"who was suspended": func(id directory.ClientID, _ directory.CredentialID) error {
			return w.directory.SetApplicationState(ctx, "system", id, directory.Suspended)
		},
		"who is an owner no more": func(id directory.ClientID, _ directory.CredentialID) error {
			_, err := w.directory.UpdateApplication(ctx, "system", id, func(a *directory.Application) error { a.OperatorRole = directory.Auditor; return nil })
			return err
		},
		"whose tokens were revoked": func(id directory.ClientID, _ directory.CredentialID) error {
			return w.directory.RevokeApplicationTokens(ctx, "system", id)
		},
	}
	var operations, names []string
	for name, may := range whoMay {
		if !strings.HasPrefix(name, "GET ") && strings.Contains(may, "o") {
			operations = append(operations, name)
		}
	}
	for name := range ends {
		names = append(names, name)
	}
	slices.Sort(operations)
	slices.Sort(names)
	for i, operation := range operations {
		end := names[i%len(names)]
		t.Run(operation+" by an owner "+end, func(t *testing.T) {
			id := directory.ClientID(fmt.Sprint("owner-", i))
			w.operator(id, w.owner.ID, directory.Owner)
			key, err := w.directory.RegisterKey(ctx, "system", id, verifytest.NewSigner(t, jose.ES256, "").Public(), w.clock.Now().AddDate(0, 0, 1))
			check(t, err)
			node := w.node() // it does not poll: as a node within its 500 ms
			token := w.token(verifytest.Claims{
				"client_id": id, "sub": id, "organisation": w.owner.ID, "credential_id": key.ID, "iat": w.clock.Now().Unix() - 1, "nbf": nil,
			})
			check(t, ends[end](id, key.ID))
			before := w.directory.Current().Sequence()
			method, path, _ := strings.Cut(operation, " ")
			media := "application/json"
			if method == "PATCH" {
				media = "application/merge-patch+json"
			}
			body := x.body(t, w, operation)
			if body == "{}" && method == "PATCH" {
				body = `{"name":"changed"}`
			}
			got := node.ask(method, x.path(t, path), token, body, "Content-Type", media, "If-Match", "*")
			check(t, w.directory.Refresh(ctx))
			events, err := w.store.Events(ctx, before, 10)
			check(t, err)
			for _, e := range events {
				if e.Action != "certificate.abandoned" { // which is what was begun and not given out
					t.Errorf("%s %s", e.Action, e.Subject)
				}
			}
			if got.status < 400 {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got.status == 401 {
				t.Error("the node knew before it decided: nothing was tried")
			}
		})
	}
}

package registration_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/registration"
)

func kidOf(t testing.TB, compact string) string {
	t.Helper()
	header, _, _ := strings.Cut(compact, ".")
	text, err := base64.RawURLEncoding.DecodeString(header)
	must(t, err)
	var h struct{ Kid string }
	must(t, json.Unmarshal(text, &h))
	return h.Kid
}

// TestStatementKeys: no statement outlives the key that verifies it, and nodes use
// each other's keys.
func TestStatementKeys(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	keys := func(k *registration.Keys) (kids []string) {
		t.Helper()
		all, err := k.Published(ctx)
		must(t, err)
		for _, key := range all {
			kids = append(kids, key.KeyID())
		}
		return kids
	}
	if got := keys(w.Keys); len(got) != 0 {
		t.Fatalf("before the first statement there are %v", got)
	}
	first := w.statement(t, `{"software_id":"s"}`)
	other := *w.Service
	other.Keys = &registration.Keys{Ring: w.ring}
	if m, err := registration.Verified(&other, ctx, first); err != nil || m.SoftwareID != "s" {
		t.Fatalf("another node: %v", err)
	}
	w.at = w.at.Add(82 * 24 * time.Hour)
	long, _, err := w.CreateStatement(ctx, "operator", registration.StatementRequest{Organisation: "acme", Metadata: []byte(`{"software_id":"s"}`), Life: registration.MaxStatementLife})
	must(t, err)
	late := w.statement(t, `{"software_id":"s"}`)
	w.at = w.at.Add(2 * 24 * time.Hour)
	next := w.statement(t, `{"software_id":"s"}`)
	if kidOf(t, first) != kidOf(t, late) || kidOf(t, late) == kidOf(t, next) {
		t.Errorf("signed with %s, %s, %s", kidOf(t, first), kidOf(t, late), kidOf(t, next))
	}
	if m, err := registration.Verified(&other, ctx, next); err != nil || m == nil {
		t.Errorf("another node does not know the next key: %v", err)
	}
	w.at = long.Expires
	if got := keys(&registration.Keys{Ring: w.ring}); len(got) != 2 {
		t.Errorf("as the longest statement of the first key ends, %v are published", got)
	}
	w.at = now.Add(121 * 24 * time.Hour)
	if got := keys(&registration.Keys{Ring: w.ring}); len(got) != 1 || got[0] != kidOf(t, next) {
		t.Errorf("afterwards, %v are published", got)
	}
}

// TestStatementKeyRevoked: a key of software statements is listed, and revoked like
// every other; its successor is there at once, and what it signed is good no more.
func TestStatementKeyRevoked(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	must(t, w.Keys.Renew(ctx))
	if all, err := w.Keys.All(ctx); err != nil || len(all) != 0 {
		t.Fatalf("before the first statement there are %v, %v", all, err)
	}
	old := w.statement(t, `{"software_id":"s"}`)
	w.at = w.at.Add(time.Second)
	all, err := w.Keys.All(ctx)
	if err != nil || len(all) != 1 || all[0].KeyID != kidOf(t, old) || all[0].Algorithm != "ES256" || !all[0].NotBefore.Before(all[0].NotAfter) {
		t.Fatalf("%+v, %v", all, err)
	}
	must(t, w.Directory.RevokeSigningKey(ctx, "operator", all[0].KeyID))
	if _, err := registration.Verified(w.Service, ctx, old); err == nil {
		t.Error("what it signed is good still")
	}
	must(t, w.Keys.Renew(ctx))
	must(t, w.Keys.Renew(ctx))
	next, err := w.Keys.All(ctx)
	if err != nil || len(next) != 1 || next[0].KeyID == all[0].KeyID {
		t.Fatalf("%+v, %v", next, err)
	}
	published, err := w.Keys.Published(ctx)
	if err != nil || len(published) != 1 || published[0].KeyID() != next[0].KeyID {
		t.Errorf("%v, %v", published, err)
	}
	fresh := w.statement(t, `{"software_id":"s"}`)
	if m, err := registration.Verified(w.Service, ctx, fresh); err != nil || m.SoftwareID != "s" || kidOf(t, fresh) != next[0].KeyID {
		t.Errorf("%v", err)
	}
}

// TestStatementAsRecorded: what a statement says is what was recorded when it was
// signed, even if another hand signs with the same key under its jti.
func TestStatementAsRecorded(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	compact := w.statement(t, `{"software_id":"s","client_name":"ours"}`)
	part := strings.Split(compact, ".")
	payload, err := base64.RawURLEncoding.DecodeString(part[1])
	must(t, err)
	keys, err := w.ring.Keys(ctx, keyring.SoftwareStatement)
	must(t, err)
	thief, err := jose.NewSigner(keys[0].Signer, "", keys[0].ID)
	must(t, err)
	forged, err := thief.Sign(thief.Header(registration.StatementType, false), []byte(strings.Replace(string(payload), `"ours"`, `"theirs"`, 1)))
	must(t, err)
	if forged == compact {
		t.Fatal("nothing was changed")
	}
	m, err := registration.Verified(w.Service, ctx, forged)
	if err != nil || m.Name != "ours" {
		t.Errorf("%+v, %v", m, err)
	}
}

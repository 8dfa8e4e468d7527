package registration_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

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

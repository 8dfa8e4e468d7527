package as_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestRegistrationLife(t *testing.T) {
	s := newRegStack(t)
	first, second := s.signer("first"), s.signer("second")
	token := s.initial()
	got := s.ask(http.MethodPost, s.issuer+"/register", token, wanted(first), nil)
	if got.status != http.StatusCreated || got.header.Get("Cache-Control") != "no-store" || got.JSON["client_secret"] != nil {
		t.Fatalf("%d %v %s (%s)", got.status, got.header, got.raw, s.reason())
	}
	c := s.of(got)
	if !strings.HasPrefix(c.token, "hfr_") || c.uri != s.issuer+"/register/"+string(c.id) || got.text("scope") != "payments" || got.JSON["client_id_issued_at"].(float64) < 1e9 {
		t.Fatalf("%s", got.raw)
	}
	// It gets a token at once.
	form := s.form(&keyed{id: c.id, signer: first})
	prover := s.keyed()
	if status, body, err := post(s.plain, s.issuer+"/token", form, s.proof2(prover)); err != nil || status != 200 {
		t.Fatalf("%d %v %v (%s)", status, body, err, s.reason())
	}
	read := s.ask(http.MethodGet, c.uri, c.token, nil, nil)
	if read.status != 200 || read.JSON["registration_access_token"] != nil || read.text("client_name") != "Partner" || read.text("registration_client_uri") != c.uri {
		t.Fatalf("%d %s", read.status, read.raw)
	}

	change := with(wanted(first, second), metadata{"client_id": c.id, "client_name": "Renamed"})
	header := s.assertion(c.id, first, nil)
	header.Set("Key-Proof", s.proof(c.uri, second, "key-proof+jwt", nil))
	updated := s.ask(http.MethodPut, c.uri, c.token, change, header)
	if updated.status != 200 || updated.text("client_name") != "Renamed" || updated.text("registration_access_token") == "" {
		t.Fatalf("%d %s (%s)", updated.status, updated.raw, s.reason())
	}
	if n := len(s.dir.Current().Client(c.id).Credentials); n != 2 {
		t.Fatalf("%d credentials", n)
	}
	c.token = updated.text("registration_access_token")
	gone := s.ask(http.MethodDelete, c.uri, c.token, nil, s.assertion(c.id, second, nil))
	if gone.status != http.StatusNoContent || gone.raw != "" {
		t.Fatalf("%d %s (%s)", gone.status, gone.raw, s.reason())
	}
	if s.dir.Current().Client(c.id).State != directory.Revoked {
		t.Error("it is not revoked")
	}
	if again := s.ask(http.MethodGet, c.uri, c.token, nil, nil); again.status != 401 {
		t.Errorf("%d %s", again.status, again.raw)
	}
}

func (s *regStack) proof2(k *keyed) string { return s.stack.proof(k, s.issuer+"/token") }

package server_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/server"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// fetch asks a listener of a server without a token.
func (r *running) fetch(t *testing.T, l net.Listener, path string) (int, string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots, ServerName: "localhost"}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+l.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "localhost:8443" // the issuer's
	answer, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestCheckpointsOfAServer(t *testing.T) {
	cfg := initialised(t)
	r := runWith(t, cfg)
	status, body := r.fetch(t, r.listeners.Public, server.CheckpointKeysPath)
	keys, err := jose.ParseJWKSet([]byte(body), 10)
	if status != http.StatusOK || err != nil || len(keys) != 1 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	if status, _ := r.fetch(t, r.listeners.Public, "/audit/checkpoint"); status != http.StatusUnauthorized {
		t.Errorf("the newest checkpoint without a token: %d", status)
	}
	var ready struct {
		Checks map[string]struct {
			OK      bool
			Problem string
		}
	}
	status, body = r.fetch(t, r.listeners.Admin, "/readyz")
	if err := json.Unmarshal([]byte(body), &ready); err != nil || status != http.StatusOK || !ready.Checks["audit"].OK {
		t.Errorf("%d %s: %v", status, body, err)
	}
	// What was changed while it ran is signed before it ends.
	st, err := store.Open(t.Context(), cfg.Database, store.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	e := audit.Event{At: time.Now(), Actor: "operator", Action: "organisation.created", Organisation: "acme", Subject: "acme", Detail: "{}"}
	if err := st.CreateOrganisation(t.Context(), e, directory.Organisation{ID: "acme", Name: "Acme", State: directory.Active}); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if err := r.wait(t); err != nil {
		t.Fatal(err)
	}
	head, err := st.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	newest, err := st.NewestCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := audit.ParseCheckpoint(newest.JWS, keys...)
	if err != nil || c.Head != head || c.Issuer != cfg.Issuer {
		t.Errorf("checkpoint %+v of head %+v: %v", c, head, err)
	}
}

func TestReadyzTellsOfABrokenChain(t *testing.T) {
	cfg := initialised(t)
	execute(t, cfg.Database, "UPDATE events SET actor = 'nobody' WHERE sequence = 2")
	r := runWith(t, cfg)
	deadline := time.Now().Add(10 * time.Second)
	for {
		status, body := r.fetch(t, r.listeners.Admin, "/readyz")
		if status == http.StatusOK && strings.Contains(body, `"audit":{"ok":false,"problem":"the audit chain does not continue its last checkpoint: audit event 2 was changed`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d %s", status, body)
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
	if _, body := r.fetch(t, r.listeners.Admin, "/metrics"); !strings.Contains(body, "\nholdfast_audit_chain_broken 1\n") {
		t.Error("the metric does not tell")
	}
	r.stop()
	if err := r.wait(t); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(context.Background(), cfg.Database, store.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if all, err := st.Checkpoints(t.Context(), 0, 10); err != nil || len(all) != 0 {
		t.Errorf("signed all the same: %+v, %v", all, err)
	}
}

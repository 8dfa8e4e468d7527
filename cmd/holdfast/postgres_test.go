//go:build postgres

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/server"
	"github.com/holdfast-auth/holdfast/internal/store/postgrestest"
)

// nodes is one installation on PostgreSQL, served by two processes.
type nodes struct {
	whole  *testing.T // as long as which the processes live
	issuer string
	roots  string
	owner  server.Operator
	config string
	public [2]string // addresses
	mtls   [2]string
	manage [2]string // of the admin API; admin_url is the first
	child  [2]*child
}

// serve starts a node.
func (n *nodes) serve(i int) {
	n.child[i] = startProcess(n.whole, "serve", "--config", n.config, "--listen-public", n.public[i], "--listen-mtls", n.mtls[i], "--listen-admin", n.manage[i])
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// localhost is the base URL of what listens at an address.
func localhost(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return "https://localhost:" + port
}

func startNodes(t *testing.T, database string) *nodes {
	t.Helper()
	dir := t.TempDir()
	n := &nodes{whole: t, roots: filepath.Join(dir, "roots.pem"), config: filepath.Join(dir, "holdfast.yaml")}
	config := n.config
	for i := range n.public {
		n.public[i], n.mtls[i], n.manage[i] = freeAddress(t), freeAddress(t), freeAddress(t)
	}
	n.issuer = localhost(n.public[0])
	text := fmt.Sprintf("issuer: %s\nmtls_url: https://localhost:1\nadmin_url: %s\ndatabase: %q\nkey_encryption_key_file: kek\n", n.issuer, localhost(n.manage[0]), database)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	command := func(args ...string) int {
		out.Reset()
		return run(t.Context(), environment{Args: args, Stdout: &out, Stderr: &said})
	}
	if code := command("init", "--config", config, "--operator-key", filepath.Join(dir, "owner.key"), "--json"); code != exitDone {
		t.Fatalf("init: %d, %s", code, &said)
	}
	if err := json.Unmarshal(out.Bytes(), &n.owner); err != nil {
		t.Fatal(err)
	}
	if code := command("init", "--config", config, "--operator-key", filepath.Join(dir, "second.key")); code != exitFailed || !strings.Contains(said.String(), "this installation has its owner already") {
		t.Errorf("a second init: %d, %s", code, &said)
	}
	if code := command("check", config); code != exitDone {
		t.Fatalf("check: %d, %s", code, &said)
	}
	if strings.Contains(said.String()+out.String(), "secret") {
		t.Errorf("the password was said: %s%s", &said, &out)
	}
	for i := range n.child {
		n.serve(i)
	}
	return n
}

// ask sends a token request to a node: form and proof, or nothing for the metadata.
func (n *nodes) ask(t *testing.T, node int, form url.Values, proof string) (status int, body map[string]any, took time.Duration) {
	t.Helper()
	roots, err := client.LoadRoots(n.roots)
	if err != nil {
		t.Fatal(err)
	}
	var dialer net.Dialer
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, n.public[node])
		},
	}
	defer transport.CloseIdleConnections()
	method, target := http.MethodGet, n.issuer+"/.well-known/oauth-authorization-server"
	if form != nil {
		method, target = http.MethodPost, n.issuer+"/token"
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("DPoP", proof)
	}
	begun := time.Now()
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return 0, nil, time.Since(begun)
	}
	defer answer.Body.Close()
	_ = json.NewDecoder(answer.Body).Decode(&body) // what is no JSON has no members
	return answer.StatusCode, body, time.Since(begun)
}

// request makes a token request of the first owner's.
func (n *nodes) request(t *testing.T) (url.Values, string) {
	t.Helper()
	key, err := client.LoadKey(n.owner.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := client.NewSigner(key, "", n.owner.KeyID)
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := client.NewAssertion(time.Now(), rand.Reader, signer, n.owner.ClientID, n.issuer)
	if err != nil {
		t.Fatal(err)
	}
	proofKey, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	prover, err := dpop.NewProver(proofKey)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := prover.Prove(time.Now(), http.MethodPost, n.issuer+"/token", "", "")
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{
		"grant_type": {"client_credentials"}, "scope": {n.owner.Scope}, "resource": {n.owner.Resource},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}, proof
}

// eventually asks a node for tokens until it gets one.
func (n *nodes) eventually(t *testing.T, node int, limit time.Duration) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		form, proof := n.request(t)
		status, body, _ := n.ask(t, node, form, proof)
		if status == http.StatusOK {
			return
		}
		if time.Since(begun) > limit {
			t.Fatalf("node %d gives no token within %v: %d %v", node, limit, status, body)
		}
	}
}

func TestTwoNodesOnPostgres(t *testing.T) {
	pg := postgrestest.Start(t)
	n := startNodes(t, strings.Replace(pg.Fresh(t), postgrestest.Superuser+"@", postgrestest.Superuser+":secret@", 1))
	for i := range n.public {
		n.eventually(t, i, 20*time.Second)
	}
	t.Run("advisory 49: an assertion and a proof that one node took are refused by the other", func(t *testing.T) {
		for i := range n.public {
			form, proof := n.request(t)
			if status, body, _ := n.ask(t, i, form, proof); status != http.StatusOK {
				t.Fatalf("%d %v", status, body)
			}
			if status, body, _ := n.ask(t, 1-i, form, proof); status == http.StatusOK || body["error"] != "invalid_client" {
				t.Errorf("%d %v", status, body)
			}
			other, _ := n.request(t)
			if status, body, _ := n.ask(t, 1-i, other, proof); status == http.StatusOK || body["error"] != "invalid_dpop_proof" {
				t.Errorf("%d %v", status, body)
			}
		}
	})
	op := newOperation(t, n)
	t.Run("an enrolment code is good once, at whichever node", op.enrolsOnce)
	t.Run("an initial access token is good once, at whichever node", op.registersOnce)
	t.Run("what is ended by one node is ended at the other within 2 s", op.endsEverywhere)
	t.Run("fault 8: while PostgreSQL restarts tokens are 503, and 2 s later they are not", func(t *testing.T) {
		if err := pg.Restart(true); err != nil {
			t.Fatal(err)
		}
		for i := range n.public {
			n.eventually(t, i, 2*time.Second)
		}
	})
	t.Run("fault 9: while PostgreSQL is stopped every answer comes in 5 s and is 503, and 3 s later it is not", func(t *testing.T) {
		pg.Stop()
		for begun := time.Now(); time.Since(begun) < 14*time.Second; {
			for i := range n.public {
				form, proof := n.request(t)
				status, body, took := n.ask(t, i, form, proof)
				if status != http.StatusServiceUnavailable || took > 5*time.Second {
					t.Errorf("node %d: %d %v after %v", i, status, body, took)
				}
			}
			if status, body, _ := n.ask(t, 0, nil, ""); status != http.StatusOK || body["issuer"] != n.issuer {
				t.Errorf("the metadata: %d %v", status, body)
			}
		}
		pg.Continue()
		for i := range n.public {
			n.eventually(t, i, 3*time.Second)
			n.child[i].tells(t, "snapshot_stale")
			n.child[i].tells(t, "store_unavailable")
		}
	})
	t.Run("a node goes on when the other was killed, and both end in order", func(t *testing.T) {
		if err := n.child[0].command.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		n.eventually(t, 1, time.Second)
		if took := n.child[1].terminate(t); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
	for i, c := range n.child {
		if said := c.said.String(); strings.Contains(said, "secret") {
			t.Errorf("node %d says the password: %s", i, said)
		}
	}
}

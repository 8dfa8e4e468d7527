package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/dev"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// child is a holdfast of its own.
type child struct {
	command *exec.Cmd
	ended   chan error
	said    *said
}

// said is what a process wrote on stderr.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func startProcess(t *testing.T, args ...string) *child {
	t.Helper()
	p := &child{command: exec.Command(os.Args[0], args...), ended: make(chan error, 1), said: new(said)}
	p.command.Env = append(os.Environ(), asHoldfast+"=1")
	p.command.Stderr = p.said
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.command.Wait() }()
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		if t.Failed() {
			t.Logf("%s: %s", args[0], p.said)
		}
	})
	return p
}

// terminate asks the process to end and returns how long that took.
func (p *child) terminate(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("%s: %v", p.command.Args[1], err)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not end", p.command.Args[1])
	}
	return time.Since(begin)
}

// caller is an application of a dev.json, with one token for as long as it lasts.
func caller(t *testing.T, f dev.File, c dev.FileClient) *http.Client {
	t.Helper()
	roots, err := client.LoadRoots(f.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	credentials := client.Credentials{ClientID: c.ClientID}
	if c.KeyFile != "" {
		key, err := client.LoadKey(c.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		if credentials.Assertion, err = client.NewSigner(key, "", c.KeyID); err != nil {
			t.Fatal(err)
		}
	}
	if c.CertFile != "" {
		if credentials.Certificate, err = client.LoadCertificate(c.CertFile, c.CertKeyFile); err != nil {
			t.Fatal(err)
		}
	} else {
		key, err := jose.GenerateKey(jose.ES256, nil)
		if err != nil {
			t.Fatal(err)
		}
		if credentials.DPoP, err = dpop.NewProver(key); err != nil {
			t.Fatal(err)
		}
	}
	h, err := client.New(t.Context(), client.Config{Issuer: f.Issuer, Roots: roots, Credentials: credentials, Scope: c.Scope, Resource: c.Resource})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.CloseIdleConnections)
	return h
}

// get returns the status and Retry-After of one call; 0 when nobody answers.
func get(t *testing.T, c *http.Client, target string) (status int, retryAfter string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(req)
	if err != nil {
		return 0, ""
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Retry-After")
}

// until calls until the status is the one that is wanted, and returns how long that took.
func until(t *testing.T, c *http.Client, target string, want int) (time.Duration, string) {
	t.Helper()
	begin, last := time.Now(), 0
	for time.Since(begin) < 20*time.Second {
		status, retryAfter := get(t, c, target)
		if status == want {
			return time.Since(begin), retryAfter
		}
		last = status
		time.Sleep(10 * time.Millisecond) // between two looks
	}
	t.Fatalf("%s: %d did not become %d", target, last, want)
	return 0, ""
}

// upstream serves the echo API where gateway.yaml sends requests.
func upstream(t *testing.T, dir, at string) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "gateway.crt"), filepath.Join(dir, "gateway.key"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:"+u.Port(), &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: dev.Echo()}
	go func() { _ = srv.Serve(l) }() // until Close
	t.Cleanup(func() { srv.Close() })
}

// tells waits for the event with this reason, which comes after the answer.
func (p *child) tells(t *testing.T, reason string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if strings.Contains(p.said.String(), `"reason":"`+reason+`"`) {
			return
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
	t.Errorf("no event says %s", reason)
}

// TestProcesses runs server and gateway as two processes, from the files that dev writes.
func TestProcesses(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stack, err := dev.Start(ctx, dev.Options{Dir: dir, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	f, at := stack.File(), stack.UpstreamURL()
	app := f.Clients[2] // by certificate: its tokens need no server to be used
	consumer, target := caller(t, f, app), app.Resource+"/"
	if status, _ := get(t, consumer, target); status != 200 {
		t.Fatalf("with dev: %d", status)
	}
	if err := stack.Close(); err != nil {
		t.Fatal(err)
	}
	upstream(t, dir, at)

	// A gateway starts while the server is away, and serves nobody until it knows
	// keys and revocations.
	gateway := startProcess(t, "gateway", "--config", filepath.Join(dir, "gateway.yaml"))
	if _, retryAfter := until(t, consumer, target, http.StatusServiceUnavailable); retryAfter == "" {
		t.Error("503 without Retry-After")
	}
	server := startProcess(t, "serve", "--config", filepath.Join(dir, "holdfast.yaml"))
	until(t, consumer, target, http.StatusOK)

	// A revocation is in force at the gateway within 2 s.
	operator := caller(t, f, dev.FileClient{ClientID: f.OperatorClientID, KeyFile: f.OperatorKeyFile, KeyID: f.OperatorKeyID, Scope: f.OperatorScope, Resource: f.AdminResource})
	admin := &adminclient.Client{URL: f.AdminURL, HTTP: operator}
	have, err := admin.Credentials(t.Context(), app.ClientID, adminclient.Page{})
	if err != nil || len(have.Items) != 1 {
		t.Fatal(have, err)
	}
	other := caller(t, f, f.Clients[3])
	if status, _ := get(t, other, target); status != 200 {
		t.Fatalf("another application: %d", status)
	}
	if _, err := admin.RevokeCredential(t.Context(), have.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	if took, _ := untilRefused(t, consumer, target); took > 2*time.Second {
		t.Errorf("the revocation was in force after %v", took)
	}
	gateway.tells(t, "credential_revoked")

	// The end of the server waits for no feed, and the gateway goes on without it.
	if took := server.terminate(t); took > 10*time.Second { // a feed waits for 20 s
		t.Errorf("the server took %v to end", took)
	}
	if status, _ := get(t, other, target); status != 200 {
		t.Errorf("without the server: %d", status)
	}
	if took := gateway.terminate(t); took > 10*time.Second {
		t.Errorf("the gateway took %v to end", took)
	}
	for _, p := range []*child{server, gateway} {
		if text := p.said.String(); strings.Contains(text, "eyJ") || strings.Contains(text, "goroutine ") {
			t.Errorf("%s said %s", p.command.Args[1], text)
		}
	}
}

// untilRefused calls until there is no token and no answer but 401: once its
// certificate is revoked the consumer gets no new token.
func untilRefused(t *testing.T, c *http.Client, target string) (time.Duration, error) {
	t.Helper()
	begin := time.Now()
	for time.Since(begin) < 20*time.Second {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.Do(req)
		if refusal, ok := errors.AsType[*client.Error](err); ok {
			return time.Since(begin), refusal
		}
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusUnauthorized {
			return time.Since(begin), nil
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
	t.Fatal("the revocation did not come into force")
	return 0, nil
}

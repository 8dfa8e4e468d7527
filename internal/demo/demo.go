package demo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/dev"
)

// ErrNotHeld is a step that did not hold; the steps were printed.
var ErrNotHeld = errors.New("a step of the story did not hold")

// Options of a run.
type Options struct {
	Out  io.Writer // steps
	JSON bool      // one object a line
	Now  func() time.Time
}

// story is one run: the system, its people, and what they have.
type story struct {
	now    func() time.Time
	events *events
	stack  *dev.Stack
	world  dev.File
	api    *api
	roots  *x509.CertPool
	admin  *adminclient.Client

	apiKey    string
	anyone    *http.Client // a client without a certificate: the thief's, and the first consumer's
	app       *consumer    // the consumer, by key
	certApp   *consumer    // the consumer, by certificate
	appKey    string       // credential_id of app's signing key
	certCred  string       // credential_id of certApp's certificate
	bystander *tls.Certificate
}

// Run plays the story. It returns ErrNotHeld when a step did not hold, and any
// other error when the story could not be played.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "holdfast-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := begin(ctx, dir, o.Now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stack.Close()) }()
	return s.play(ctx, printer{out: o.Out, json: o.JSON})
}

// begin brings the system up in the folder and looks around in it. The caller
// closes the stack.
func begin(ctx context.Context, dir string, now func() time.Time) (*story, error) {
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return nil, err
	}
	s := &story{now: now, events: newEvents(), apiKey: "demo_" + hex.EncodeToString(raw[:])}
	s.api = &api{next: dev.Echo(), keyHash: sha256.Sum256([]byte(s.apiKey)), now: now}
	var err error
	if s.stack, err = dev.Start(ctx, dev.Options{Dir: dir, Upstream: s.api, Events: s.events, Now: now}); err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.stack.Close())
	}
	return s, nil
}

// prepare finds everything by the same dev.json that users have.
func (s *story) prepare() (err error) {
	s.world = s.stack.File()
	pem, err := os.ReadFile(s.world.CAFile)
	if err != nil {
		return err
	}
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM(pem) {
		return errors.New("no certificate in " + s.world.CAFile)
	}
	s.anyone = s.certificateClient(nil)
	s.api.http, s.api.gateway, s.api.audience = s.anyone, s.world.GatewayURL, s.stack.UpstreamURL()
	s.admin = s.stack.Admin()
	for _, c := range s.world.Clients {
		if c.AuthMethod == "tls_client_auth" {
			cert, err := tls.LoadX509KeyPair(c.CertFile, c.CertKeyFile)
			if err != nil {
				return err
			}
			s.bystander = &cert
		}
	}
	if s.bystander == nil {
		return errors.New("the sample world has no application with a certificate")
	}
	return nil
}

// plainTransport is a transport of its own: nobody shares connections here.
func (s *story) plainTransport() *http.Transport {
	return &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
		IdleConnTimeout:   time.Minute,
	}
}

// play takes the steps in order. After one that did not hold the rest is not
// played: it would build on sand.
func (s *story) play(ctx context.Context, p printer) error {
	steps := []struct {
		claim string
		play  func(context.Context) ([]Observation, error)
	}{
		{"before Holdfast, a consumer calls with an API key and is served", s.callWithAPIKey},
		{"the API key leaks: its thief is served too", s.stealAPIKey},
		{"the consumer makes a key locally; only its public half leaves, through the admin API", s.enrol},
		{"it gets a token bound to that key and is served", s.callWithBoundToken},
		{"the token leaks: without the key it opens nothing", s.stealToken},
		{"the assertion and the proofs leak: a second use is refused", s.replay},
		{"the same with a certificate: bound to mutual TLS, worthless to a thief", s.certificateStory},
		{"the credential is revoked: refused within 2 s on a connection that was open", s.revoke},
		{"the API key is switched off: refused, while bound consumers go on without one failure", s.switchOff},
	}
	if err := p.begin(s.world); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	for i, step := range steps {
		seen, err := step.play(ctx)
		if ctx.Err() != nil {
			return ctx.Err() // called off, which says nothing about the claim
		}
		record := Step{Number: i + 1, Claim: step.claim, Held: err == nil, Evidence: seen}
		if err != nil {
			record.Fault = err.Error()
		}
		if perr := p.step(record); perr != nil {
			return fmt.Errorf("print: %w", perr)
		}
		if err != nil {
			return ErrNotHeld
		}
	}
	return p.end(len(steps))
}

// wantsNonce tells an answer that asks for the same again with a nonce.
func wantsNonce(a answer) bool { return strings.Contains(a.challenge(), `error="use_dpop_nonce"`) }

package server

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/feed"
	"github.com/holdfast-auth/holdfast/internal/gateway"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/mtls"
	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/jwks"
)

// maxProofs bounds the proofs that a gateway remembers, those of 100 s: some
// 20,000 a second. What is beyond is refused, never forgotten early.
const maxProofs = 2 << 20

// Gateway is a gateway, loaded and not yet listening.
type Gateway struct {
	cfg      *config.Gateway
	process  Process
	handler  *gateway.Gateway
	trust    verify.Config // of the handler's verifier
	keys     *jwks.Source
	state    *feed.State
	follower *feed.Follower
	tls      tls.Certificate
}

// OpenGateway loads everything that cfg names and asks nobody: a gateway starts
// while the server is away.
func OpenGateway(cfg *config.Gateway, p Process) (*Gateway, error) {
	g := &Gateway{cfg: cfg, process: p, state: feed.NewState(p.Now)}
	var err error
	if g.tls, err = tls.LoadX509KeyPair(cfg.TLS.CertificateFile, cfg.TLS.KeyFile); err != nil {
		return nil, fmt.Errorf("TLS certificate %s: %w", cfg.TLS.CertificateFile, err)
	}
	roots, err := client.Roots(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	key, err := client.LoadKey(cfg.Client.KeyFile)
	if err != nil {
		return nil, err
	}
	if err := g.openFeed(roots, key); err != nil {
		return nil, err
	}
	plain, err := client.NewHTTP(roots, nil)
	if err != nil {
		return nil, err
	}
	if g.keys, err = jwks.New(jwks.Config{Issuers: []string{cfg.Issuer}, HTTP: plain, Now: p.Now, Log: p.Log}); err != nil {
		return nil, err
	}
	secret, err := nonceSecret(key)
	if err != nil {
		return nil, err
	}
	g.trust = verify.Config{
		Issuers:      []verify.Issuer{{URL: cfg.Issuer, Algorithms: verify.Algorithms()}},
		Keys:         g.keys,
		Replay:       verify.NewMemoryReplay(p.Now, maxProofs),
		Nonces:       dpop.NewNonces(secret),
		Revocation:   g.state,
		Certificates: g.state,
		Now:          p.Now,
	}
	verifier, err := verify.New(g.trust)
	if err != nil {
		return nil, err
	}
	signer, err := grantSigner(cfg.GrantKeyFile)
	if err != nil {
		return nil, err
	}
	routes, err := routesOf(cfg)
	if err != nil {
		return nil, err
	}
	g.handler, err = gateway.New(gateway.Config{
		URL: cfg.GatewayURL, Verifier: verifier, Routes: routes, Signer: signer,
		Now: p.Now, Log: p.Log,
	})
	return g, err
}

// nonceSecret is a secret that every gateway of one configuration has, so that
// each accepts the nonces of the others.
func nonceSecret(key crypto.Signer) (secret [32]byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return secret, fmt.Errorf("derive the secret of nonces: %w", err)
	}
	mac := hmac.New(sha256.New, der)
	mac.Write([]byte("holdfast gateway dpop nonces"))
	mac.Sum(secret[:0])
	return secret, nil
}

// openFeed prepares the gateway's own application, which reads the feed.
func (g *Gateway) openFeed(roots *x509.CertPool, key crypto.Signer) error {
	signer, err := client.NewSigner(key, "", g.cfg.Client.KID)
	if err != nil {
		return err
	}
	bound, err := jose.GenerateKey(jose.ES256, rand.Reader) // for tokens of this process alone
	if err != nil {
		return err
	}
	prover, err := dpop.NewProver(bound)
	if err != nil {
		return err
	}
	transport := &feedTransport{config: client.Config{
		Issuer: g.cfg.Issuer, Roots: roots, Scope: FeedScope, Resource: FeedResource(g.cfg.Issuer), Now: g.process.Now,
		Credentials: client.Credentials{ClientID: g.cfg.Client.ClientID, Assertion: signer, DPoP: prover},
	}}
	witness, err := feed.OpenWitness(g.cfg.Issuer, g.cfg.StateDir, g.process.Log)
	if err != nil {
		return err
	}
	g.follower = &feed.Follower{
		URL: g.cfg.FeedURL, State: g.state, Witness: witness, Wait: feedWait(g.cfg.Routes), Now: g.process.Now, Log: g.process.Log,
		HTTP: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	return nil
}

// feedWait is a third of the least lag that a route allows, 1 s to 20 s, so that a
// feed that is merely quiet makes no route refuse.
func feedWait(routes []config.Route) time.Duration {
	wait := 20 * time.Second
	for _, r := range routes {
		wait = min(wait, r.MaxRevocationLag/3)
	}
	return max(wait.Truncate(time.Second), time.Second)
}

// feedTransport finds the authorization server when it is first needed, so that
// the gateway does not need it to start.
type feedTransport struct {
	config client.Config
	mu     sync.Mutex
	ready  http.RoundTripper // guarded by mu
}

func (t *feedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ready, err := t.get(r.Context())
	if err != nil {
		return nil, err
	}
	return ready.RoundTrip(r)
}

func (t *feedTransport) get(ctx context.Context) (http.RoundTripper, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ready == nil {
		c, err := client.New(ctx, t.config)
		if err != nil {
			return nil, err
		}
		t.ready = c.Transport
	}
	return t.ready, nil
}

// grantSigner signs Holdfast-Grant: with the key in the file, or one in memory.
func grantSigner(file string) (*jose.Signer, error) {
	if file == "" {
		key, err := jose.GenerateKey(jose.ES256, rand.Reader)
		if err != nil {
			return nil, err
		}
		return jose.NewSigner(key, jose.ES256, "")
	}
	key, err := client.LoadKey(file)
	if err != nil {
		return nil, err
	}
	return jose.NewSigner(key, "", "")
}

func routesOf(cfg *config.Gateway) ([]gateway.Route, error) {
	var routes []gateway.Route
	for _, r := range cfg.Routes {
		route := gateway.Route{
			Path: r.Path, Methods: r.Methods, Resource: r.Resource, Scopes: r.Scopes,
			Binding: verify.BindingRule(r.Binding), Nonce: verify.NonceRule(r.Nonce), MaxRevocationLag: r.MaxRevocationLag,
			Upstream: r.Upstream, StripPrefix: r.StripPrefix, AllowEncodedPaths: r.AllowEncodedPaths,
		}
		roots, err := client.Roots(r.UpstreamCAFile)
		if err != nil {
			return nil, err
		}
		if route.UpstreamTLS, err = mtls.ClientConfig(roots, nil); err != nil {
			return nil, err
		}
		routes = append(routes, route)
	}
	return routes, nil
}

// ListenGateway opens the socket that cfg names.
func ListenGateway(ctx context.Context, cfg *config.Gateway) (net.Listener, error) {
	return listenOn(ctx, "gateway", cfg.Listen)
}

// Routes are the paths that the gateway knows: its own documents and what is
// behind it.
func (g *Gateway) Routes() (documents, resources []string) { return g.handler.Routes() }

// Ready is nil once the gateway knows the issuer's keys and has heard the feed.
func (g *Gateway) Ready() error {
	if _, err := g.keys.Keys(g.cfg.Issuer); err != nil {
		return err
	}
	if g.state.Current().Sequence() == 0 {
		return errors.New("the feed has not answered yet")
	}
	return nil
}

// Run serves until ctx ends, then lets requests under way finish, 30 s at most.
// It takes the listener over.
func (g *Gateway) Run(ctx context.Context, l net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives the draining requests
	defer stop()
	parts, failing := errgroup.WithContext(background)
	parts.Go(func() error { return g.keys.Run(failing) })
	parts.Go(func() error { return g.follower.Run(failing) })
	srv := web.NewServer(g.handler, mtls.ServerConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &g.tls, nil }, true), g.process.Log)
	srv.ReadTimeout, srv.WriteTimeout = 0, 0 // bodies and streams take as long as they take
	srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return mtls.WithConn(ctx) }
	err := Serve(ctx, srv, l)
	stop()
	g.handler.CloseIdle()
	return errors.Join(err, ignoreCancel(parts.Wait()))
}

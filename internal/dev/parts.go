package dev

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/server"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/mtls"
)

// certificates makes the TLS certificate that gateway and upstream share, for
// the name localhost, and writes it where gateway.yaml says.
func (b *builder) certificates(ctx context.Context, srv *server.Server) (*tls.Certificate, error) {
	chain, key, err := srv.IssueTLS(ctx, "localhost", "127.0.0.1")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(replaceFile(b.gatewayCertificate(), chain), replaceFile(b.gatewayKey(), key)); err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(chain, key)
	return &cert, err
}

// runUpstream serves the API behind the gateway until ctx ends.
func (b *builder) runUpstream(ctx context.Context, cert *tls.Certificate) error {
	h := b.Upstream
	if h == nil {
		h = Echo()
	}
	config := mtls.ServerConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }, false)
	return server.Serve(ctx, web.NewServer(h, config, b.process.Log), b.echo)
}

// startGateway runs the gateway from the file that `holdfast gateway` would
// read, and waits until it knows keys and revocations.
func (b *builder) startGateway(ctx context.Context, w *world) error {
	if err := replaceFile(b.gatewayConfig(), w.gatewayYAML()); err != nil {
		return err
	}
	cfg, err := config.LoadGateway(b.gatewayConfig(), nil, nil)
	if err != nil {
		return err
	}
	g, err := server.OpenGateway(cfg, b.process)
	if err != nil {
		return err
	}
	b.stack.gateway = g
	b.part(func() error { return g.Run(ctx, b.listeners.gateway) })
	patience, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		select {
		case <-patience.Done():
			return fmt.Errorf("the gateway did not become ready within %v: %w", readyWithin, g.Ready())
		case <-time.After(20 * time.Millisecond):
		}
		if g.Ready() == nil {
			return nil
		}
	}
}

const readyWithin = 20 * time.Second

// describe is dev.json without its clients.
func (b *builder) describe(cfg *config.Serve, op server.Operator) File {
	return File{
		Issuer:                cfg.Issuer,
		MetadataURL:           cfg.Issuer + "/.well-known/oauth-authorization-server",
		TokenEndpoint:         cfg.Issuer + "/token",
		MTLSTokenEndpoint:     cfg.MTLSURL + "/token",
		IntrospectionEndpoint: cfg.Issuer + "/introspect",
		RevocationEndpoint:    cfg.Issuer + "/revoke",
		GatewayURL:            localURL(b.listeners.gateway),
		AdminURL:              cfg.AdminURL,
		AdminResource:         op.Resource,
		OperatorClientID:      op.ClientID,
		OperatorKeyFile:       op.KeyFile,
		OperatorKeyID:         op.KeyID,
		OperatorScope:         op.Scope,
		CAFile:                b.ca(),
		ClientCAFile:          b.ca(),
		ServerPID:             os.Getpid(),
	}
}

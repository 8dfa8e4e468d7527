package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/server"
)

// trustDomain of every dev installation.
const trustDomain = "dev.holdfast.test"

// Options of a stack.
type Options struct {
	// Dir is an absolute path; everything is kept there.
	Dir string
	// Port is the first of five; 0 takes those of the folder's first start, or free ones.
	Port int
	// Upstream stands behind the gateway in place of the echo API; may be nil.
	Upstream http.Handler
	// Events receives the event stream, one JSON object a line; may be nil.
	Events io.Writer
	Now    func() time.Time
}

// Stack is the whole system, running.
type Stack struct {
	file     File
	upstream string
	admin    *adminclient.Client
	server   *server.Server
	gateway  *server.Gateway
	cancel   context.CancelFunc
	parts    *errgroup.Group
}

// paths in the folder.
type paths struct{ dir string }

func (p paths) in(name string) string      { return filepath.Join(p.dir, name) }
func (p paths) serveConfig() string        { return p.in("holdfast.yaml") }
func (p paths) gatewayConfig() string      { return p.in("gateway.yaml") }
func (p paths) database() string           { return p.in("holdfast.db") }
func (p paths) operatorKey() string        { return p.in("operator.key") }
func (p paths) ca() string                 { return p.in("ca.pem") }
func (p paths) operatorFile() string       { return p.in("operator.json") }
func (p paths) portsFile() string          { return p.in("ports.json") }
func (p paths) devFile() string            { return p.in(FileName) }
func (p paths) gatewayCertificate() string { return p.in("gateway.crt") }
func (p paths) gatewayKey() string         { return p.in("gateway.key") }
func (p paths) gatewayClientKey() string   { return p.in("gateway-client.key") }

// Start brings everything up and returns once everything answers. The stack ends
// with ctx, or with Close.
func Start(ctx context.Context, o Options) (s *Stack, err error) {
	p := paths{o.Dir}
	if err := private(o.Dir); err != nil {
		return nil, err
	}
	ports, err := p.ports(o.Port)
	if err != nil {
		return nil, err
	}
	l, err := listen(ctx, ports) // before anything is written: this folder may be running already
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	s = &Stack{cancel: cancel, parts: new(errgroup.Group), upstream: localURL(l.echo)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(), l.close())
		}
	}()
	b := &builder{Options: o, paths: p, listeners: l, stack: s, process: processOf(o)}
	return s, b.build(running)
}

func processOf(o Options) server.Process {
	log := slog.New(slog.DiscardHandler)
	if o.Events != nil {
		log = slog.New(slog.NewJSONHandler(o.Events, nil))
	}
	return server.Process{Now: o.Now, Log: log, Version: "dev"}
}

// builder is the state of a start.
type builder struct {
	Options
	paths
	listeners
	stack   *Stack
	process server.Process
}

// part runs one part of the stack; one that fails ends the whole.
func (b *builder) part(run func() error) {
	b.stack.parts.Go(func() error {
		defer b.stack.cancel()
		return run()
	})
}

// build takes the steps of an operator, in their order.
func (b *builder) build(ctx context.Context) error {
	if err := b.claimFolder(); err != nil {
		return err
	}
	cfg, op, err := b.firstStart(ctx)
	if err != nil {
		return err
	}
	if op.Roots != "" { // before anything that the configuration has to read
		if err := replaceFile(b.ca(), []byte(op.Roots)); err != nil {
			return err
		}
	}
	srv, err := server.Open(ctx, cfg, b.process)
	if err != nil {
		return err
	}
	b.stack.server = srv
	if err := replaceFile(b.ca(), srv.RootPEM()); err != nil {
		return errors.Join(err, srv.Close())
	}
	certificate, err := b.certificates(ctx, srv)
	if err != nil {
		return errors.Join(err, srv.Close())
	}
	b.part(func() error { return srv.Run(ctx, server.Listeners{Public: b.public, MTLS: b.mtls, Admin: b.admin}) })
	b.part(func() error { return b.runUpstream(ctx, certificate) })
	file := b.describe(cfg, op)
	if b.stack.admin, err = b.newAdmin(ctx, file); err != nil {
		return err
	}
	w := &world{builder: b, file: &file, admin: b.stack.admin}
	if err := w.furnish(ctx); err != nil {
		return fmt.Errorf("make the sample world: %w", err)
	}
	if err := b.startGateway(ctx, w); err != nil {
		return err
	}
	b.stack.file = file
	return file.write(b.devFile())
}

// claimFolder writes down whose ports these are, so that nobody else starts here,
// and that nothing is ready.
func (b *builder) claimFolder() error {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	if err := os.Remove(b.devFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return writeJSON(b.portsFile(), b.inUse())
}

// firstStart loads the folder's installation, or makes it.
func (b *builder) firstStart(ctx context.Context) (*config.Serve, server.Operator, error) {
	var op server.Operator
	err := readJSON(b.operatorFile(), &op)
	if err == nil {
		cfg, err := config.LoadServe(b.serveConfig(), nil, nil)
		return cfg, op, err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, op, err
	}
	// operator.json is written last: what stands here without it is of a first
	// start that broke off, and nobody knows its names.
	for _, left := range []string{b.database(), b.database() + "-wal", b.database() + "-shm", b.operatorKey()} {
		if err := os.Remove(left); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, op, err
		}
	}
	if err := server.RemoveUnfinished(b.dir); err != nil {
		return nil, op, err
	}
	if err := replaceFile(b.serveConfig(), serveYAML(b.listeners, b.paths)); err != nil {
		return nil, op, err
	}
	cfg, err := config.LoadServe(b.serveConfig(), nil, nil)
	if err != nil {
		return nil, op, err
	}
	op, err = server.Init(ctx, cfg, server.FirstStart{TrustDomain: trustDomain, OperatorKeyFile: b.operatorKey(), Now: b.Now})
	if err != nil {
		return nil, op, err
	}
	return cfg, op, writeJSON(b.operatorFile(), op)
}

// File is what dev.json holds.
func (s *Stack) File() File { return s.file }

// UpstreamURL is where the API behind the gateway is, without the gateway.
func (s *Stack) UpstreamURL() string { return s.upstream }

// Refresh has the server ask its database now.
func (s *Stack) Refresh(ctx context.Context) error { return s.server.Refresh(ctx) }

// Routes are the patterns of every route of the server's listeners, by the
// listener's name.
func (s *Stack) Routes() map[string][]string { return s.server.Routes() }

// GatewayRoutes are the paths of the gateway's documents and of its routes.
func (s *Stack) GatewayRoutes() (documents, resources []string) { return s.gateway.Routes() }

// Admin is a client of the admin API with the operator's key.
func (s *Stack) Admin() *adminclient.Client { return s.admin }

// Wait returns when the stack has ended; nil if it was asked to.
func (s *Stack) Wait() error { return s.parts.Wait() }

// Close ends the stack and waits for it.
func (s *Stack) Close() error {
	s.cancel()
	return s.parts.Wait()
}

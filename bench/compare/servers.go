package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	startTime = 20 * time.Second
	stopTime  = 10 * time.Second
	durable   = "floor durable" // the one floor that writes to SQLite
)

// bench is the programs, the servers that run, and what was found.
type bench struct {
	options
	ctx     context.Context
	folder  string
	world   world
	servers []*exec.Cmd // those that we started
	cells   []cell
	first   []string // lines about cold starts
	replay  []string // lines about replays

	holdfastPID int
}

// world is what is needed here of dev.json.
type world struct {
	Issuer            string
	TokenEndpoint     string `json:"token_endpoint"`
	MTLSTokenEndpoint string `json:"mtls_token_endpoint"`
	GatewayURL        string `json:"gateway_url"`
	CAFile            string `json:"ca_file"`
	Clients           []consumer
}

type consumer struct {
	ClientID    string `json:"client_id"`
	AuthMethod  string `json:"auth_method"`
	Binding     string
	KeyFile     string `json:"key_file"`
	KID         string
	CertFile    string `json:"cert_file"`
	CertKeyFile string `json:"cert_key_file"`
}

func (w *world) consumer(method, binding string) consumer {
	i := slices.IndexFunc(w.Clients, func(c consumer) bool { return c.AuthMethod == method && c.Binding == binding })
	if i < 0 {
		return consumer{}
	}
	return w.Clients[i]
}

func (b *bench) in(name string) string { return filepath.Join(b.folder, name) }

// build compiles holdfast here, and floor and load in a copy of their sources,
// which may be read-only.
func (b *bench) build() error {
	copied := b.in("shared")
	for _, part := range []string{"floor", "load"} {
		if err := os.CopyFS(filepath.Join(copied, part), os.DirFS(filepath.Join(b.shared, part))); err != nil {
			return fmt.Errorf("sources of %s: %w", part, err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(b.shared, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, name), data, 0o600)
		}
		if err != nil {
			return err
		}
	}
	if err := b.run("", "go", "build", "-trimpath", "-o", b.in("holdfast"), "./cmd/holdfast"); err != nil {
		return err
	}
	if err := b.run(copied, "go", "build", "-o", b.folder, "./floor", "./load"); err != nil {
		return err
	}
	return b.run("", b.in("load"), "pki", "-dir", b.in("pki"))
}

// run runs a program to its end.
func (b *bench) run(folder, name string, args ...string) error {
	c := exec.CommandContext(b.ctx, name, args...)
	c.Dir, c.Stdout, c.Stderr = folder, os.Stderr, os.Stderr
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(name), args[0], err)
	}
	return nil
}

// furnish lets holdfast dev make its world, and ends it: serve and gateway run
// from its files, as they do in production.
func (b *bench) furnish() error {
	dev, err := b.serve("dev", b.loadCore, b.in("holdfast"), "dev", "--dir", b.in("world"))
	if err != nil {
		return err
	}
	var data []byte
	err = b.eventually("holdfast dev", func() (err error) {
		data, err = os.ReadFile(b.in("world/dev.json"))
		return err
	})
	if err != nil {
		return err
	}
	end(dev)
	if err := json.Unmarshal(data, &b.world); err != nil {
		return fmt.Errorf("dev.json: %w", err)
	}
	return nil
}

// start starts every server, holdfast's own and the floor's.
func (b *bench) start() error {
	upstream, err := freeAddress()
	if err != nil {
		return err
	}
	if _, err := b.serve("upstream", b.loadCore, b.in("floor"), "upstream", "-addr", upstream); err != nil {
		return err
	}
	started := time.Now()
	server, err := b.serve("serve", b.serverCore, b.in("holdfast"), "serve", "--config", b.in("world/holdfast.yaml"))
	if err != nil {
		return err
	}
	b.holdfastPID = server.Process.Pid
	b.holdfastCells(server.Process.Pid)
	if err := b.coldStart(started, b.cell("holdfast: token, mTLS")); err != nil {
		return err
	}
	if err := b.startGateway(upstream); err != nil {
		return err
	}
	if err := b.startFloor(upstream); err != nil {
		return err
	}
	return errors.Join(b.startGrown(), b.startPostgres(), b.startOIDCProvider())
}

// startGateway runs the gateway of the world before another upstream.
func (b *bench) startGateway(upstream string) error {
	file, err := os.ReadFile(b.in("world/gateway.yaml"))
	if err != nil {
		return err
	}
	file = regexp.MustCompile(`(?m)^ *upstream_ca_file: .*\n`).ReplaceAll(file, nil)
	file = regexp.MustCompile(`upstream: .*`).ReplaceAll(file, []byte("upstream: http://"+upstream))
	if err := os.WriteFile(b.in("gateway.yaml"), file, 0o600); err != nil {
		return err
	}
	gateway, err := b.serve("gateway", b.serverCore, b.in("holdfast"), "gateway", "--config", b.in("gateway.yaml"))
	if err != nil {
		return err
	}
	b.gatewayCell(gateway.Process.Pid)
	return b.eventually("holdfast gateway", func() error {
		_, err := b.load(b.cell("holdfast: gateway"), "rs", "-c", "1", "-d", "50ms", "-warm", "50ms")
		return err
	})
}

// startFloor runs the floor as token endpoint, with the store on disk and in
// memory, and as proxy, with the check and without.
func (b *bench) startFloor(upstream string) error {
	for _, f := range []struct {
		name string
		args []string
	}{
		{durable, []string{"as", "-store", "sqlite", "-db", b.in("floor.db")}},
		{"floor in memory", []string{"as", "-store", "mem"}},
		{"floor: gateway", []string{"proxy", "-check", "cached", "-upstream", "http://" + upstream}},
		{"floor: gateway without a check", []string{"proxy", "-check", "none", "-upstream", "http://" + upstream}},
	} {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		started := time.Now()
		server, err := b.serve(f.name, b.serverCore, b.in("floor"), append(f.args, "-addr", address, "-pki", b.in("pki"))...)
		if err != nil {
			return err
		}
		url := "https://" + strings.Replace(address, "127.0.0.1", "localhost", 1)
		if f.args[0] == "proxy" {
			b.floorProxyCell(f.name, server.Process.Pid, url)
			continue
		}
		b.floorCells(f.name, server.Process.Pid, url)
		if err := b.coldStart(started, b.cell(f.name+": token, mTLS")); err != nil {
			return err
		}
	}
	return nil
}

// serve starts a server on one core; its output goes to a file of its name.
func (b *bench) serve(name, core, program string, args ...string) (*exec.Cmd, error) {
	var environ []string
	if name == durable { // with one, which Go chooses on one core, each fdatasync stops the process
		environ = []string{"GOMAXPROCS=4"}
	}
	return b.serveEnv(name, core, environ, program, args...)
}

func (b *bench) serveEnv(name, core string, environ []string, program string, args ...string) (*exec.Cmd, error) {
	log, err := os.Create(b.in(strings.NewReplacer(" ", "-", ":", "").Replace(name) + ".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the server has its own
	c := exec.CommandContext(b.ctx, "taskset", append([]string{"-c", core, program}, args...)...)
	c.Stdout, c.Stderr = log, log
	c.Env = append(os.Environ(), environ...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = stopTime
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	b.servers = append(b.servers, c)
	return c, nil
}

// stop ends the servers that still run.
func (b *bench) stop() {
	for _, c := range slices.Backward(b.servers) {
		end(c)
	}
}

// end asks a server to end and waits for it, not for ever.
func end(c *exec.Cmd) {
	if c.ProcessState != nil {
		return
	}
	_ = c.Process.Signal(syscall.SIGTERM) // gone already, at worst
	late := time.AfterFunc(stopTime, func() { _ = c.Process.Kill() })
	_ = c.Wait()
	late.Stop()
}

// eventually tries until it succeeds or the time to start is over.
func (b *bench) eventually(what string, try func() error) error {
	for deadline := time.Now().Add(startTime); ; time.Sleep(100 * time.Millisecond) {
		err := try()
		switch {
		case err == nil:
			return nil
		case b.ctx.Err() != nil:
			return errors.New("interrupted")
		case time.Now().After(deadline):
			return fmt.Errorf("%s does not answer: %w", what, err)
		}
	}
}

// freeAddress is a loopback address that nobody listens on just now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cell is one kind of load on one server.
type cell struct {
	name string
	verb string // of load
	pid  int
	args []string
	// more, if not nil, gives further arguments for each run.
	more func() ([]string, error)
}

func (b *bench) cell(name string) *cell {
	i := slices.IndexFunc(b.cells, func(c cell) bool { return c.name == name })
	return &b.cells[i]
}

func (b *bench) add(name, verb string, pid int, args ...string) *cell {
	b.cells = append(b.cells, cell{name: name, verb: verb, pid: pid, args: args})
	return &b.cells[len(b.cells)-1]
}

func (b *bench) holdfastCells(pid int) {
	w := &b.world
	bound, key, certificate := w.consumer("private_key_jwt", "mtls"), w.consumer("private_key_jwt", "dpop"), w.consumer("tls_client_auth", "mtls")
	b.add("holdfast: token, private_key_jwt", "token", pid, "-url", w.MTLSTokenEndpoint, "-aud", w.Issuer, "-ca", w.CAFile,
		"-client", bound.ClientID, "-assertkey", bound.KeyFile, "-kid", bound.KID, "-cert", bound.CertFile, "-certkey", bound.CertKeyFile)
	b.add("holdfast: token, private_key_jwt + DPoP", "token", pid, "-url", w.TokenEndpoint, "-aud", w.Issuer, "-ca", w.CAFile,
		"-client", key.ClientID, "-assertkey", key.KeyFile, "-kid", key.KID, "-dpopkey", b.in("pki/assert.key"))
	b.add("holdfast: token, mTLS", "token", pid, "-auth", "mtls", "-url", w.MTLSTokenEndpoint, "-ca", w.CAFile,
		"-client", certificate.ClientID, "-cert", certificate.CertFile, "-certkey", certificate.CertKeyFile)
}

func (b *bench) gatewayCell(pid int) {
	client := b.world.consumer("private_key_jwt", "mtls")
	c := b.add("holdfast: gateway", "rs", pid, "-url", b.world.GatewayURL+"/payments/", "-ca", b.world.CAFile,
		"-cert", client.CertFile, "-certkey", client.CertKeyFile)
	c.more = func() ([]string, error) {
		token, err := exec.CommandContext(b.ctx, b.in("holdfast"), "token", "--dev", b.in("world/dev.json"), "--client", client.ClientID).Output()
		if err != nil {
			return nil, fmt.Errorf("holdfast token: %w", err)
		}
		return []string{"-token", strings.TrimSpace(string(token))}, nil
	}
}

// mutual are the arguments of a connection to the floor.
func (b *bench) mutual() []string {
	return []string{"-ca", b.in("pki/ca.pem"), "-cert", b.in("pki/client.pem"), "-certkey", b.in("pki/client.key")}
}

func (b *bench) floorCells(name string, pid int, url string) {
	b.add(name+": token, mTLS", "token", pid, append(b.mutual(), "-auth", "mtls", "-url", url+"/token")...)
	assertion := []string{"-url", url + "/token", "-aud", url, "-assertkey", b.in("pki/assert.key"), "-form", "scope=read"}
	b.add(name+": token, private_key_jwt", "token", pid, append(b.mutual(), assertion...)...)
	b.add(name+": token, private_key_jwt + DPoP", "token", pid, append(assertion, "-ca", b.in("pki/ca.pem"), "-dpopkey", b.in("pki/assert.key"))...)
}

func (b *bench) floorProxyCell(name string, pid int, url string) {
	b.add(name, "rs", pid, append(b.mutual(), "-url", url+"/", "-askey", b.in("pki/as.key"), "-iss", "https://as.example", "-aud", "https://api.example")...)
}

// round runs each cell that is compared, the floor's beside holdfast's, in the
// other order every second time.
func (b *bench) round(n int) error {
	for _, w := range b.works() {
		names := []string{w.floor, w.holdfast}
		if n%2 == 1 {
			slices.Reverse(names)
		}
		for _, name := range names {
			c := b.cell(name)
			line, err := b.load(c, c.verb, "-c", b.connections, "-d", b.time.String(), "-warm", "1s", "-out", b.in("results.jsonl"))
			if err != nil {
				return err
			}
			fmt.Fprintln(os.Stderr, line)
		}
	}
	return nil
}

// coldStart waits for the first token of a server that was started just now.
func (b *bench) coldStart(started time.Time, c *cell) error {
	line, err := b.load(c, "first", "-since", strconv.FormatInt(started.UnixNano(), 10))
	b.first = append(b.first, line)
	return err
}

// replays sends one assertion twice, and one with its proof.
func (b *bench) replays() error {
	for _, name := range []string{"holdfast: token, private_key_jwt", "holdfast: token, private_key_jwt + DPoP", durable + ": token, private_key_jwt"} {
		line, err := b.load(b.cell(name), "token", "-replay")
		if err != nil {
			return err
		}
		b.replay = append(b.replay, line)
	}
	return nil
}

// load runs a verb of load on a cell, pinned to the load's core, and returns
// what it printed.
func (b *bench) load(c *cell, verb string, more ...string) (string, error) {
	args := slices.Concat([]string{"-c", b.loadCore, b.in("load"), verb, "-name", c.name, "-pid", strconv.Itoa(c.pid)}, c.args, more)
	if c.more != nil {
		added, err := c.more()
		if err != nil {
			return "", err
		}
		args = append(args, added...)
	}
	out, err := exec.CommandContext(b.ctx, "taskset", args...).Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("load %s, %s: %w", verb, c.name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

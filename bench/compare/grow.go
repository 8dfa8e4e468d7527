package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// startGrown runs holdfast on a copy of its database with many applications, each
// with a key of its own, and many tokens' assertions that were used just now.
func (b *bench) startGrown() error {
	if b.applications == 0 {
		return nil
	}
	if err := b.copyDatabase("world/holdfast.db", "grown.db"); err != nil {
		return err
	}
	if err := grow(b.in("grown.db"), b.applications, b.tokens); err != nil {
		return fmt.Errorf("grow the database: %w", err)
	}
	started := time.Now()
	pid, urls, err := b.serveOther("serve grown", "--database", b.in("grown.db"))
	if err != nil {
		return err
	}
	b.otherCells("holdfast grown", pid, urls)
	if err := b.coldStart(started, b.cell("holdfast grown: token, mTLS")); err != nil {
		return err
	}
	small, large := resident(b.holdfastPID), resident(pid)
	b.first = append(b.first, fmt.Sprintf("memory: %.1f MiB resident with the sample world, %.1f MiB with %d applications: %.2f KiB an application",
		small/1024, large/1024, b.applications, (large-small)/float64(b.applications)))
	return nil
}

// copyDatabase takes a copy of a SQLite file that may be in use.
func (b *bench) copyDatabase(from, to string) error {
	db, err := sql.Open("sqlite", b.in(from))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(b.ctx, `VACUUM INTO '`+b.in(to)+`'`)
	return errors.Join(err, db.Close())
}

func grow(path string, applications, tokens int) (err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var organisation, scope string
	var sequence int64
	if err := tx.QueryRow(`SELECT a.organisation, g.scope, h.sequence FROM applications a JOIN grants g ON g.client_id = a.client_id, head h WHERE a.auth_method = 'tls_client_auth'`).Scan(&organisation, &scope, &sequence); err != nil {
		return err
	}
	add := func(query string, args ...any) error {
		_, err := tx.Exec(query, args...)
		return err
	}
	for i := range applications {
		id := fmt.Sprintf("grown-%08d", i)
		jwk, thumbprint, err := newKey(id)
		if err != nil {
			return err
		}
		err = errors.Join(
			add(`INSERT INTO applications (client_id, organisation, name, auth_method, binding, require_nonce, state, changed) VALUES ($1, $2, $1, 'private_key_jwt', 'dpop', 0, 'active', $3)`, id, organisation, sequence),
			add(`INSERT INTO grants (client_id, place, scope) VALUES ($1, 0, $2)`, id, scope),
			add(`INSERT INTO credentials (id, client_id, kind, state, kid, jwk, thumbprint, certificate, issued, created, not_before, not_after, changed) VALUES ($1, $1, 'signing_key', 'active', $1, $2, $3, x'', 0, 0, 0, 0, $4)`, id, jwk, thumbprint, sequence))
		if err != nil {
			return err
		}
	}
	until := time.Now().Add(5 * time.Minute).UnixMicro()
	for range tokens {
		key := make([]byte, 16)
		rand.Read(key)
		if err := add(`INSERT INTO used (key, until) VALUES ($1, $2)`, key, until); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// newKey is a public key as JWK, in the members' order of RFC 7638, and its thumbprint.
func newKey(kid string) (jwk string, thumbprint []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", nil, err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return "", nil, err
	}
	text := base64.RawURLEncoding.EncodeToString
	x, y := text(point[1:33]), text(point[33:])
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`))
	return `{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `","alg":"ES256","kid":"` + kid + `"}`, sum[:], nil
}

// resident is the memory of a process in KiB.
func resident(pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			return kib
		}
	}
	return 0
}

// urls are where a second holdfast of the same installation listens.
type urls struct{ public, mtls string }

// serveOther runs holdfast serve with the world's configuration but other ports.
// Only the proofs of DPoP name the URL, so that these cells have none.
func (b *bench) serveOther(name string, flags ...string) (pid int, u urls, err error) {
	var addresses [3]string
	for i := range addresses {
		if addresses[i], err = freeAddress(); err != nil {
			return 0, u, err
		}
	}
	args := append([]string{"serve", "--config", b.in("world/holdfast.yaml"),
		"--listen-public", addresses[0], "--listen-mtls", addresses[1], "--listen-admin", addresses[2]}, flags...)
	server, err := b.serve(name, b.serverCore, b.in("holdfast"), args...)
	if err != nil {
		return 0, u, err
	}
	at := func(address string) string {
		return "https://" + strings.Replace(address, "127.0.0.1", "localhost", 1) + "/token"
	}
	return server.Process.Pid, urls{at(addresses[0]), at(addresses[1])}, nil
}

// otherCells are those of a second holdfast. more are added to each.
func (b *bench) otherCells(name string, pid int, u urls, more ...string) {
	w := &b.world
	bound, certificate := w.consumer("private_key_jwt", "mtls"), w.consumer("tls_client_auth", "mtls")
	b.add(name+": token, private_key_jwt", "token", pid, append([]string{"-url", u.mtls, "-aud", w.Issuer, "-ca", w.CAFile,
		"-client", bound.ClientID, "-assertkey", bound.KeyFile, "-kid", bound.KID, "-cert", bound.CertFile, "-certkey", bound.CertKeyFile}, more...)...)
	b.add(name+": token, mTLS", "token", pid, append([]string{"-auth", "mtls", "-url", u.mtls, "-ca", w.CAFile,
		"-client", certificate.ClientID, "-cert", certificate.CertFile, "-certkey", certificate.CertKeyFile}, more...)...)
}

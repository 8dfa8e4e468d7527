package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// namespace is the schema of the database that everything of ours is in.
	namespace = "holdfast"
	// patience is how long a server may be silent, and a statement may take.
	patience = 2 * time.Second
	// abandoned is when the server ends a transaction whose node says nothing more:
	// it may hold the head row, for which every other node waits.
	abandoned = 5 * time.Second
	// migrationPatience is how long one step of a migration may take.
	migrationPatience = 10 * time.Minute
	oldestPostgres    = 15
)

// IsPostgres tells whether dsn names a PostgreSQL database.
func IsPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// querySession sets what a session promises, whatever the server's own
// configuration says, and asks what no promise can be kept without.
const querySession = `SELECT set_config('synchronous_commit', 'on', false), set_config('search_path', $1, false),
	set_config('statement_timeout', $2, false), set_config('lock_timeout', $2, false),
	set_config('idle_in_transaction_session_timeout', $3, false), set_config('default_transaction_read_only', $4, false),
	pg_is_in_recovery(), current_setting('fsync') = 'on', current_setting('server_encoding') = 'UTF8',
	current_setting('server_version_num')::int / 10000`

// postgres is an engine: one connection of each node makes changes and another
// records uses; the head row makes the changes of all nodes serial.
type postgres struct {
	readers *sql.DB
	writers *sql.DB // of one connection
	uses    *recorder
	turn    turn // of the changes
}

// sessions makes connections to one database.
type sessions struct {
	config       *pgx.ConnConfig
	name         string // for people: without user and password
	schema       string
	passwordFile string
	readOnly     bool
	patience     time.Duration
}

func openPostgres(ctx context.Context, to *sessions, o Options, stop <-chan struct{}) (_ *postgres, err error) {
	if err := to.prepare(ctx, o.Create && !o.ReadOnly); err != nil {
		return nil, err
	}
	p := &postgres{turn: newTurn(stop)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	p.readers = to.open(readConnections)
	p.writers = to.open(1)
	if p.uses, err = newRecorder(ctx, to); err != nil {
		return nil, fmt.Errorf("open database %s: %w", to.name, err)
	}
	return p, nil
}

// newSessions reads a URL. No error has anything of it but host and name: a
// password may be anywhere in a URL that was mistyped.
func newSessions(dsn string, o Options) (*sessions, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the URL of the PostgreSQL database cannot be read, or what it names cannot (sslrootcert, passfile, service); write it as postgres://user@host:5432/name?sslmode=verify-full")
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > patience {
		config.ConnectTimeout = patience
	}
	if len(config.Fallbacks) > 0 && config.ValidateConnect == nil {
		// Of several hosts the primary is looked for; begin says of one why not.
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "holdfast"
	}
	name := url.URL{Scheme: "postgres", Host: net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), Path: "/" + config.Database}
	if strings.HasPrefix(config.Host, "/") { // a folder with a Unix socket
		name = url.URL{Scheme: "postgres", Path: "/" + config.Database, RawQuery: "host=" + config.Host}
	}
	s := &sessions{config: config, name: name.String(), schema: namespace, passwordFile: o.PasswordFile, readOnly: o.ReadOnly, patience: cmp.Or(o.Patience, patience)}
	if err := s.verified(); err != nil {
		return nil, err
	}
	return s, nil
}

// verified refuses a way to a server elsewhere on which somebody else could
// answer: who is taken for the database decides everything.
func (s *sessions) verified() error {
	type way struct {
		host string
		tls  bool
	}
	ways := []way{{s.config.Host, s.config.TLSConfig != nil && !s.config.TLSConfig.InsecureSkipVerify}}
	for _, f := range s.config.Fallbacks {
		ways = append(ways, way{f.Host, f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify})
	}
	for _, w := range ways {
		ip := net.ParseIP(w.host)
		local := strings.HasPrefix(w.host, "/") || w.host == "localhost" || ip != nil && ip.IsLoopback()
		if !local && !w.tls {
			return fmt.Errorf("database %s is on another machine, and nothing proves that it is it: add sslmode=verify-full (and sslrootcert=FILE, if its CA is your own) to the URL", s.name)
		}
	}
	return nil
}

// with is the same for another patience.
func (s *sessions) with(patience time.Duration) *sessions {
	other := *s
	other.patience = patience
	return &other
}

// configure makes the configuration of one connection.
func (s *sessions) configure(config *pgx.ConnConfig) error {
	if s.passwordFile != "" {
		text, err := os.ReadFile(s.passwordFile)
		if err != nil {
			return fmt.Errorf("read the database's password: %w", err)
		}
		config.Password = strings.TrimRight(string(text), "\r\n")
	}
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &patientConn{Conn: conn, patience: s.patience + patience/4}, nil // the server's own limit speaks first
	}
	return nil
}

// begin makes the promises of a new session, or closes it.
func (s *sessions) begin(ctx context.Context, conn *pgx.Conn) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close(ctx))
		}
	}()
	limit := strconv.FormatInt(s.patience.Milliseconds(), 10)
	readOnly := "off"
	if s.readOnly {
		readOnly = "on"
	}
	var set [6]string
	var standby, fsync, utf8 bool
	var version int
	row := conn.QueryRow(ctx, querySession, pgx.QueryExecModeExec, s.schema, limit, strconv.FormatInt(abandoned.Milliseconds(), 10), readOnly)
	if err := row.Scan(&set[0], &set[1], &set[2], &set[3], &set[4], &set[5], &standby, &fsync, &utf8, &version); err != nil {
		return fmt.Errorf("begin a session: %w", err)
	}
	switch {
	case version < oldestPostgres:
		return &UnfitError{s.name, fmt.Sprintf("runs PostgreSQL %d, and holdfast needs %d or newer", version, oldestPostgres)}
	case standby:
		return &UnfitError{s.name, "is a standby: what was used or revoked on the primary may not have reached it; name the primary"}
	case !fsync:
		return &UnfitError{s.name, "runs with fsync=off: after a power failure it could have forgotten what it acknowledged, and what was used once could be used again; set fsync=on"}
	case !utf8:
		return &UnfitError{s.name, "does not have the encoding UTF8; make one that has (createdb -E UTF8 -T template0)"}
	}
	return nil
}

// UnfitError is a PostgreSQL server that cannot keep what the store promises.
type UnfitError struct{ Database, Reason string }

func (e *UnfitError) Error() string { return "database " + e.Database + " " + e.Reason }

// open makes a pool of at most n connections.
func (s *sessions) open(n int) *sql.DB {
	db := stdlib.OpenDB(*s.config, stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error { return s.configure(c) }),
		stdlib.OptionAfterConnect(s.begin))
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db
}

// connect makes one connection outside a pool.
func (s *sessions) connect(ctx context.Context) (*pgx.Conn, error) {
	config := s.config.Copy()
	if err := s.configure(config); err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, s.plain(err)
	}
	if err := s.begin(ctx, conn); err != nil {
		return nil, err
	}
	return conn, nil
}

// plain is an error of connecting in one line; the driver's has one for each address.
func (s *sessions) plain(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return fmt.Errorf("database %s refuses the connection: %s (SQLSTATE %s)", s.name, refused.Message, refused.Code)
	}
	var connecting *pgconn.ConnectError
	if errors.As(err, &connecting) {
		reason, _, _ := strings.Cut(connecting.Unwrap().Error(), "\n")
		return fmt.Errorf("database %s does not answer: %s", s.name, reason)
	}
	return err
}

// migrationLock is held by the node that changes the schema, in a database.
const (
	migrationLock   = int32(0x486f6c64) // "Hold"
	queryLock       = `SELECT pg_advisory_lock($1::bigint)`
	queryUnlock     = `SELECT pg_advisory_unlock($1::bigint)`
	queryHasSchema  = `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)`
	queryMakeSchema = `CREATE SCHEMA IF NOT EXISTS `
)

// prepare brings the schema up to date: of nodes that do it at once, one does.
func (s *sessions) prepare(ctx context.Context, create bool) (err error) {
	db := s.with(migrationPatience).open(2) // one holds the lock
	defer func() { err = errors.Join(err, db.Close()) }()
	var there bool
	if err := db.QueryRowContext(ctx, queryHasSchema, s.schema).Scan(&there); err != nil {
		return s.plain(err)
	}
	if !there && !create {
		return fmt.Errorf("database %s holds no installation%w", s.name, silent{fs.ErrNotExist})
	}
	if s.readOnly {
		return migrate(ctx, postgresDialect, db, s.name, true)
	}
	return s.locked(ctx, db, func() error {
		if !there {
			if _, err := db.ExecContext(ctx, queryMakeSchema+pgx.Identifier{s.schema}.Sanitize()); err != nil {
				return fmt.Errorf("make schema %s in database %s: %w", s.schema, s.name, err)
			}
		}
		return migrate(ctx, postgresDialect, db, s.name, false)
	})
}

// locked runs f while no other node is in it. The lock ends with its session.
func (s *sessions) locked(ctx context.Context, db *sql.DB, f func() error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return s.plain(err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, queryLock, migrationLock); err != nil {
		return fmt.Errorf("wait for who brings database %s up to date: %w", s.name, err)
	}
	err = f()
	if _, unlocking := conn.ExecContext(context.WithoutCancel(ctx), queryUnlock, migrationLock); unlocking != nil {
		err = errors.Join(err, fmt.Errorf("unlock the schema of database %s: %w", s.name, unlocking))
	}
	return err
}

// patientConn fails a read that nothing comes for. What waits on a context of
// its own keeps that one's deadline.
type patientConn struct {
	net.Conn
	patience time.Duration

	mu    sync.Mutex
	until time.Time // set by somebody else; zero: ours
	dead  bool
}

// errSilent is no net.Error, so that the driver takes the connection for lost.
var errSilent = errors.New("PostgreSQL does not answer in time")

func (c *patientConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	ours := c.until.IsZero()
	if c.dead {
		c.mu.Unlock()
		return 0, errSilent
	}
	if ours {
		if err := c.Conn.SetReadDeadline(time.Now().Add(c.patience)); err != nil {
			c.mu.Unlock()
			return 0, err
		}
	}
	c.mu.Unlock()
	n, err := c.Conn.Read(b)
	if err != nil && ours && errors.Is(err, os.ErrDeadlineExceeded) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.until.IsZero() { // nobody's deadline but ours
			c.dead = true
			return n, errSilent
		}
	}
	return n, err
}

// SetDeadline is the driver's, for a context that ends.
func (c *patientConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = t
	return c.Conn.SetDeadline(t)
}

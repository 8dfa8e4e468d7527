package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/token"
)

var (
	_ directory.Store = (*Store)(nil)
	_ keyring.Store   = (*Store)(nil)
	_ ca.Store        = (*Store)(nil)
	_ token.Uses      = (*Store)(nil)
)

// ErrNotDatabase is a file that SQLite did not write.
var ErrNotDatabase = errors.New("not a database")

// ErrClosed is what is asked of a store after Close.
var ErrClosed = errors.New("the store is closed")

// Options of a store.
type Options struct {
	// Create makes a database where there is none. Without it that is an error,
	// so that a path that was mistyped does not begin a second installation.
	Create bool
	// ReadOnly changes nothing, the schema included: a database of an older one is
	// ErrOlderSchema.
	ReadOnly bool
	// Patience is how long PostgreSQL may take for a statement; 0 is 2 s, as is right
	// for whoever serves.
	Patience time.Duration
	// PasswordFile has the password for PostgreSQL, read at each connection; "" for
	// what the URL, PGPASSWORD and PGPASSFILE say.
	PasswordFile string
	// AnyChain opens a database whose audit chain does not end at its head, too:
	// for who looks into what happened to it.
	AnyChain bool
	// Now is the clock of the pruning; nothing else here looks at one.
	Now func() time.Time
}

// Store is one open database. Safe for concurrent use.
type Store struct {
	now         func() time.Time
	engine      engine
	readers     *sql.DB // the engine's
	readOptions *sql.TxOptions

	claims   chan *claim
	recycle  sync.Pool                 // of *claim
	restored atomic.Pointer[time.Time] // nil: never
	slice    atomic.Uint32

	closing sync.Once
	stop    chan struct{} // closed by Close
	stopped chan struct{} // closed when commitClaims has ended
}

// Open opens a database and brings its schema up to date; with Create one that
// does not exist is made, whole or not at all. dsn is postgres://..., or as Path
// has it. Errors are one plain sentence; a database of a newer schema is
// ErrNewerSchema, one that does not exist fs.ErrNotExist.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	if IsPostgres(dsn) {
		to, err := newSessions(dsn, o)
		if err != nil {
			return nil, err
		}
		return openSessions(ctx, to, o)
	}
	path, err := Path(dsn)
	if err != nil {
		return nil, err
	}
	return open(ctx, path, o, func(stop <-chan struct{}) (engine, error) { return openSQLite(ctx, path, o, stop) })
}

func openSessions(ctx context.Context, to *sessions, o Options) (*Store, error) {
	return open(ctx, to.name, o, func(stop <-chan struct{}) (engine, error) { return openPostgres(ctx, to, o, stop) })
}

// open makes a store of an engine, which name is for.
func open(ctx context.Context, name string, o Options, start func(stop <-chan struct{}) (engine, error)) (*Store, error) {
	s := &Store{
		now:     o.Now,
		claims:  make(chan *claim, claimsWaiting),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	var err error
	if s.engine, err = start(s.stop); err != nil {
		return nil, err
	}
	s.readers, s.readOptions = s.engine.reading()
	if err := s.checkHead(ctx); err != nil && !o.AnyChain {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", name, err), s.engine.close())
	}
	if err := s.readRestored(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", name, err), s.engine.close())
	}
	go s.commitClaims()
	return s, nil
}

// Path is the SQLite file that dsn names: "sqlite:/path", or a path.
func Path(dsn string) (string, error) {
	scheme, rest, found := strings.Cut(dsn, ":")
	switch {
	case !found || strings.ContainsAny(scheme, `/\.`):
		rest = dsn
	case scheme != "sqlite":
		return "", errors.New("the database is none that holdfast knows; name a SQLite file, as in sqlite:/var/lib/holdfast/holdfast.db, or a PostgreSQL server, as in postgres://holdfast@db.example.com/holdfast")
	}
	rest = strings.TrimPrefix(rest, "//")
	if rest == "" {
		return "", errors.New("the database has no path; name a SQLite file, as in sqlite:/var/lib/holdfast/holdfast.db")
	}
	return rest, nil
}

// Name is dsn as people may read it: a URL without user, password and options.
func Name(dsn string) string {
	if !IsPostgres(dsn) {
		return dsn
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "postgres://..."
	}
	return "postgres://" + u.Host + u.Path
}

// Close ends the store. Claims that still wait are refused with ErrClosed.
func (s *Store) Close() error {
	err := ErrClosed
	s.closing.Do(func() {
		close(s.stop)
		<-s.stopped
		err = s.engine.close()
	})
	return err
}

// Ping tells whether the database answers and still takes changes.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.engine.fault(); err != nil {
		return err
	}
	var sequence int64
	var hash []byte
	if err := s.readers.QueryRowContext(ctx, queryHead).Scan(&sequence, &hash); err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	return nil
}

// Run prunes what has expired, a small part each second, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		// A failure here costs space, not safety, and the next tick tries again.
		if err := s.Prune(ctx, s.now()); errors.Is(err, ErrClosed) {
			return err
		}
	}
}

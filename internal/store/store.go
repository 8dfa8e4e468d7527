package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	// Now is the clock of the pruning; nothing else here looks at one.
	Now func() time.Time
}

// Store is one open database. Safe for concurrent use.
type Store struct {
	now     func() time.Time
	readers *sql.DB
	writers *sql.DB   // of one connection
	writer  *sql.Conn // the one that writes

	turn   chan struct{}         // one token: whoever put it in may use writer; first come, first served
	broken atomic.Pointer[error] // why nothing is written any more

	claims  chan *claim
	recycle sync.Pool // of *claim
	insert  *inserter // used by commitClaims alone
	slice   atomic.Uint32

	closing sync.Once
	stop    chan struct{} // closed by Close
	stopped chan struct{} // closed when commitClaims has ended
}

// Open opens a database and brings its schema up to date; with Create a file
// that does not exist is made, whole or not at all. dsn is as Path has it.
// Errors are one plain sentence; a database of a newer schema is ErrNewerSchema,
// one that does not exist fs.ErrNotExist.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	path, err := Path(dsn)
	if err != nil {
		return nil, err
	}
	s := &Store{
		now:     o.Now,
		turn:    make(chan struct{}, 1),
		claims:  make(chan *claim, claimsWaiting),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	if err := s.openSQLite(ctx, path, o); err != nil {
		return nil, errors.Join(err, s.closeDatabase())
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
	case scheme == "postgres" || scheme == "postgresql":
		return "", errors.New("PostgreSQL comes with a later version; name a SQLite file, as in sqlite:/var/lib/holdfast/holdfast.db")
	case scheme != "sqlite":
		return "", errors.New("the database is none that holdfast knows; name a SQLite file, as in sqlite:/var/lib/holdfast/holdfast.db")
	}
	rest = strings.TrimPrefix(rest, "//")
	if rest == "" {
		return "", errors.New("the database has no path; name a SQLite file, as in sqlite:/var/lib/holdfast/holdfast.db")
	}
	return rest, nil
}

// Close ends the store. Claims that still wait are refused with ErrClosed.
func (s *Store) Close() error {
	err := ErrClosed
	s.closing.Do(func() {
		close(s.stop)
		<-s.stopped
		s.turn <- struct{}{} // kept: nobody writes after this
		err = s.closeDatabase()
	})
	return err
}

func (s *Store) closeDatabase() error {
	var err error
	if s.insert != nil {
		err = s.insert.close()
	}
	if s.writer != nil {
		err = errors.Join(err, s.writer.Close())
	}
	// The writer is closed last: whoever closes a SQLite file last tidies it.
	for _, db := range []*sql.DB{s.readers, s.writers} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

// Ping tells whether the database answers and still takes changes.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.broken.Load(); err != nil {
		return *err
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

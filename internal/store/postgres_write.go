package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// attempts is how often a transaction is tried that the server took back.
	attempts = 4
	// restIsDoubt is after how much rest a connection is asked whether it still is one.
	restIsDoubt  = time.Second
	reconnecting = 200 * time.Millisecond
)

// queryUses inserts a batch in one statement, in the order of the keys: so two
// nodes that insert the same keys wait for one another and cannot deadlock. Only
// PostgreSQL has arrays; for SQLite a statement for each row costs as little.
const queryUses = `INSERT INTO used (key, until) SELECT key, until FROM unnest($1::bytea[], $2::bigint[]) AS u (key, until) ORDER BY key ON CONFLICT DO NOTHING RETURNING key`

// Each statement sees what was committed before it; the head row's lock makes
// changes serial.
var (
	changing    = &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	oneSnapshot = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
)

func (p *postgres) reading() (*sql.DB, *sql.TxOptions) { return p.readers, oneSnapshot }

func (p *postgres) write(ctx context.Context, f func(tx *sql.Tx) error) error {
	if err := p.turn.take(ctx); err != nil {
		return err
	}
	defer p.turn.give()
	for attempt := 1; ; attempt++ {
		err := p.attempt(ctx, f)
		if err == nil || attempt == attempts || !takenBack(err) {
			return err
		}
	}
}

func (p *postgres) attempt(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := p.writers.BeginTx(context.WithoutCancel(ctx), changing)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(tx); err != nil {
		tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// takenBack tells that the server itself undid a transaction that may succeed
// when it is run again: serialization_failure, deadlock_detected. After a lost
// connection nobody knows whether it was committed; that is never tried again.
func takenBack(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

func (p *postgres) record(rows []row, taken func(*row)) error {
	for attempt := 1; ; attempt++ {
		err := p.uses.record(rows, taken)
		if err == nil || attempt == attempts || !takenBack(err) {
			return err
		}
	}
}

func (p *postgres) fault() error { return p.uses.fault() }

func (p *postgres) close() error {
	p.turn.keep()
	var err error
	if p.uses != nil {
		err = p.uses.close()
	}
	for _, db := range []*sql.DB{p.readers, p.writers} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

// recorder records uses over a connection of its own. Once that is lost, every
// call fails at once until there is another: who waits for a server that does not
// answer waits in vain, and many would wait.
type recorder struct {
	to *sessions

	mu   sync.Mutex
	conn *pgx.Conn // nil: lost; used by record alone
	lost error     // why

	used    time.Time // when conn last answered
	end     context.CancelFunc
	ended   context.Context
	seeking sync.WaitGroup

	keys   [][]byte
	untils []int64
	placed []int // rows that keys are of
}

func newRecorder(ctx context.Context, to *sessions) (*recorder, error) {
	conn, err := to.connect(ctx)
	if err != nil {
		return nil, err
	}
	r := &recorder{to: to, conn: conn, used: time.Now()}
	r.ended, r.end = context.WithCancel(context.WithoutCancel(ctx))
	return r, nil
}

func (r *recorder) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// connection is one that answered within the last second, or does now.
func (r *recorder) connection() (*pgx.Conn, error) {
	r.mu.Lock()
	conn, lost := r.conn, r.lost
	r.mu.Unlock()
	if conn == nil {
		return nil, lost
	}
	if time.Since(r.used) < restIsDoubt {
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(r.ended, patience)
	defer cancel()
	err := conn.Ping(ctx)
	if err == nil {
		return conn, nil
	}
	// Nothing was asked of it yet: another may be asked.
	conn.Close(ctx)
	if conn, err = r.to.connect(ctx); err != nil {
		return nil, r.lose(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn = conn
	return conn, nil
}

// record is engine.record, on the connection there is.
func (r *recorder) record(rows []row, taken func(*row)) error {
	conn, err := r.connection()
	if err != nil {
		return err
	}
	r.keys, r.untils, r.placed = r.keys[:0], r.untils[:0], r.placed[:0]
	for i := range rows {
		if i > 0 && bytes.Equal(rows[i].key(), rows[i-1].key()) {
			continue
		}
		r.keys, r.untils, r.placed = append(r.keys, rows[i].key()), append(r.untils, rows[i].Until.UnixMicro()), append(r.placed, i)
	}
	fresh, err := r.insert(conn)
	if err != nil {
		if conn.IsClosed() {
			r.lose(err)
		}
		return err
	}
	r.used = time.Now()
	for i := range rows {
		if !fresh[i] {
			taken(&rows[i])
		}
	}
	return nil
}

// insert tells of which rows the key was not there.
func (r *recorder) insert(conn *pgx.Conn) (fresh map[int]bool, err error) {
	answer, err := conn.Query(r.ended, queryUses, r.keys, r.untils)
	if err != nil {
		return nil, err
	}
	fresh = make(map[int]bool, len(r.keys))
	place := 0
	for answer.Next() {
		key := answer.RawValues()[0]
		for place < len(r.keys) && !bytes.Equal(r.keys[place], key) {
			place++ // keys come back in the order in which they went
		}
		if place == len(r.keys) {
			answer.Close()
			return nil, errors.New("PostgreSQL tells of a key that was not sent")
		}
		fresh[r.placed[place]] = true
		place++
	}
	answer.Close() // reads to the end: the commit's own answer is the last
	return fresh, answer.Err()
}

// lose gives up the connection, because of err, and looks for another.
func (r *recorder) lose(err error) error {
	err = fmt.Errorf("the connection to the database is lost: %w", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn, r.lost = nil, err
	r.seeking.Go(r.reconnect)
	return err
}

func (r *recorder) reconnect() {
	for {
		conn, err := r.to.connect(r.ended)
		if err == nil {
			r.mu.Lock()
			r.conn, r.lost, r.used = conn, nil, time.Now()
			r.mu.Unlock()
			return
		}
		select {
		case <-r.ended.Done():
			return
		case <-time.After(reconnecting):
		}
	}
}

// close is called when nobody records any more.
func (r *recorder) close() error {
	r.end()
	r.seeking.Wait()
	if r.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.conn.Close(ctx)
}

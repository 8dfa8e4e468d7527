package store

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// commitError is an error of the commit itself.
type commitError struct{ error }

// inserter inserts rows through the driver's own statements: database/sql would
// cost as much again as the insert.
type inserter struct {
	conn                           *sql.Conn
	begin, insertRow, commit, undo driver.Stmt
	args                           [2]driver.NamedValue
}

func newInserter(conn *sql.Conn) (*inserter, error) {
	in := &inserter{conn: conn, args: [2]driver.NamedValue{{Ordinal: 1}, {Ordinal: 2}}}
	err := conn.Raw(func(c any) error {
		for _, p := range []struct {
			stmt  *driver.Stmt
			query string
		}{{&in.begin, "BEGIN IMMEDIATE"}, {&in.insertRow, queryUse}, {&in.commit, "COMMIT"}, {&in.undo, "ROLLBACK"}} {
			stmt, err := c.(driver.Conn).Prepare(p.query)
			if err != nil {
				return err // with it the driver returns a statement that is not one
			}
			*p.stmt = stmt
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, in.close())
	}
	return in, nil
}

func (in *inserter) close() error {
	return in.conn.Raw(func(any) error {
		var err error
		for _, stmt := range []driver.Stmt{in.begin, in.insertRow, in.commit, in.undo} {
			if stmt != nil {
				err = errors.Join(err, stmt.Close())
			}
		}
		return err
	})
}

// insert inserts sorted rows in one transaction and calls taken for each whose
// key was there already, in the database or earlier among the rows.
func (in *inserter) insert(rows []row, taken func(*row)) error {
	return in.conn.Raw(func(any) error {
		if _, err := execute(in.begin, nil); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		for i := range rows {
			r := &rows[i]
			if i > 0 && bytes.Equal(r.key(), rows[i-1].key()) {
				taken(r)
				continue
			}
			in.args[0].Value, in.args[1].Value = r.key(), r.Until.UnixMicro()
			n, err := execute(in.insertRow, in.args[:])
			if err != nil {
				execute(in.undo, nil)
				return err
			}
			if n == 0 {
				taken(r)
			}
		}
		if _, err := execute(in.commit, nil); err != nil {
			execute(in.undo, nil)
			return commitError{err}
		}
		return nil
	})
}

func execute(stmt driver.Stmt, args []driver.NamedValue) (int64, error) {
	result, err := stmt.(driver.StmtExecContext).ExecContext(context.Background(), args)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

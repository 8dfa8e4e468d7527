// Package postgrestest runs a PostgreSQL server of its own for tests: in a
// folder that is thrown away, on loopback, as the user postgres where the tests
// run as root, and never longer than the test. It can be restarted, killed and
// stopped in its tracks, as machines do it to servers.
//
// The server is Debian's (apt-get install postgresql-15), or that of pg_config.
// Tests that need it have the build tag postgres.
package postgrestest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

const (
	// Superuser of the server; it has no password on loopback.
	Superuser = "holdfast"
	startTime = 30 * time.Second
)

// Server is one PostgreSQL server.
type Server struct {
	folder string // data, log
	data   string
	port   int
	runAs  *syscall.Credential // nil: as the tests
	made   atomic.Int64        // databases

	process *exec.Cmd
	ended   chan struct{} // closed when process has ended
}

// Start makes a server and runs it until the end of the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := prepare()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(s.folder, "log"))
			t.Logf("the server's log ends:\n%s", text[max(0, len(text)-4000):])
		}
		if err := os.RemoveAll(s.folder); err != nil {
			t.Error(err)
		}
	})
	if err := s.start(); err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	return s
}

// binary is the path of one of the server's programs.
func binary(name string) (string, error) {
	folders := []string{"/usr/lib/postgresql/15/bin"}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	for _, f := range folders {
		path := filepath.Join(f, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is neither in %s (apt-get install postgresql-15)", name, strings.Join(folders, " nor in "))
}

// Path is the path of one of the server's programs, pg_dump for example.
func Path(t testing.TB, name string) string {
	t.Helper()
	path, err := binary(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func prepare() (*Server, error) {
	folder, err := os.MkdirTemp("", "holdfast-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, data: filepath.Join(folder, "data")}
	if err := s.initialise(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return s, nil
}

func (s *Server) initialise() error {
	if os.Getuid() == 0 { // the server refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if err := errors.Join(uidErr, gidErr, os.Chown(s.folder, uid, gid)); err != nil {
			return err
		}
		s.runAs = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	if out, err := s.run("initdb", "-D", s.data, "-U", Superuser, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	port, err := freePort()
	s.port = port
	return err
}

// command is one of the server's programs, as the server's user.
func (s *Server) command(name string, args ...string) (*exec.Cmd, error) {
	path, err := binary(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = s.folder
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.runAs, Setpgid: true}
	return cmd, nil
}

func (s *Server) run(name string, args ...string) ([]byte, error) {
	cmd, err := s.command(name, args...)
	if err != nil {
		return nil, err
	}
	return cmd.CombinedOutput()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// start runs the server, with settings beside its own (name=value), and waits
// until it answers.
func (s *Server) start(settings ...string) error {
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", s.data, "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.folder,
		"-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "wal_level=replica", "-c", "log_statement=none"}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	cmd, err := s.command("postgres", args...)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT // ends it, and what it started, with the tests
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	s.process, s.ended = cmd, ended
	return s.Await()
}

// Await waits until the server answers, after a crash of its own for example.
func (s *Server) Await() error {
	for begun := time.Now(); ; {
		err := s.ask()
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			text, _ := os.ReadFile(filepath.Join(s.folder, "log"))
			return fmt.Errorf("it ended:\n%s", text)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Since(begun) > startTime {
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

func (s *Server) ask() error {
	db, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return db.PingContext(ctx)
}

// URL of a database, for the superuser.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(Superuser), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Port is where it listens.
func (s *Server) Port() int { return s.port }

// Data is the folder with the cluster.
func (s *Server) Data() string { return s.data }

// Fresh makes an empty database and returns its URL.
func (s *Server) Fresh(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.made.Add(1))
	s.Execute(t, "postgres", "CREATE DATABASE "+name)
	return s.URL(name)
}

// Execute runs statements in a database, as its superuser.
func (s *Server) Execute(t testing.TB, database string, statements ...string) {
	t.Helper()
	db, err := sql.Open("pgx", s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range statements {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// Restart ends the server as an administrator would, connections and all (fast),
// or as a crash would, without a checkpoint (immediate), and starts it, with
// settings beside its own.
func (s *Server) Restart(immediate bool, settings ...string) error {
	how := syscall.SIGINT
	if immediate {
		how = syscall.SIGQUIT
	}
	if err := s.process.Process.Signal(how); err != nil {
		return err
	}
	select {
	case <-s.ended:
	case <-time.After(startTime):
		return errors.New("PostgreSQL does not end")
	}
	return s.start(settings...)
}

// Standby restarts the server as a standby, which answers only reads, or as the
// primary again.
func (s *Server) Standby(standby bool) error {
	signal := filepath.Join(s.data, "standby.signal")
	if !standby {
		if err := os.Remove(signal); err != nil {
			return err
		}
	} else if err := os.WriteFile(signal, nil, 0o644); err != nil {
		return err
	}
	return s.Restart(false)
}

// Sessions are the processes that serve connections to the database of url.
func (s *Server) Sessions(t testing.TB, url string) (pids []int) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return pids
}

// Kill ends the server at once.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	s.signalAll(syscall.SIGCONT)
	s.process.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.ended:
	case <-time.After(startTime):
		s.signalAll(syscall.SIGKILL)
		<-s.ended
	}
}

// Stop stops every process of the server in its tracks (SIGSTOP): connections
// stay and nothing answers. Continue lets them go on.
func (s *Server) Stop() { s.signalAll(syscall.SIGSTOP) }

// Continue is the end of Stop.
func (s *Server) Continue() { s.signalAll(syscall.SIGCONT) }

// signalAll sends a signal to the server and all that it started.
func (s *Server) signalAll(signal syscall.Signal) {
	_ = s.process.Process.Signal(signal)
	for _, pid := range s.Children() {
		_ = syscall.Kill(pid, signal)
	}
}

// Children are the processes that the server started: one for each session, and
// its own.
func (s *Server) Children() []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var children []int
	for _, f := range stats {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state parent ...; the name may hold anything
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(s.process.Process.Pid) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			if err == nil {
				children = append(children, pid)
			}
		}
	}
	return children
}

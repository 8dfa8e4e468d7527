//go:build postgres

package once

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// database names it to a process that is a node.
const database = "HOLDFAST_ONCE_DATABASE"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(database); dsn != "" {
		serve(dsn, os.Stdin, os.Stdout)
		return
	}
	os.Exit(m.Run())
}

func open(ctx context.Context, dsn string) (*serving, error) {
	s, err := store.Open(ctx, dsn, store.Options{Now: time.Now})
	if err != nil {
		return nil, err
	}
	d, err := directory.Open(ctx, s, time.Now)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &serving{s, &registration.Service{Directory: d, Store: s, Now: time.Now}}, nil
}

// none stands for an empty word of a line.
const none = "-"

// line is the attempt as words.
func (a attempt) line() string {
	words := []string{a.kind, a.key, string(a.what), a.presented, a.next}
	for i, w := range words {
		words[i] = cmp.Or(w, none)
	}
	return strings.Join(words, " ")
}

func parseAttempt(words []string) attempt {
	for i, w := range words {
		if w == none {
			words[i] = ""
		}
	}
	return attempt{words[0], words[1], request{what(words[2]), words[3], words[4]}}
}

// serve is a node: it answers lines "id attempt" with "id outcome", each when it is
// ready, until its end.
func serve(dsn string, in io.Reader, out io.Writer) {
	ctx := context.Background()
	var n *serving
	for {
		var err error
		if n, err = open(ctx, dsn); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond) // the database restarts
	}
	var mu sync.Mutex
	for lines := bufio.NewScanner(in); lines.Scan(); {
		parts := strings.Fields(lines.Text())
		go func() {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			o, err := kinds[parts[1]].consume(ctx, n, parseAttempt(parts[1:]))
			why := ""
			if err != nil {
				o, why = unknown, strings.ReplaceAll(err.Error(), "\n", " ")
			}
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(out, "%s %s %s\n", parts[0], o, why) // one write: whole or not at all
		}()
	}
}

// numbers are what tells otherwise equal errors apart: ports, ids.
var numbers = regexp.MustCompile(`[0-9]+|registration of [a-z0-9]+`)

var errDown = errors.New("the node is down")

// node is such a process, and who waits for its answers.
type node struct {
	dsn string

	mu      sync.Mutex
	cmd     *exec.Cmd // nil: down
	in      io.WriteCloser
	next    int
	waiting map[string]chan outcome
	why     map[string]int // errors of unknown outcomes
	ended   chan struct{}
}

func (n *node) start(t testing.TB) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), database+"="+n.dsn)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd, n.in, n.waiting, n.ended = cmd, in, map[string]chan outcome{}, make(chan struct{})
	go n.read(out, n.ended)
}

// read hands answers on until the node's end; who still waits then never learns.
func (n *node) read(out io.Reader, ended chan struct{}) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		parts := strings.SplitN(strings.TrimSpace(line), " ", 3)
		n.mu.Lock()
		if len(parts) == 3 {
			n.why[numbers.ReplaceAllString(parts[2], "#")]++
		}
		n.waiting[parts[0]] <- outcome(parts[1])
		delete(n.waiting, parts[0])
		n.mu.Unlock()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd.Wait() // killed: that is what this is about
	n.cmd = nil
	for id, c := range n.waiting {
		c <- unknown
		delete(n.waiting, id)
	}
	close(ended)
}

// kill is kill -9.
func (n *node) kill() {
	n.mu.Lock()
	cmd, ended := n.cmd, n.ended
	n.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Kill()
	<-ended
}

// ask sends one attempt; errDown: it was not sent.
func (n *node) ask(a attempt) (outcome, error) {
	answer := make(chan outcome, 1)
	n.mu.Lock()
	if n.cmd == nil {
		n.mu.Unlock()
		return "", errDown
	}
	n.next++
	id := fmt.Sprint(n.next)
	n.waiting[id] = answer
	_, err := fmt.Fprintf(n.in, "%s %s\n", id, a.line())
	n.mu.Unlock()
	if err != nil {
		return unknown, nil // a part of it may have arrived
	}
	return <-answer, nil
}

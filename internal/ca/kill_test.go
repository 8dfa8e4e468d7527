package ca_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// victim names folder and application to the process that is going to be killed;
// its third word says when: "between" intent and certificate, or at any time; its
// fourth by how much its clock is ahead.
const victim = "HOLDFAST_CA_TEST_VICTIM"

func TestMain(m *testing.M) {
	if what := os.Getenv(victim); what != "" {
		work(strings.Fields(what))
		return
	}
	os.Exit(m.Run())
}

// stuck is a ca.Store that tells of each intent and never finishes.
type stuck struct{ ca.Store }

func (s stuck) BeginIssue(ctx context.Context, i ca.Intent) (*ca.Earlier, error) {
	earlier, err := s.Store.BeginIssue(ctx, i)
	fmt.Println("begun", i.Serial)
	return earlier, err
}

func (stuck) FinishIssue(context.Context, audit.Event, string, []byte, directory.Credential) error {
	select {}
}

// work issues a certificate for each request that it reads, and tells of each.
func work(what []string) {
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	ahead, err := time.ParseDuration(what[3])
	fail(err)
	now := func() time.Time { return time.Now().Add(ahead) }
	st, err := store.Open(ctx, filepath.Join(what[0], "holdfast.db"), store.Options{Now: now})
	fail(err)
	kek, err := envelope.LoadKeyFile(filepath.Join(what[0], "kek"))
	fail(err)
	c := ca.Config{Ring: &keyring.Ring{Store: st, KEK: kek, Now: now}, Store: st, TrustDomain: trustDomain, Now: now}
	if what[2] == "between" {
		c.Store = stuck{st}
	}
	a, err := ca.Open(ctx, c)
	fail(err)
	d, err := directory.Open(ctx, st, now)
	fail(err)
	fmt.Println("ready -")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		csr, err := hex.DecodeString(lines.Text())
		fail(err)
		issued, err := a.Issue(ctx, ca.Request{Actor: "operator", Client: d.Current().Client(directory.ClientID(what[1])), Profile: ca.ClientTransport, CSR: csr})
		fail(err)
		fmt.Println("issued", issued.Serial, hex.EncodeToString(issued.Chain[0]))
	}
}

// installation is a database on disk that other processes open, with real time.
type installation struct {
	*world
	folder string
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	i := &installation{world: &world{t: t, now: time.Now()}, folder: t.TempDir()}
	st, err := store.Open(t.Context(), filepath.Join(i.folder, "holdfast.db"), store.Options{Create: true, Now: i.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	kek, err := envelope.CreateKeyFile(filepath.Join(i.folder, "kek"))
	if err != nil {
		t.Fatal(err)
	}
	i.fill(st, kek)
	return i
}

// victim starts a process and returns what feeds it, its words, its end, and what
// waits for that once its words are read.
func (i *installation) victim(when string, ahead time.Duration) (feed func([]byte), words *bufio.Scanner, kill, wait func()) {
	i.t.Helper()
	self, err := os.Executable()
	if err != nil {
		i.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), victim+"="+strings.Join([]string{i.folder, string(i.app), when, ahead.String()}, " "))
	in, err := cmd.StdinPipe()
	if err != nil {
		i.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		i.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	words = bufio.NewScanner(out)
	words.Buffer(nil, 1<<20)
	feed = func(csr []byte) { _, _ = in.Write(append([]byte(hex.EncodeToString(csr)), '\n')) } // or it is dead
	return feed, words, func() { _ = cmd.Process.Kill() }, func() { _ = cmd.Wait() }
}

func TestKilledBetweenIntentAndCertificate(t *testing.T) {
	i := newInstallation(t)
	request := csr(t, newKey(t, jose.ES256))
	feed, words, kill, wait := i.victim("between", 0)
	feed(request)
	serial := ""
	for words.Scan() {
		if word, rest, _ := strings.Cut(words.Text(), " "); word == "begun" {
			serial = rest
			break
		} else if word == "error" {
			t.Fatal(rest)
		}
	}
	kill()
	wait()
	if open := i.openSerials(); len(open) != 1 || open[0] != serial {
		t.Fatalf("open %q, begun %q", open, serial)
	}
	i.now = time.Now().Add(61 * time.Second)
	if n, err := i.ca.Reconcile(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if _, ok := listed(i.list(i.ca), serial); !ok {
		t.Error("a signature may exist, and its serial is not on the list")
	}
	issued, err := i.issue(request, time.Hour)
	if err != nil || issued.Again || issued.Serial == serial {
		t.Errorf("the request again: %+v, %v", issued.Serial, err)
	}
}

// TestKilledWhileIssuing: fault 2: killed at any time, each request is repeated
// until it is answered, and whatever was answered before is answered alike.
func TestKilledWhileIssuing(t *testing.T) {
	i := newInstallation(t)
	answers := map[string]string{} // by request: serial and certificate
	var requests [][]byte
	for range 40 {
		requests = append(requests, csr(t, newKey(t, jose.EdDSA)))
	}
	const rounds = 12
	for round := range rounds {
		// What the one before had begun is taken for dead at once.
		feed, words, kill, wait := i.victim("whenever", time.Duration(round)*11*time.Second)
		go func() {
			for _, r := range requests {
				feed(r)
			}
		}()
		n := 0
		for words.Scan() {
			word, rest, _ := strings.Cut(words.Text(), " ")
			switch word {
			case "ready":
				time.AfterFunc(time.Duration(rand.IntN(80))*time.Millisecond, kill)
			case "issued":
				if before, ok := answers[string(requests[n])]; ok && before != rest {
					t.Errorf("request %d was answered by %.40s and then by %.40s", n, before, rest)
				}
				answers[string(requests[n])] = rest
				n++
			case "error":
				t.Error(rest)
			}
		}
		kill()
		wait()
	}
	i.now = time.Now().Add(rounds*11*time.Second + 2*time.Minute)
	if _, err := i.ca.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n, r := range requests {
		issued, err := i.issue(r, 0)
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := answers[string(r)]; ok && before != issued.Serial+" "+hex.EncodeToString(issued.Chain[0]) {
			t.Errorf("request %d has another certificate than it was answered with", n)
		}
	}
	i.refresh()
	if n := len(i.client().Credentials); n != len(requests) {
		t.Errorf("%d credentials for %d requests", n, len(requests))
	}
	if _, err := i.store.VerifyChain(t.Context()); err != nil {
		t.Error(err)
	}
	if open := i.openSerials(); len(open) != 0 {
		t.Errorf("open: %q", open)
	}
	if len(answers) < 1 {
		t.Errorf("only %d requests were answered", len(answers))
	}
	t.Logf("%d requests were answered while processes were killed", len(answers))
}

package conformance_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/dev"
)

// world is the running system that the tests of this package share, and the
// time it thinks it is.
type world struct {
	stack        *dev.Stack
	file         dev.File
	dir          string
	clock        *clock
	events       *events
	roots        *x509.CertPool
	admin        *adminclient.Client
	organisation string // of the applications under test
	payments     string // a resource that either binding opens
	mtlsBase     string
	plain        *http.Client // shows no certificate
	lastEvent    int64        // of the audit, that a test has seen
	ledgerServer *resourceServer
}

// clock stands still until it is moved, so that a test can be at the very edge of
// a bound. It begins at the real time: others check certificates by theirs.
type clock struct{ at atomic.Int64 }

func (c *clock) Now() time.Time { return time.Unix(c.at.Load(), 0).UTC() }

// patience is how long a test waits for a change to be in force everywhere before it
// fails. It is not the promise, which is 2 s for 99 of 100 changes: the other 3 s are
// for a busy machine with the race detector, and nothing here shows the 2 s.
const patience = 5 * time.Second

var shared struct {
	once  sync.Once
	world *world
	err   error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := shared.world.end(); err != nil {
		fmt.Fprintln(os.Stderr, "end the stack:", err)
		code = 1
	}
	os.Exit(code)
}

func (w *world) end() error {
	if w == nil {
		return nil
	}
	w.plain.CloseIdleConnections()
	err := w.stack.Close()
	_ = os.RemoveAll(w.dir)
	return err
}

// start gives the world, which the first test that needs it starts.
func start(t testing.TB) *world {
	t.Helper()
	shared.once.Do(func() { shared.world, shared.err = newWorld() })
	if shared.err != nil {
		t.Fatalf("the system did not start: %v", shared.err)
	}
	return shared.world
}

func newWorld() (*world, error) {
	ctx := context.Background() // of no one test
	dir, err := os.MkdirTemp("", "holdfast-conformance-")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, clock: new(clock), events: newEvents(), roots: x509.NewCertPool()}
	w.clock.at.Store(time.Now().Unix())
	if w.stack, err = dev.Start(ctx, dev.Options{Dir: dir, Events: w.events, Now: w.clock.Now}); err != nil {
		return nil, err
	}
	w.file, w.admin = w.stack.File(), w.stack.Admin()
	w.payments = w.file.GatewayURL + "/payments"
	w.mtlsBase = strings.TrimSuffix(w.file.MTLSTokenEndpoint, "/token")
	ca, err := os.ReadFile(w.file.CAFile)
	if err != nil {
		return nil, err
	}
	w.roots.AppendCertsFromPEM(ca)
	w.plain = w.client(nil)
	o, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{Name: "under test"})
	if err != nil {
		return nil, err
	}
	w.organisation = o.ID
	// A gateway demands nonces for as long as a proof may have been used before it
	// began to remember: 100 s (design.md).
	return w, w.advance(101 * time.Second)
}

// advance moves the clock, and waits until every part has noticed that its
// knowledge is not old.
func (w *world) advance(d time.Duration) error {
	w.clock.at.Add(int64(d / time.Second))
	if err := w.stack.Refresh(context.Background()); err != nil {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		res, err := w.plain.Get(w.file.AdminURL + "/readyz")
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready: %d", res.StatusCode)
		}
	}
}

// pass is advance for a test.
func (w *world) pass(t testing.TB, d time.Duration) {
	t.Helper()
	must(t, w.advance(d))
}

// client speaks HTTP/2 and shows the certificate, if there is one, to whoever asks.
func (w *world) client(certificate *tls.Certificate) *http.Client {
	config := &tls.Config{RootCAs: w.roots, Time: w.clock.Now, MinVersion: tls.VersionTLS12}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return &tls.Certificate{}, nil
		}
		return certificate, nil
	}
	return w.clientWith(config)
}

// clientWith is a client that does not follow redirects, and reaches every host
// and port where they really are.
func (w *world) clientWith(config *tls.Config) *http.Client {
	return &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true},
	}
}

// clientAt is client, but every connection goes to address.
func (w *world) clientAt(address string, config *tls.Config) *http.Client {
	c := w.clientWith(config)
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return c
}

// listeners are the addresses of all that listens, by name.
func (w *world) listeners(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, text := range map[string]string{
		"public": w.file.Issuer, "mtls": w.mtlsBase, "admin": w.file.AdminURL, "gateway": w.file.GatewayURL,
	} {
		u, err := url.Parse(text)
		must(t, err)
		all[name] = "127.0.0.1:" + u.Port()
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

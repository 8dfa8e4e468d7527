// Package bench compares the whole of holdfast with the least that the same work
// costs: real listeners on loopback, a real database, a real event log.
package bench

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/internal/dev"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

const (
	connections = 16
	turn        = 512 // requests that one side has before it is the other's turn
)

// BenchmarkBesideFloor sends the same requests to holdfast and to the floor, in
// turns, and reports the processor time of each and their ratio. Client and
// upstream run in this process: their share is in both figures, so that the
// ratio of the servers alone is somewhat further from 1.
func BenchmarkBesideFloor(b *testing.B) {
	w := newWorld(b)
	bound, certified := w.client(b, "private_key_jwt"), w.client(b, "tls_client_auth")
	f := newFloor(b, w.certificate, bound.public(), w.stack.UpstreamURL(), w.roots)
	byAssertion := func(url, audience string) side {
		return side{url: url, as: bound, request: func() string { return bound.tokenRequest(url, bound.assertion(b, audience)) }}
	}
	byCertificate := func(url string) side {
		return side{url: url, as: certified, request: func() string { return certified.tokenRequest(url, "") }}
	}
	through := func(gateway string, tokens side) side {
		request := fmt.Sprintf("GET /payments/ HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", hostOf(gateway), w.token(b, tokens))
		return side{url: gateway, as: bound, request: func() string { return request }}
	}
	file := w.stack.File()
	for _, work := range []struct {
		name            string
		floor, holdfast side
	}{
		{"token by private_key_jwt, durable", byAssertion(f.URL+"/token", f.URL), byAssertion(file.MTLSTokenEndpoint, file.Issuer)},
		{"token by mTLS", byCertificate(f.URL + "/token"), byCertificate(file.MTLSTokenEndpoint)},
		{"gateway, bound token", through(f.URL, byAssertion(f.URL+"/token", f.URL)), through(file.GatewayURL, byAssertion(file.MTLSTokenEndpoint, file.Issuer))},
	} {
		b.Run(work.name, func(b *testing.B) {
			floor, holdfast := w.connect(b, work.floor), w.connect(b, work.holdfast)
			var floorCPU, holdfastCPU time.Duration
			done := 0
			for ; done < b.N; done += turn {
				floorCPU += floor.drive(b)
				holdfastCPU += holdfast.drive(b)
			}
			b.ReportMetric(float64(floorCPU.Microseconds())/float64(done), "floor-cpu-us/op")
			b.ReportMetric(float64(holdfastCPU.Microseconds())/float64(done), "holdfast-cpu-us/op")
			b.ReportMetric(float64(holdfastCPU)/float64(floorCPU), "ratio")
			b.ReportMetric(0, "ns/op") // of both together: says nothing
		})
	}
}

// world is holdfast dev, with its event log in a file.
type world struct {
	stack       *dev.Stack
	roots       *x509.CertPool
	certificate tls.Certificate // of localhost
}

func newWorld(b *testing.B) *world {
	b.Helper()
	folder := b.TempDir()
	events, err := os.Create(filepath.Join(folder, "events"))
	if err != nil {
		b.Fatal(err)
	}
	stack, err := dev.Start(b.Context(), dev.Options{
		Dir: folder, Events: events, Now: time.Now,
		Upstream: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(stack.Close(), events.Close()); err != nil {
			b.Error(err)
		}
	})
	w := &world{stack: stack}
	if w.roots, err = client.LoadRoots(stack.File().CAFile); err != nil {
		b.Fatal(err)
	}
	if w.certificate, err = tls.LoadX509KeyPair(filepath.Join(folder, "gateway.crt"), filepath.Join(folder, "gateway.key")); err != nil {
		b.Fatal(err)
	}
	return w
}

// consumer is one client of the world, with its keys.
type consumer struct {
	dev.FileClient
	key         any // signs assertions
	signer      *jose.Signer
	certificate tls.Certificate
}

// client finds the client of a method whose tokens are bound to a certificate.
func (w *world) client(b *testing.B, method string) *consumer {
	b.Helper()
	for _, c := range w.stack.File().Clients {
		if c.AuthMethod != method || c.Binding != "mtls" {
			continue
		}
		found := &consumer{FileClient: c}
		var err error
		if found.certificate, err = tls.LoadX509KeyPair(c.CertFile, c.CertKeyFile); err != nil {
			b.Fatal(err)
		}
		if c.KeyFile != "" {
			key, err := client.LoadKey(c.KeyFile)
			if err != nil {
				b.Fatal(err)
			}
			found.key = key
			if found.signer, err = jose.NewSigner(key, "", c.KeyID); err != nil {
				b.Fatal(err)
			}
		}
		return found
	}
	b.Fatalf("no client of %s", method)
	return nil
}

func (c *consumer) public() *ecdsa.PublicKey { return &c.key.(*ecdsa.PrivateKey).PublicKey }

func (c *consumer) assertion(b *testing.B, audience string) string {
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{"iss": c.ClientID, "sub": c.ClientID, "aud": audience, "jti": rand.Text(), "iat": now, "exp": now + 300})
	if err != nil {
		b.Fatal(err)
	}
	assertion, err := c.signer.Sign(c.signer.Header("JWT", false), claims)
	if err != nil {
		b.Fatal(err)
	}
	return assertion
}

func (c *consumer) tokenRequest(endpoint, assertion string) string {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}}
	if assertion != "" {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
	body := form.Encode()
	return fmt.Sprintf("POST /token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", hostOf(endpoint), len(body), body)
}

func hostOf(endpoint string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(endpoint, "https://"), "/")
	return host
}

// side is one server and what is sent to it.
type side struct {
	url     string
	as      *consumer
	request func() string
}

// connected is a side with its connections open.
type connected struct {
	side
	lines []*line
}

// line is one HTTP/1.1 connection.
type line struct {
	*tls.Conn
	in *bufio.Reader
}

func (w *world) connect(b *testing.B, s side) *connected {
	b.Helper()
	c := &connected{side: s}
	for range connections {
		conn, err := tls.Dial("tcp", hostOf(s.url), &tls.Config{RootCAs: w.roots, Certificates: []tls.Certificate{s.as.certificate}})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		c.lines = append(c.lines, &line{conn, bufio.NewReader(conn)})
	}
	return c
}

// ask sends a request and returns the body of its answer, which must be 200.
func (l *line) ask(request string) ([]byte, error) {
	if _, err := io.WriteString(l, request); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return body, err
}

// token gets one token.
func (w *world) token(b *testing.B, s side) string {
	b.Helper()
	body, err := w.connect(b, s).lines[0].ask(s.request())
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil {
		b.Fatal(err)
	}
	return answer.AccessToken
}

// drive sends one turn of requests, made ahead of time, and returns the
// processor time that it took.
func (c *connected) drive(b *testing.B) time.Duration {
	requests := make(chan string, turn)
	for range turn {
		requests <- c.request()
	}
	close(requests)
	before := processorTime(b)
	var all sync.WaitGroup
	for _, l := range c.lines {
		all.Go(func() {
			for request := range requests {
				if _, err := l.ask(request); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return processorTime(b) - before
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/server"
)

// running is a server under way.
type running struct {
	server    *server.Server
	listeners server.Listeners
	roots     *x509.CertPool
	stop      context.CancelFunc
	ended     chan error
}

func run(t *testing.T) *running {
	t.Helper()
	return runWith(t, initialised(t))
}

func runWith(t *testing.T, cfg *config.Serve) *running {
	t.Helper()
	s, err := server.Open(t.Context(), cfg, process())
	if err != nil {
		t.Fatal(err)
	}
	r := &running{server: s, roots: x509.NewCertPool(), ended: make(chan error, 1)}
	if !r.roots.AppendCertsFromPEM(s.RootPEM()) {
		t.Fatal("no root")
	}
	if r.listeners, err = server.Listen(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(t.Context())
	go func() { r.ended <- s.Run(ctx, r.listeners) }()
	t.Cleanup(r.stop)
	return r
}

// wait returns what Run returned.
func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("Run did not return")
		return nil
	}
}

func (r *running) dial(t *testing.T, l net.Listener) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: r.roots, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRun(t *testing.T) {
	t.Run("each listener answers by the server's own certificate", func(t *testing.T) {
		r := run(t)
		for name, l := range map[string]net.Listener{"public": r.listeners.Public, "mtls": r.listeners.MTLS, "admin": r.listeners.Admin} {
			c := r.dial(t, l)
			fmt.Fprint(c, "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			if a, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || a.StatusCode != 404 && a.StatusCode != 401 {
				t.Errorf("%s: %v, %v", name, a, err)
			}
		}
		r.stop()
		if err := r.wait(t); err != nil {
			t.Errorf("a stop that was asked for is no error: %v", err)
		}
	})
	t.Run("a request under way is finished", func(t *testing.T) {
		r := run(t)
		c := r.dial(t, r.listeners.Public)
		const body = "grant_type=client_credentials"
		fmt.Fprintf(c, "POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
		answers := bufio.NewReader(c)
		if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") { // the handler reads now
			t.Fatalf("%q, %v", line, err)
		}
		if _, err := answers.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		r.stop()
		refusedSoon(t, r.listeners.Public.Addr().String())
		select {
		case err := <-r.ended:
			t.Fatalf("the server ended under the request: %v", err)
		default:
		}
		io.WriteString(c, body)
		a, err := http.ReadResponse(answers, nil)
		if err != nil || a.StatusCode != 401 && a.StatusCode != 400 {
			t.Errorf("got %v, %v", a, err)
		}
		if err := r.wait(t); err != nil {
			t.Error(err)
		}
	})
	t.Run("connections that say nothing hold nobody up", func(t *testing.T) {
		r := run(t)
		for _, l := range []net.Listener{r.listeners.Public, r.listeners.MTLS, r.listeners.Admin} {
			c, err := net.Dial("tcp", l.Addr().String()) // no handshake
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			r.dial(t, l) // no request
		}
		begin := time.Now()
		r.stop()
		if err := r.wait(t); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 4*time.Second { // net/http would wait for 5 s
			t.Errorf("it took %v", took)
		}
	})
	t.Run("a listener that fails ends the whole with its error", func(t *testing.T) {
		for i := range 3 {
			r := run(t)
			l := []net.Listener{r.listeners.Public, r.listeners.MTLS, r.listeners.Admin}[i]
			r.dial(t, l) // it is up
			l.Close()
			if err := r.wait(t); !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
	})
}

// refusedSoon waits until nobody listens there.
func refusedSoon(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			c.Close()
		}
		if time.Now().After(deadline) {
			t.Fatal("it still listens")
		}
	}
}

func TestListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	cfg := configuration(t.TempDir())
	cfg.Listen.Public, cfg.Listen.Admin = free.Addr().String(), taken.Addr().String()
	_, err = server.Listen(t.Context(), cfg)
	e, ok := errors.AsType[*server.ListenError](err)
	if !ok || e.Name != "admin" || !errors.Is(err, syscall.EADDRINUSE) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	again, err := net.Listen("tcp", free.Addr().String())
	if err != nil {
		t.Fatalf("the listener before it stays: %v", err)
	}
	again.Close()
}

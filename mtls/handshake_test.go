package mtls

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
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// These tests meet crypto/tls over real sockets, so they live in the present.
func now(template *x509.Certificate) *x509.Certificate {
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	return template
}

// world is a CA, a server certificate by it and a listener.
type world struct {
	root  *authority
	roots *x509.CertPool
	base  *tls.Config
}

func newWorld(t testing.TB, askClient bool) *world {
	root := newAuthority(t, now(caTemplate(t, "root")))
	template := now(clientTemplate(t, "localhost"))
	template.DNSNames = []string{"localhost"}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	key := newKey(t)
	pair := keyPair(key, root.issue(t, template, key.Public()))
	w := &world{root: root, roots: x509.NewCertPool()}
	w.roots.AddCert(root.certificate)
	w.base = ServerConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil }, askClient)
	return w
}

// accept answers one byte on each connection and gives each handshake's state or error.
func (w *world) accept(t testing.TB) (addr string, states <-chan *tls.ConnectionState) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", w.base)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan *tls.ConnectionState, 100)
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(5 * time.Second))
				if conn.(*tls.Conn).Handshake() != nil {
					seen <- nil
					return
				}
				state := conn.(*tls.Conn).ConnectionState()
				conn.Write([]byte{1})
				seen <- &state
			})
		}
	})
	return l.Addr().String(), seen
}

// connect makes one connection and reads the byte, so that tickets have arrived.
func connect(t testing.TB, addr string, config *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	config.ServerName = "localhost"
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := bufio.NewReader(conn).ReadByte(); err != nil {
		return tls.ConnectionState{}, err
	}
	return conn.ConnectionState(), nil
}

func versions(t *testing.T, f func(t *testing.T, version uint16)) {
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(v), func(t *testing.T) { f(t, v) })
	}
}

func TestHandshake(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		w := newWorld(t, true)
		addr, states := w.accept(t)
		client := func(certificate *tls.Certificate) *tls.Config {
			config, err := ClientConfig(w.roots, func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil })
			if err != nil {
				t.Fatal(err)
			}
			config.MinVersion, config.MaxVersion = version, version
			return config
		}
		key, other := newKey(t), newKey(t)
		leaf := w.root.issue(t, now(clientTemplate(t, "a")), key.Public())

		t.Run("possession is proved although crypto/tls does not judge the chain: a certificate shown with another key ends the handshake", func(t *testing.T) {
			if _, err := connect(t, addr, client(keyPair(other, leaf))); err == nil {
				t.Error("the client was served")
			}
			if state := <-states; state != nil {
				t.Error("the server finished the handshake")
			}
		})
		t.Run("no certificate is nobody", func(t *testing.T) {
			config := client(nil)
			config.GetClientCertificate = nil
			if _, err := connect(t, addr, config); err != nil {
				t.Fatal(err)
			}
			if _, err := FromState(<-states); !errors.Is(err, ErrNoCertificate) {
				t.Errorf("got %v", err)
			}
		})
		t.Run("a certificate of the pool's CA is known and trusted", func(t *testing.T) {
			if _, err := connect(t, addr, client(keyPair(key, leaf))); err != nil {
				t.Fatal(err)
			}
			p, err := FromState(<-states)
			if err != nil {
				t.Fatal(err)
			}
			if err := pool(t, w.root.certificate).Verify(time.Now(), p); err != nil {
				t.Error(err)
			}
		})
		t.Run("a self-signed certificate arrives, since no list of CAs tells the client to withhold it", func(t *testing.T) {
			own := newAuthority(t, now(clientTemplate(t, "own")))
			pair := keyPair(own.key, own.certificate)
			var asked [][]byte
			config := client(pair)
			config.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = r.AcceptableCAs
				return pair, r.SupportsCertificate(pair)
			}
			if _, err := connect(t, addr, config); err != nil {
				t.Fatal(err)
			}
			p, err := FromState(<-states)
			if err != nil {
				t.Fatal(err)
			}
			if len(asked) != 0 {
				t.Errorf("%d CAs were named", len(asked))
			}
			if p.Leaf().Equal(own.certificate) == false {
				t.Error("another certificate")
			}
			if err := pool(t, w.root.certificate).Verify(time.Now(), p); !errors.Is(err, ErrUntrusted) {
				t.Errorf("got %v", err)
			}
		})
		t.Run("advisory 25: the leaf is who calls, whatever certificates follow", func(t *testing.T) {
			if _, err := connect(t, addr, client(keyPair(key, leaf, w.root.issue(t, now(clientTemplate(t, "b")), other.Public())))); err != nil {
				t.Fatal(err)
			}
			p, err := FromState(<-states)
			if err != nil || !p.Leaf().Equal(leaf) {
				t.Errorf("got %v, %v", p, err)
			}
		})
		t.Run("advisories 58 to 61: a listener that asks for certificates gives no ticket, nothing is resumed", func(t *testing.T) {
			config := client(keyPair(key, leaf))
			config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
			for range 3 {
				state, err := connect(t, addr, config)
				if err != nil {
					t.Fatal(err)
				}
				if state.DidResume || (<-states).DidResume {
					t.Error("resumed")
				}
			}
			if session, ok := config.ClientSessionCache.Get("localhost"); ok && session != nil {
				t.Error("a ticket was given")
			}
		})
	})
}

func TestOtherListenersResume(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		w := newWorld(t, false)
		addr, states := w.accept(t)
		config, err := ClientConfig(w.roots, nil)
		if err != nil {
			t.Fatal(err)
		}
		config.MinVersion, config.MaxVersion = version, version
		for i := range 2 {
			state, err := connect(t, addr, config)
			if err != nil {
				t.Fatal(err)
			}
			<-states
			if want := i == 1; state.DidResume != want {
				t.Errorf("connection %d: resumed is %v", i+1, state.DidResume)
			}
		}
	})
}

func TestVersionsAndSuites(t *testing.T) {
	for _, askClient := range []bool{true, false} {
		w := newWorld(t, askClient)
		addr, _ := w.accept(t)
		allowed := suites()
		for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			if slices.Contains(suite.SupportedVersions, tls.VersionTLS13) {
				continue
			}
			t.Run(fmt.Sprintf("advisory 65: askClient %v, TLS 1.2 with %s", askClient, suite.Name), func(t *testing.T) {
				_, err := connect(t, addr, &tls.Config{RootCAs: w.roots, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
				// The server's key here is P-256, so only the two ECDSA suites can be agreed on.
				want := slices.Contains(allowed, suite.ID) && (suite.ID == tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 || suite.ID == tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)
				if got := err == nil; got != want {
					t.Errorf("agreed is %v, want %v", got, want)
				}
			})
		}
		for _, old := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
			t.Run(fmt.Sprintf("askClient %v, %s is refused", askClient, tls.VersionName(old)), func(t *testing.T) {
				if _, err := connect(t, addr, &tls.Config{RootCAs: w.roots, MinVersion: old, MaxVersion: old}); err == nil {
					t.Error("agreed")
				}
			})
		}
	}
	t.Run("a client has the same bounds", func(t *testing.T) {
		w := newWorld(t, false)
		config, err := ClientConfig(w.roots, nil)
		if err != nil {
			t.Fatal(err)
		}
		if config.MinVersion != tls.VersionTLS12 || !slices.Equal(config.CipherSuites, suites()) || len(suites()) != 4 {
			t.Error("other bounds")
		}
	})
	t.Run("a client without roots is refused, since none would mean the system's", func(t *testing.T) {
		if _, err := ClientConfig(nil, nil); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("a client with a certificate keeps no sessions", func(t *testing.T) {
		config, err := ClientConfig(x509.NewCertPool(), func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, nil })
		if err != nil || config.ClientSessionCache != nil {
			t.Errorf("got %v, %v", config.ClientSessionCache, err)
		}
	})
}

// TestFromRequest serves HTTP/1.1 and HTTP/2 and counts the peers that were made.
func TestFromRequest(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			w := newWorld(t, true)
			var peers sync.Map
			var requests atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				p, err := FromRequest(r.Context(), r.TLS)
				if err != nil || r.Proto != proto {
					http.Error(rw, r.Proto, http.StatusInternalServerError)
					return
				}
				requests.Add(1)
				peers.Store(p, true)
				io.WriteString(rw, p.Leaf().Subject.CommonName)
			}))
			server.TLS = w.base
			server.EnableHTTP2 = proto == "HTTP/2.0"
			if !server.EnableHTTP2 {
				server.TLS.NextProtos = []string{"http/1.1"}
			}
			server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return WithConn(ctx) }
			server.StartTLS()
			defer server.Close()

			call := func(name string) {
				key := newKey(t)
				pair := keyPair(key, w.root.issue(t, now(clientTemplate(t, name)), key.Public()))
				config, err := ClientConfig(w.roots, func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil })
				if err != nil {
					t.Fatal(err)
				}
				config.ServerName = "localhost"
				transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, MaxConnsPerHost: 1}
				defer transport.CloseIdleConnections()
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() {
						answer, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Get(server.URL)
						if err != nil {
							t.Error(err)
							return
						}
						defer answer.Body.Close()
						if body, err := io.ReadAll(answer.Body); err != nil || string(body) != name {
							t.Errorf("served as %q, want %q (%v)", body, name, err)
						}
					})
				}
				all.Wait()
			}
			call("a")
			call("b")
			made := 0
			peers.Range(func(any, any) bool { made++; return true })
			if requests.Load() != 16 {
				t.Errorf("%d requests", requests.Load())
			}
			// Requests that arrive together may each make the first one.
			if proto == "HTTP/1.1" && made != 2 || made > 16 {
				t.Errorf("%d peers for two connections", made)
			}
		})
	}
}

func TestFromRequestWithoutHandshake(t *testing.T) {
	root := newAuthority(t, caTemplate(t, "root"))
	a := root.issue(t, clientTemplate(t, "a"), newKey(t).Public())
	b := root.issue(t, clientTemplate(t, "b"), newKey(t).Public())
	ctx := WithConn(t.Context())
	t.Run("what is kept counts only for the same certificate", func(t *testing.T) {
		for _, c := range []*x509.Certificate{a, b, a} {
			p, err := FromRequest(ctx, shown(c))
			if err != nil || p.Leaf() != c {
				t.Errorf("got %v, %v", p, err)
			}
		}
	})
	t.Run("a kept peer does not answer for a state that shows nobody", func(t *testing.T) {
		unfinished := shown(a)
		unfinished.HandshakeComplete = false
		if _, err := FromRequest(ctx, shown(a)); err != nil {
			t.Fatal(err)
		}
		for name, state := range map[string]*tls.ConnectionState{"nil": nil, "no certificate": shown(), "unfinished": unfinished} {
			if p, err := FromRequest(ctx, state); !errors.Is(err, ErrNoCertificate) || p != nil {
				t.Errorf("%s: got %v, %v", name, p, err)
			}
		}
	})
	t.Run("a refusal is kept too", func(t *testing.T) {
		for range 2 {
			if p, err := FromRequest(ctx, shown(b, b, b, b, b, b)); p != nil || err == nil {
				t.Error("accepted")
			}
		}
	})
	t.Run("a context without a place works", func(t *testing.T) {
		p, err := FromRequest(t.Context(), shown(a))
		if err != nil || p.Leaf() != a {
			t.Errorf("got %v, %v", p, err)
		}
	})
}

func BenchmarkFromRequest(b *testing.B) {
	root := newAuthority(b, caTemplate(b, "root"))
	state := shown(root.issue(b, clientTemplate(b, "a"), newKey(b).Public()))
	ctx := WithConn(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FromRequest(ctx, state); err != nil {
			b.Fatal(err)
		}
	}
}

package as_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/jwksuri"
	"github.com/holdfast-auth/holdfast/internal/outbound"
)

// keySets is the source of published keys, which may call loopback.
func (s *stack) keySets() *jwksuri.Source {
	s.t.Helper()
	policy := outbound.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	s.dir.Outbound = policy
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.Roots()[0])
	source, err := jwksuri.New(jwksuri.Config{Dialer: &outbound.Dialer{Policy: policy}, Roots: roots, Now: time.Now})
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = source.Run(ctx) }()
	s.t.Cleanup(func() { cancel(); <-done })
	return source
}

// shelf is a server that publishes keys.
type shelf struct {
	url   string
	asked atomic.Int64
	mu    sync.Mutex
	body  []byte // guarded by mu
	serve http.HandlerFunc
	close func()
}

func (s *stack) shelf(keys ...*jose.PublicKey) *shelf {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	s.must(err)
	chain, err := s.ca.IssueListener(s.t.Context(), key.Public(), []string{"127.0.0.1"})
	s.must(err)
	h := &shelf{url: "https://" + l.Addr().String() + "/keys"}
	h.publish(keys...)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.asked.Add(1)
			if h.serve != nil {
				h.serve(w, r)
				return
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			_, _ = w.Write(h.body)
		}),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: key}}}, ErrorLog: log.New(io.Discard, "", 0),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(l, "", "") }()
	h.close = sync.OnceFunc(func() { _ = server.Close(); <-done })
	s.t.Cleanup(h.close)
	return h
}

func (h *shelf) publish(keys ...*jose.PublicKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.body = jose.JWKSet(keys)
}

// publisher is an application whose keys are at the URL.
func (s *stack) publisher(method directory.AuthMethod, binding cnf.Method, at string) *keyed {
	s.t.Helper()
	k := s.keyedWithoutKey(method, binding)
	_, err := s.dir.UpdateApplication(s.t.Context(), "operator", k.id, func(a *directory.Application) error { a.JWKSURI = at; return nil })
	s.must(err)
	k.signer = s.newSigner(rand.Text())
	return k
}

func (s *stack) keyedWithoutKey(method directory.AuthMethod, binding cnf.Method) *keyed {
	s.t.Helper()
	other := s.keyed()
	return &keyed{id: s.application(method, binding), prover: other.prover}
}

func (s *stack) newSigner(kid string) *jose.Signer {
	s.t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	s.must(err)
	signer, err := jose.NewSigner(key, jose.ES256, kid)
	s.must(err)
	return signer
}

// ask asks for a token; the reason is that of the event.
func (s *stack) ask(c *http.Client, k *keyed) (status int, reason string, claims map[string]any) {
	s.t.Helper()
	status, body, err := post(c, s.issuer+"/token", s.form(k), s.proof(k, s.issuer+"/token"))
	s.must(err)
	if status != http.StatusOK {
		return status, s.reason(), body
	}
	token, err := s.keys.At(time.Now()).Parse(s.issuer, body["access_token"].(string))
	s.must(err)
	return status, "", map[string]any{"credential_id": token.CredentialID}
}

func TestPublishedKeysOverTLS(t *testing.T) {
	s := newStack(t)
	c := s.client(nil)
	h := s.shelf()
	k := s.publisher(directory.PrivateKeyJWT, cnf.DPoP, h.url)
	first := k.signer
	h.publish(first.Public())
	status, reason, claims := s.ask(c, k)
	if want := string(directory.UnregisteredKey(k.id, first.Public().Thumbprint())); status != 200 || claims["credential_id"] != want {
		t.Fatalf("%d %s %v", status, reason, claims)
	}
	t.Run("a key that is published beside the old one is found at its first use, and the old one goes on", func(t *testing.T) {
		k.signer = s.newSigner("next")
		if status, reason, _ := s.ask(c, k); status != 401 || reason != clientauth.ReasonKeyUnknown {
			t.Errorf("accepted before use: %d %s", status, reason)
		}
		h.publish(first.Public(), k.signer.Public())
		time.Sleep(10 * time.Millisecond)
		other := *k
		other.signer = s.newSigner("third") // another kid: this one was looked for just now
		h.publish(first.Public(), k.signer.Public(), other.signer.Public())
		for _, signer := range []*jose.Signer{other.signer, k.signer, first} {
			k.signer = signer
			if status, reason, _ := s.ask(c, k); status != 200 {
				t.Errorf("%s: %d %s", signer.Public().KeyID(), status, reason)
			}
		}
	})
	t.Run("revoked by its thumbprint, it is refused at once, though it is published still", func(t *testing.T) {
		k.signer = first
		_, err := s.dir.RevokeKey(t.Context(), "operator", k.id, first.Public().Thumbprint())
		s.must(err)
		if status, reason, _ := s.ask(c, k); status != 401 || reason != clientauth.ReasonKeyNotAccepted {
			t.Errorf("%d %s", status, reason)
		}
	})
	t.Run("introspection and revocation authenticate by the same keys", func(t *testing.T) {
		fresh := s.publisher(directory.PrivateKeyJWT, cnf.DPoP, h.url)
		h.publish(fresh.signer.Public())
		form := s.form(fresh)
		form.Set("token", "x")
		if status, body, err := post(c, s.issuer+"/revoke", form, ""); err != nil || status != 200 {
			t.Errorf("%d %v %v (%s)", status, body, err, s.reason())
		}
	})
	t.Run("a server that is down: keys at hand serve, those of a client that was never seen are unavailable", func(t *testing.T) {
		k := s.publisher(directory.PrivateKeyJWT, cnf.DPoP, h.url)
		h.publish(k.signer.Public())
		if status, reason, _ := s.ask(c, k); status != 200 {
			t.Fatalf("%d %s", status, reason)
		}
		h.close()
		if status, reason, _ := s.ask(c, k); status != 200 {
			t.Errorf("%d %s", status, reason)
		}
		stranger := s.publisher(directory.PrivateKeyJWT, cnf.DPoP, h.url)
		started := time.Now()
		if status, reason, body := s.ask(c, stranger); status != 401 || reason != clientauth.ReasonKeySetUnavailable || body["error"] != "invalid_client" {
			t.Errorf("%d %s %v", status, reason, body)
		}
		if waited := time.Since(started); waited > 2*time.Second {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestCertificateOfAPublishedKeyOverTLS(t *testing.T) {
	s := newStack(t)
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	s.must(err)
	public, err := jose.NewPublicKey(key.Public(), "", "")
	s.must(err)
	h := s.shelf(public)
	k := s.publisher(directory.SelfSignedTLSClientAuth, cnf.MTLS, h.url)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {string(k.id)}}
	own := s.own(key)
	status, body, err := post(s.client(own), s.mtls+"/token", form, "")
	if err != nil || status != 200 {
		t.Fatalf("%d %v %v (%s)", status, body, err, s.reason())
	}
	claims, err := s.keys.At(time.Now()).Parse(s.issuer, body["access_token"].(string))
	if err != nil || claims.Binding != cnf.ToCertificate(cnf.CertificateThumbprint(own.Certificate[0])) || claims.CredentialID != string(directory.UnregisteredKey(k.id, public.Thumbprint())) {
		t.Errorf("%+v %v", claims, err)
	}
	if claims.Expires.After(own.Leaf.NotAfter) {
		t.Error("promise 4: the token outlives its certificate")
	}
	stranger, err := jose.GenerateKey(jose.ES256, rand.Reader)
	s.must(err)
	if status, _, err := post(s.client(s.own(stranger)), s.mtls+"/token", form, ""); err != nil || status != 401 || s.reason() != clientauth.ReasonCertificateUnknown {
		t.Errorf("another key: %d %v (%s)", status, err, s.reason())
	}
}

// own is a self-signed certificate of the key, good for two minutes.
func (s *stack) own(key crypto.Signer, edit ...func(*x509.Certificate)) *tls.Certificate {
	s.t.Helper()
	return s.sign(nil, nil, key, edit...)
}

// TestOneOwnersOutage: faults 12 and 13: a server of one byte a second, one that is
// down, and a thousand unknown kids a second at a third slow nobody else.
func TestOneOwnersOutage(t *testing.T) {
	s := newStack(t)
	c := s.client(nil)
	c.Transport.(*http.Transport).MaxIdleConnsPerHost = 50
	drip := s.shelf()
	drip.serve = func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	}
	down := s.shelf()
	down.close()
	busy := s.shelf(s.newSigner("good").Public())
	floods := []*keyed{
		s.publisher(directory.PrivateKeyJWT, cnf.DPoP, drip.url), s.publisher(directory.PrivateKeyJWT, cnf.DPoP, down.url), s.publisher(directory.PrivateKeyJWT, cnf.DPoP, busy.url),
	}
	good := s.keyed()
	median := func() time.Duration {
		var all []time.Duration
		for range 60 {
			started := time.Now()
			if status, reason, _ := s.ask(c, good); status != 200 {
				t.Fatalf("%d %s", status, reason)
			}
			all = append(all, time.Since(started))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	before := median()
	goroutines := runtime.NumGoroutine()

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var sent, peak atomic.Int64
	var slowest atomic.Int64
	var wg sync.WaitGroup
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range 15 {
		wg.Go(func() {
			k := floods[i%len(floods)]
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				form, err := floodForm(s, k)
				if err != nil {
					t.Error(err)
					return
				}
				started := time.Now()
				status, _, err := post(c, s.issuer+"/token", form, "")
				if err != nil || status != 401 {
					t.Errorf("%d %v", status, err)
					return
				}
				slowest.Store(max(slowest.Load(), int64(time.Since(started))))
				sent.Add(1)
				peak.Store(max(peak.Load(), int64(runtime.NumGoroutine())))
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	during := median()
	stop()
	wg.Wait()
	t.Logf("median %s before, %s during %d junk requests, the slowest of which took %s; at most %d goroutines, %d before; %d fetches",
		before, during, sent.Load(), time.Duration(slowest.Load()), peak.Load(), goroutines, busy.asked.Load())
	if during > max(10*before, 150*time.Millisecond) {
		t.Errorf("the others' median went from %s to %s", before, during)
	}
	if n := peak.Load() - int64(goroutines); n > 300 {
		t.Errorf("%d goroutines more", n)
	}
	if n := busy.asked.Load(); n > 4 {
		t.Errorf("junk kids caused %d fetches", n)
	}
}

// floodForm is an assertion with a kid that nobody has.
func floodForm(s *stack, k *keyed) (url.Values, error) {
	payload, err := json.Marshal(map[string]any{"iss": k.id, "sub": k.id, "aud": s.issuer, "jti": rand.Text(), "exp": time.Now().Add(time.Minute).Unix()})
	if err != nil {
		return nil, err
	}
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(key, jose.ES256, fmt.Sprint("junk-", rand.Text()))
	if err != nil {
		return nil, err
	}
	assertion, err := signer.Sign(signer.Header("client-authentication+jwt", false), payload)
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {string(k.id)}, "client_assertion_type": {clientauth.AssertionType}, "client_assertion": {assertion}}, err
}

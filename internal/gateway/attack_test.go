package gateway_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/verify"
)

// ended is a source of revocations with a switch for one credential.
type ended struct {
	credential string
	on         atomic.Bool
	lag        atomic.Int64 // nanoseconds
}

func (e *ended) Ended(t *verify.Token) (verify.Reason, time.Duration) {
	if e.on.Load() && t.CredentialID == e.credential {
		return "credential_revoked", 0
	}
	return "", time.Duration(e.lag.Load())
}

func TestRevocation(t *testing.T) {
	source := &ended{credential: "cred-1"}
	s := newStand(t, func(s *stand) {
		s.verifier.Revocation = source
		s.config.Routes[0].MaxRevocationLag = time.Second
	})
	for name, c := range map[string]*http.Client{"HTTP/1.1": s.http1(), "HTTP/2": s.mtlsClient()} {
		t.Run("advisory 62: on a connection that is open, "+name, func(t *testing.T) {
			s.TB = t
			header := http.Header{"Authorization": {"Bearer " + s.token(s.client.ToCertificate())}}
			if a := s.call(call{client: c, header: header}); a.StatusCode != 200 {
				t.Fatal(a.StatusCode)
			}
			source.on.Store(true)
			defer source.on.Store(false)
			if a := s.call(call{client: c, header: header}); a.StatusCode != 401 || a.event.Reason != "credential_revoked" || a.event.CredentialID != "cred-1" {
				t.Errorf("%d %+v", a.StatusCode, a.event)
			}
		})
	}
	t.Run("promise 12: each route has its own staleness", func(t *testing.T) {
		s.TB = t
		source.lag.Store(int64(time.Minute))
		if a := s.call(call{}); a.StatusCode != 503 || a.event.Reason != "revocation_stale" || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d %+v", a.StatusCode, a.event)
		}
		reports := s.issuer.Token(t, s.issuer.Claims(s.URL+"/reports", "reports", s.client.ToCertificate()))
		if a := s.call(call{target: "/reports/1", header: http.Header{"Authorization": {"Bearer " + reports}}}); a.StatusCode != 200 {
			t.Errorf("%d %+v", a.StatusCode, a.event)
		}
	})
}

func TestNoMixing(t *testing.T) {
	t.Run("advisories 54, 55: many clients at once, each under its own name", func(t *testing.T) {
		s := newStand(t)
		s.upstream.answer = func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Header.Get("Holdfast-Client-Id"))
		}
		var wg sync.WaitGroup
		for i := range 8 {
			client, name := verifytest.NewClient(t, s.clock), fmt.Sprint("client-", i)
			token := s.issuer.Token(t, s.issuer.Claims(s.URL+"/payments", "payments", client.ToCertificate()).With(verifytest.Claims{"client_id": name}))
			c := s.Client(t, &client.Certificate)
			wg.Go(func() {
				for range 20 {
					if a := s.call(call{client: c, header: http.Header{"Authorization": {"Bearer " + token}}}); a.StatusCode != 200 || a.body != name {
						t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
					}
				}
			})
		}
		wg.Wait()
	})
	t.Run("advisory 55: a remembered token over another client's certificate", func(t *testing.T) {
		s := newStand(t)
		header := http.Header{"Authorization": {"Bearer " + s.token(s.client.ToCertificate())}}
		if a := s.call(call{header: header}); a.StatusCode != 200 {
			t.Fatal(a.StatusCode)
		}
		for _, c := range []*http.Client{s.Client(t, nil), s.Client(t, &verifytest.NewClient(t, s.clock).Certificate)} {
			if a := s.call(call{client: c, header: header}); a.StatusCode != 401 {
				t.Errorf("%d", a.StatusCode)
			}
		}
	})
}

func TestSessions(t *testing.T) {
	s := newStand(t)
	header := http.Header{"Authorization": {"Bearer " + s.token(s.client.ToCertificate())}}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run("advisories 58, 59: no session is resumed, "+tls.VersionName(version), func(t *testing.T) {
			s.TB = t
			config := s.ClientConfig(&s.client.Certificate)
			config.MinVersion, config.MaxVersion, config.ClientSessionCache = version, version, tls.NewLRUClientSessionCache(8)
			for range 2 {
				transport := &http.Transport{TLSClientConfig: config}
				a := s.call(call{client: &http.Client{Transport: transport}, header: header})
				transport.CloseIdleConnections()
				if a.StatusCode != 200 || a.TLS.DidResume {
					t.Errorf("%d, resumed %t", a.StatusCode, a.TLS.DidResume)
				}
			}
		})
	}
}

func TestUnreadBody(t *testing.T) {
	s := prepare(t)
	var mu sync.Mutex
	var peers []string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		peers = append(peers, r.RemoteAddr)
		w.WriteHeader(413) // and the body stays where it is
	}))
	t.Cleanup(upstream.Close)
	s.config.Routes[0].Upstream = upstream.URL
	g, err := s.build()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.CloseIdle)
	s.Serve(t, g)
	t.Run("advisory 56: an upstream connection with a body that nobody read is not used again", func(t *testing.T) {
		for range 3 {
			if a := s.call(call{method: "POST", body: strings.NewReader(strings.Repeat("GET /admin HTTP/1.1\r\n\r\n", 100_000))}); a.StatusCode != 413 && a.StatusCode != 502 {
				t.Errorf("%d", a.StatusCode)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		seen := map[string]bool{}
		for _, p := range peers {
			if seen[p] {
				t.Error("used again")
			}
			seen[p] = true
		}
		if len(peers) != 3 {
			t.Errorf("%d requests reached the upstream", len(peers))
		}
	})
}

func TestDPoPThroughTheGateway(t *testing.T) {
	s := newStand(t, func(s *stand) { s.verifier.StartedAt = s.clock.Now() })
	token := s.token(s.client.ToKey())
	anyone := s.Client(t, nil)
	t.Run("a gateway that just started wants a nonce, and gives it", func(t *testing.T) {
		s.TB = t
		first := s.call(call{client: anyone, header: s.dpop(token, "GET", s.URL+"/payments/1", "")})
		nonce := first.Header.Get("DPoP-Nonce")
		if first.StatusCode != 401 || first.event.Reason != "nonce_required" || nonce == "" || first.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %+v", first.StatusCode, first.event)
		}
		header := s.dpop(token, "GET", s.URL+"/payments/1", nonce)
		if a := s.call(call{client: anyone, target: "/payments/1?q", header: header}); a.StatusCode != 200 {
			t.Errorf("%d %+v", a.StatusCode, a.event)
		}
		a := s.call(call{client: anyone, header: header})
		if a.StatusCode != 401 || a.event.Reason != "proof_replayed" || !strings.HasPrefix(a.Header.Get("Www-Authenticate"), `DPoP error="invalid_dpop_proof"`) {
			t.Errorf("promise 1: a stolen proof: %d %+v", a.StatusCode, a.event)
		}
	})
	t.Run("a thief's proof with a key of his own", func(t *testing.T) {
		s.TB = t
		thief := verifytest.NewClient(t, s.clock)
		header := http.Header{"Authorization": {"DPoP " + token}, "Dpop": {thief.Proof(t, s.clock.Now(), "GET", s.URL+"/payments/1", token, "")}}
		if a := s.call(call{client: anyone, header: header}); a.StatusCode != 401 || a.event.Reason != "proof_key_mismatch" {
			t.Errorf("%d %+v", a.StatusCode, a.event)
		}
	})
	t.Run("attack 6: the proof is for the path that the client addressed, not the upstream's", func(t *testing.T) {
		s := newStand(t, func(s *stand) { s.config.Routes[0].StripPrefix = "/payments" })
		token := s.token(s.client.ToKey())
		if a := s.call(call{client: s.Client(t, nil), header: s.dpop(token, "GET", s.URL+"/payments/1", "")}); a.StatusCode != 200 {
			t.Errorf("%d %+v", a.StatusCode, a.event)
		}
		if a := s.call(call{client: s.Client(t, nil), header: s.dpop(token, "GET", s.URL+"/1", "")}); a.StatusCode != 401 || a.event.Reason != "proof_url" {
			t.Errorf("%d %+v", a.StatusCode, a.event)
		}
	})
	if n := s.upstream.count(); n != 1 {
		t.Errorf("the upstream was reached %d times", n)
	}
}

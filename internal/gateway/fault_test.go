package gateway_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/mtls"
	"github.com/holdfast-auth/holdfast/verify"
)

// brokenSigner is a gateway key that is out of reach.
type brokenSigner struct{ crypto.Signer }

func (brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the key does not answer")
}

// broken is a replay store, a source of revocations and of keys that panic or fail.
type broken struct{}

func (broken) FirstUse(context.Context, [32]byte, time.Time) (bool, error) {
	return true, errors.New("down")
}
func (broken) Ended(*verify.Token) (verify.Reason, time.Duration)  { panic("revocations") }
func (broken) Keys(string) (*verify.KeySet, error)                 { panic("keys") }
func (broken) Want(context.Context, string, string) verify.Outcome { return verify.Unknown }

// keyless is an issuer that has no key, as far as is known, and does not answer.
type keyless struct{ broken }

func (keyless) Keys(string) (*verify.KeySet, error) { return verify.NewKeySet() }

func TestInternalErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*stand)
		status int
		reason string
	}{
		{"keys panic", func(s *stand) { s.verifier.Keys = broken{} }, 500, "panic"},
		{"no keys", func(s *stand) { s.verifier.Keys = verify.NewStaticKeys(issuerURL, nil) }, 503, "keys_unavailable"},
		{"revocations panic", func(s *stand) { s.verifier.Revocation = broken{} }, 500, "panic"},
		{"the gateway's key is out of reach", func(s *stand) {
			key, err := jose.NewSigner(brokenSigner{s.client.Certificate.PrivateKey.(crypto.Signer)}, jose.ES256, "k")
			if err != nil {
				s.Fatal(err)
			}
			s.config.Signer = key
		}, 500, "internal_error"},
	} {
		t.Run("advisory 83: "+tt.name, func(t *testing.T) {
			s := newStand(t, tt.change)
			a := s.call(call{})
			if a.StatusCode != tt.status || a.event.Reason != tt.reason || a.event.Outcome != "failed" {
				t.Errorf("%d %+v", a.StatusCode, a.event)
			}
			if n := s.upstream.count(); n != 0 {
				t.Errorf("the upstream was reached %d times", n)
			}
		})
	}
	t.Run("a kid that somebody made up is 503 and no alarm", func(t *testing.T) {
		s := newStand(t, func(s *stand) { s.verifier.Keys = keyless{} })
		a := s.call(call{})
		if a.StatusCode != 503 || a.event.Reason != "keys_unavailable" || a.event.Outcome != "refused" || s.upstream.count() != 0 {
			t.Errorf("%d %+v", a.StatusCode, a.event)
		}
	})
	t.Run("advisory 83: the replay store is down", func(t *testing.T) {
		s := newStand(t, func(s *stand) { s.verifier.Replay = broken{} })
		token := s.token(s.client.ToKey())
		a := s.call(call{header: s.dpop(token, "GET", s.URL+"/payments/1", "")})
		if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || s.upstream.count() != 0 {
			t.Errorf("%d, reached %d times", a.StatusCode, s.upstream.count())
		}
	})
}

func TestUpstreamFaults(t *testing.T) {
	t.Run("an upstream that is gone is 502, without details", func(t *testing.T) {
		s := newStand(t)
		s.upstream.Close()
		a := s.call(call{})
		if a.StatusCode != 502 || a.body != `{"error":"upstream_unavailable"}`+"\n" || a.event.Outcome != "failed" || a.event.Reason != "upstream_unavailable" ||
			a.event.Cause == "" || a.event.ClientID != "shop" {
			t.Errorf("%d %s %+v", a.StatusCode, a.body, a.event)
		}
	})
	t.Run("an upstream that switches protocols by itself is 502", func(t *testing.T) {
		s := newStand(t)
		s.upstream.answer = func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_ = conn.Close()
		}
		for _, c := range []*http.Client{s.http1(), s.mtlsClient()} {
			if a := s.call(call{client: c}); a.StatusCode != 502 {
				t.Errorf("%d", a.StatusCode)
			}
		}
	})
	t.Run("an upstream that breaks off cuts the answer", func(t *testing.T) {
		s := newStand(t)
		s.upstream.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		r, err := http.NewRequest("GET", s.URL+"/payments/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.token(s.client.ToCertificate()))
		a, err := s.mtlsClient().Do(r)
		if err == nil {
			_, err = io.ReadAll(a.Body)
			_ = a.Body.Close()
		}
		if err == nil {
			t.Error("half an answer passed for a whole one")
		}
		if e := s.event(1); e.Outcome != "failed" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("advisory 66: an https upstream whose certificate does not verify is 502", func(t *testing.T) {
		secure := verifytest.Listen(t)
		reached := make(chan http.Header, 10)
		secure.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.Header }))
		use := func(roots *verifytest.Listener, url string) func(*stand) {
			return func(s *stand) {
				config, err := mtls.ClientConfig(roots.Roots, nil)
				if err != nil {
					t.Fatal(err)
				}
				s.config.Routes[0].Upstream, s.config.Routes[0].UpstreamTLS = url, config
			}
		}
		if a := newStand(t, use(secure, secure.URL)).call(call{}); a.StatusCode != 200 || (<-reached).Get("Holdfast-Client-Id") != "shop" {
			t.Errorf("the right one: %d", a.StatusCode)
		}
		if a := newStand(t, use(verifytest.Listen(t), secure.URL)).call(call{}); a.StatusCode != 502 {
			t.Errorf("another CA: %d", a.StatusCode)
		}
		wrongName := strings.Replace(secure.URL, "localhost", "127.0.0.2", 1)
		if a := newStand(t, use(secure, wrongName)).call(call{}); a.StatusCode != 502 {
			t.Errorf("another name: %d", a.StatusCode)
		}
		if len(reached) != 0 {
			t.Error("a request went out before the certificate was verified")
		}
	})
}

package gateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/gateway"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/verify"
)

const issuerURL = "https://as.example"

// stand is a gateway on a real TLS listener before a real upstream.
type stand struct {
	testing.TB
	*verifytest.Listener
	clock    *verifytest.Clock
	issuer   *verifytest.Issuer
	client   *verifytest.Client
	nonces   *dpop.Nonces
	signer   *jose.Signer
	upstream *upstream
	verifier verify.Config
	config   gateway.Config
	gateway  *gateway.Gateway

	mu     sync.Mutex
	events []web.Event  // guarded by mu
	log    bytes.Buffer // guarded by mu
}

// upstream counts and keeps what reached it, and answers with answer.
type upstream struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []*http.Request // guarded by mu
	answer http.HandlerFunc
}

func newUpstream(t testing.TB) *upstream {
	u := &upstream{answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "upstream") }}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil { // trailers come after the body
			return // the gateway broke it off
		}
		u.mu.Lock()
		u.seen = append(u.seen, r)
		u.mu.Unlock()
		u.answer(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.seen)
}

func (u *upstream) last() *http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen[len(u.seen)-1]
}

// Write is the event stream's.
func (s *stand) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

// event is the newest event, which is there once the answer was read to its end
// or a little later.
func (s *stand) event(n int) web.Event {
	s.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		s.mu.Lock()
		if len(s.events) >= n {
			defer s.mu.Unlock()
			return s.events[n-1]
		}
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	s.Fatalf("no event %d", n)
	return web.Event{}
}

func (s *stand) eventCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events)
}

// newStand has /payments/ (either binding) and /reports/ (mTLS), both before one upstream.
func newStand(t testing.TB, change ...func(*stand)) *stand {
	t.Helper()
	s := prepare(t, change...)
	g, err := s.build()
	if err != nil {
		t.Fatal(err)
	}
	s.gateway = g
	t.Cleanup(g.CloseIdle)
	s.Serve(t, g)
	return s
}

func prepare(t testing.TB, change ...func(*stand)) *stand {
	t.Helper()
	clock := verifytest.NewClock()
	s := &stand{
		TB: t, Listener: verifytest.Listen(t), clock: clock, issuer: verifytest.NewIssuer(t, clock, issuerURL, jose.ES256),
		client: verifytest.NewClient(t, clock), nonces: dpop.NewNonces([32]byte{1}), signer: verifytest.NewSigner(t, jose.ES256, "gateway-1"),
		upstream: newUpstream(t),
	}
	s.verifier = verify.Config{
		Issuers: []verify.Issuer{{URL: issuerURL, Algorithms: []string{"ES256"}}}, Keys: verify.NewStaticKeys(issuerURL, s.issuer.Keys(t)),
		Replay: verify.NewMemoryReplay(clock.Now, 1<<16), Nonces: s.nonces, StartedAt: clock.Now().Add(-time.Hour), Now: clock.Now,
	}
	s.config = gateway.Config{
		URL: s.URL, Signer: s.signer, Now: clock.Now, Log: slog.New(slog.NewJSONHandler(s, nil)),
		Observe: func(e *web.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, *e)
		},
		Routes: []gateway.Route{
			{Path: "/payments/", Resource: s.URL + "/payments", Scopes: []string{"payments"}, Binding: verify.BindEither, Upstream: s.upstream.URL},
			{Path: "/reports/", Resource: s.URL + "/reports", Scopes: []string{"reports"}, Binding: verify.BindMTLS, Upstream: s.upstream.URL},
		},
	}
	for _, f := range change {
		f(s)
	}
	return s
}

func (s *stand) build() (*gateway.Gateway, error) {
	s.Helper()
	v, err := verify.New(s.verifier)
	if err != nil {
		s.Fatal(err)
	}
	s.config.Verifier = v
	g, err := gateway.New(s.config)
	if err == nil {
		g.SetPatience(time.Hour) // the clock stands still
	}
	return g, err
}

func (s *stand) token(bound cnf.Binding) string {
	return s.issuer.Token(s, s.issuer.Claims(s.URL+"/payments", "payments", bound))
}

// call is one request; its zero value is GET /payments/1 with the client's
// certificate and a token bound to it.
type call struct {
	method, target string
	header         http.Header // added to Authorization, or replacing it
	host           string
	bare           bool // no token
	client         *http.Client
	body           io.Reader
}

// answer is what came back.
type answer struct {
	*http.Response
	body  string
	event web.Event
}

func (s *stand) mtlsClient() *http.Client { return s.Client(s, &s.client.Certificate) }

func (s *stand) call(c call) answer {
	s.Helper()
	if c.client == nil {
		c.client = s.mtlsClient()
	}
	if c.method == "" {
		c.method = "GET"
	}
	if c.target == "" {
		c.target = "/payments/1"
	}
	r, err := http.NewRequest(c.method, s.URL, c.body)
	if err != nil {
		s.Fatal(err)
	}
	r.URL.Opaque = c.target // sent as it is
	if !c.bare {
		r.Header.Set("Authorization", "Bearer "+s.token(s.client.ToCertificate()))
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if c.host != "" {
		r.Host = c.host
	}
	before := s.eventCount()
	a, err := c.client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	body, err := io.ReadAll(a.Body)
	_ = a.Body.Close()
	if err != nil {
		s.Fatal(err)
	}
	return answer{a, string(body), s.event(before + 1)}
}

func (s *stand) dpop(token, method, url, nonce string) http.Header {
	s.Helper()
	return http.Header{"Authorization": {"DPoP " + token}, "Dpop": {s.client.Proof(s, s.clock.Now(), method, url, token, nonce)}}
}

// claimsOf verifies a JWS under the gateway's key and reads its payload.
func (s *stand) claimsOf(raw string) (typ string, claims map[string]any) {
	s.Helper()
	m, err := jose.Parse(raw, 8<<10)
	if err != nil {
		s.Fatal(err)
	}
	if err := m.Verify(s.signer.Public()); err != nil {
		s.Fatal(err)
	}
	if err := json.Unmarshal(m.Payload, &claims); err != nil {
		s.Fatal(err)
	}
	return m.Header.Type, claims
}

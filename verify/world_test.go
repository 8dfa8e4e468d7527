package verify_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/verify"
)

const (
	issuerURL = "https://as.example"
	resource  = "https://api.example/payments"
	target    = "https://api.example/payments/1"
	metadata  = "https://api.example/.well-known/oauth-protected-resource/payments"
)

// world is a verifier, an issuer that it trusts and a client of that issuer.
type world struct {
	testing.TB
	clock   *verifytest.Clock
	issuer  *verifytest.Issuer
	client  *verifytest.Client
	keys    *verify.StaticKeys
	nonces  *dpop.Nonces
	config  verify.Config
	rules   verify.Rules
	started time.Time

	verifier *verify.Verifier
	policy   *verify.Policy
}

// newWorld makes a verifier that started long ago, unless change says otherwise.
func newWorld(t testing.TB, change ...func(*world)) *world {
	t.Helper()
	clock := verifytest.NewClock()
	w := &world{
		TB: t, clock: clock, issuer: verifytest.NewIssuer(t, clock, issuerURL, jose.ES256),
		client: verifytest.NewClient(t, clock), nonces: dpop.NewNonces([32]byte{1}), started: clock.Now().Add(-time.Hour),
	}
	w.keys = verify.NewStaticKeys(issuerURL, w.issuer.Keys(t))
	w.config = verify.Config{
		Issuers: []verify.Issuer{{URL: issuerURL, Algorithms: []string{"ES256"}}},
		Keys:    w.keys, Replay: verify.NewMemoryReplay(clock.Now, 1000), StartedAt: w.started, Nonces: w.nonces, Now: clock.Now,
	}
	w.rules = verify.Rules{Resource: resource, Scopes: []string{"payments"}, Binding: verify.BindEither, MetadataURL: metadata}
	for _, f := range change {
		f(w)
	}
	w.verifier, w.policy = w.make()
	return w
}

func (w *world) make() (*verify.Verifier, *verify.Policy) {
	w.Helper()
	v, err := verify.New(w.config)
	if err != nil {
		w.Fatal(err)
	}
	p, err := v.NewPolicy(w.rules)
	if err != nil {
		w.Fatal(err)
	}
	return v, p
}

// claims are those of a good token bound to the client's certificate.
func (w *world) claims() verifytest.Claims {
	return w.issuer.Claims(resource, "payments", w.client.ToCertificate())
}

func (w *world) certToken() string { return w.issuer.Token(w, w.claims()) }

func (w *world) keyToken() string {
	return w.issuer.Token(w, w.issuer.Claims(resource, "payments", w.client.ToKey()))
}

// overMTLS is a request with a token over the client's certificate.
func (w *world) overMTLS(token string) *verify.Request {
	return &verify.Request{Method: "GET", Authorization: []string{"Bearer " + token}, Certificate: w.client.Peer}
}

// withProof is a request with a token and a fresh proof of the client's.
func (w *world) withProof(token string) *verify.Request {
	w.Helper()
	return w.showing(token, w.client.Proof(w, w.clock.Now(), "GET", target, token, ""))
}

func (w *world) showing(token, proof string) *verify.Request {
	return &verify.Request{Method: "GET", URL: target, Authorization: []string{"DPoP " + token}, DPoP: []string{proof}}
}

func (w *world) verify(r *verify.Request) (*verify.Grant, error) {
	return w.verifier.Verify(context.Background(), r, w.policy)
}

// served demands a grant.
func (w *world) served(r *verify.Request) *verify.Grant {
	w.Helper()
	g, err := w.verify(r)
	if err != nil {
		w.Fatalf("refused: %v", err)
	}
	if g == nil {
		w.Fatal("neither grant nor error")
	}
	return g
}

// refused demands a refusal for this reason with this status.
func (w *world) refused(r *verify.Request, reason verify.Reason, status int) *verify.Error {
	w.Helper()
	g, err := w.verify(r)
	if g != nil {
		w.Fatal("a grant was given")
	}
	e, ok := errors.AsType[*verify.Error](err)
	if !ok {
		w.Fatalf("error is %T: %v", err, err)
	}
	if e.Reason != reason || e.Status != status {
		w.Fatalf("refused with %s, %d (%v); want %s, %d", e.Reason, e.Status, e, reason, status)
	}
	return e
}

// revocations is a RevocationSource that can be told.
type revocations struct {
	mu    sync.Mutex
	ended map[string]verify.Reason // guarded by mu: by credential
	lag   time.Duration            // guarded by mu
}

func (r *revocations) Ended(t *verify.Token) (verify.Reason, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended[t.CredentialID], r.lag
}

func (r *revocations) set(ended map[string]verify.Reason, lag time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended, r.lag = ended, lag
}

// certificates is a Certificates of a fixed list, which says "shop" of any other
// certificate too, but not that it knows.
type certificates map[cnf.Thumbprint]string

func (c certificates) Classify(t cnf.Thumbprint, _ string) (string, bool) {
	if id, ok := c[t]; ok {
		return id, true
	}
	return "shop", false
}

// brokenReplay is a ReplayStore that is down.
type brokenReplay struct{}

func (brokenReplay) FirstUse(context.Context, [32]byte, time.Time) (bool, error) {
	return true, errors.New("replay store does not answer")
}

// keySource is a KeySource made of functions.
type keySource struct {
	keys func(issuer string) (*verify.KeySet, error)
	want func(issuer, kid string) verify.Outcome
}

func (s keySource) Keys(issuer string) (*verify.KeySet, error) { return s.keys(issuer) }
func (s keySource) Want(_ context.Context, issuer, kid string) verify.Outcome {
	return s.want(issuer, kid)
}

func hashOf(token string) [32]byte { return sha256.Sum256([]byte(token)) }

package as_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/as"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/internal/web"
)

const (
	tokenURL     = authtest.Issuer + "/token"
	mtlsBase     = "https://mtls.as.example:8443"
	mtlsTokenURL = mtlsBase + "/token"
)

var errDown = errors.New("the store is down")

// uses is a token.Uses in memory, which can be down.
type uses struct {
	mu    sync.Mutex
	seen  map[[32]byte]time.Time
	down  bool
	fails error // what every use fails with
	calls int
}

func (u *uses) FirstUse(_ context.Context, all ...token.Use) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls++
	if u.down {
		return errDown
	}
	if u.fails != nil {
		return u.fails
	}
	for i, use := range all {
		if _, ok := u.seen[use.Key]; ok {
			return &token.ReplayedError{Index: i}
		}
	}
	for _, use := range all {
		u.seen[use.Key] = use.Until
	}
	return nil
}

// world is a server with both listeners, and everything around it.
type world struct {
	*authtest.World
	uses    *uses
	age     time.Duration
	down    bool // the directory cannot write
	keys    *token.SigningKeys
	nonces  *dpop.Nonces
	random  io.Reader
	public  http.Handler
	mtls    http.Handler
	event   web.Event // of the last request
	revoked []directory.RevokedToken
	signers map[directory.ClientID]*jose.Signer
}

func (w *world) Current() *directory.Snapshot { return w.Snapshot }
func (w *world) Age() time.Duration           { return w.age }
func (w *world) Read(p []byte) (int, error)   { return w.random.Read(p) }

func (w *world) RevokeToken(_ context.Context, _ string, client directory.ClientID, t directory.RevokedToken) error {
	if w.down {
		return errDown
	}
	t.ClientID = client
	w.revoked = append(w.revoked, t)
	w.Apply(directory.Delta{Revoked: []directory.RevokedToken{t}})
	return nil
}

func (w *world) config() as.Config {
	return as.Config{
		Issuer: authtest.Issuer, MTLSBase: mtlsBase, Directory: w, Auth: w.Auth, Keys: func() *token.SigningKeys { return w.keys },
		Uses: w.uses, Nonces: w.nonces, TokenLife: 5 * time.Minute, Random: w, Now: func() time.Time { return w.Now },
	}
}

// newWorld has a client of each kind; each has the scopes payments and refunds.
func newWorld(t testing.TB) *world {
	w := &world{
		World: authtest.New(t), uses: &uses{seen: map[[32]byte]time.Time{}}, random: rand.Reader,
		nonces: dpop.NewNonces([32]byte{1}), signers: map[directory.ClientID]*jose.Signer{},
	}
	w.keys = token.NewSigningKeys(w.NewSigner(jose.ES256, "as"))
	w.Application("jwt-dpop", directory.PrivateKeyJWT, cnf.DPoP)
	w.Application("jwt-mtls", directory.PrivateKeyJWT, cnf.MTLS)
	w.Application("tls-mtls", directory.TLSClientAuth, cnf.MTLS)
	w.Application("tls-dpop", directory.TLSClientAuth, cnf.DPoP)
	w.Application("self-mtls", directory.SelfSignedTLSClientAuth, cnf.MTLS)
	w.Application("self-dpop", directory.SelfSignedTLSClientAuth, cnf.DPoP)
	w.Application(authtest.ResourceApp, directory.PrivateKeyJWT, cnf.DPoP)
	for _, id := range []directory.ClientID{"jwt-dpop", "jwt-mtls", authtest.ResourceApp} {
		w.signers[id] = w.Key(id, jose.ES256, "kid-"+string(id))
	}
	s, err := as.New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	w.serve(s)
	return w
}

func (w *world) serve(s *as.Server) {
	options := func(listener string) web.Options {
		return web.Options{Listener: listener, Now: func() time.Time { return w.Now }, Log: slog.New(slog.DiscardHandler),
			Observe: func(e *web.Event) { w.event = *e }, Render: as.Render}
	}
	w.public, w.mtls = web.NewTable(options("public"), s.PublicRoutes()), web.NewTable(options("mtls"), s.MTLSRoutes())
}

// call is a request to be.
type call struct {
	mtls   bool
	method string // POST unless set
	path   string // /token unless set
	form   url.Values
	header http.Header
	peer   []*x509.Certificate
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	t    testing.TB
	JSON map[string]any
}

func (a *answer) text(name string) string { s, _ := a.JSON[name].(string); return s }

func (w *world) do(c call) *answer {
	w.T.Helper()
	if c.path == "" {
		c.path = "/token"
	}
	if c.method == "" {
		c.method = http.MethodPost
	}
	r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, lines := range c.header {
		r.Header[name] = lines
	}
	handler := w.public
	r.TLS = authtest.Shown(c.peer...)
	if c.mtls {
		handler = w.mtls
	}
	a := &answer{ResponseRecorder: httptest.NewRecorder(), t: w.T}
	handler.ServeHTTP(a.ResponseRecorder, r)
	if body := a.Body.Bytes(); len(body) > 0 {
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(&a.JSON); err != nil {
			w.T.Fatalf("body %q: %v", body, err)
		}
	}
	return a
}

// authenticated is a form with the client's assertion, where it has a key.
func (w *world) authenticated(id directory.ClientID, values ...string) url.Values {
	v := url.Values{"client_id": {string(id)}}
	if s := w.signers[id]; s != nil {
		v.Set("client_assertion_type", clientauth.AssertionType)
		v.Set("client_assertion", w.Assertion(id, s, nil))
	}
	for i := 0; i < len(values); i += 2 {
		v.Set(values[i], values[i+1])
	}
	return v
}

// tokenForm is a token request for scope payments.
func (w *world) tokenForm(id directory.ClientID, values ...string) url.Values {
	return w.authenticated(id, append([]string{"grant_type", "client_credentials", "scope", "payments"}, values...)...)
}

// dpopCall is a good request of jwt-dpop with a proof by key.
func (w *world) dpopCall(key *jose.Signer, values ...string) call {
	w.T.Helper()
	return call{form: w.tokenForm("jwt-dpop", values...), header: http.Header{"Dpop": {w.Proof(key, tokenURL, nil, nil)}}}
}

// issued checks that a token came, bound as it should be, and reads it.
func (w *world) issued(a *answer, b cnf.Binding) *token.Claims {
	w.T.Helper()
	if a.Code != http.StatusOK {
		w.T.Fatalf("%d %s (%s)", a.Code, a.Body, w.event.Reason)
	}
	claims, err := w.keys.Parse(authtest.Issuer, a.text("access_token"))
	if err != nil {
		w.T.Fatal(err)
	}
	if claims.Binding != b || b.IsZero() {
		w.T.Fatalf("token is bound to %v, want %v", claims.Binding, b)
	}
	return claims
}

// refusal checks status, code and reason, and that nothing was given.
func (w *world) refusal(a *answer, status int, code, reason string) {
	w.T.Helper()
	if a.Code != status || a.text("error") != code || w.event.Reason != reason {
		w.T.Fatalf("got %d %s (%s), want %d %s (%s)", a.Code, a.Body, w.event.Reason, status, code, reason)
	}
	if w.event.Error != code || a.Header().Get("Cache-Control") != "no-store" || a.Header().Get("Content-Type") != "application/json" {
		w.T.Errorf("event %q, header %v", w.event.Error, a.Header())
	}
	if a.JSON["access_token"] != nil || w.event.TokenID != "" {
		w.T.Error("a refusal with a token")
	}
	for _, c := range a.text("error_description") {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			w.T.Errorf("error_description has %q", c)
		}
	}
}

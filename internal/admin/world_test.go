package admin_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/enrol"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/mtls"
	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/httpmw"
)

const (
	trustDomain = "test.example"
	resource    = "https://as.example/admin"
	operator    = "operator-1"
)

// world is a whole admin listener: a SQLite file, a CA, the verifier, TLS.
type world struct {
	*httptest.Server
	t            *testing.T
	clock        *verifytest.Clock
	store        *store.Store
	directory    *directory.Directory
	authority    *ca.Authority
	enrolment    *enrol.Service
	kek          *envelope.Key
	registration *registration.Service
	database     string
	issuer       *verifytest.Issuer
	client       *verifytest.Client
	owner        directory.Organisation // the operator's
	admin        *adminclient.Client    // with the operator's token
	transport    http.RoundTripper      // without a token
	mu           sync.Mutex
	events       []web.Event   // guarded by mu
	log          bytes.Buffer  // guarded by mu
	pingErr      error         // guarded by mu
	draining     bool          // guarded by mu
	age          time.Duration // guarded by mu
	brokenRead   bool          // guarded by mu
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{t: t, clock: verifytest.NewClock()}
	w.database = filepath.Join(t.TempDir(), "holdfast.db")
	st, err := store.Open(ctx, w.database, store.Options{Create: true, Now: w.clock.Now})
	check(t, err)
	w.store = st
	t.Cleanup(func() { check(t, st.Close()) })
	kek, err := envelope.CreateKeyFile(filepath.Join(t.TempDir(), "kek"))
	check(t, err)
	w.kek = kek
	ring := &keyring.Ring{Store: st, KEK: kek, Now: w.clock.Now}
	check(t, ca.Create(ctx, ring, trustDomain))
	w.authority, err = ca.Open(ctx, ca.Config{Ring: ring, Store: st, TrustDomain: trustDomain, CRLBase: "https://as.example/crl", Now: w.clock.Now})
	check(t, err)
	w.directory, err = directory.Open(ctx, st, w.clock.Now)
	check(t, err)
	w.enrolment = &enrol.Service{Store: st, Authority: w.authority, Directory: w.directory, Now: w.clock.Now}
	w.registration = &registration.Service{
		Issuer: "https://as.example", Directory: w.directory, Store: st, Keys: &registration.Keys{Ring: ring}, Reserved: []string{resource}, Now: w.clock.Now,
	}
	w.owner, err = w.directory.CreateOrganisation(ctx, "system", directory.Organisation{Name: "operator"})
	check(t, err)
	_, err = w.directory.CreateResource(ctx, "system", directory.Resource{URI: resource, Organisation: w.owner.ID, Name: "admin", Scopes: []string{"admin"}})
	check(t, err)
	w.operator(operator, w.owner.ID, directory.Owner)

	w.issuer = verifytest.NewIssuer(t, w.clock, "https://as.example", jose.ES256)
	w.client = verifytest.NewClient(t, w.clock)
	w.Server = httptest.NewUnstartedServer(nil)
	url := "https://" + w.Listener.Addr().String()
	handler, err := admin.New(w.config(url, st.Events))
	check(t, err)
	w.serve(handler)
	w.admin = &adminclient.Client{URL: url, HTTP: &http.Client{Transport: bearer{w.transport, w.token(nil)}}}
	return w
}

// operator makes an application that has an operator role and no credential yet:
// its tokens come from the test's own issuer.
func (w *world) operator(id directory.ClientID, of directory.OrganisationID, role directory.OperatorRole) {
	w.t.Helper()
	_, err := w.directory.CreateApplication(w.t.Context(), "system", directory.Application{
		ClientID: id, Organisation: of, Name: string(id), AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP, OperatorRole: role,
		Grants: []directory.Grant{{Resource: resource, Scopes: []string{"admin"}}},
	})
	check(w.t, err)
}

// config is that of the handler; its guard is the verifier's own middleware.
func (w *world) config(url string, events func(context.Context, int64, int) ([]audit.Event, error)) admin.Config {
	w.t.Helper()
	verifier, err := verify.New(verify.Config{
		Issuers: []verify.Issuer{{URL: w.issuer.URL, Algorithms: []string{"ES256"}}},
		Keys:    verify.NewStaticKeys(w.issuer.URL, w.issuer.Keys(w.t)), Now: w.clock.Now,
	})
	check(w.t, err)
	policy, err := verifier.NewPolicy(verify.Rules{Resource: resource, Scopes: []string{"admin"}, Binding: verify.BindMTLS})
	check(w.t, err)
	edge, err := httpmw.NewEdge(url)
	check(w.t, err)
	return admin.Config{
		Directory: w.directory, Authority: w.authority, Enrolment: w.enrolment, Registration: w.registration,
		Events: func(ctx context.Context, after int64, limit int) ([]audit.Event, error) {
			w.mu.Lock()
			broken := w.brokenRead
			w.mu.Unlock()
			if broken {
				return nil, errDisk
			}
			return events(ctx, after, limit)
		},
		SelectEvents: w.store.SelectEvents, Checkpoints: w.store.Checkpoints,
		LastUsed: func(ctx context.Context, client directory.ClientID) (map[directory.CredentialID]time.Time, error) {
			uses, err := w.store.LastUsed(ctx, client)
			used := map[directory.CredentialID]time.Time{}
			for _, u := range uses {
				used[u.CredentialID] = u.At
			}
			return used, err
		},
		Answers: w.store, Secrets: w.kek,
		SigningKeys: func() []admin.SigningKey { return []admin.SigningKey{{KeyID: "key-1", State: "active"}} },
		ReadToken: func(text string) *admin.Token {
			if client, ok := strings.CutPrefix(text, "token-of-"); ok {
				return &admin.Token{ID: text, ClientID: directory.ClientID(client), Expires: w.clock.Now().Add(time.Minute)}
			}
			return nil
		},
		Require:              httpmw.Require(verifier, func(*http.Request) *verify.Policy { return policy }, edge),
		Caller:               caller,
		OperatorOrganisation: w.owner.ID, Resource: resource, Scope: "admin", URL: url, Version: "1.2.3",
		Table: web.Options{
			Listener: "admin", Now: w.clock.Now, Log: slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Observe: func(e *web.Event) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.events = append(w.events, *e)
			},
		},
		Routes: w.status().Routes(),
	}
}

// endless is the life of tokens that nothing ends, for tests that are not about that.
const endless = 59 * time.Minute

func caller(ctx context.Context) (admin.Caller, bool) {
	g, ok := httpmw.GrantFrom(ctx)
	if !ok {
		return admin.Caller{}, false
	}
	return admin.Caller{
		ClientID: directory.ClientID(g.ClientID), Organisation: directory.OrganisationID(g.Organisation), CredentialID: g.CredentialID,
		Binding: string(g.Binding().Method()), Resource: resource, TokenID: g.ID,
		Ended: func(s *directory.Snapshot) string {
			if g.Expires.Sub(g.IssuedAt) == endless {
				return ""
			}
			t := directory.Token{ID: g.ID, KeyID: g.KeyID, Audience: resource, ClientID: directory.ClientID(g.ClientID), Binding: g.Binding(), IssuedAt: g.IssuedAt}
			if g.CredentialID != "cred-1" { // which the issuer of these tests makes up
				t.CredentialID = directory.CredentialID(g.CredentialID)
			}
			return s.Ended(t)
		},
	}, true
}

func (w *world) serve(h http.Handler) {
	w.t.Helper()
	cert := verifytest.Certificate(w.t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "admin"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: w.clock.Now().Add(-time.Hour), NotAfter: w.clock.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	config := mtls.ServerConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }, true)
	config.Certificates = []tls.Certificate{cert} // else httptest puts its own here
	w.Config = web.NewServer(h, config, slog.New(slog.DiscardHandler))
	w.TLS = config
	w.EnableHTTP2 = true
	w.StartTLS()
	w.t.Cleanup(w.Close)
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	clientTLS, err := mtls.ClientConfig(roots, func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &w.client.Certificate, nil })
	check(w.t, err)
	transport := &http.Transport{TLSClientConfig: clientTLS, ForceAttemptHTTP2: true}
	w.t.Cleanup(transport.CloseIdleConnections)
	w.transport = transport
}

// token is the operator's, with some claims changed.
func (w *world) token(change verifytest.Claims) string {
	w.t.Helper()
	claims := w.issuer.Claims(resource, "admin", w.client.ToCertificate())
	claims = claims.With(verifytest.Claims{"client_id": operator, "sub": operator, "organisation": string(w.owner.ID)})
	return w.issuer.Token(w.t, claims.With(change))
}

// bearer adds a token to every request.
type bearer struct {
	http.RoundTripper
	token string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.RoundTripper.RoundTrip(r)
}

// answer is what came over the wire.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) problem(t *testing.T) (p problem) {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Errorf("%q: %v", a.body, err)
	}
	if p.Status != a.status || p.Type != "about:blank" || p.Title == "" {
		t.Errorf("problem %+v with status %d", p, a.status)
	}
	return p
}

type problem struct {
	Type, Title, Detail string
	Status              int
	Errors              []struct{ Message, Location string }
}

// ask makes a raw request; header pairs come last.
func (w *world) ask(method, path, token, body string, header ...string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.URL+path, strings.NewReader(body))
	check(w.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := w.transport.RoundTrip(req)
	check(w.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	check(w.t, err)
	return answer{res.StatusCode, res.Header, string(text)}
}

// lastEvent is that of the request just answered: its id is the answer's.
func (w *world) lastEvent(a answer) web.Event {
	w.t.Helper()
	id := a.header.Get("Request-Id")
	deadline := time.Now().Add(10 * time.Second)
	for {
		w.mu.Lock()
		found, n := web.Event{}, 0
		for _, e := range w.events {
			if e.RequestID == id {
				found, n = e, n+1
			}
		}
		w.mu.Unlock()
		switch {
		case n == 1:
			return found
		case n > 1 || time.Now().After(deadline):
			w.t.Fatalf("%d events for request %q", n, id)
		}
		time.Sleep(time.Millisecond)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// application makes an application of a new organisation.
func (w *world) application(method, binding string) admin.Application {
	w.t.Helper()
	o, err := w.admin.CreateOrganisation(w.t.Context(), admin.NewOrganisation{Name: "Acme"})
	check(w.t, err)
	a, err := w.admin.CreateApplication(w.t.Context(), admin.NewApplication{Organisation: o.ID, Name: "Shop", AuthMethod: method, Binding: binding})
	check(w.t, err)
	return a
}

func newCSR(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	check(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func certificatePEM(c tls.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
}

// itself is the first operator, for handlers without a verifier.
func (w *world) itself(context.Context) (admin.Caller, bool) {
	return admin.Caller{ClientID: operator, Organisation: w.owner.ID, Resource: resource, Ended: func(*directory.Snapshot) string { return "" }}, true
}

// node is another node on the same database, with the same key-encryption key.
func (w *world) node() *world {
	w.t.Helper()
	o := &world{t: w.t, clock: w.clock, kek: w.kek, database: w.database, owner: w.owner, issuer: w.issuer, authority: w.authority, enrolment: w.enrolment, registration: w.registration}
	st, err := store.Open(w.t.Context(), w.database, store.Options{Now: w.clock.Now})
	check(w.t, err)
	o.store = st
	w.t.Cleanup(func() { check(w.t, st.Close()) })
	o.directory, err = directory.Open(w.t.Context(), st, w.clock.Now)
	check(w.t, err)
	o.client = w.client
	o.Server = httptest.NewUnstartedServer(nil)
	url := "https://" + o.Listener.Addr().String()
	handler, err := admin.New(o.config(url, st.Events))
	check(w.t, err)
	o.serve(handler)
	return o
}

// inDatabase tells whether the text stands somewhere in the database's files.
func (w *world) inDatabase(text string) bool {
	w.t.Helper()
	for _, end := range []string{"", "-wal"} {
		data, err := os.ReadFile(w.database + end)
		if err == nil && bytes.Contains(data, []byte(text)) {
			return true
		}
	}
	return false
}

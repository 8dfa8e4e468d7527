package as_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/as"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/mtls"
)

const (
	apiURI      = "https://api.example/payments"
	reservedURI = "https://as.example/admin"
)

// stack is the server as it runs: a database, a CA, two TLS listeners.
type stack struct {
	t      *testing.T
	dir    *directory.Directory
	ca     *ca.Authority
	keys   *token.Keys
	reg    *registration.Service
	db     *store.Store
	path   string
	config as.Config
	org    directory.OrganisationID
	issuer string
	mtls   string
	offset atomic.Int64 // of the clock of registrations
	mu     sync.Mutex
	events []web.Event
}

func (s *stack) regNow() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

// before runs f at an earlier time of registrations.
func (s *stack) before(d time.Duration, f func()) {
	s.offset.Store(-int64(d))
	defer s.offset.Store(0)
	f()
}

func newStack(t *testing.T) *stack {
	t.Helper()
	ctx := t.Context()
	s := &stack{t: t}
	s.path = filepath.Join(t.TempDir(), "holdfast.db")
	db, err := store.Open(ctx, s.path, store.Options{Create: true, Now: time.Now})
	s.must(err)
	t.Cleanup(func() { _ = db.Close() })
	s.db = db
	kek, err := envelope.CreateKeyFile(filepath.Join(t.TempDir(), "kek"))
	s.must(err)
	ring := &keyring.Ring{Store: db, KEK: kek, Now: time.Now}
	s.must(ca.Create(ctx, ring, authtest.TrustDomain))
	s.ca, err = ca.Open(ctx, ca.Config{Ring: ring, Store: db, TrustDomain: authtest.TrustDomain, Now: time.Now})
	s.must(err)
	s.keys, err = token.OpenKeys(ctx, ring)
	s.must(err)
	s.dir, err = directory.Open(ctx, db, time.Now)
	s.must(err)
	o, err := s.dir.CreateOrganisation(ctx, "system", directory.Organisation{Name: "Acme"})
	s.must(err)
	s.org = o.ID
	_, err = s.dir.CreateResource(ctx, "system", directory.Resource{URI: apiURI, Organisation: o.ID, Name: "Payments", Scopes: []string{"payments"}})
	s.must(err)

	public, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	private, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.issuer, s.mtls = "https://"+public.Addr().String(), "https://"+private.Addr().String()
	s.reg = &registration.Service{
		Issuer: s.issuer, Directory: s.dir, Store: db, Keys: &registration.Keys{Ring: ring}, Now: s.regNow,
		Reserved: []string{reservedURI}, Names: func(context.Context, directory.OrganisationID) ([]string, error) {
			return []string{"acme.example", "192.0.2.7"}, nil
		},
	}
	s.config = as.Config{
		Registration: s.reg,
		Issuer:       s.issuer, MTLSBase: s.mtls, Directory: s.dir, Uses: db, Nonces: dpop.NewNonces([32]byte{1}),
		Auth: &clientauth.Authenticator{Issuer: s.issuer, TrustDomain: authtest.TrustDomain, Pool: func(directory.OrganisationID) *mtls.Pool { return s.ca.Pool() }, Published: s.keySets()},
		Keys: func() *token.SigningKeys { return s.keys.At(time.Now()) }, TokenLife: 5 * time.Minute, Random: rand.Reader, Now: time.Now,
	}
	server, err := as.New(s.config)
	s.must(err)
	s.start(public, "public", false, server.PublicRoutes())
	s.start(private, "mtls", true, server.MTLSRoutes())
	return s
}

func (s *stack) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stack) start(l net.Listener, name string, askClient bool, routes []web.Route) {
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	s.must(err)
	chain, err := s.ca.IssueListener(s.t.Context(), key.Public(), []string{"127.0.0.1"})
	s.must(err)
	certificate := &tls.Certificate{Certificate: chain, PrivateKey: key}
	server := &http.Server{
		Handler:     web.NewTable(web.Options{Listener: name, Now: time.Now, Log: slog.New(slog.DiscardHandler), Observe: s.observe, Render: as.Render}, routes),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return mtls.WithConn(ctx) },
		TLSConfig:   mtls.ServerConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil }, askClient),
		ErrorLog:    log.New(io.Discard, "", 0),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(l, "", "") // until Close
	}()
	s.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

func (s *stack) observe(e *web.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, *e)
}

// reason is that of the last event.
func (s *stack) reason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[len(s.events)-1].Reason
}

func (s *stack) application(method directory.AuthMethod, binding cnf.Method) directory.ClientID {
	s.t.Helper()
	a, err := s.dir.CreateApplication(s.t.Context(), "operator", directory.Application{Organisation: s.org, Name: "App", AuthMethod: method, Binding: binding,
		Grants: []directory.Grant{{Resource: apiURI, Scopes: []string{"payments"}}}})
	s.must(err)
	return a.ClientID
}

// client trusts our CA and shows the certificate, if there is one.
func (s *stack) client(certificate *tls.Certificate) *http.Client {
	s.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.Roots()[0])
	config, err := mtls.ClientConfig(roots, func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return &tls.Certificate{}, nil
		}
		return certificate, nil
	})
	s.must(err)
	transport := &http.Transport{TLSClientConfig: config}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// post sends a form; it must not end the test, as many may run at once.
func post(c *http.Client, at string, form url.Values, proof string) (status int, body map[string]any, err error) {
	r, err := http.NewRequest(http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err
	}
	if len(raw) > 0 {
		err = json.NewDecoder(bytes.NewReader(raw)).Decode(&body)
	}
	return resp.StatusCode, body, err
}

// keyed is an application that signs assertions, and its DPoP key.
type keyed struct {
	id     directory.ClientID
	signer *jose.Signer
	prover *dpop.Prover
}

func (s *stack) keyed() *keyed {
	s.t.Helper()
	k := &keyed{id: s.application(directory.PrivateKeyJWT, cnf.DPoP)}
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	s.must(err)
	k.signer, err = jose.NewSigner(key, jose.ES256, "")
	s.must(err)
	_, err = s.dir.RegisterKey(s.t.Context(), "operator", k.id, k.signer.Public(), time.Time{})
	s.must(err)
	proofKey, err := jose.GenerateKey(jose.ES256, rand.Reader)
	s.must(err)
	k.prover, err = dpop.NewProver(proofKey)
	s.must(err)
	return k
}

func (s *stack) form(k *keyed) url.Values {
	s.t.Helper()
	payload, err := json.Marshal(map[string]any{"iss": k.id, "sub": k.id, "aud": s.issuer, "jti": rand.Text(), "exp": time.Now().Add(time.Minute).Unix()})
	s.must(err)
	assertion, err := k.signer.Sign(k.signer.Header("client-authentication+jwt", false), payload)
	s.must(err)
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {string(k.id)}, "client_assertion_type": {clientauth.AssertionType}, "client_assertion": {assertion}}
}

func (s *stack) proof(k *keyed, at string) string {
	s.t.Helper()
	proof, err := k.prover.Prove(time.Now(), http.MethodPost, at, "", "")
	s.must(err)
	return proof
}

func TestOverTLS(t *testing.T) {
	s := newStack(t)
	k := s.keyed()
	plain := s.client(nil)
	t.Run("private_key_jwt and DPoP", func(t *testing.T) {
		status, body, err := post(plain, s.issuer+"/token", s.form(k), s.proof(k, s.issuer+"/token"))
		if err != nil || status != 200 || body["token_type"] != "DPoP" {
			t.Fatalf("%d %v %v", status, body, err)
		}
		claims, err := s.keys.At(time.Now()).Parse(s.issuer, body["access_token"].(string))
		if err != nil || claims.Binding != cnf.ToKey(k.prover.JKT()) || claims.Audience != apiURI {
			t.Fatalf("%+v %v", claims, err)
		}
		t.Run("revoked by its owner", func(t *testing.T) {
			form := s.form(k)
			form.Set("token", body["access_token"].(string))
			if status, body, err := post(plain, s.issuer+"/revoke", form, ""); err != nil || status != 200 {
				t.Fatalf("%d %v %v", status, body, err)
			}
			ended := s.dir.Current().Ended(directory.Token{ID: claims.ID, ClientID: k.id, CredentialID: directory.CredentialID(claims.CredentialID), Binding: claims.Binding})
			if ended != "token_revoked" {
				t.Errorf("ended: %q", ended)
			}
		})
	})
	t.Run("tls_client_auth with a certificate of our CA", func(t *testing.T) {
		id := s.application(directory.TLSClientAuth, cnf.MTLS)
		certificate := s.enrol(id)
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {string(id)}}
		status, body, err := post(s.client(certificate), s.mtls+"/token", form, "")
		if err != nil || status != 200 || body["token_type"] != "Bearer" {
			t.Fatalf("%d %v %v (%s)", status, body, err, s.reason())
		}
		claims, err := s.keys.At(time.Now()).Parse(s.issuer, body["access_token"].(string))
		if err != nil || claims.Binding != cnf.ToCertificate(cnf.CertificateThumbprint(certificate.Certificate[0])) {
			t.Fatalf("%+v %v", claims, err)
		}
		if status, body, err := post(s.client(certificate), s.issuer+"/token", form, ""); err != nil || status != 401 || s.reason() != clientauth.ReasonCertificateMissing {
			t.Errorf("on the public listener: %d %v %v", status, body, err)
		}
		other := s.enrol(s.application(directory.TLSClientAuth, cnf.MTLS))
		if status, body, err := post(s.client(other), s.mtls+"/token", form, ""); err != nil || status != 401 || s.reason() != clientauth.ReasonCertificateForeign {
			t.Errorf("advisory 25: %d %v %v (%s)", status, body, err, s.reason())
		}
		if status, body, err := post(plain, s.mtls+"/token", form, ""); err != nil || status != 401 || s.reason() != clientauth.ReasonCertificateMissing {
			t.Errorf("without a certificate: %d %v %v", status, body, err)
		}
		t.Run("promise 6: revoked on a connection that was open", func(t *testing.T) {
			open := s.client(certificate)
			if status, _, err := post(open, s.mtls+"/token", form, ""); err != nil || status != 200 {
				t.Fatalf("%d %v", status, err)
			}
			s.must(s.dir.SetCredentialState(t.Context(), "operator", directory.CredentialID(claims.CredentialID), directory.Revoked))
			if status, _, err := post(open, s.mtls+"/token", form, ""); err != nil || status != 401 || s.reason() != clientauth.ReasonCertificateNotAccepted {
				t.Errorf("%d %v (%s)", status, err, s.reason())
			}
		})
	})
}

// enrol has our CA issue a certificate to the application.
func (s *stack) enrol(id directory.ClientID) *tls.Certificate {
	s.t.Helper()
	var key crypto.Signer
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	s.must(err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	s.must(err)
	issued, err := s.ca.Issue(s.t.Context(), ca.Request{Actor: "operator", Client: s.dir.Current().Client(id), Profile: ca.ClientTransport, CSR: csr, Life: time.Hour})
	s.must(err)
	s.must(s.dir.Refresh(s.t.Context()))
	return &tls.Certificate{Certificate: issued.Chain, PrivateKey: key}
}

func TestAdvisory47OneUseOf64(t *testing.T) {
	s := newStack(t)
	k := s.keyed()
	c := s.client(nil)
	const parallel = 64
	for _, shared := range []string{"assertion", "proof"} {
		form, proof := s.form(k), s.proof(k, s.issuer+"/token")
		forms, proofs := make([]url.Values, parallel), make([]string, parallel)
		for i := range parallel {
			forms[i], proofs[i] = form, proof
			if shared == "proof" {
				forms[i] = s.form(k)
			} else {
				proofs[i] = s.proof(k, s.issuer+"/token")
			}
		}
		want := map[string]string{"assertion": "invalid_client", "proof": "invalid_dpop_proof"}[shared]
		var wg sync.WaitGroup
		var mu sync.Mutex
		issued := 0
		for i := range parallel {
			wg.Go(func() {
				status, body, err := post(c, s.issuer+"/token", forms[i], proofs[i])
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case status == 200:
					issued++
				case body["error"] != want:
					t.Errorf("%d %v, want %s", status, body, want)
				}
			})
		}
		wg.Wait()
		if issued != 1 {
			t.Errorf("one %s, used by %d at once, gave %d tokens", shared, parallel, issued)
		}
	}
}

package client_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/mtls"
)

// world is an authorization server and an API, on one public and one mTLS
// listener, with the state of real ones: used jti, issued tokens, nonces.
type world struct {
	t      testing.TB
	public *httptest.Server
	mtls   *httptest.Server
	roots  *x509.CertPool
	caFile string
	root   *x509.Certificate
	rootK  crypto.Signer

	offset atomic.Int64 // added to the real time, by the consumer's clock too

	mu        sync.Mutex
	keys      []*jose.PublicKey // of assertions
	used      map[string]bool   // jti of assertions and proofs
	tokens    map[string]string // token to thumbprint it is bound to
	nonce     string            // demanded when not ""
	apiNonce  string            // demanded when not ""
	requests  []*http.Request   // of the token endpoint, with Form
	calls     []string          // of the API: method, URI and body
	answer    func(w http.ResponseWriter) bool
	apiAnswer func(w http.ResponseWriter, r *http.Request) bool
	metadata  func(m map[string]any)
	document  http.HandlerFunc // instead of the metadata
	life      int
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, used: map[string]bool{}, tokens: map[string]string{}, life: 300}
	w.rootK = newKey(t)
	w.root = w.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, w.rootK.Public())
	w.roots = x509.NewCertPool()
	w.roots.AddCert(w.root)
	w.caFile = filepath.Join(t.TempDir(), "ca.pem")
	write(t, w.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.root.Raw}))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", w.serveMetadata)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server/tenant", w.serveMetadata)
	mux.HandleFunc("POST /token", w.serveToken)
	mux.HandleFunc("/api/", w.serveAPI)
	pair, err := tls.X509KeyPair(w.pair(&x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}))
	if err != nil {
		t.Fatal(err)
	}
	listen := func(askClient bool) *httptest.Server {
		s := httptest.NewUnstartedServer(mux)
		s.TLS = mtls.ServerConfig(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }, askClient)
		s.StartTLS()
		t.Cleanup(s.Close)
		s.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
		return s
	}
	w.public, w.mtls = listen(false), listen(true)
	return w
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t testing.TB, file string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (w *world) sign(template *x509.Certificate, public any) *x509.Certificate {
	w.t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := w.root
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, w.rootK)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// pair is a certificate of the root and its new key, in PEM.
func (w *world) pair(template *x509.Certificate) (certificate, key []byte) {
	w.t.Helper()
	k := newKey(w.t)
	c := w.sign(template, k.Public())
	key, err := jose.MarshalPrivateKeyPEM(k)
	if err != nil {
		w.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), key
}

func (w *world) clientCertificate() *tls.Certificate {
	w.t.Helper()
	dir := w.t.TempDir()
	c, k := w.pair(&x509.Certificate{Subject: pkix.Name{CommonName: "acme"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	pair, err := client.LoadCertificate(write(w.t, filepath.Join(dir, "c.pem"), c), write(w.t, filepath.Join(dir, "k.pem"), k))
	if err != nil {
		w.t.Fatal(err)
	}
	return pair
}

// signer is a registered key for assertions.
func (w *world) signer() *client.Signer {
	w.t.Helper()
	s, err := client.NewSigner(newKey(w.t), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.keys = append(w.keys, s.Public())
	return s
}

func (w *world) prover() *dpop.Prover {
	w.t.Helper()
	p, err := dpop.NewProver(newKey(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

// pass lets time go by.
func (w *world) pass(d time.Duration) { w.offset.Add(int64(d)) }

// do changes the world while servers look at it.
func (w *world) do(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) serveMetadata(rw http.ResponseWriter, r *http.Request) {
	if w.document != nil {
		w.document(rw, r)
		return
	}
	m := map[string]any{
		"issuer": w.public.URL, "token_endpoint": w.public.URL + "/token", "jwks_uri": w.public.URL + "/jwks", "something": []any{1, "new"},
		"mtls_endpoint_aliases": map[string]any{"token_endpoint": w.mtls.URL + "/token"},
	}
	if w.metadata != nil {
		w.metadata(m)
	}
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(rw).Encode(m)
}

func refuse(rw http.ResponseWriter, status int, code string) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	json.NewEncoder(rw).Encode(map[string]string{"error": code, "error_description": "because"})
}

func (w *world) serveToken(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.ParseForm()
	w.requests = append(w.requests, r)
	if w.answer != nil && w.answer(rw) {
		return
	}
	thumbprint, scheme := "", "Bearer"
	peer, _ := mtls.FromState(r.TLS)
	if peer != nil {
		thumbprint = peer.Thumbprint().String()
	}
	if raw := r.Header.Get("DPoP"); raw != "" {
		p, err := dpop.Parse(raw)
		if err == nil {
			err = p.Check(w.now(), dpop.Expect{Method: "POST", URL: "https://" + r.Host + "/token"})
		}
		if err != nil || w.used["p"+p.ID] {
			refuse(rw, 400, "invalid_dpop_proof")
			return
		}
		w.used["p"+p.ID] = true
		if w.nonce != "" && p.Nonce != w.nonce {
			rw.Header().Set("DPoP-Nonce", w.nonce)
			refuse(rw, 400, "use_dpop_nonce")
			return
		}
		thumbprint, scheme = p.JKT.String(), "DPoP"
	}
	if r.Form.Get("client_id") != "acme" || !w.authenticated(r.Form, peer) {
		refuse(rw, 401, "invalid_client")
		return
	}
	token := rand.Text()
	w.tokens[token] = thumbprint
	rw.Header().Set("Content-Type", "application/json")
	json.NewEncoder(rw).Encode(map[string]any{"access_token": token, "token_type": scheme, "expires_in": w.life, "scope": r.Form.Get("scope")})
}

func (w *world) authenticated(form url.Values, peer *mtls.Peer) bool {
	raw := form.Get("client_assertion")
	if raw == "" {
		return peer != nil
	}
	message, err := jose.Parse(raw, 8<<10)
	if err != nil || message.Header.Type != "client-authentication+jwt" || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return false
	}
	for _, k := range w.keys {
		if k.KeyID() == message.Header.KeyID && message.Verify(k) == nil {
			var c struct {
				Iss, Sub, Aud, Jti string
				Iat, Exp           int64
			}
			err := json.Unmarshal(message.Payload, &c)
			now := w.now().Unix()
			fresh := c.Exp-c.Iat == 60 && c.Iat <= now && c.Exp > now && len(c.Jti) >= 22 && !w.used["a"+c.Jti]
			w.used["a"+c.Jti] = true
			return err == nil && c.Iss == "acme" && c.Sub == "acme" && c.Aud == w.public.URL && fresh
		}
	}
	return false
}

func (w *world) serveAPI(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if w.apiAnswer != nil && w.apiAnswer(rw, r) {
		return
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	bound, known := w.tokens[token]
	shown := ""
	if scheme == "DPoP" {
		p, err := dpop.Parse(r.Header.Get("DPoP"))
		if err == nil {
			err = p.Check(w.now(), dpop.Expect{Method: r.Method, URL: "https://" + r.Host + r.URL.EscapedPath(), AccessToken: token})
		}
		if err != nil || w.used["p"+p.ID] {
			rw.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
			rw.WriteHeader(401)
			return
		}
		w.used["p"+p.ID] = true
		if w.apiNonce != "" && p.Nonce != w.apiNonce {
			rw.Header().Set("DPoP-Nonce", w.apiNonce)
			rw.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce", algs="ES256"`)
			rw.WriteHeader(401)
			return
		}
		shown = p.JKT.String()
	} else if peer, err := mtls.FromState(r.TLS); err == nil {
		shown = peer.Thumbprint().String()
	}
	if !known || bound == "" || bound != shown {
		rw.Header().Set("WWW-Authenticate", scheme+` error="invalid_token"`)
		rw.WriteHeader(401)
		return
	}
	w.calls = append(w.calls, r.Method+" "+r.RequestURI+" "+string(body))
	fmt.Fprint(rw, "served")
}

// config is that of a consumer with private_key_jwt and DPoP.
func (w *world) config() client.Config {
	return client.Config{
		Issuer: w.public.URL, Roots: w.roots, Scope: "payments", Resource: "https://api.example.com/payments", Now: w.now,
		Credentials: client.Credentials{ClientID: "acme", Assertion: w.signer(), DPoP: w.prover()},
	}
}

func (w *world) newClient(c client.Config) *http.Client {
	w.t.Helper()
	api, err := client.New(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(api.CloseIdleConnections)
	return api
}

// source is the part of New that gets tokens.
func (w *world) source(c client.Config) *client.Source {
	w.t.Helper()
	generation, err := client.NewHTTP(w.roots, c.Credentials.Certificate)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(generation.CloseIdleConnections)
	m, err := client.Discover(w.t.Context(), generation, w.public.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := client.NewSource(c, m, generation)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) countRequests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.requests)
}

// get calls and gives status and body.
func get(t testing.TB, api *http.Client, target string) (int, string) {
	t.Helper()
	answer, err := api.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

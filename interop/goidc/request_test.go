package goidc

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

type members map[string]any

// set replaces a member, or removes it where the value is absent.
func (m members) set(name string, value any) {
	if value == absent {
		delete(m, name)
		return
	}
	m[name] = value
}

type nothing struct{}

// absent is the value of a member that is not there.
var absent any = nothing{}

// jws is one about to be signed.
type jws struct {
	header, claims       members
	rawHeader, rawClaims string // in place of the members, where not empty
	key                  crypto.Signer
	finish               func(compact string) string // what happens to it after signing; nil for nothing
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func marshal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // the tables hold nothing that cannot be written
	}
	return string(data)
}

// compact signs by what the header's alg says, whether the key fits or not.
func (j *jws) compact() string {
	header, claims := j.rawHeader, j.rawClaims
	if header == "" {
		header = marshal(j.header)
	}
	if claims == "" {
		claims = marshal(j.claims)
	}
	input := b64([]byte(header)) + "." + b64([]byte(claims))
	alg, _ := j.header["alg"].(string)
	out := input + "." + b64(sign(alg, j.key, input))
	if j.finish != nil {
		out = j.finish(out)
	}
	return out
}

func sign(alg string, key crypto.Signer, input string) []byte {
	digest := sha256.Sum256([]byte(input))
	long := sha512.Sum384([]byte(input))
	must := func(signature []byte, err error) []byte {
		if err != nil {
			panic(err)
		}
		return signature
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		hash := digest[:]
		switch alg {
		case "none":
			return nil
		case "HS256": // with the public key as the secret
			return mac(k.Public(), input)
		case "ES384":
			hash = long[:]
		}
		r, s, err := ecdsa.Sign(rand.Reader, k, hash)
		if err != nil {
			panic(err)
		}
		size := (k.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case *rsa.PrivateKey:
		switch alg {
		case "RS256":
			return must(rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest[:]))
		case "PS384":
			return must(rsa.SignPSS(rand.Reader, k, crypto.SHA384, long[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
		}
		return must(rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
	case ed25519.PrivateKey:
		return ed25519.Sign(k, []byte(input))
	}
	panic("no such key")
}

func mac(public crypto.PublicKey, input string) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	h := hmac.New(sha256.New, der)
	h.Write([]byte(input))
	return h.Sum(nil)
}

// draft is a token request that the tables change.
type draft struct {
	w         *world
	app       *application
	now       int64
	assertion *jws // nil: none
	proof     *jws // nil: none
	proofs    int  // field lines; 1 unless a case says otherwise
	form      []string
	shown     *tls.Certificate // nil: none
	mtls      bool             // to the listener that asks for certificates
	method    string
	query     string
	media     string
	header    http.Header
	body      func(form string) string // nil: as it is
	twice     func(first *draft)       // makes the second request of the first; the second one counts
}

func newJTI() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return b64(b[:])
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func publicJWK(key crypto.Signer) json.RawMessage {
	return json.RawMessage(marshal(gojose.JSONWebKey{Key: key.Public()}))
}

// newDraft begins with a request that everything is right about.
func newDraft(w *world, app *application) *draft {
	d := &draft{w: w, app: app, now: time.Now().Unix(), proofs: 1, method: http.MethodPost, media: "application/x-www-form-urlencoded", header: http.Header{}}
	d.form = []string{"grant_type", "client_credentials", "scope", w.Scopes[0], "resource", w.Resource}
	if app.key != nil {
		d.assertion = &jws{key: app.key, header: members{"alg": app.Algorithm, "kid": app.KeyID, "typ": "client-authentication+jwt"}, claims: members{
			"iss": app.ClientID, "sub": app.ClientID, "aud": w.Dev.Issuer, "jti": newJTI(), "iat": d.now, "exp": d.now + 60}}
		d.add("client_assertion_type", assertionType)
	} else {
		d.add("client_id", app.ClientID)
	}
	if app.certificate != nil {
		d.mtls, d.shown = true, app.certificate
	} else {
		d.prove(newKey())
	}
	return d
}

// prove adds a good DPoP proof.
func (d *draft) prove(key crypto.Signer) {
	htu := d.w.Dev.TokenEndpoint
	if d.mtls {
		htu = d.w.Dev.MTLSTokenEndpoint
	}
	d.proof = &jws{key: key, header: members{"alg": "ES256", "typ": "dpop+jwt", "jwk": publicJWK(key)},
		claims: members{"jti": newJTI(), "htm": "POST", "htu": htu, "iat": d.now}}
}

func (d *draft) add(name, value string) { d.form = append(d.form, name, value) }

// put replaces a parameter, or removes it where the value is absent.
func (d *draft) put(name string, value any) {
	var out []string
	for i := 0; i < len(d.form); i += 2 {
		if d.form[i] != name {
			out = append(out, d.form[i], d.form[i+1])
		}
	}
	d.form = out
	if value != absent {
		d.add(name, value.(string))
	}
}

// request is what goes over the wire, the same for both servers.
type request struct {
	method, query, body string
	header              http.Header
	shown               *tls.Certificate
	mtls                bool
}

func (d *draft) request() request {
	var pairs []string
	form := d.form
	if d.assertion != nil {
		form = append(form[:len(form):len(form)], "client_assertion", d.assertion.compact())
	}
	for i := 0; i < len(form); i += 2 {
		pairs = append(pairs, url.QueryEscape(form[i])+"="+url.QueryEscape(form[i+1]))
	}
	r := request{method: d.method, query: d.query, body: strings.Join(pairs, "&"), header: d.header.Clone(), shown: d.shown, mtls: d.mtls}
	if d.body != nil {
		r.body = d.body(r.body)
	}
	if d.media != "" {
		r.header.Set("Content-Type", d.media)
	}
	if d.proof != nil {
		proof := d.proof.compact()
		for range d.proofs {
			r.header.Add("DPoP", proof)
		}
	}
	return r
}

// client keeps one transport for each certificate at each server.
type client struct {
	roots      *x509.CertPool
	transports map[*tls.Certificate]*http.Transport
}

func newClient(t *testing.T, roots *x509.CertPool) *client {
	c := &client{roots: roots, transports: map[*tls.Certificate]*http.Transport{}}
	t.Cleanup(func() {
		for _, transport := range c.transports {
			transport.CloseIdleConnections()
		}
	})
	return c
}

// send returns the verdict of the server at the URL.
func (c *client) send(t *testing.T, target string, r request) string {
	t.Helper()
	transport := c.transports[r.shown]
	if transport == nil {
		config := &tls.Config{RootCAs: c.roots, MinVersion: tls.VersionTLS12}
		if r.shown != nil {
			config.Certificates = []tls.Certificate{*r.shown}
		}
		transport = &http.Transport{TLSClientConfig: config}
		c.transports[r.shown] = transport
	}
	if r.query != "" {
		target += "?" + r.query
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, target, bytes.NewReader([]byte(r.body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = r.header.Clone()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return verdict(t, resp.StatusCode, body)
}

// classes of error codes. go-oidc has no invalid_dpop_proof (RFC 9449 section
// 5): it says invalid_request of a proof.
var classes = map[string]string{
	"invalid_client":         "client",
	"invalid_request":        "request",
	"invalid_dpop_proof":     "request",
	"use_dpop_nonce":         "nonce",
	"unsupported_grant_type": "grant type",
	"unauthorized_client":    "unauthorized",
	"invalid_scope":          "scope",
	"invalid_target":         "target",
}

// verdict is "issued" with the binding, or "refused" with the class of the error.
func verdict(t *testing.T, status int, body []byte) string {
	t.Helper()
	var answer struct {
		Error       string `json:"error"`
		AccessToken string `json:"access_token"`
	}
	if status == http.StatusMethodNotAllowed {
		return "refused: method"
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("an answer that is no JSON: %d %s", status, body)
	}
	if status != http.StatusOK {
		class := classes[answer.Error]
		if class == "" {
			t.Fatalf("%d with an error of no class: %s", status, body)
		}
		return "refused: " + class
	}
	parts := strings.Split(answer.AccessToken, ".")
	if len(parts) != 3 {
		t.Fatalf("200 without a token: %s", body)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Confirmation map[string]string `json:"cnf"`
		Scope        string            `json:"scope"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	var to []string
	for _, member := range []string{"jkt", "x5t#S256"} {
		if claims.Confirmation[member] != "" {
			to = append(to, member)
		}
	}
	return "issued: " + strings.Join(to, " and ") + ", " + strconv.Itoa(len(strings.Fields(claims.Scope))) + " scope(s)"
}

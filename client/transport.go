package client

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Config says whose tokens are wanted and for what. Issuer and Credentials are
// required.
type Config struct {
	Issuer      string
	Roots       *x509.CertPool // verify every server; New requires them
	Credentials Credentials
	Scope       string // separated by spaces; "" for all that the application has
	Resource    string // the audience (RFC 8707); "" for the one that owns the scope
	Trace       Trace
	Now         func() time.Time // nil: time.Now
}

// New finds the authorization server and makes an HTTP client that calls APIs
// with tokens of the credentials. It asks for no token yet.
func New(ctx context.Context, c Config) (*http.Client, error) {
	if err := c.Credentials.check(); err != nil {
		return nil, err
	}
	generation, err := NewHTTP(c.Roots, c.Credentials.Certificate)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	metadata, err := Discover(limited, generation, c.Issuer)
	if err != nil {
		return nil, err
	}
	c.Trace.tell("discovery", "token endpoint "+metadata.TokenEndpoint+aliasText(metadata.MTLS.TokenEndpoint))
	source, err := NewSource(c, metadata, generation)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: NewTransport(source)}, nil
}

func aliasText(alias string) string {
	if alias == "" {
		return ""
	}
	return ", with a certificate " + alias
}

// maxOrigins bounds the nonces that a Transport keeps.
const maxOrigins = 256

// Transport adds an access token, and with DPoP a proof, to every request. It
// sends them over https only, and never to the origin that a redirect names
// unless it is the one that redirected. It answers a demand for a nonce (RFC 9449
// section 9) once, when the body can be sent again.
type Transport struct {
	source *Source
	base   http.RoundTripper

	mu     sync.Mutex
	nonces map[string]string // by origin; guarded by mu
}

// NewTransport sends over the connections of the source's own HTTP client, so
// that token, certificate and connection are of one generation.
func NewTransport(source *Source) *Transport {
	return &Transport{source: source, base: source.generation.Transport, nonces: make(map[string]string)}
}

// CloseIdleConnections ends the generation's connections that are not in use.
func (t *Transport) CloseIdleConnections() { t.source.generation.CloseIdleConnections() }

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := allowed(r); err != nil {
		return nil, errors.Join(err, closeBody(r))
	}
	token, err := t.source.Token(r.Context())
	if err != nil {
		return nil, errors.Join(err, closeBody(r))
	}
	answer, err := t.send(r, r.Body, token)
	if err != nil || answer.StatusCode != http.StatusUnauthorized {
		return answer, err
	}
	if t.wantsNonce(answer) {
		body, ok := again(r)
		if !ok {
			return answer, nil
		}
		t.source.config.Trace.tell("call", "the API wants its nonce in the proof: once more")
		discard(answer)
		answer, err = t.send(r, body, token)
	}
	if err == nil && answer.StatusCode == http.StatusUnauthorized && challenged(answer, "invalid_token") {
		t.source.Forget(token.Value)
	}
	return answer, err
}

// allowed tells whether r may carry a token.
func allowed(r *http.Request) error {
	if r.URL.Scheme != "https" {
		return ErrInsecure
	}
	// Response is the redirect that the http.Client follows with r.
	if r.Response != nil && (r.Response.Request == nil || origin(r.Response.Request.URL) != origin(r.URL)) {
		return ErrRedirected
	}
	return nil
}

func origin(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// send makes one attempt. r itself stays as the caller made it.
func (t *Transport) send(r *http.Request, body io.ReadCloser, token Token) (*http.Response, error) {
	credentials := &t.source.config.Credentials
	attempt := r.Clone(r.Context())
	attempt.Body = body
	attempt.Header.Set("Authorization", token.Type+" "+token.Value)
	attempt.Header.Del("DPoP")
	at, target := origin(r.URL), target(r)
	if credentials.DPoP != nil {
		nonce := t.nonce(at)
		proof, err := credentials.DPoP.Prove(t.source.config.Now(), r.Method, target, token.Value, nonce)
		if err != nil {
			return nil, errors.Join(err, closeBody(attempt))
		}
		attempt.Header.Set("DPoP", proof)
		t.source.config.Trace.tell("proof", proofText(credentials, r.Method, target, true, nonce != ""))
	}
	answer, err := t.base.RoundTrip(attempt)
	if err != nil {
		return nil, err
	}
	t.source.config.Trace.tell("call", r.Method+" "+target+" with a "+token.Type+" token: "+strconv.Itoa(answer.StatusCode))
	t.keepNonce(at, nonceOf(answer.Header))
	return answer, nil
}

// target is the URL that a proof is for: as the server will see it.
func target(r *http.Request) string {
	host, path := r.Host, r.URL.EscapedPath()
	if host == "" {
		host = r.URL.Host
	}
	if path == "" {
		path = "/"
	}
	return "https://" + host + path
}

func (t *Transport) nonce(origin string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nonces[origin]
}

func (t *Transport) keepNonce(origin, nonce string) {
	if nonce == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.nonces) >= maxOrigins {
		clear(t.nonces)
	}
	t.nonces[origin] = nonce
}

// wantsNonce tells a 401 that another proof would heal.
func (t *Transport) wantsNonce(answer *http.Response) bool {
	return t.source.config.Credentials.DPoP != nil && nonceOf(answer.Header) != "" && challenged(answer, "use_dpop_nonce")
}

// challenged tells whether a WWW-Authenticate field names the error code.
func challenged(answer *http.Response, code string) bool {
	for _, v := range answer.Header.Values("WWW-Authenticate") {
		if strings.Contains(v, `error="`+code+`"`) {
			return true
		}
	}
	return false
}

// again is the body of a second attempt; ok is false when there is no sending it again.
func again(r *http.Request) (body io.ReadCloser, ok bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r.Body, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	return body, err == nil
}

// discard lets the connection serve the second attempt.
func discard(answer *http.Response) {
	io.CopyN(io.Discard, answer.Body, 64<<10)
	answer.Body.Close()
}

// closeBody keeps the contract of a RoundTripper that sends nothing.
func closeBody(r *http.Request) error {
	if r.Body == nil {
		return nil
	}
	return r.Body.Close()
}

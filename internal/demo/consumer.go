package demo

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// consumer is a program at a partner that calls the API. What it sends is kept,
// because a thief is about to read its log.
type consumer struct {
	clientID      string
	issuer        string
	tokenEndpoint string
	scope         string
	resource      string
	http          *http.Client // one generation: connection, certificate, key and token belong together

	certificate []byte // DER, when it has one

	assertion *jose.Signer // nil: authenticates by its certificate
	prover    *dpop.Prover // nil: its tokens are bound to its certificate

	token     string
	lastForm  url.Values  // the last token request
	lastProof string      // its proof
	lastCall  http.Header // the headers of the last call of the API
	nonce     string      // the gateway's newest
}

// scheme is the authentication scheme of the consumer's tokens.
func (c *consumer) scheme() string {
	if c.prover != nil {
		return "DPoP"
	}
	return "Bearer"
}

// tokenRequest is a fresh request for a token.
func (c *consumer) tokenRequest(now time.Time) (http.Header, url.Values, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.clientID}, "scope": {c.scope}, "resource": {c.resource}}
	if c.assertion != nil {
		a, err := client.NewAssertion(now, rand.Reader, c.assertion, c.clientID, c.issuer)
		if err != nil {
			return nil, nil, err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", a)
	}
	header := http.Header{}
	if c.prover != nil {
		p, err := c.prover.Prove(now, http.MethodPost, c.tokenEndpoint, "", "")
		if err != nil {
			return nil, nil, err
		}
		header.Set("DPoP", p)
		c.lastProof = p
	}
	c.lastForm = form
	return header, form, nil
}

// fetchToken asks for a token and keeps it.
func (c *consumer) fetchToken(ctx context.Context, s *story) (Observation, error) {
	did := "POST " + c.tokenEndpoint + " with " + c.credentialsShown()
	header, form, err := c.tokenRequest(s.now())
	if err != nil {
		return Observation{Did: did}, err
	}
	a, err := send(ctx, c.http, http.MethodPost, c.tokenEndpoint, header, form)
	if err != nil {
		return Observation{Did: did}, err
	}
	o, err := s.observe(ctx, did, a)
	if err != nil {
		return o, err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &answer) != nil || answer.AccessToken == "" {
		return o, fmt.Errorf("no token: status %d %s (%s)", a.status, o.Error, o.Reason)
	}
	if answer.TokenType != c.scheme() {
		return o, fmt.Errorf("token_type %q, not %q", answer.TokenType, c.scheme())
	}
	c.token = answer.AccessToken
	o.Detail = fmt.Sprintf("token_type %s, expires in %d s, %s", answer.TokenType, answer.ExpiresIn, c.boundTo())
	return o, nil
}

func (c *consumer) credentialsShown() string {
	switch {
	case c.assertion != nil && c.prover != nil:
		return "an assertion signed by its key and a DPoP proof"
	case c.assertion != nil:
		return "an assertion signed by its key, over its certificate"
	}
	return "its client certificate"
}

func (c *consumer) boundTo() string {
	if c.prover != nil {
		return "cnf.jkt " + c.prover.JKT().String()
	}
	return "cnf.x5t#S256 of its certificate"
}

// callHeader is a fresh call's Authorization and, with DPoP, its proof.
func (c *consumer) callHeader(now time.Time, method, target string) (http.Header, error) {
	h := http.Header{"Authorization": {c.scheme() + " " + c.token}}
	if c.prover != nil {
		p, err := c.prover.Prove(now, method, target, c.token, c.nonce)
		if err != nil {
			return nil, err
		}
		h["Dpop"] = []string{p}
	}
	return h, nil
}

// call makes one request of the API as a careful client does: once more, with
// the nonce, where the gateway wants one.
func (c *consumer) call(ctx context.Context, s *story, target string) (answer, error) {
	for attempt := 0; ; attempt++ {
		h, err := c.callHeader(s.now(), http.MethodGet, target)
		if err != nil {
			return answer{}, err
		}
		a, err := send(ctx, c.http, http.MethodGet, target, h, nil)
		if err != nil {
			return a, err
		}
		if a.nonce != "" {
			c.nonce = a.nonce
		}
		if a.status == http.StatusUnauthorized && c.prover != nil && a.nonce != "" && attempt == 0 && wantsNonce(a) {
			continue
		}
		c.lastCall = h
		return a, nil
	}
}

// served calls the API and demands that the upstream was told who called.
func (c *consumer) served(ctx context.Context, s *story, target string) (Observation, error) {
	did := fmt.Sprintf("GET %s with the %s token", target, c.scheme())
	a, err := c.call(ctx, s, target)
	if err != nil {
		return Observation{Did: did}, err
	}
	o, err := s.observe(ctx, did, a)
	if err != nil {
		return o, err
	}
	o.Reused = a.reused
	var told struct {
		Client  string `json:"client"`
		Binding string `json:"binding"`
	}
	if a.status != http.StatusOK {
		return o, fmt.Errorf("not served: status %d, %s", a.status, o.Reason)
	}
	if json.Unmarshal(a.body, &told) != nil || told.Client != c.clientID {
		return o, fmt.Errorf("the upstream was told client %q, not %q", told.Client, c.clientID)
	}
	o.Detail = "the upstream was told: client " + told.Client + ", binding " + told.Binding
	return o, nil
}

// certificateClient is an HTTP client that shows a certificate.
func (s *story) certificateClient(cert *tls.Certificate) *http.Client {
	t := s.plainTransport()
	if cert != nil {
		t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return &http.Client{Transport: t, Timeout: 10 * time.Second}
}

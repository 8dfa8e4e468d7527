package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

const (
	tokenTimeout = 10 * time.Second // one token request
	// margin is how long before its expiry a token is no longer used.
	margin = 5 * time.Second
	// retryAfterOutage is how long a token that is still good is used before the
	// server is asked again.
	retryAfterOutage = 5 * time.Second
)

// Source gets access tokens by client_credentials (RFC 6749 section 4.4) and
// keeps the newest. Safe for concurrent use.
type Source struct {
	config     Config
	metadata   Metadata
	generation *http.Client
	header     jose.PreparedHeader // of assertions

	turn    chan struct{} // holds one value while nobody asks for a token
	current atomic.Pointer[held]
	nonce   atomic.Pointer[string] // the token endpoint's newest
}

// held is a token with the time from which a newer one is wanted.
type held struct {
	Token
	renew time.Time
}

// NewSource makes a source for the authorization server of metadata, which must be
// c.Issuer. generation is the credentials' own client, of NewHTTP.
func NewSource(c Config, metadata Metadata, generation *http.Client) (*Source, error) {
	if err := c.Credentials.check(); err != nil {
		return nil, err
	}
	if c.Issuer == "" || c.Issuer != metadata.Issuer {
		return nil, errors.New("the metadata are not those of the issuer")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Source{config: c, metadata: metadata, generation: generation, turn: make(chan struct{}, 1)}
	if c.Credentials.Assertion != nil {
		s.header = c.Credentials.Assertion.Header(assertionTyp, false)
	}
	s.turn <- struct{}{}
	return s, nil
}

// endpoint is the token endpoint: with a certificate, the one that asks for it.
func (s *Source) endpoint() string {
	if s.config.Credentials.Certificate != nil && s.metadata.MTLS.TokenEndpoint != "" {
		return s.metadata.MTLS.TokenEndpoint
	}
	return s.metadata.TokenEndpoint
}

// Token is a token that is good for some seconds at least. A new one is asked for
// once half the life of the old one has passed; while the server cannot be
// reached the old one serves until shortly before its expiry. A refusal is
// returned as it is, an *Error, and not covered up with the old token.
func (s *Source) Token(ctx context.Context) (Token, error) {
	old := s.current.Load()
	if old != nil && s.config.Now().Before(old.renew) {
		return old.Token, nil
	}
	if !s.usable(old) {
		select {
		case <-s.turn:
		case <-ctx.Done():
			return Token{}, ctx.Err()
		}
	} else {
		select {
		case <-s.turn:
		default: // somebody is asking already
			return old.Token, nil
		}
	}
	defer func() { s.turn <- struct{}{} }()
	if now := s.current.Load(); now != old && s.usable(now) {
		return now.Token, nil
	}
	asked := s.config.Now()
	fresh, err := s.fetch(ctx, asked)
	switch {
	case err == nil:
		s.current.Store(&held{fresh, asked.Add(fresh.Expires.Sub(asked) / 2)})
		return fresh, nil
	case s.usable(old) && outage(err):
		s.config.Trace.tell("token", "the server cannot be reached; the old token serves")
		s.current.Store(&held{old.Token, s.config.Now().Add(min(retryAfterOutage, old.Expires.Add(-margin).Sub(s.config.Now())))})
		return old.Token, nil
	}
	return Token{}, err
}

func (s *Source) usable(h *held) bool {
	return h != nil && s.config.Now().Before(h.Expires.Add(-margin))
}

// Forget drops the token with this value, which an API refused, so that the next
// call of Token asks for another.
func (s *Source) Forget(value string) {
	if h := s.current.Load(); h != nil && h.Value == value {
		s.current.CompareAndSwap(h, nil)
	}
}

// fetch asks for a token, and once more if the server wants a nonce in the proof
// (RFC 9449 section 8).
func (s *Source) fetch(ctx context.Context, asked time.Time) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	for again := false; ; again = true {
		request, err := s.request(asked)
		if err != nil {
			return Token{}, err
		}
		s.config.Trace.tell("token", "POST "+request.Endpoint)
		answer, err := request.Send(ctx, s.generation)
		if err != nil {
			return Token{}, err
		}
		nonce := answer.Nonce()
		if nonce != "" {
			s.nonce.Store(&nonce)
		}
		t, err := answer.Token(asked, s.config.Credentials.scheme())
		var refusal *Error
		if errors.As(err, &refusal) && refusal.Code == "use_dpop_nonce" && nonce != "" && s.config.Credentials.DPoP != nil && !again {
			s.config.Trace.tell("token", "the server wants its nonce in the proof: once more")
			continue
		}
		if err != nil {
			s.config.Trace.tell("token", err.Error())
			return Token{}, err
		}
		s.config.Trace.tell("token", "got a "+t.String()+" bound to "+s.boundTo())
		return t, nil
	}
}

// Request makes a token request as Token would send it now.
func (s *Source) Request() (Request, error) { return s.request(s.config.Now()) }

func (s *Source) request(now time.Time) (Request, error) {
	c := &s.config.Credentials
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}}
	if s.config.Scope != "" {
		form.Set("scope", s.config.Scope)
	}
	if s.config.Resource != "" {
		form.Set("resource", s.config.Resource)
	}
	if c.Assertion != nil {
		assertion, err := newAssertion(now, rand.Reader, c.Assertion, s.header, c.ClientID, s.metadata.Issuer)
		if err != nil {
			return Request{}, err
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
		s.config.Trace.tell("assertion", fmt.Sprintf("alg %s, kid %s, aud %s, exp in %d s",
			c.Assertion.Public().Algorithm(), c.Assertion.Public().KeyID(), s.metadata.Issuer, int(assertionLife.Seconds())))
	}
	request := Request{Endpoint: s.endpoint(), Form: form.Encode()}
	if c.DPoP != nil {
		nonce := ""
		if newest := s.nonce.Load(); newest != nil {
			nonce = *newest
		}
		proof, err := c.DPoP.Prove(now, http.MethodPost, request.Endpoint, "", nonce)
		if err != nil {
			return Request{}, err
		}
		request.Proof = proof
		s.config.Trace.tell("proof", proofText(c, http.MethodPost, request.Endpoint, false, nonce != ""))
	}
	return request, nil
}

func (s *Source) boundTo() string {
	if s.config.Credentials.DPoP != nil {
		return "the DPoP key " + s.config.Credentials.DPoP.JKT().String()
	}
	return "the client certificate"
}

func proofText(c *Credentials, method, target string, ath, nonce bool) string {
	text := fmt.Sprintf("alg %s, jkt %s, htm %s, htu %s", c.DPoP.Algorithm(), c.DPoP.JKT(), method, target)
	if ath {
		text += ", with ath"
	}
	if nonce {
		text += ", with the server's nonce"
	}
	return text
}

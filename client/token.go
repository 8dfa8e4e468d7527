package client

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

const (
	maxTokenAnswer = 64 << 10 // bytes
	maxToken       = 8 << 10  // bytes of an access token
	maxNonce       = 256      // characters of a DPoP nonce that we send back
)

// Token is an access token. Formatting it does not show it.
type Token struct {
	Value   string
	Type    string // "DPoP" or "Bearer"
	Scope   string // "" when it is the scope that was asked for
	Expires time.Time
}

// String tells type and expiry.
func (t Token) String() string {
	return t.Type + " token until " + t.Expires.UTC().Format(time.RFC3339)
}

// GoString is String.
func (t Token) GoString() string { return t.String() }

// Request is a token request in the bytes that go over the wire, so that it can
// be looked at, kept and sent again.
type Request struct {
	Endpoint string
	Form     string // application/x-www-form-urlencoded
	Proof    string // the DPoP field; "" for none
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Send posts r over httpClient and follows no redirect. An answer of any status
// is no error.
func (r Request) Send(ctx context.Context, httpClient *http.Client) (*Answer, error) {
	if err := checkURL(r.Endpoint); err != nil {
		return nil, fmt.Errorf("token endpoint: %w", ErrInsecure)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Endpoint, strings.NewReader(r.Form))
	if err != nil {
		return nil, fmt.Errorf("token request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	if r.Proof != "" {
		request.Header.Set("DPoP", r.Proof)
	}
	answer, err := direct(httpClient).Do(request)
	if err != nil {
		return nil, fmt.Errorf("token request: %w", err)
	}
	defer answer.Body.Close()
	body, err := readAll(answer.Body, maxTokenAnswer)
	if err != nil {
		return nil, fmt.Errorf("token request: %w", err)
	}
	return &Answer{answer.StatusCode, answer.Header, body}, nil
}

// Nonce is the DPoP-Nonce that came with the answer, "" for none.
func (a *Answer) Nonce() string { return nonceOf(a.Header) }

func nonceOf(h http.Header) string {
	values := h.Values("DPoP-Nonce")
	if len(values) != 1 || len(values[0]) > maxNonce {
		return ""
	}
	return values[0]
}

// Token reads the answer to a request that was begun at asked. A refusal is an
// *Error, anything else that is not a bound token of the type wanted is ErrAnswer.
func (a *Answer) Token(asked time.Time, wantType string) (Token, error) {
	if a.Status != http.StatusOK {
		return Token{}, a.refusal()
	}
	t := Token{}
	life := int64(0)
	err := strictjson.Members(a.Body, maxDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "access_token":
			t.Value, err = v.Text()
		case "token_type":
			t.Type, err = v.Text()
		case "scope":
			t.Scope, err = v.Text()
		case "expires_in":
			life, err = v.Integer()
		}
		return err
	})
	switch {
	case err != nil:
		return Token{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	case !isToken(t.Value):
		return Token{}, fmt.Errorf("%w: access_token is missing or malformed", ErrAnswer)
	case !strings.EqualFold(t.Type, wantType):
		return Token{}, fmt.Errorf("%w: token_type is not %s, so the token is not bound as it should be", ErrAnswer, wantType)
	case life < 1 || life > int64(24*time.Hour/time.Second):
		return Token{}, fmt.Errorf("%w: expires_in is missing or not of a token that is used at once", ErrAnswer)
	}
	t.Type = wantType
	t.Expires = asked.Add(time.Duration(life) * time.Second)
	return t, nil
}

// isToken is the token68 of RFC 6750 section 2.1, within limits.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		ok := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~+/=", c) >= 0
		if !ok {
			return false
		}
	}
	return s != "" && len(s) <= maxToken
}

// refusal reads an error answer; a body that is not one leaves the status.
func (a *Answer) refusal() error {
	e := &Error{Status: a.Status}
	if seconds, err := strconv.Atoi(a.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	var code, description string
	err := strictjson.Members(a.Body, maxDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "error":
			code, err = v.Text()
		case "error_description":
			description, err = v.Text()
		}
		return err
	})
	if err == nil {
		e.Code, e.Description = code, description
	}
	return e
}

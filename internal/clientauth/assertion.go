package clientauth

import (
	"errors"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// Limits of a client assertion.
const (
	MaxAssertion = 8 << 10          // bytes
	MaxID        = 128              // bytes of jti
	maxLife      = 5 * 60           // seconds that exp may be ahead
	maxAhead     = 30               // seconds that iat and nbf may be ahead
	grace        = 10               // seconds that exp may have passed
	keepUse      = 60 * time.Second // how long after exp a jti is remembered
	claimsDepth  = 16
)

// assertion is the claims of RFC 7523 section 3, read but not judged. A claim
// that is absent is its zero: no text, or 1970, when an absent exp has expired
// and an absent iat or nbf has begun.
type assertion struct {
	issuer, subject, audience, id string
	expires, issued, notBefore    int64 // Unix seconds
}

// authenticateAssertion is private_key_jwt: RFC 7523 section 3, in its order
// except that the signature is checked first and always, with a decoy when there
// is no key, so that the time tells nothing.
func (a *Authenticator) authenticateAssertion(now time.Time, s *directory.Snapshot, form oauth.Form) (*Authenticated, error) {
	named := s.Client(directory.ClientID(form.Value("client_id")))
	m, err := jose.Parse(form.Value("client_assertion"), MaxAssertion)
	if err != nil {
		return nil, unauthenticated(named, ReasonAssertionMalformed, err)
	}
	claims, err := parseAssertion(m)
	if err != nil {
		return nil, unauthenticated(named, ReasonAssertionMalformed, err)
	}
	if claims.subject == "" {
		return nil, unauthenticated(named, ReasonAssertionSubject, nil)
	}
	client := s.Client(directory.ClientID(claims.subject))
	if named == nil {
		named = client
	}
	credential, f := a.signingKey(now, s, client, m.Header.KeyID)
	if f != nil {
		_ = m.Verify(a.decoy(m.Header.Algorithm)) // for its time; it proves nothing
		return nil, f.refuse(named)
	}
	if err := m.Verify(credential.Key); err != nil {
		if errors.Is(err, jose.ErrAlgorithm) { // which cost nothing, and would tell that the client is there
			_ = m.Verify(a.decoy(m.Header.Algorithm))
		}
		return nil, unauthenticated(named, ReasonAssertionSignature, err)
	}
	if reason := claims.judge(now, a.Issuer, form.Value("client_id")); reason != "" {
		return nil, unauthenticated(named, reason, nil)
	}
	use := token.AssertionUse(claims.subject, claims.id, claims.from(), time.Unix(claims.expires, 0).Add(keepUse))
	return &Authenticated{Client: client, Credential: credential, Method: directory.PrivateKeyJWT, Use: &use}, nil
}

// signingKey finds the credential that must have signed. A registered key comes
// before one at the jwks_uri, so that an application can move from one to the other.
func (a *Authenticator) signingKey(now time.Time, s *directory.Snapshot, client *directory.Client, kid string) (c *directory.Credential, f *fault) {
	switch {
	case client == nil:
		return nil, &fault{reason: ReasonClientUnknown}
	case !client.Live:
		return nil, &fault{reason: ReasonClientNotLive}
	case client.AuthMethod != directory.PrivateKeyJWT:
		return nil, &fault{reason: ReasonMethodNotRegistered}
	}
	if kid == "" {
		c = onlySigningKey(now, client)
	} else {
		c = client.SigningKey(kid)
	}
	switch {
	case c != nil && c.UsableAt(now):
		return c, nil
	case client.JWKSURI != "":
		return a.publishedKey(now, s, client, kid)
	case c == nil:
		return nil, &fault{reason: ReasonKeyUnknown}
	}
	return nil, &fault{reason: ReasonKeyNotAccepted}
}

// onlySigningKey is the client's one usable signing key; nil if it has none or several.
func onlySigningKey(now time.Time, client *directory.Client) *directory.Credential {
	var only *directory.Credential
	for _, c := range client.Credentials {
		if c.Kind != directory.SigningKey || !c.UsableAt(now) {
			continue
		}
		if only != nil {
			return nil
		}
		only = c
	}
	return only
}

// judge checks the claims; the answer is the reason of the refusal, or "".
// clientID is the form's, "" when omitted. subject is already a client's.
func (c *assertion) judge(now time.Time, issuer, clientID string) string {
	seconds := now.Unix()
	switch {
	case c.issuer != c.subject: // RFC 7523 section 3 (1)
		return ReasonAssertionIssuer
	case clientID != "" && clientID != c.subject: // (2), RFC 7521 section 4.2
		return ReasonAssertionSubject
	case c.audience != issuer: // (3), draft-ietf-oauth-rfc7523bis section 4
		return ReasonAssertionAudience
	case c.expires <= seconds-grace: // (4)
		return ReasonAssertionExpired
	case c.expires > seconds+maxLife:
		return ReasonAssertionLifetime
	case c.notBefore > seconds+maxAhead: // (5)
		return ReasonAssertionFromFuture
	case c.issued > seconds+maxAhead: // (6)
		return ReasonAssertionFromFuture
	case c.id == "" || len(c.id) > MaxID: // (7)
		return ReasonAssertionID
	}
	return ""
}

// from is the earliest time at which judge could have let it pass.
func (c *assertion) from() time.Time {
	return time.Unix(max(c.expires-maxLife, c.notBefore-maxAhead, c.issued-maxAhead), 0)
}

// parseAssertion reads typ and claims. aud as an array is left empty, which no
// issuer is; a claim of another wrong type is an error. Others are ignored.
func parseAssertion(m *jose.Message) (*assertion, error) {
	if !typeAllowed(m.Header.Type) {
		return nil, jose.ErrMalformed
	}
	c := &assertion{}
	err := strictjson.Members(m.Payload, claimsDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "iss":
			c.issuer, err = v.Text()
		case "sub":
			c.subject, err = v.Text()
		case "aud":
			if !v.IsArray() {
				c.audience, err = v.Text()
			}
		case "jti":
			c.id, err = v.Text()
		case "exp":
			c.expires, err = v.Seconds()
		case "iat":
			c.issued, err = v.Seconds()
		case "nbf":
			c.notBefore, err = v.Seconds()
		}
		return err
	})
	return c, err
}

// typeAllowed knows the media types of a client assertion (RFC 7519 section 5.1;
// draft-ietf-oauth-rfc7523bis section 6). An access token or a proof is none.
func typeAllowed(typ string) bool {
	return typ == "" || strings.EqualFold(typ, "JWT") || strings.EqualFold(typ, "client-authentication+jwt")
}

package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/mtls"
)

// Request is the facts of one request, as a door collected them.
type Request struct {
	Method string
	// URL is what the client addressed, scheme to path, from the configured public
	// URL and the client's path. It is needed when there is a proof.
	URL string
	// Authorization and DPoP hold every field line of that name, unmerged.
	Authorization []string
	DPoP          []string
	// QueryToken tells that the query has an access_token.
	QueryToken bool
	// Certificate is what the client proved to hold in its TLS handshake; nil for none.
	Certificate *mtls.Peer
	// ForwardedCertificate tells that a header spoke of a certificate, and that
	// nobody trusted vouches for it.
	ForwardedCertificate bool
}

// verdict is what is remembered of a token whose signature was good.
type verdict struct {
	grant     Grant
	faultyCnf bool
	keys      *KeySet // as they were then
}

// check is one request on its way through the checks.
type check struct {
	*Verifier
	request *Request
	policy  *Policy
	now     time.Time
	scheme  scheme
	token   string // the text
	verdict *verdict
}

// Verify decides one request. The error is always *Error.
func (v *Verifier) Verify(ctx context.Context, r *Request, p *Policy) (*Grant, error) {
	c := check{Verifier: v, request: r, policy: p, now: v.now()}
	if p == nil || p.verifier != v {
		return nil, &Error{Reason: NoPolicy, Status: 503, Code: codeUnavailable, RetryAfter: retryAfter}
	}
	if err := c.findCredential(); err != nil {
		return nil, err
	}
	if err := c.findVerdict(ctx); err != nil {
		return nil, err
	}
	if err := c.checkClaims(); err != nil {
		return nil, err
	}
	if err := c.checkRevocation(); err != nil {
		return nil, err
	}
	if err := c.checkBinding(); err != nil {
		return nil, err
	}
	grant := &c.verdict.grant
	if c.scheme == dpopScheme {
		nonce, err := c.checkProof(ctx)
		if err != nil {
			return nil, err
		}
		grant = &Grant{Token: grant.Token, TokenHash: grant.TokenHash, Nonce: nonce}
	}
	if err := c.checkScope(); err != nil {
		return nil, err
	}
	return grant, nil
}

// refuse makes the error of a reason.
func (c *check) refuse(r Reason, cause error) error {
	status, code := r.answer()
	e := &Error{Reason: r, Status: status, Code: code, Cause: cause}
	e.Challenges = c.policy.challenges.of(r, c.scheme, code)
	if status == 503 {
		e.RetryAfter = retryAfter
	}
	if c.verdict != nil {
		e.Token = c.verdict.grant.Token
	}
	return e
}

// findCredential takes the one token out of the one Authorization field.
func (c *check) findCredential() error {
	r := c.request
	if c.policy.rules.Binding == BindDPoP {
		c.scheme = dpopScheme // for the challenge, until the client named one
	}
	if r.QueryToken {
		return c.refuse(QueryToken, nil)
	}
	if len(r.Authorization) > 1 || len(r.DPoP) > 1 {
		return c.refuse(MultipleCredentials, nil)
	}
	if len(r.Authorization) == 0 {
		return c.refuse(NoCredential, nil)
	}
	name, rest, _ := strings.Cut(r.Authorization[0], " ")
	switch {
	case strings.EqualFold(name, "Bearer"):
		c.scheme = bearerScheme
	case strings.EqualFold(name, "DPoP"):
		c.scheme = dpopScheme
	default:
		return c.refuse(NoCredential, nil) // RFC 6750 section 3.1: an unsupported method
	}
	c.token = strings.TrimLeft(rest, " ")
	if len(c.token) > MaxToken {
		return c.refuse(TooLarge, nil)
	}
	return nil
}

// findVerdict verifies the signature and reads the claims, unless it is known
// that it was good under keys that are still the issuer's.
func (c *check) findVerdict(ctx context.Context) error {
	hash := hashOf(c.token)
	if known, ok := c.verdicts.Load(hash); ok {
		if keys, err := c.keys.Keys(known.grant.Issuer); err == nil && keys == known.keys {
			c.verdict = known
			return nil
		}
	}
	if !tokenText(c.token) {
		return c.refuse(Malformed, nil)
	}
	m, err := jose.Parse(c.token, MaxToken)
	switch {
	case errors.Is(err, jose.ErrAlgorithm):
		return c.refuse(AlgRefused, err)
	case err != nil:
		return c.refuse(TokenMalformed, err)
	case !isAccessToken(m.Header.Type):
		return c.refuse(TypRefused, nil)
	}
	token, faultyCnf, err := parseToken(m.Payload) // only iss is used before the signature is good
	if err != nil {
		return c.refuse(TokenMalformed, err)
	}
	keys, key, err := c.findKey(ctx, token.Issuer, m.Header)
	if err != nil {
		return err
	}
	switch err := m.Verify(key); {
	case errors.Is(err, jose.ErrAlgorithm):
		return c.refuse(AlgRefused, err)
	case err != nil:
		return c.refuse(BadSignature, err)
	}
	token.KeyID = m.Header.KeyID
	c.verdict = &verdict{Grant{Token: token, TokenHash: hash}, faultyCnf, keys}
	c.verdicts.Store(hash, c.verdict)
	return nil
}

// hashOf is the SHA-256 of a token, without an allocation for one of usual size.
func hashOf(token string) [sha256.Size]byte {
	var room [2 << 10]byte
	return sha256.Sum256(append(room[:0], token...))
}

// tokenText tells whether s is the b64token of RFC 6750 section 2.1.
func tokenText(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', strings.IndexByte("-._~+/", b) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// isAccessToken is RFC 9068 section 4: typ is at+jwt or application/at+jwt.
func isAccessToken(typ string) bool {
	return strings.EqualFold(typ, "at+jwt") || strings.EqualFold(typ, "application/at+jwt")
}

// findKey finds the issuer's key of that kid, asking for it once if it is not known.
func (c *check) findKey(ctx context.Context, iss string, h jose.Header) (*KeySet, *jose.PublicKey, error) {
	known, ok := c.issuers[iss]
	switch {
	case !ok:
		return nil, nil, c.refuse(UnknownIssuer, nil)
	case !slices.Contains(known.algorithms, h.Algorithm):
		return nil, nil, c.refuse(AlgRefused, nil)
	}
	keys, err := c.keys.Keys(iss)
	if err != nil {
		return nil, nil, c.refuse(KeysUnavailable, err)
	}
	if key := keys.byID[h.KeyID]; key != nil {
		return keys, key, nil
	}
	if c.keys.Want(ctx, iss, h.KeyID) == Unknown {
		return nil, nil, c.refuse(KeysUnavailable, ErrKeyUnknown)
	}
	if keys, err = c.keys.Keys(iss); err != nil {
		return nil, nil, c.refuse(KeysUnavailable, err)
	}
	if key := keys.byID[h.KeyID]; key != nil {
		return keys, key, nil
	}
	return nil, nil, c.refuse(UnknownKey, nil)
}

// checkClaims is time, audience and age. There is no grace for exp.
func (c *check) checkClaims() error {
	t, rules := c.verdict.grant.Token, &c.policy.rules
	switch {
	case !c.now.Before(t.Expires):
		return c.refuse(Expired, nil)
	case t.IssuedAt.Sub(c.now) > MaxAhead, t.NotBefore.Sub(c.now) > MaxAhead:
		return c.refuse(NotYetValid, nil)
	case !slices.Contains(t.Audience, rules.Resource):
		return c.refuse(WrongAudience, nil)
	case rules.MaxTokenAge > 0 && c.now.Sub(t.IssuedAt) > rules.MaxTokenAge:
		return c.refuse(TokenTooOld, nil)
	}
	return nil
}

// checkRevocation asks whether the token ended early. A token that is known to
// have ended is refused however old that knowledge is.
func (c *check) checkRevocation() error {
	if c.revocation == nil {
		return nil
	}
	reason, lag := c.revocation.Ended(c.verdict.grant.Token)
	if reason != "" {
		return c.refuse(reason, nil)
	}
	if lag > c.policy.rules.MaxRevocationLag {
		return c.refuse(RevocationStale, nil)
	}
	return nil
}

// checkScope demands every scope of the policy.
func (c *check) checkScope() error {
	for _, s := range c.policy.rules.Scopes {
		if !slices.Contains(c.verdict.grant.Scopes, s) {
			return c.refuse(InsufficientScope, nil)
		}
	}
	return nil
}

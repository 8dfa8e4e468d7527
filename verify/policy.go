package verify

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
)

// BindingRule is which bindings a policy accepts.
type BindingRule string

// The rules. There is no default, and none that accepts an unbound token.
const (
	BindMTLS   BindingRule = "mtls"
	BindDPoP   BindingRule = "dpop"
	BindEither BindingRule = "either"
)

// NonceRule is when a proof needs a nonce of ours (RFC 9449 section 9).
type NonceRule string

// The rules. The zero value is NonceOnDoubt.
const (
	// NonceOff never asks. Only with a shared replay store.
	NonceOff NonceRule = "off"
	// NonceOnDoubt asks while a proof may have been used before this process
	// began to remember proofs.
	NonceOnDoubt NonceRule = "on_doubt"
	NonceAlways  NonceRule = "always"
)

// DefaultRevocationLag is how old the knowledge of revocations may be, unless
// the rules say otherwise.
const DefaultRevocationLag = 15 * time.Minute

// Rules are what one route or API asks of a request.
type Rules struct {
	// Resource is the audience that a token must have, compared letter by letter.
	Resource string
	// Scopes are those that a token must have, all of them.
	Scopes  []string
	Binding BindingRule
	Nonce   NonceRule
	// MaxTokenAge is how long ago a token may have been issued; 0 for no bound but its own.
	MaxTokenAge time.Duration
	// MaxRevocationLag is how old the knowledge of revocations may be; 0 is
	// DefaultRevocationLag. Only for a Verifier with a RevocationSource.
	MaxRevocationLag time.Duration
	// MetadataURL is where the resource's RFC 9728 document is; "" for none.
	MetadataURL string
}

// Policy is a set of rules made ready, for the Verifier that made it. It has no
// usable zero value.
type Policy struct {
	rules      Rules
	verifier   *Verifier
	challenges challenges
}

// Rules are what the policy was made from.
func (p *Policy) Rules() Rules { return p.rules }

// NewPolicy checks the rules whole: the error joins every *Fault.
func (v *Verifier) NewPolicy(r Rules) (*Policy, error) {
	var f faults
	r.Scopes = slices.Clone(r.Scopes)
	if u, err := url.Parse(r.Resource); err != nil || !u.IsAbs() || strings.Contains(r.Resource, "#") {
		f.add("resource", "must be an absolute URI without fragment (RFC 8707 section 2)")
	}
	for _, s := range r.Scopes {
		if !scopeToken(s) {
			f.add("scopes", "%q is not a scope (RFC 6749 section 3.3)", s)
		}
	}
	v.checkBindingRule(&f, r)
	switch {
	case r.MaxTokenAge < 0:
		f.add("max_token_age", "must not be negative")
	case r.MaxRevocationLag < 0:
		f.add("max_revocation_lag", "must not be negative")
	case r.MaxRevocationLag > 0 && v.revocation == nil:
		f.add("max_revocation_lag", "needs a source of revocations")
	}
	if !quotable(r.MetadataURL) {
		f.add("metadata_url", "must be a URL of printable ASCII")
	}
	if len(f) > 0 {
		return nil, errors.Join(f...)
	}
	if r.MaxRevocationLag == 0 {
		r.MaxRevocationLag = DefaultRevocationLag
	}
	if r.Nonce == "" {
		r.Nonce = NonceOnDoubt
	}
	return &Policy{rules: r, verifier: v, challenges: newChallenges(r)}, nil
}

func (v *Verifier) checkBindingRule(f *faults, r Rules) {
	switch r.Binding {
	case BindMTLS:
	case BindDPoP, BindEither:
		if v.replay == nil {
			f.add("binding", "DPoP needs a replay store and nonces")
		}
	default:
		f.add("binding", "must be mtls, dpop or either")
	}
	switch r.Nonce {
	case "", NonceOnDoubt, NonceAlways:
	case NonceOff:
		if !v.sharedReplay {
			f.add("nonce", "off needs a shared replay store: without one, a proof used before a start could be used again")
		}
	default:
		f.add("nonce", "must be off, on_doubt or always")
	}
}

// accepts tells whether a token that is bound so satisfies the rule.
func (b BindingRule) accepts(c cnf.Confirmation) bool {
	return c.HasCertificate && b != BindDPoP || c.HasKey && b != BindMTLS
}

// scopeToken is RFC 6749 section 3.3.
func scopeToken(s string) bool { return s != "" && !strings.Contains(s, " ") && quotable(s) }

// quotable tells whether s is printable ASCII that stands in a quoted-string as it is.
func quotable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return true
}

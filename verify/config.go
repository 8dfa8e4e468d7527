package verify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/bounded"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// Limits of a verifier.
const (
	MaxToken = 8 << 10          // bytes of an access token
	MaxAhead = 30 * time.Second // iat and nbf of a token at most this far ahead

	defaultRemembered = 16 << 10 // verdicts
	maxClaimsDepth    = 32       // levels of JSON in a token
)

// Config is what a Verifier is made of. Issuers, Keys and Now are required;
// Replay and Nonces, which go together, where tokens bound to a DPoP key are
// accepted.
type Config struct {
	// Issuers are those whose tokens are accepted at all.
	Issuers []Issuer
	Keys    KeySource
	// Replay remembers which proofs were used.
	Replay ReplayStore
	// SharedReplay tells that Replay outlives this process and is shared with
	// every other that answers for the same resources. Without it, a proof might
	// have been used before StartedAt, and proofs need a nonce that is younger.
	SharedReplay bool
	// StartedAt is since when Replay remembers; the zero time is that of New.
	StartedAt time.Time
	// Nonces issues and checks nonces. Replicas share its secret.
	Nonces *dpop.Nonces
	// Revocation tells which tokens ended early; nil when tokens are never revoked.
	Revocation RevocationSource
	// Certificates tells whose a certificate is that a token is not bound to; may be nil.
	Certificates Certificates
	// Remembered is how many verdicts to remember; 0 is 16384.
	Remembered int
	Now        func() time.Time
}

// Issuer is an authorization server.
type Issuer struct {
	// URL is its issuer identifier, letter by letter.
	URL string
	// Algorithms are the JWS algorithms that its tokens may have. There is no
	// default. Of ES256, PS256, EdDSA, Ed25519.
	Algorithms []string
}

// ReplayStore remembers ids until a time. FirstUse is one atomic step for every
// process that shares the store: of any number of calls with one key, one is
// told true. An error refuses the request.
type ReplayStore interface {
	FirstUse(ctx context.Context, key [32]byte, until time.Time) (first bool, err error)
}

// RevocationSource tells why a token that was good when issued is good no more,
// "" when it still is; and how old its knowledge of that may be. It does not block.
type RevocationSource interface {
	Ended(t *Token) (reason Reason, lag time.Duration)
}

// Certificates knows the certificates of applications.
type Certificates interface {
	// Classify finds the application of a certificate by its x5t#S256: clientID, where
	// that one has it; any one that has, otherwise.
	Classify(thumbprint cnf.Thumbprint, clientID string) (of string, known bool)
}

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Path    string // such as issuers[0].url
	Problem string
}

// Error is the path and the problem.
func (f *Fault) Error() string { return f.Path + ": " + f.Problem }

type faults []error

func (f *faults) add(path, problem string, args ...any) {
	*f = append(*f, &Fault{path, fmt.Sprintf(problem, args...)})
}

// Verifier decides requests. Safe for concurrent use.
type Verifier struct {
	issuers      map[string]issuer
	issuerURLs   []string
	keys         KeySource
	replay       ReplayStore
	doubtUntil   time.Time // before it, a proof may have been used before startedAt
	startedAt    time.Time
	sharedReplay bool
	nonces       *dpop.Nonces
	revocation   RevocationSource
	certificates Certificates
	verdicts     *bounded.Map[*verdict]
	now          func() time.Time
}

type issuer struct {
	algorithms []jose.Algorithm
}

// New checks c whole: the error joins every *Fault.
func New(c Config) (*Verifier, error) {
	var f faults
	v := &Verifier{
		issuers: make(map[string]issuer), keys: c.Keys, replay: c.Replay, startedAt: c.StartedAt,
		sharedReplay: c.SharedReplay, nonces: c.Nonces, revocation: c.Revocation, certificates: c.Certificates, now: c.Now,
	}
	if len(c.Issuers) == 0 {
		f.add("issuers", "needs at least one issuer")
	}
	for i, is := range c.Issuers {
		v.addIssuer(&f, fmt.Sprintf("issuers[%d]", i), is)
	}
	if c.Keys == nil {
		f.add("keys", "is required")
	}
	if c.Now == nil {
		f.add("now", "is required")
	}
	if (c.Replay == nil) != (c.Nonces == nil) {
		f.add("replay", "a replay store and nonces go together")
	}
	if c.SharedReplay && c.Replay == nil {
		f.add("shared_replay", "needs a replay store")
	}
	if c.Remembered < 0 {
		f.add("remembered", "must not be negative")
	}
	if len(f) > 0 {
		return nil, errors.Join(f...)
	}
	if v.startedAt.IsZero() {
		v.startedAt = v.now()
	}
	if !v.sharedReplay {
		v.doubtUntil = v.startedAt.Add(dpop.KeepID)
	}
	remembered := c.Remembered
	if remembered == 0 {
		remembered = defaultRemembered
	}
	v.verdicts = bounded.New[*verdict](remembered)
	return v, nil
}

func (v *Verifier) addIssuer(f *faults, path string, is Issuer) {
	u, err := url.Parse(is.URL)
	switch _, twice := v.issuers[is.URL]; {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		f.add(path+".url", "must be an https URL without query and fragment (RFC 8414 section 2)")
	case twice:
		f.add(path+".url", "is there twice")
	}
	if len(is.Algorithms) == 0 {
		f.add(path+".algorithms", "needs at least one algorithm")
	}
	var list []jose.Algorithm
	for i, name := range is.Algorithms {
		a := jose.Algorithm(name)
		if !slices.Contains(algorithms, a) {
			f.add(fmt.Sprintf("%s.algorithms[%d]", path, i), "is not one of ES256, PS256, EdDSA, Ed25519")
		}
		list = append(list, a)
	}
	v.issuers[is.URL] = issuer{list}
	v.issuerURLs = append(v.issuerURLs, is.URL)
}

// algorithms are those that tokens may have and that DPoP proofs do have.
var algorithms = []jose.Algorithm{jose.ES256, jose.PS256, jose.EdDSA, jose.Ed25519}

// Algorithms are the JWS algorithms of DPoP proofs.
func Algorithms() []string {
	var names []string
	for _, a := range algorithms {
		names = append(names, string(a))
	}
	return names
}

// Issuers are the issuer identifiers of the configuration, in its order.
func (v *Verifier) Issuers() []string { return slices.Clone(v.issuerURLs) }

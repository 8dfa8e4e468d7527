// Package jwks is the verify.KeySource over HTTPS: the keys of each issuer,
// found through its metadata (RFC 8414) and refreshed in the background. A
// request waits for a fetch only when it brings a kid that nobody knows, and then
// 250 ms at most; how often that may cause a fetch is bounded, so that junk kids
// cost the issuer nothing. Keys that cannot be refreshed serve for an hour, and
// then none are better than old ones.
//
// RFC 7517 section 5, RFC 8414 section 3, RFC 9111 section 5.2.2.1.
package jwks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/holdfast-auth/holdfast/verify"
)

const (
	maxRefresh   = 5 * time.Minute // between two background fetches, however long max-age is
	minRefresh   = 10 * time.Second
	retryFailed  = 2 * time.Second // after a fetch that failed while there are no keys; doubles
	fetchTimeout = 5 * time.Second
	maxWait      = 250 * time.Millisecond // that a request waits for a fetch
	maxStale     = time.Hour              // since the last fetch that succeeded
	everyKid     = 10 * time.Second       // one fetch for unknown kids in this time ...
	burst        = 2                      // ... and this many at once
	maxAbsent    = 4096                   // kids remembered as unknown, of one issuer
	maxBody      = 256 << 10              // bytes of a key set or of metadata
)

// Config of a Source. HTTP and Now are required.
type Config struct {
	Issuers []string // https URLs, letter by letter as tokens name them
	// HTTP verifies the issuers' certificates. Its redirects are not followed.
	HTTP *http.Client
	Now  func() time.Time
	Log  *slog.Logger // failures and recoveries; may be nil
}

// Source holds the keys of issuers. Safe for concurrent use.
type Source struct {
	issuers map[string]*issuer
}

var _ verify.KeySource = (*Source)(nil)

// New fetches nothing: Run does.
func New(c Config) (*Source, error) {
	if c.HTTP == nil || c.Now == nil || len(c.Issuers) == 0 {
		return nil, errors.New("jwks: issuers, HTTP client and clock are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	direct := *c.HTTP
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.HTTP = &direct
	s := &Source{issuers: make(map[string]*issuer)}
	for _, name := range c.Issuers {
		u, err := url.Parse(name)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			return nil, fmt.Errorf("jwks: issuer %q is not an https URL without query and fragment", name)
		}
		if s.issuers[name] != nil {
			return nil, fmt.Errorf("jwks: issuer %q is there twice", name)
		}
		s.issuers[name] = newIssuer(&c, name, u)
	}
	return s, nil
}

// Run keeps the keys fresh until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, i := range s.issuers {
		wg.Go(func() { i.run(ctx) })
	}
	wg.Wait()
	return nil
}

// Keys is part of verify.KeySource.
func (s *Source) Keys(issuer string) (*verify.KeySet, error) {
	i := s.issuers[issuer]
	if i == nil {
		return nil, verify.ErrNoKeys
	}
	return i.keys()
}

// Want is part of verify.KeySource.
func (s *Source) Want(ctx context.Context, issuer, kid string) verify.Outcome {
	i := s.issuers[issuer]
	if i == nil {
		return verify.Absent
	}
	return i.want(ctx, kid)
}

// Age is how long ago the issuer's keys were last fetched; ok is false if never.
func (s *Source) Age(issuer string) (age time.Duration, ok bool) {
	i := s.issuers[issuer]
	if i == nil {
		return 0, false
	}
	held := i.held.Load()
	if held == nil {
		return 0, false
	}
	return i.now().Sub(held.at), true
}

package jwksuri

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/outbound"
)

// fetch gets the set and tells how long it is fresh. No error quotes what was
// read, nor the URL.
func (s *Source) fetch(ctx context.Context, uri string) (set *Set, life time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	body, header, err := s.get(ctx, uri)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch keys: %w", err)
	}
	set, err = Parse(body)
	if err != nil {
		return nil, 0, fmt.Errorf("read keys: %w", err)
	}
	return set, freshFor(header), nil
}

func (s *Source) get(ctx context.Context, uri string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil || req.URL.Scheme != "https" { // as the directory has it; nothing else is ever called
		return nil, nil, errors.New("not an https URL")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	req.Header.Set("User-Agent", "holdfast")
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, nil, plain(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, nil, fmt.Errorf("status %d", resp.StatusCode)
	case resp.Header.Get("Content-Encoding") != "":
		return nil, nil, errors.New("an encoded body, which was not asked for")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil {
		err = ctx.Err() // a server may end its body well when it sees us hang up
	}
	switch {
	case err != nil:
		return nil, nil, plain(err)
	case len(body) > maxBody:
		return nil, nil, fmt.Errorf("more than %d bytes", maxBody)
	}
	return body, resp.Header, nil
}

// plain says what went wrong in our words: those of net/http quote what the other
// side sent, and that may be anybody's.
func plain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no whole answer within %s", fetchTimeout)
	}
	if errors.Is(err, outbound.ErrForbidden) {
		return outbound.ErrForbidden
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New("no address was found for the host")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return errors.New("the server's certificate is not trusted")
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return errors.New("the server cannot be reached")
	}
	return errors.New("the server does not answer as one over TLS should")
}

// freshFor is min(max-age, 5 min), and no less than 10 s.
func freshFor(h http.Header) time.Duration {
	for directive := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		value, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(directive)), "max-age=")
		if !ok {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
		if err != nil {
			return minRefresh
		}
		return min(max(time.Duration(seconds)*time.Second, minRefresh), maxRefresh)
	}
	return maxRefresh
}

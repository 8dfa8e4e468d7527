package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
	"github.com/holdfast-auth/holdfast/verify"
)

// fetch puts the issuer's keys of now in place and tells how long they are
// fresh. When it fails, what was held stays.
func (i *issuer) fetch(ctx context.Context) (life time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if i.jwksURI == "" {
		if i.jwksURI, err = i.discover(ctx); err != nil {
			return 0, err
		}
	}
	body, header, err := i.get(ctx, i.jwksURI)
	if err != nil {
		i.jwksURI = "" // perhaps it moved
		return 0, fmt.Errorf("fetch keys: %w", err)
	}
	set, err := verify.ParseKeySet(body)
	if err != nil {
		return 0, fmt.Errorf("fetch keys: %w", err)
	}
	if old := i.held.Load(); old != nil && old.set.Equal(set) {
		set = old.set // verdicts stay good
	}
	i.held.Store(&held{set, i.now()})
	return freshFor(header), nil
}

// discover finds the jwks_uri in the issuer's metadata, which must name the very
// issuer that was asked for (RFC 8414 section 3.3).
func (i *issuer) discover(ctx context.Context) (string, error) {
	at := "https://" + i.url.Host + "/.well-known/oauth-authorization-server" + strings.TrimSuffix(i.url.EscapedPath(), "/")
	body, _, err := i.get(ctx, at)
	if err != nil {
		return "", fmt.Errorf("fetch metadata: %w", err)
	}
	var name, uri string
	err = strictjson.Members(body, 32, func(member string, v strictjson.Value) (err error) {
		switch member {
		case "issuer":
			name, err = v.Text()
		case "jwks_uri":
			uri, err = v.Text()
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("fetch metadata: %w", err)
	}
	if name != i.name {
		return "", errors.New("fetch metadata: it is another issuer's")
	}
	if u, err := url.Parse(uri); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", errors.New("fetch metadata: no jwks_uri over https")
	}
	return uri, nil
}

func (i *issuer) get(ctx context.Context, target string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := i.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, nil, err
	case len(body) > maxBody:
		return nil, nil, fmt.Errorf("more than %d bytes", maxBody)
	}
	return body, resp.Header, nil
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

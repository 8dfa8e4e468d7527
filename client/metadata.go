package client

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

const (
	maxMetadata = 1 << 20 // bytes
	maxDepth    = 32      // levels of JSON
)

// Metadata is what a consumer needs of an authorization server's metadata (RFC
// 8414 section 2). Every URL in it is https; what the server does not offer is "".
type Metadata struct {
	Issuer    string
	Endpoints           // for requests without a certificate
	MTLS      Endpoints // mtls_endpoint_aliases (RFC 8705 section 5)
	JWKSURI   string
}

// Endpoints are those that a client authenticates at.
type Endpoints struct {
	TokenEndpoint         string
	IntrospectionEndpoint string
	RevocationEndpoint    string
}

// Discover reads the metadata of the authorization server that issuer names. It
// follows no redirect, and the document must name the very issuer that was asked
// for (RFC 8414 section 3.3), else whoever controls the document could have
// assertions made for another server.
func Discover(ctx context.Context, httpClient *http.Client, issuer string) (Metadata, error) {
	at, err := wellKnown(issuer)
	if err != nil {
		return Metadata{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return Metadata{}, fmt.Errorf("metadata: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	answer, err := direct(httpClient).Do(request)
	if err != nil {
		return Metadata{}, fmt.Errorf("metadata: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return Metadata{}, fmt.Errorf("metadata: %w: status %d", ErrAnswer, answer.StatusCode)
	}
	if kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); kind != "application/json" {
		return Metadata{}, fmt.Errorf("metadata: %w: not application/json", ErrAnswer)
	}
	body, err := readAll(answer.Body, maxMetadata)
	if err != nil {
		return Metadata{}, fmt.Errorf("metadata: %w", err)
	}
	m, err := parseMetadata(body)
	if err != nil {
		return Metadata{}, fmt.Errorf("metadata: %w: %w", ErrAnswer, err)
	}
	if m.Issuer != issuer {
		return Metadata{}, fmt.Errorf("metadata: %w: it is another issuer's", ErrAnswer)
	}
	if m.TokenEndpoint == "" {
		return Metadata{}, fmt.Errorf("metadata: %w: no token_endpoint", ErrAnswer)
	}
	return m, nil
}

// wellKnown puts the well-known part between host and path (RFC 8414 section 3.1).
func wellKnown(issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil || checkURL(issuer) != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#") {
		return "", fmt.Errorf("issuer %q is not an https URL without query and fragment", issuer)
	}
	return "https://" + u.Host + "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.EscapedPath(), "/"), nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return fmt.Errorf("not an https URL")
	}
	return nil
}

func parseMetadata(document []byte) (Metadata, error) {
	var m Metadata
	err := strictjson.Members(document, maxDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "issuer":
			m.Issuer, err = v.Text()
		case "jwks_uri":
			m.JWKSURI, err = httpsURL(v)
		case "mtls_endpoint_aliases":
			err = strictjson.Members(v, maxDepth, m.MTLS.read)
		default:
			err = m.Endpoints.read(name, v)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	return m, err
}

func (e *Endpoints) read(name string, v strictjson.Value) (err error) {
	switch name {
	case "token_endpoint":
		e.TokenEndpoint, err = httpsURL(v)
	case "introspection_endpoint":
		e.IntrospectionEndpoint, err = httpsURL(v)
	case "revocation_endpoint":
		e.RevocationEndpoint, err = httpsURL(v)
	}
	return err
}

func httpsURL(v strictjson.Value) (string, error) {
	text, err := v.Text()
	if err != nil {
		return "", err
	}
	return text, checkURL(text)
}

// direct is c, which follows no redirect.
func direct(c *http.Client) *http.Client {
	d := *c
	d.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &d
}

// readAll reads to the end, which is not beyond limit.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrAnswer, limit)
	}
	return body, nil
}

// Package as is the authorization server's endpoints: metadata, JWKS, token
// (client_credentials only), revocation, introspection. Each endpoint is a
// parser, a column of checks in the order of its RFC's text, and a writer. No
// path through it ends in a token that is not bound.
//
// RFC 6749 sections 4.4 and 5; RFC 7009; RFC 7662; RFC 8414; RFC 8705;
// RFC 8707; RFC 9068; RFC 9449. Left out: every grant with a user, refresh
// tokens (RFC 6749 section 4.4.3), signed metadata and introspection answers.
package as

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// Directory is who may do what, as *directory.Directory has it.
type Directory interface {
	Current() *directory.Snapshot
	Age() time.Duration
	// RevokeToken is durable, and in force in this process, on return.
	RevokeToken(ctx context.Context, actor string, client directory.ClientID, t directory.RevokedToken) error
}

// Config of a server. Every field but MTLSBase, Used and Registration is required.
type Config struct {
	Issuer string // https URL without query, fragment or trailing slash
	// MTLSBase is the public URL, without a path, of the listener that asks for
	// client certificates. Without it there is no mTLS.
	MTLSBase  string
	Directory Directory
	Auth      *clientauth.Authenticator
	Keys      func() *token.SigningKeys
	Uses      token.Uses
	Nonces    *dpop.Nonces
	TokenLife time.Duration // at most token.MaxLife
	Random    io.Reader     // for jti
	// Used counts that a credential has authenticated. It must neither wait nor fail.
	Used func(directory.ClientID, directory.CredentialID, time.Time)
	Now  func() time.Time
	// Registration lets clients register themselves; nil: nobody does.
	Registration Registrar
}

// Server answers for one issuer. Safe for concurrent use.
type Server struct {
	Config
	path     string // of the issuer, "" when it has none
	metadata []byte
}

// New checks the configuration and prepares the metadata document.
func New(c Config) (*Server, error) {
	issuer, err := parseBase("issuer", c.Issuer)
	if err != nil {
		return nil, err
	}
	if c.MTLSBase != "" {
		base, err := parseBase("mTLS URL", c.MTLSBase)
		if err != nil {
			return nil, err
		}
		if base.Path != "" {
			return nil, errors.New("mTLS URL has a path: it takes the issuer's")
		}
	}
	if c.TokenLife < time.Second || c.TokenLife > token.MaxLife {
		return nil, fmt.Errorf("token life %s is not between 1s and %s", c.TokenLife, token.MaxLife)
	}
	if c.Auth != nil && c.Auth.Issuer != c.Issuer {
		return nil, errors.New("client authentication has another issuer")
	}
	if c.Directory == nil || c.Auth == nil || c.Keys == nil || c.Uses == nil || c.Nonces == nil || c.Random == nil || c.Now == nil {
		return nil, errors.New("authorization server lacks a part of its configuration")
	}
	s := &Server{Config: c, path: issuer.Path}
	s.metadata = s.document().JSON()
	return s, nil
}

// parseBase reads a URL that others are made from by appending a path.
func parseBase(name, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s is not a URL", name)
	case u.Scheme != "https" || u.Host == "" || u.User != nil:
		return nil, fmt.Errorf("%s is not an https URL", name)
	case strings.ContainsAny(text, "?#{}"):
		return nil, fmt.Errorf("%s has a query, a fragment or braces", name)
	case strings.HasSuffix(text, "/"):
		return nil, fmt.Errorf("%s ends in a slash", name)
	}
	return u, nil
}

// The endpoints' paths under the issuer's, on both listeners.
const (
	tokenPath      = "/token"
	introspectPath = "/introspect"
	revokePath     = "/revoke"
	jwksPath       = "/.well-known/jwks.json"
)

// endpoints is where the endpoints are reached on one listener.
type endpoints struct {
	base string // public URL that the paths follow
	mtls bool   // the listener asks for client certificates
}

func (e endpoints) url(path string) string { return e.base + path }

func (s *Server) public() endpoints { return endpoints{base: s.Issuer} }
func (s *Server) mtls() endpoints   { return endpoints{base: s.MTLSBase + s.path, mtls: true} }

// PublicRoutes are those of the listener that asks for no certificate.
func (s *Server) PublicRoutes() []web.Route {
	routes := append(s.routes(s.public()),
		web.Route{Pattern: "GET " + s.path + jwksPath, Handler: s.serveJWKS},
		// RFC 8414 section 3.1: the well-known part comes before the issuer's path.
		web.Route{Pattern: "GET /.well-known/oauth-authorization-server" + s.path, Handler: s.serveMetadata},
		web.Route{Pattern: "GET /.well-known/openid-configuration" + s.path, Handler: s.serveMetadata},
	)
	if s.Registration != nil {
		routes = append(routes, web.Route{Pattern: "GET " + s.path + statementKeysPath, Handler: s.serveStatementKeys})
	}
	if s.path != "" { // RFC 8414 section 5: OpenID Connect Discovery appends it
		routes = append(routes, web.Route{Pattern: "GET " + s.path + "/.well-known/openid-configuration", Handler: s.serveMetadata})
	}
	return routes
}

// MTLSRoutes are those of the listener that asks for client certificates: the
// same endpoints under the same paths. There are none without MTLSBase.
func (s *Server) MTLSRoutes() []web.Route {
	if s.MTLSBase == "" {
		return nil
	}
	return s.routes(s.mtls())
}

func (s *Server) routes(e endpoints) []web.Route {
	return append([]web.Route{
		{Pattern: "POST " + s.path + tokenPath, Handler: s.serveToken(e)},
		{Pattern: "POST " + s.path + introspectPath, Handler: s.serveIntrospect(e)},
		{Pattern: "POST " + s.path + revokePath, Handler: s.serveRevoke(e)},
	}, s.registrationRoutes(e)...)
}

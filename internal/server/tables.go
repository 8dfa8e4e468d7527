package server

import (
	"context"
	"net/http"
	"net/url"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/as"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/feed"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/httpmw"
)

// tables are the handlers of the three listeners.
type tables struct {
	public, mtls, admin http.Handler
	keys                *localKeys
}

// Routes are the patterns of every route of each listener, by its name.
func (s *Server) Routes() map[string][]string {
	return map[string][]string{
		"public": web.Patterns(s.tables.public), "mtls": web.Patterns(s.tables.mtls), "admin": web.Patterns(s.tables.admin),
	}
}

// Refresh asks the database now for what others changed, which a server does by
// itself every 500 ms: for tests that move the clock.
func (s *Server) Refresh(ctx context.Context) error { return s.directory.Refresh(ctx) }

// build lays the routes.
func (s *Server) build(trustDomain string) (t tables, err error) {
	authorization, err := s.authorizationServer(trustDomain)
	if err != nil {
		return t, err
	}
	if t.keys, err = newLocalKeys(s.cfg.Issuer, s.signingKeys); err != nil {
		return t, err
	}
	verifier, err := s.verifier(t.keys)
	if err != nil {
		return t, err
	}
	issuer, err := url.Parse(s.cfg.Issuer)
	if err != nil {
		return t, err
	}
	origin := issuer.Scheme + "://" + issuer.Host
	feedGuard, err := newGuard(verifier, origin, verify.Rules{
		Resource: FeedResource(s.cfg.Issuer), Scopes: []string{FeedScope}, Binding: verify.BindDPoP, Nonce: verify.NonceOff,
		MetadataURL: httpmw.MetadataURL(origin, FeedResource(s.cfg.Issuer)),
	})
	if err != nil {
		return t, err
	}
	adminGuard, err := newGuard(verifier, s.cfg.AdminURL, verify.Rules{
		Resource: AdminResource(s.cfg.Issuer), Scopes: []string{AdminScope}, Binding: verify.BindEither, Nonce: verify.NonceOff,
		MetadataURL: httpmw.MetadataURL(origin, AdminResource(s.cfg.Issuer)),
	})
	if err != nil {
		return t, err
	}
	// Both resources are named below the issuer, and described there (RFC 9728).
	documents := httpmw.NewMetadata(verifier, feedGuard.edge, feedGuard.policy, adminGuard.policy)
	public := append(authorization.PublicRoutes(),
		web.Route{Pattern: "GET " + issuer.Path + "/roots.pem", Handler: s.serveRoots},
		web.Route{Pattern: "GET /.well-known/oauth-protected-resource/", Handler: web.Plain(documents)},
		web.Route{Pattern: "GET " + issuer.Path + "/feed", Handler: feedGuard.handler(feed.Handler(s.directory, s.checkpoints, s.ending))})
	public = append(public, s.auditRoutes(issuer.Path, feedGuard)...)
	public = append(public, as.Certificates{
		Issuer: s.cfg.Issuer, Redeem: s.enrolment.Redeem, Refresh: s.directory.Refresh, CRL: s.authority.CRL, Roots: s.RootPEM,
	}.Routes(issuer.Path)...)
	t.public = web.NewTable(s.options("public", as.Render), public)
	t.mtls = web.NewTable(s.options("mtls", as.Render), authorization.MTLSRoutes())
	t.admin, err = s.adminTable(adminGuard)
	return t, err
}

// verifier stands before our own resources. Its record of used proofs is the
// store's, so that a restart forgets nothing and nodes share it.
func (s *Server) verifier(keys *localKeys) (*verify.Verifier, error) {
	local := knowledge{s.directory}
	return verify.New(verify.Config{
		Issuers:      []verify.Issuer{{URL: s.cfg.Issuer, Algorithms: verify.Algorithms()}},
		Keys:         keys.static,
		Replay:       localUses{s.store},
		SharedReplay: true,
		Nonces:       s.nonces,
		Revocation:   local,
		Certificates: local,
		Now:          s.process.Now,
	})
}

func newGuard(v *verify.Verifier, publicURL string, rules verify.Rules) (*guard, error) {
	edge, err := httpmw.NewEdge(publicURL)
	if err != nil {
		return nil, err
	}
	rules.MaxRevocationLag = directory.MaxAge
	policy, err := v.NewPolicy(rules)
	if err != nil {
		return nil, err
	}
	return &guard{verifier: v, policy: policy, edge: edge}, nil
}

func (s *Server) options(listener string, render func(http.ResponseWriter, *web.Request, error)) web.Options {
	return web.Options{Listener: listener, Now: s.process.Now, Log: s.process.Log, Observe: s.metrics.Observe, Render: render}
}

func (s *Server) adminTable(g *guard) (http.Handler, error) {
	return admin.New(admin.Config{
		Directory:    s.directory,
		Authority:    s.authority,
		Enrolment:    s.enrolment,
		Registration: s.registrar,
		Events:       s.store.Events, SelectEvents: s.store.SelectEvents, Checkpoints: s.store.Checkpoints, LastUsed: s.lastUsed,
		Answers: s.store, Secrets: s.kek, SigningKeys: s.listSigningKeys, ReadToken: s.readToken,
		Require: g.Require,
		Caller: func(ctx context.Context) (admin.Caller, bool) {
			grant, ok := grantFrom(ctx)
			if !ok {
				return admin.Caller{}, false
			}
			return admin.Caller{
				ClientID: directory.ClientID(grant.ClientID), Organisation: directory.OrganisationID(grant.Organisation),
				CredentialID: grant.CredentialID, Binding: string(grant.Binding().Method()),
				Resource: AdminResource(s.cfg.Issuer), TokenID: grant.ID,
				Ended: func(d *directory.Snapshot) string { return endedOn(d, grant.Token) },
			}, true
		},
		OperatorOrganisation: s.operator,
		Resource:             AdminResource(s.cfg.Issuer),
		Scope:                AdminScope,
		URL:                  s.cfg.AdminURL,
		Version:              s.process.Version,
		Table:                s.options("admin", nil),
		Routes: admin.Status{
			Age: s.directory.Age, Ping: s.store.Ping, Draining: s.draining, Audit: s.checkpoints.Problem,
			Metrics: s.metrics.Handler(), Version: map[string]string{"version": s.process.Version},
		}.Routes(),
	})
}

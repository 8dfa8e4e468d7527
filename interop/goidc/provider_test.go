package goidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"
)

// startOracle serves go-oidc with the world's clients, under Holdfast's own
// issuer, so that it can be sent the very same bytes. Its answer is the URL to
// send them to.
func startOracle(t *testing.T, w *world) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := func(context.Context) (goidc.JSONWebKeySet, error) {
		return goidc.JSONWebKeySet{Keys: []goidc.JSONWebKey{{Key: key, KeyID: "as", Algorithm: "ES256", Use: "sig"}}}, nil
	}
	var clients []*goidc.Client
	for _, a := range w.Applications {
		clients = append(clients, oracleClient(w, a))
	}
	uses := &seen{ids: map[string]bool{}}
	op, err := provider.New(w.Dev.Issuer, nil, keys,
		provider.WithProfile(goidc.ProfileFAPI2),
		provider.WithIDTokenSignatureAlgs(goidc.ES256),
		provider.WithTokenEndpoint("/token"),
		provider.WithClientCredentialsGrant(),
		provider.WithScopes(goidc.NewScope(w.Scopes[0]), goidc.NewScope(w.Scopes[1]), goidc.NewScope("payments"), goidc.NewScope("reports")),
		provider.WithResourceIndicators(w.Resource, w.Dev.GatewayURL+"/payments", w.Dev.GatewayURL+"/reports"),
		provider.WithPrivateKeyJWTAuthn(goidc.ES256, goidc.PS256, gojose.EdDSA),
		provider.WithTLSAuthn(),
		provider.WithSelfSignedTLSAuthn(),
		provider.WithMTLS(strings.TrimSuffix(w.Dev.MTLSTokenEndpoint, "/token"), certificateOf(w.roots)),
		provider.WithTLSTokenBinding(),
		provider.WithDPoP(goidc.ES256, goidc.PS256, gojose.EdDSA),
		provider.WithTokenBindingRequired(),
		provider.WithJTIConsumer(uses.consume),
		provider.WithJWTLifetime(300),
		provider.WithJWTLeewayTime(30), // as its own FAPI 2.0 examples have it
		provider.WithStaticClients(clients[0], clients[1:]...),
	)
	if err != nil {
		t.Fatal(err)
	}
	handler := op.Handler()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), tlsState{}, r.TLS)))
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	w.oracleRoots = x509.NewCertPool()
	w.oracleRoots.AddCert(server.Certificate())
	return server.URL + "/token"
}

// oracleClient registers an application as Holdfast has it.
func oracleClient(w *world, a *application) *goidc.Client {
	c := &goidc.Client{ID: a.ClientID, ClientMeta: goidc.ClientMeta{
		GrantTypes: []goidc.GrantType{goidc.GrantClientCredentials},
		ScopeIDs:   strings.Join(append([]string{"payments"}, w.Scopes...), " "),
		JWKS:       &goidc.JSONWebKeySet{},
	}}
	switch {
	case a.key != nil:
		c.TokenAuthnMethod, c.TokenAuthnSigAlg = goidc.AuthnMethodPrivateKeyJWT, goidc.SignatureAlgorithm(a.Algorithm)
		c.JWKS.Keys = append(c.JWKS.Keys, goidc.JSONWebKey{Key: a.key.Public(), KeyID: a.KeyID, Algorithm: a.Algorithm, Use: "sig"})
		c.DPoPTokenBindingIsRequired, c.TLSTokenBindingIsRequired = a.certificate == nil, a.certificate != nil
	case strings.HasSuffix(a.name, "own"):
		leaf := a.certificate.Leaf
		thumbprint := sha256.Sum256(leaf.Raw)
		c.TokenAuthnMethod, c.TLSTokenBindingIsRequired = goidc.AuthnMethodSelfSignedTLS, true
		c.JWKS.Keys = append(c.JWKS.Keys, goidc.JSONWebKey{Key: leaf.PublicKey, KeyID: "own", CertificateThumbprintSHA256: thumbprint[:]})
	default:
		c.TokenAuthnMethod, c.TLSTokenBindingIsRequired = goidc.AuthnMethodTLS, true
		c.TLSSubjectDistinguishedName = a.certificate.Leaf.Subject.String() // it knows no URI SAN
	}
	return c
}

// certificateOf is the check that go-oidc leaves to whoever embeds it: the chain
// of a certificate that is not its own issuer.
func certificateOf(roots *x509.CertPool) goidc.ClientCertFunc {
	return func(ctx context.Context) (*x509.Certificate, error) {
		state, _ := ctx.Value(tlsState{}).(*tls.ConnectionState)
		if state == nil || len(state.PeerCertificates) == 0 {
			return nil, errors.New("no client certificate")
		}
		leaf := state.PeerCertificates[0]
		if leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
			return leaf, nil
		}
		between := x509.NewCertPool()
		for _, c := range state.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return leaf, err
	}
}

type tlsState struct{}

// seen is a replay store.
type seen struct {
	sync.Mutex
	ids map[string]bool
}

func (s *seen) consume(_ context.Context, jti string) error {
	s.Lock()
	defer s.Unlock()
	if s.ids[jti] {
		return errors.New("jti was used")
	}
	s.ids[jti] = true
	return nil
}

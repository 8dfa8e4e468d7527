package as

import (
	"net/http"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// document is RFC 8414 metadata; whatever it says is so.
func (s *Server) document() *oauth.Metadata {
	algorithms := []string{string(jose.ES256), string(jose.PS256), string(jose.EdDSA), string(jose.Ed25519)}
	methods := []string{string(directory.PrivateKeyJWT)}
	public := s.public()
	d := &oauth.Metadata{
		Issuer:                 s.Issuer,
		TokenEndpoint:          public.url(tokenPath),
		IntrospectionEndpoint:  public.url(introspectPath),
		RevocationEndpoint:     public.url(revokePath),
		JWKSURI:                public.url(jwksPath),
		ResponseTypesSupported: []string{}, // required, and there is no authorization endpoint
		GrantTypesSupported:    []string{clientCredentials},
		DPoPSigningAlgs:        algorithms,
	}
	if s.MTLSBase != "" {
		methods = append(methods, string(directory.TLSClientAuth), string(directory.SelfSignedTLSClientAuth))
		m := s.mtls()
		d.TLSClientCertificateBoundAccessTokens = true
		d.MTLSEndpointAliases = &oauth.MTLSEndpointAliases{
			TokenEndpoint:         m.url(tokenPath),
			IntrospectionEndpoint: m.url(introspectPath),
			RevocationEndpoint:    m.url(revokePath),
		}
	}
	if s.Registration != nil {
		d.RegistrationEndpoint = public.url(registration.Path)
		if d.MTLSEndpointAliases != nil {
			d.MTLSEndpointAliases.RegistrationEndpoint = s.mtls().url(registration.Path)
		}
	}
	d.TokenEndpointAuthMethods, d.TokenEndpointAuthSigningAlgs = methods, algorithms
	d.IntrospectionEndpointAuthMethods, d.IntrospectionEndpointAuthSigningAlgs = methods, algorithms
	d.RevocationEndpointAuthMethods, d.RevocationEndpointAuthSigningAlgs = methods, algorithms
	return d
}

func (s *Server) serveMetadata(w http.ResponseWriter, _ *web.Request) error {
	return writePublic(w, "application/json", s.metadata)
}

// serveJWKS is RFC 7517 section 5: the keys that sign now, will sign, or signed
// a token that may still live.
func (s *Server) serveJWKS(w http.ResponseWriter, _ *web.Request) error {
	return writePublic(w, "application/jwk-set+json", jose.JWKSet(s.Keys().Published))
}

// writePublic writes what anybody may keep for five minutes.
func writePublic(w http.ResponseWriter, mediaType string, body []byte) error {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "max-age=300")
	_, err := w.Write(body)
	return err
}

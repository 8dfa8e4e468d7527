package config

import (
	"fmt"
	"slices"
	"time"
)

// Gateway is the configuration of `holdfast gateway`.
type Gateway struct {
	// The URL that consumers call this gateway by, as their DPoP proofs name it
	// (RFC 9449 section 4.3). It is https and has no query, no fragment and no
	// slash at its end.
	GatewayURL string `yaml:"gateway_url" example:"https://api.example.com"`

	// The address to listen on, as host:port; no host means every interface. A
	// balancer before it must pass TLS through.
	Listen string `yaml:"listen" default:":8443"`

	// The authorization server whose tokens open the routes: its issuer, letter by
	// letter.
	Issuer string `yaml:"issuer" example:"https://auth.example.com"`

	// The certificates, PEM, that verify the issuer's TLS. Without it, those of the
	// system.
	CAFile string `yaml:"ca_file" path:"file" optional:"true" example:"/etc/holdfast/ca.pem"`

	// The gateway's certificate towards consumers.
	TLS GatewayTLS `yaml:"tls"`

	// The gateway's own application, with which it reads the feed: private_key_jwt
	// and a token bound by DPoP.
	Client GatewayClient `yaml:"client"`

	// The key, PEM (PKCS#8), that signs Holdfast-Grant for the upstreams. Without
	// it a key is made in memory at each start, which serves while there is one
	// gateway and upstreams fetch its keys again for a kid that they do not know.
	GrantKeyFile string `yaml:"grant_key_file" path:"file" optional:"true" example:"/etc/holdfast/grant.key"`

	// The feed of keys, policy and revocations. Without it, <issuer>/feed.
	FeedURL string `yaml:"feed_url" optional:"true" example:"https://auth.example.com/feed"`

	// A folder of the gateway's own (mode 0700; made if it is not there), in which it
	// keeps the newest checkpoint of the server's audit chain, so that a server that
	// was restored from an older copy, or whose history was written anew, raises an
	// alarm after a restart of the gateway, too. Without it, kept in memory.
	StateDir string `yaml:"state_dir" path:"file" optional:"true" example:"/var/lib/holdfast-gateway"`

	// What is open, and on which terms. The longest path that fits a request
	// decides; a request that no route fits is answered 404.
	Routes []Route `yaml:"routes"`

	// The log, which goes to standard error.
	Log Log `yaml:"log"`
}

// GatewayTLS is the section tls of [Gateway].
type GatewayTLS struct {
	// The certificate chain, PEM, the gateway's own certificate first.
	CertificateFile string `yaml:"certificate_file" path:"file" example:"/etc/holdfast/gateway.crt"`

	// Its private key, PEM (PKCS#8).
	KeyFile string `yaml:"key_file" path:"file" example:"/etc/holdfast/gateway.key"`
}

// GatewayClient is the section client of [Gateway].
type GatewayClient struct {
	// The client_id of the gateway's application.
	ClientID string `yaml:"client_id" example:"gateway"`

	// The private key, PEM (PKCS#8), that signs its assertions.
	KeyFile string `yaml:"key_file" path:"file" example:"/etc/holdfast/gateway-client.key"`

	// The kid under which that key is registered.
	KID string `yaml:"kid" example:"gateway-1"`
}

// Route is one entry of routes of [Gateway].
type Route struct {
	// With a slash at its end: this path and everything below it. Without: this
	// path alone. Compared byte for byte with what the client sent.
	Path string `yaml:"path" example:"/payments/"`

	// The methods that the route is for. Without it, every method.
	Methods []string `yaml:"methods" optional:"true" example:"[GET, POST]"`

	// The audience that a token must have: the resource's URI as it is registered.
	Resource string `yaml:"resource" example:"https://api.example.com/payments"`

	// The scopes that a token must have, all of them; at least one.
	Scopes []string `yaml:"scopes" example:"[payments]"`

	// What tokens must be bound to: mtls, dpop or either.
	Binding string `yaml:"binding" example:"either"`

	// When a DPoP proof needs a nonce of this gateway: on_doubt (while a proof may
	// have been used before the gateway started) or always.
	Nonce string `yaml:"nonce" default:"on_doubt"`

	// How long the feed may be silent, 10s to 24h, before the route answers 503.
	MaxRevocationLag time.Duration `yaml:"max_revocation_lag" default:"15m"`

	// Where requests go: scheme, host and port (http or https) and nothing more.
	Upstream string `yaml:"upstream" example:"https://payments.internal:8080"`

	// The certificates, PEM, that verify an https upstream. Without it, those of
	// the system.
	UpstreamCAFile string `yaml:"upstream_ca_file" path:"file" optional:"true" example:"/etc/holdfast/internal-ca.pem"`

	// What is taken off the path's start before it goes upstream. Without it the
	// path is forwarded as it came.
	StripPrefix string `yaml:"strip_prefix" optional:"true" example:"/payments"`

	// Lets paths through that hold %2f, %5c or //, which are otherwise answered
	// 400. Only for an upstream that reads them as this gateway does.
	AllowEncodedPaths bool `yaml:"allow_encoded_paths" default:"false"`
}

// MinRevocationLag and MaxRevocationLag bound [Route.MaxRevocationLag].
const (
	MinRevocationLag = 10 * time.Second
	MaxRevocationLag = 24 * time.Hour
)

// LoadGateway does for [Gateway] what [LoadServe] does for [Serve].
func LoadGateway(path string, environ []string, overrides map[string]string) (*Gateway, error) {
	g := new(Gateway)
	if err := load(g, path, environ, overrides); err != nil {
		return nil, err
	}
	return g, nil
}

// Validate reports every fault of a value that did not come from [LoadGateway].
func (g *Gateway) Validate() error {
	f := new(faults)
	g.validate(f)
	return f.err()
}

// complete sets the defaults that depend on other keys.
func (g *Gateway) complete() {
	if _, fault := parseHTTPS(g.Issuer); g.FeedURL == "" && fault == "" {
		g.FeedURL = g.Issuer + "/feed"
	}
}

func (g *Gateway) validate(f *faults) {
	gateway := f.serverURL("gateway_url", g.GatewayURL)
	f.address("listen", g.Listen)
	issuer := f.serverURL("issuer", g.Issuer)
	f.otherOrigin("gateway_url", gateway, "issuer", issuer)
	f.optionalURL("feed_url", g.FeedURL)
	f.required("tls.certificate_file", g.TLS.CertificateFile)
	f.required("tls.key_file", g.TLS.KeyFile)
	f.identifier("client.client_id", g.Client.ClientID)
	f.required("client.key_file", g.Client.KeyFile)
	f.required("client.kid", g.Client.KID)
	g.Log.validate(f)

	if len(g.Routes) == 0 {
		f.add("routes", "needs at least one route")
	}
	for i, r := range g.Routes {
		key := fmt.Sprintf("routes[%d]", i)
		r.validate(f, key)
		for j, earlier := range g.Routes[:i] {
			if r.meets(earlier) {
				f.add(key+".path", fmt.Sprintf("is the path of routes[%d], for the same methods", j))
				break
			}
		}
	}
}

func (r Route) validate(f *faults, key string) {
	f.path(key+".path", r.Path)
	f.methods(key+".methods", r.Methods)
	f.audience(key+".resource", r.Resource)
	f.scopes(key+".scopes", r.Scopes)
	f.oneOf(key+".binding", r.Binding, "mtls", "dpop", "either")
	f.oneOf(key+".nonce", r.Nonce, "on_doubt", "always")
	f.between(key+".max_revocation_lag", r.MaxRevocationLag, MinRevocationLag, MaxRevocationLag)
	f.upstream(key+".upstream", r.Upstream, key+".upstream_ca_file", r.UpstreamCAFile)
	if r.StripPrefix != "" {
		f.prefix(key+".strip_prefix", r.StripPrefix, r.Path)
	}
}

// meets reports whether one request can fit both routes equally well.
func (r Route) meets(other Route) bool {
	if r.Path != other.Path {
		return false
	}
	if len(r.Methods) == 0 || len(other.Methods) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Methods, func(m string) bool { return slices.Contains(other.Methods, m) })
}

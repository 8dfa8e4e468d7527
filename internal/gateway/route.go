package gateway

import (
	"crypto/tls"
	"fmt"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/httpmw"
)

// Route opens one path on its terms.
type Route struct {
	// Path with a slash at its end is that path and everything below it; without,
	// that path alone. The longest that fits decides.
	Path string
	// Methods that the route is for; empty for all. A path whose routes are all for
	// other methods is 405.
	Methods []string
	// Resource is the audience, Scopes are all needed.
	Resource string
	Scopes   []string
	Binding  verify.BindingRule
	Nonce    verify.NonceRule
	// MaxRevocationLag as in verify.Rules.
	MaxRevocationLag time.Duration
	// Upstream is scheme, host and port: http or https. It is the audience of
	// Holdfast-Grant.
	Upstream string
	// UpstreamTLS verifies an https upstream; it must have RootCAs.
	UpstreamTLS *tls.Config
	// StripPrefix, whole segments without a slash at the end, is taken off the path.
	StripPrefix string
	// AllowEncodedPaths lets paths with "%2f", "%5c" and "//" through.
	AllowEncodedPaths bool
}

// route is a Route made ready.
type route struct {
	Route
	policy     *verify.Policy
	upstream   *url.URL
	proxy      *httputil.ReverseProxy
	identities *identities
}

// place is the routes of one path, one for each method.
type place struct {
	path    string
	loosest string
	routes  []*route
}

// fits tells whether p, in the same reading as own, is at this place.
func fits(own, p string) bool {
	return own == p || own[len(own)-1] == '/' && strings.HasPrefix(p, own)
}

// table is every place, longest path first.
type table []*place

func (t *table) add(r *route) error {
	for _, at := range *t {
		switch {
		case at.path == r.Path && at.conflicts(r):
			return &verify.Fault{Path: "path", Problem: "is another route's, for the same methods"}
		case at.path == r.Path:
			at.routes = append(at.routes, r)
			return nil
		case at.loosest == loosest(r.Path):
			return &verify.Fault{Path: "path", Problem: "differs from another route's only in the case of letters"}
		}
	}
	*t = append(*t, &place{r.Path, loosest(r.Path), []*route{r}})
	slices.SortStableFunc(*t, func(a, b *place) int { return len(b.path) - len(a.path) })
	return nil
}

// conflicts tells whether one request could be for r and for another route here.
func (p *place) conflicts(r *route) bool {
	return slices.ContainsFunc(p.routes, func(o *route) bool {
		return len(o.Methods) == 0 || len(r.Methods) == 0 ||
			slices.ContainsFunc(r.Methods, func(m string) bool { return slices.Contains(o.Methods, m) })
	})
}

// find chooses the route of a request. A path that another server might read as
// that of another place is refused.
func (t table) find(method string, at target) (*route, error) {
	p := t.at(at.path, func(p *place) string { return p.path })
	if p != t.at(loosest(at.path), func(p *place) string { return p.loosest }) {
		return nil, errPath
	}
	if p == nil {
		if at.encoded {
			return nil, errPath
		}
		return nil, errNoRoute
	}
	for _, r := range p.routes {
		if len(r.Methods) > 0 && !slices.Contains(r.Methods, method) {
			continue
		}
		if at.encoded && !r.AllowEncodedPaths {
			return nil, errPath
		}
		return r, nil
	}
	return nil, &refusal{status: 405, code: "method_not_allowed", reason: "wrong_method", allow: p.allow()}
}

func (t table) at(path string, reading func(*place) string) *place {
	for _, p := range t {
		if fits(reading(p), path) {
			return p
		}
	}
	return nil
}

func (p *place) allow() string {
	var all []string
	for _, r := range p.routes {
		all = append(all, r.Methods...)
	}
	return strings.Join(all, ", ")
}

// check is what is wrong with a route by itself.
func (r *Route) check() (faults []*verify.Fault) {
	add := func(path, problem string) { faults = append(faults, &verify.Fault{Path: path, Problem: problem}) }
	if !plainPath(r.Path) {
		add("path", `must be a plain absolute path (no "%", ";", "?", "//", "." or "..")`)
	}
	for _, m := range r.Methods {
		if m == "" || m == "CONNECT" || m == "TRACE" || strings.ContainsFunc(m, func(c rune) bool { return c < 'A' || c > 'Z' }) {
			add("methods", "must be methods in capitals, and not CONNECT or TRACE")
		}
	}
	u, err := url.Parse(r.Upstream)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || r.Upstream != u.Scheme+"://"+u.Host:
		add("upstream", "must be http or https, host and port and nothing more")
	case u.Scheme == "https" && (r.UpstreamTLS == nil || r.UpstreamTLS.RootCAs == nil || r.UpstreamTLS.InsecureSkipVerify):
		add("upstream_tls", "must name the CA certificates that verify the upstream")
	}
	if p := r.StripPrefix; p != "" && (strings.HasSuffix(p, "/") || !strings.HasPrefix(r.Path+"/", p+"/")) {
		add("strip_prefix", "must be the first segments of path, without a slash at the end")
	}
	return faults
}

// plainPath tells whether there is one way to read path.
func plainPath(p string) bool {
	if p == "" || p[0] != '/' || !pathText(p) || strings.ContainsAny(p, "%;") {
		return false
	}
	clean := path.Clean(p)
	return p == clean || p == clean+"/"
}

// newRoute makes r ready; the faults have paths within the route.
func (g *Gateway) newRoute(c *Config, r Route) (*route, []*verify.Fault) {
	faults := r.check()
	policy, err := c.Verifier.NewPolicy(verify.Rules{
		Resource: r.Resource, Scopes: r.Scopes, Binding: r.Binding, Nonce: r.Nonce,
		MaxRevocationLag: r.MaxRevocationLag, MetadataURL: httpmw.MetadataURL(c.URL, r.Resource),
	})
	faults = append(faults, faultsOf(err)...)
	if len(r.Scopes) == 0 {
		faults = append(faults, &verify.Fault{Path: "scopes", Problem: "needs at least one scope"})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	ready := &route{Route: r, policy: policy}
	ready.upstream, _ = url.Parse(r.Upstream) // checked above
	ready.identities = newIdentities(c.URL, r.Upstream, c.Signer)
	ready.proxy = g.newProxy(ready)
	return ready, nil
}

// faultsOf takes a joined error apart.
func faultsOf(err error) (list []*verify.Fault) {
	switch e := err.(type) {
	case nil:
	case *verify.Fault:
		list = append(list, e)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			list = append(list, faultsOf(one)...)
		}
	default:
		list = append(list, &verify.Fault{Path: "policy", Problem: fmt.Sprint(err)})
	}
	return list
}

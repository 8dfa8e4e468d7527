package httpmw

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/holdfast-auth/holdfast/mtls"
	"github.com/holdfast-auth/holdfast/verify"
)

// Edge is a listener that ends TLS itself and is reached under one public URL.
type Edge struct {
	origin string
	// undotted is the host of origin where it has no dot, such as localhost. RFC
	// 6066 section 3 speaks of qualified names, and Java sends no other in its
	// handshake.
	undotted string
}

// NewEdge takes the URL that clients use: https, host and perhaps port, nothing more.
func NewEdge(publicURL string) (*Edge, error) {
	u, err := url.Parse(publicURL)
	if err != nil || u.Host == "" || publicURL != "https://"+u.Host {
		return nil, &verify.Fault{Path: "public_url", Problem: "must be https://host or https://host:port and nothing more"}
	}
	e := &Edge{origin: publicURL}
	if !strings.ContainsAny(u.Hostname(), ".:") {
		e.undotted = u.Hostname()
	}
	return e, nil
}

// Collect takes the facts of r, and removes every header that claims to carry
// the client's certificate. It refuses, with a *verify.Error of status 421, a
// request for another host than the one of its TLS connection: the other host's
// rules about certificates were not asked.
func (e *Edge) Collect(r *http.Request) (verify.Request, error) {
	if !e.sameHost(r) {
		return verify.Request{}, &verify.Error{Reason: verify.Misdirected, Status: http.StatusMisdirectedRequest, Code: "misdirected_request"}
	}
	facts := verify.Request{
		Method:               r.Method,
		Authorization:        r.Header["Authorization"],
		DPoP:                 r.Header["Dpop"],
		QueryToken:           hasToken(r.URL.RawQuery),
		ForwardedCertificate: removeCertificates(r.Header),
	}
	if len(facts.DPoP) > 0 {
		facts.URL = e.origin + r.URL.EscapedPath()
	}
	peer, err := mtls.FromRequest(r.Context(), r.TLS)
	if err == nil {
		facts.Certificate = peer
	}
	return facts, nil
}

// sameHost compares Host with the name that the client asked for in the
// handshake (RFC 9110 section 7.4). Without a name only an IP address is good,
// or our own host where it has no dot.
func (e *Edge) sameHost(r *http.Request) bool {
	if r.TLS == nil {
		return false
	}
	host := hostname(r.Host)
	if r.TLS.ServerName == "" {
		_, err := netip.ParseAddr(host)
		return err == nil || e.undotted != "" && strings.EqualFold(host, e.undotted)
	}
	return strings.EqualFold(host, strings.TrimSuffix(r.TLS.ServerName, "."))
}

// hostname is a Host field without port, brackets and the root's dot.
func hostname(host string) string {
	if strings.HasPrefix(host, "[") {
		host, _, _ = strings.Cut(host[1:], "]")
		return host
	}
	host, _, _ = strings.Cut(host, ":")
	return strings.TrimSuffix(host, ".")
}

// hasToken tells whether the query has the parameter of RFC 6750 section 2.3.
func hasToken(query string) bool {
	for query != "" {
		var pair string
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			pair, query = query, ""
		}
		name, _, _ := strings.Cut(pair, "=")
		if strings.Contains(name, "%") {
			name, _ = url.QueryUnescape(name)
		}
		if name == "access_token" {
			return true
		}
	}
	return false
}

// removeCertificates removes the headers by which proxies forward a client
// certificate, in every spelling, and tells whether there were any.
func removeCertificates(h http.Header) (found bool) {
	for name := range h {
		if IsCertificateHeader(name) {
			delete(h, name)
			found = true
		}
	}
	return found
}

// certificateHeaders are the beginnings of header names by which proxies forward
// client certificates and what they found out about them: RFC 9440, Envoy,
// Apache, nginx, AWS, Azure, Cloudflare.
var certificateHeaders = [...]string{
	"client-cert", "x-client-cert", "x-forwarded-client-cert", "x-forwarded-tls-client-cert", "x-ssl-", "ssl-client-",
	"x-amzn-mtls-", "x-arr-clientcert", "cf-client-cert", "x-tls-client-",
}

// IsCertificateHeader tells whether name, in any spelling that HasPrefixFold
// takes for it, is one by which proxies forward client certificates.
func IsCertificateHeader(name string) bool {
	for _, prefix := range certificateHeaders {
		if HasPrefixFold(name, prefix) {
			return true
		}
	}
	return false
}

// HasPrefixFold tells whether a header name begins with prefix, which is in
// lower case with hyphens. It takes capitals for small letters, and whatever is no
// letter or digit for "-", because servers that make variables of header names
// (RFC 3875 section 4.1.18) do not tell these apart.
func HasPrefixFold(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		default:
			c = '-'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

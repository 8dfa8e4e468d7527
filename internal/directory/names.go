package directory

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"net/netip"
	"net/url"
	"strings"

	"github.com/holdfast-auth/holdfast/cnf"
)

// checkTLSName is for exactly one subject alternative name in its one spelling
// (RFC 8705 section 2.1.2): it is compared byte for byte with the certificate's.
// Beside private_key_jwt it names the certificates that tokens may be bound to.
func checkTLSName(s *Snapshot, a Application) error {
	n := a.TLSName
	if n == (TLSName{}) {
		return nil
	}
	if a.AuthMethod != TLSClientAuth && (a.AuthMethod != PrivateKeyJWT || a.Binding != cnf.MTLS) {
		return invalid("tls_client_auth_san_"+string(n.Kind), "is for tls_client_auth, and for private_key_jwt with tokens bound to a certificate")
	}
	if reason := faultOfName(n); reason != "" {
		return invalid("tls_client_auth_san_"+string(n.Kind), "%s", reason)
	}
	for c := range s.Clients() {
		if c.ClientID != a.ClientID && c.Organisation == a.Organisation && c.TLSName == n && c.State != Revoked {
			return invalid("tls_client_auth_san_"+string(n.Kind), "is registered for another application of the organisation")
		}
	}
	return nil
}

func faultOfName(n TLSName) string {
	if n.Value == "" || len(n.Value) > maxURI || strings.ContainsFunc(n.Value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "must have 1 to 512 printable characters of ASCII"
	}
	switch n.Kind {
	case NameURI:
		u, err := url.Parse(n.Value)
		if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Fragment != "" || u.String() != n.Value {
			return "must be an absolute URI with a host, without user information and fragment"
		}
	case NameDNS:
		if !hostname(n.Value) {
			return "must be a host name in lower case, without wildcard and final dot"
		}
	case NameIP:
		ip, err := netip.ParseAddr(n.Value)
		if err != nil || ip.Zone() != "" || ip.Is4In6() || ip.String() != n.Value {
			return "must be an IP address in its canonical spelling (RFC 5952)"
		}
	case NameEmail:
		local, host, found := strings.Cut(n.Value, "@")
		if !found || local == "" || !hostname(host) {
			return "must be local-part@host with the host in lower case"
		}
	default:
		return "is of a kind that is not known"
	}
	return ""
}

// hostname is labels of lower-case letters, digits and hyphens (RFC 1123 section 2.1).
func hostname(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

// checkApplication is every rule of an application, those of this installation
// included.
func (d *Directory) checkApplication(s *Snapshot, a Application) error {
	if err := checkApplication(s, a); err != nil {
		return err
	}
	return d.checkOutbound(a)
}

// checkOutbound refuses a jwks_uri at an address that is never called.
func (d *Directory) checkOutbound(a Application) error {
	if a.JWKSURI != "" && d.Outbound.CheckURL(a.JWKSURI) != nil {
		return invalid("jwks_uri", "must be at a public address, or in a network that the operator allows")
	}
	return nil
}

// checkJWKSURI is for a place that keys are fetched from. A name's addresses are
// judged when it is called.
func checkJWKSURI(a Application) error {
	if a.JWKSURI == "" {
		return nil
	}
	u, err := url.Parse(a.JWKSURI)
	switch {
	case a.AuthMethod == TLSClientAuth:
		return invalid("jwks_uri", "a %s application has no keys", a.AuthMethod)
	case len(a.JWKSURI) > maxURI || strings.ContainsFunc(a.JWKSURI, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }):
		return invalid("jwks_uri", "must have at most %d printable characters of ASCII", maxURI)
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return invalid("jwks_uri", "must be an https URL")
	case u.User != nil || strings.Contains(a.JWKSURI, "#"):
		return invalid("jwks_uri", "must not have user information or a fragment")
	}
	return nil
}

// caKey is what a trust anchor may sign with.
func caKey(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384()
	case ed25519.PublicKey:
		return true
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 4096
	}
	return false
}

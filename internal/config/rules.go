package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

func (f *faults) required(key, value string) bool {
	if value == "" {
		f.add(key, "is missing")
		return false
	}
	return true
}

// serverURL checks the URL of one of our own listeners and returns it, or nil
// with the fault recorded.
func (f *faults) serverURL(key, value string) *url.URL {
	if !f.required(key, value) {
		return nil
	}
	u, fault := parseHTTPS(value)
	if fault != "" {
		f.add(key, fault)
		return nil
	}
	return u
}

// optionalURL is serverURL for a key that may be left out.
func (f *faults) optionalURL(key, value string) {
	if value == "" {
		return
	}
	if _, fault := parseHTTPS(value); fault != "" {
		f.add(key, fault)
	}
}

// parseHTTPS returns the URL, or what is wrong with it. There is one spelling
// for each URL, because issuers and audiences are compared byte for byte.
func parseHTTPS(value string) (*url.URL, string) {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" && u.Scheme == "https" || u.Opaque != "":
		return nil, quote(value) + " is not a URL"
	case !strings.HasPrefix(value, "https://"):
		return nil, "must begin with https://, not be " + quote(value)
	case u.User != nil:
		return nil, "must not have a user in it"
	case strings.ContainsAny(value, "?#"):
		return nil, "must not have a query or a fragment"
	case strings.HasSuffix(value, "/"):
		return nil, "must not end with a slash"
	case u.Host != strings.ToLower(u.Host):
		return nil, "must have its host in lower case"
	case !validHost(u):
		return nil, quote(u.Host) + " is not a host with a port of 1 to 65535"
	case strings.ContainsAny(value, `%\`) || u.Path != "" && path.Clean(u.Path) != u.Path:
		return nil, `must have a plain path (no "%", "\", "//", "." or "..")`
	}
	return u, ""
}

func validHost(u *url.URL) bool {
	if u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
		return false
	}
	port := u.Port()
	return port == "" || validPort(port) && port != "0"
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}

func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// otherOrigin checks that two listeners cannot be mistaken for one. A nil URL
// has its fault already.
func (f *faults) otherOrigin(key string, u *url.URL, otherKey string, other *url.URL) {
	if u != nil && other != nil && originOf(u) == originOf(other) {
		f.add(key, "must differ from "+otherKey+" in host or port")
	}
}

// address checks a host:port to listen on. Port 0 takes a free one.
func (f *faults) address(key, value string) {
	if !f.required(key, value) {
		return
	}
	host, port, err := net.SplitHostPort(value)
	switch {
	case err != nil:
		f.add(key, quote(value)+` is not an address (write host:port, as in 127.0.0.1:8443 or :8443)`)
	case !validPort(port):
		f.add(key, quote(port)+" is not a port of 0 to 65535")
	case strings.ContainsAny(host, "/ \t"):
		f.add(key, quote(host)+" is not a host")
	}
}

// network checks a network of addresses in its one spelling.
func (f *faults) network(key, value string) {
	n, err := netip.ParsePrefix(value)
	switch {
	case err != nil:
		f.add(key, quote(value)+" is not a network (write an address and its length, as in 10.20.0.0/16)")
	case n != n.Masked():
		f.add(key, quote(value)+" has bits beyond its length: write "+n.Masked().String())
	case n.Addr().Is4In6():
		f.add(key, quote(value)+" is a network of IPv4: write it so")
	}
}

func (f *faults) otherAddress(key, value, otherKey, other string) {
	if value == other && value != "" && !strings.HasSuffix(value, ":0") {
		f.add(key, "must differ from "+otherKey)
	}
}

func (f *faults) database(key, value string) {
	switch {
	case !f.required(key, value):
	case isPostgres(value):
		f.postgres(key, value)
	case strings.Contains(value, ":memory:"):
		f.add(key, "must be a file: what is kept in memory is lost at the first restart")
	case strings.Contains(value, "://"):
		f.addHint(key, "must be the path of a SQLite file or the URL of a PostgreSQL database", "As in holdfast.db, or postgres://holdfast@db.example.com/holdfast?sslmode=verify-full.")
	case strings.ContainsAny(value, "?#"):
		f.add(key, `must not hold "?" or "#"`)
	}
}

func isPostgres(value string) bool {
	return strings.HasPrefix(value, "postgres://") || strings.HasPrefix(value, "postgresql://")
}

// postgres checks the URL of a PostgreSQL database. No fault repeats it: it may
// hold a password, and in one that was mistyped anywhere.
func (f *faults) postgres(key, value string) {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Opaque != "":
		f.addHint(key, "is not the URL of a PostgreSQL database", "As in postgres://holdfast@db.example.com/holdfast?sslmode=verify-full; special characters are escaped, as %2F.")
	case strings.Trim(u.Path, "/") == "":
		f.add(key, "must name the database, as in postgres://holdfast@db.example.com/holdfast")
	case u.Fragment != "" || strings.Contains(value, "#"):
		f.add(key, `must not hold "#"`)
	}
}

func (f *faults) together(key, value, otherKey, other string) {
	switch {
	case value != "" && other == "":
		f.add(otherKey, "is missing ("+key+" is set, and they go together)")
	case value == "" && other != "":
		f.add(key, "is missing ("+otherKey+" is set, and they go together)")
	}
}

func (f *faults) between(key string, value, least, most time.Duration) {
	if value < least || value > most {
		f.add(key, fmt.Sprintf("must be %s to %s, not %s", brief(least), brief(most), brief(value)))
	}
}

// brief prints a duration without the zero parts that String adds: 1h, not 1h0m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (f *faults) oneOf(key, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	choice := strings.Join(allowed[:len(allowed)-1], ", ") + " or " + allowed[len(allowed)-1]
	if value == "" {
		f.add(key, "is missing: "+choice)
		return
	}
	f.add(key, "must be "+choice+", not "+quote(value))
}

// identifier checks an id of ours: [A-Za-z0-9._-]{1,64}, neither "." nor "..".
func (f *faults) identifier(key, value string) {
	if !f.required(key, value) {
		return
	}
	strange := strings.ContainsFunc(value, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	})
	if strange || len(value) > 64 || value == "." || value == ".." {
		f.add(key, "must be 1 to 64 letters, digits, dots, underscores or hyphens")
	}
}

package config

import (
	"net/url"
	"path"
	"strings"
)

// path checks the path of a route, which is compared with what clients send.
func (f *faults) path(key, value string) {
	switch {
	case !f.required(key, value):
	case !strings.HasPrefix(value, "/"):
		f.add(key, "must begin with a slash")
	case !plainPath(value):
		f.add(key, `must be a plain path (no "%", "?", "#", "\", "//", "." or "..")`)
	}
}

func plainPath(value string) bool {
	if strings.ContainsAny(value, `%?#\;*{}`) || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return false
	}
	clean := path.Clean(value)
	return value == clean || value == clean+"/"
}

// prefix checks a strip_prefix: whole segments at the start of the route's path.
func (f *faults) prefix(key, value, route string) {
	switch {
	case !strings.HasPrefix(value, "/") || strings.HasSuffix(value, "/"):
		f.add(key, "must begin with a slash and not end with one")
	case !strings.HasPrefix(route, value+"/"):
		f.add(key, "must be the first segments of the route's path "+quote(route))
	}
}

func (f *faults) methods(key string, methods []string) {
	seen := make(map[string]bool, len(methods))
	for _, m := range methods {
		switch {
		case m == "" || strings.ContainsFunc(m, func(r rune) bool { return r < 'A' || r > 'Z' }):
			f.add(key, quote(m)+" is not a method (they are written in capitals)")
		case m == "CONNECT" || m == "TRACE":
			f.add(key, m+" is never forwarded")
		case seen[m]:
			f.add(key, m+" is there twice")
		}
		seen[m] = true
	}
}

// audience checks a resource by RFC 8707 section 2: absolute, without fragment.
func (f *faults) audience(key, value string) {
	if !f.required(key, value) {
		return
	}
	u, err := url.Parse(value)
	if err != nil || !u.IsAbs() || u.Opaque == "" && u.Host == "" || strings.Contains(value, "#") {
		f.add(key, "must be an absolute URI without a fragment, not "+quote(value))
	}
}

// scopes checks scope tokens by the grammar of RFC 6749 section 3.3.
func (f *faults) scopes(key string, scopes []string) {
	if len(scopes) == 0 {
		f.add(key, "needs at least one scope")
	}
	seen := make(map[string]bool, len(scopes))
	for _, s := range scopes {
		switch {
		case s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }):
			f.add(key, quote(s)+" is not a scope (no spaces, quotes or backslashes; one entry for each)")
		case seen[s]:
			f.add(key, quote(s)+" is there twice")
		}
		seen[s] = true
	}
}

// upstream checks scheme://host:port and that a CA is named only where TLS is spoken.
func (f *faults) upstream(key, value, caKey, caFile string) {
	if !f.required(key, value) {
		return
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https":
		f.add(key, "must be an http or https URL, not "+quote(value))
	case u.User != nil || u.Path != "" || strings.ContainsAny(value, "?#"):
		f.add(key, "must be scheme, host and port and nothing more")
	case !validHost(u):
		f.add(key, quote(u.Host)+" is not a host with a port of 1 to 65535")
	case u.Scheme == "http" && caFile != "":
		f.add(caKey, "has no use: the upstream is not https")
	}
}

package gateway

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestTargetCharacters(t *testing.T) {
	for _, raw := range []string{"", "a", "*", "?a", "/ ", "/\x00", "/?\x00", "/?a b", "/?\x7f", "/?a#b", "/#a", "/\x80", "/{", "/`",
		"/%", "/%2", "/%2:", "/%:2", "/%2/", "/%/2", "/%2G", "/%G2", "/%2@", "/%@2", "/%2g", "/%g2", "/%2`", "/%`2",
		"/?%", "/?%2", "/?%2:", "/?%G2", "/?%2g", "/?%`2"} {
		if _, wrong := parseTarget(raw); wrong == nil {
			t.Errorf("%q accepted", raw)
		}
	}
	for _, raw := range []string{"/", "/?", "/?\x80", "/azAZ09-._~!$&'()*+,;=:@%20", "/?{}|\"'`[]",
		"/%09/%90/%aA/%Aa/%fF/%Ff", "/?%09%90%aA%Aa%fF%Ff%00", "/x2e/x2e2e/x2f/x5c/x00/a3b", "/.x/..x/.x3b"} {
		if at, wrong := parseTarget(raw); wrong != nil || at.encoded {
			t.Errorf("%q refused", raw)
		}
	}
}

// FuzzPath holds that a target which is accepted has one reading: net/http writes
// it again as it came; decoded once, it is as path.Clean leaves it, without NUL
// and backslash; its query keeps every parameter; and it belongs to the same route
// before and after decoding. Paths that only some routes let through are held to
// the same once their escaped and doubled slashes are single ones.
func FuzzPath(f *testing.F) {
	var routes table
	for _, p := range []string{"/", "/open/", "/open/deep/", "/payments/", "/payments/Status"} {
		for _, fault := range faultsOf(routes.add(&route{Route: Route{Path: p, AllowEncodedPaths: true}})) {
			f.Fatal(fault)
		}
	}
	for _, s := range []string{
		"/", "/payments/1?a=b", "/payments/../x", "/payments/%2e%2E;/x", "/open/a%2fb", "/open//a", "/%6fpen/x", "/open;a/x", "/a%5c..%5cb",
		"/a%00", "/a?x=%zz", "/a?b;c", "/payments/Status", "/payments/..%3bx", "*", "http://h/", "/a%2f%2e%2e%2fopen", "/%252e%252e/x", "/a/.../b", "/OPEN%2Fx",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		at, wrong := parseTarget(raw)
		if wrong != nil {
			return
		}
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			t.Fatalf("%q: net/http does not read it: %v", raw, err)
		}
		rawPath, rawQuery, _ := strings.Cut(raw, "?")
		if at.path != rawPath || u.EscapedPath() != rawPath || u.RequestURI() != raw || u.RawQuery != rawQuery {
			t.Fatalf("%q is forwarded as %q", raw, u.RequestURI())
		}
		if _, err := url.ParseQuery(rawQuery); err != nil {
			t.Fatalf("%q: query: %v", raw, err)
		}
		decoded := u.Path
		if at.encoded {
			decoded = strings.ReplaceAll(decoded, `\`, "/")
			for strings.Contains(decoded, "//") {
				decoded = strings.ReplaceAll(decoded, "//", "/")
			}
		}
		if clean := path.Clean(decoded); decoded != clean && decoded != clean+"/" {
			t.Fatalf("%q has dots or slashes: %q", raw, decoded)
		}
		if strings.ContainsAny(decoded, "\x00\\") {
			t.Fatalf("%q holds NUL or a backslash", raw)
		}
		if r, err := routes.find("GET", at); err == nil {
			if other := routes.at(decoded, func(p *place) string { return p.path }); other == nil || other.routes[0] != r {
				t.Fatalf("%q is for %s, and decoded for another", raw, r.Path)
			}
		}
	})
}

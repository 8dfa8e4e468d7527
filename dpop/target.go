package dpop

import "strings"

// target is an absolute http(s) URI, cut up but not changed. Query and fragment
// are left off (RFC 9449 section 4.3, check 9).
type target struct{ scheme, host, port, path string }

// sameTarget tells whether two URIs are the same after the normalisation of RFC
// 3986 sections 6.2.2.1 (case), 6.2.2.2 (escapes of unreserved characters) and
// 6.2.3 (default port, empty path). Dot segments are compared as they stand and
// "%2F" stays apart from "/". A user name is part of the host here, so a URI with
// one equals no URL that a server is reached under.
func sameTarget(a, b string) bool {
	s, t := splitTarget(a), splitTarget(b)
	return s.scheme != "" && sameFolded(s.scheme, t.scheme) &&
		sameFolded(s.host, t.host) && s.port == t.port && samePath(s.path, t.path)
}

// splitTarget gives the zero target for what is not absolute.
func splitTarget(uri string) target {
	if end := strings.IndexAny(uri, "?#"); end >= 0 {
		uri = uri[:end]
	}
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return target{}
	}
	t := target{scheme: scheme, host: rest, path: "/"}
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		t.host, t.path = rest[:slash], rest[slash:]
	}
	// The colon of a port stands after the bracket of an IPv6 address.
	if colon := strings.LastIndexByte(t.host, ':'); colon > strings.LastIndexByte(t.host, ']') {
		t.host, t.port = t.host[:colon], t.host[colon+1:]
	}
	if sameFolded(scheme, "https") && t.port == "443" || sameFolded(scheme, "http") && t.port == "80" {
		t.port = ""
	}
	return t
}

// sameFolded compares without regard to the case of ASCII letters, and of no
// other: strings.EqualFold holds the Kelvin sign for a k.
func sameFolded(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// samePath compares character by character.
func samePath(a, b string) bool {
	for len(a) > 0 && len(b) > 0 {
		c, escapedC, n := next(a)
		d, escapedD, m := next(b)
		if c != d || escapedC != escapedD {
			return false
		}
		a, b = a[n:], b[m:]
	}
	return len(a) == len(b)
}

// next reads one character of a path: its value, whether it is an escape of a
// character that is not unreserved, and how many bytes it took. A "%" that begins
// no escape stands for itself alone.
func next(path string) (c byte, escaped bool, n int) {
	if path[0] == '%' && len(path) >= 3 {
		high, ok1 := hex(path[1])
		low, ok2 := hex(path[2])
		if c = high<<4 | low; ok1 && ok2 {
			return c, !unreserved(c), 3
		}
	}
	return path[0], false, 1
}

func hex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= lower(c) && lower(c) <= 'f':
		return lower(c) - 'a' + 10, true
	}
	return 0, false
}

// unreserved is RFC 3986 section 2.3.
func unreserved(c byte) bool {
	return 'a' <= lower(c) && lower(c) <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

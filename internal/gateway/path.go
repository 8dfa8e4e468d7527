package gateway

import "strings"

// target is what a request line asks for: a path, as it came.
type target struct {
	path string
	// encoded tells that it holds "%2f", "%5c" or "//", which only some routes let through.
	encoded bool
}

// parseTarget takes the path out of a request target, byte for byte. It refuses
// what a server behind us might read as another path or another query than we do:
// a target that is not in origin form, characters outside RFC 3986, a segment
// that is "." or ".." in any spelling, "%00" and a backslash; and in the query ";",
// "#" and broken escapes, with which net/http would drop parameters.
func parseTarget(requestURI string) (target, *refusal) {
	path, query, _ := strings.Cut(requestURI, "?")
	switch {
	case path == "" || path[0] != '/':
		return target{}, errTarget
	case !pathText(path):
		return target{}, errPath
	case !queryText(query):
		return target{}, errQuery
	}
	t := target{path: path}
	for rest := path[1:]; ; {
		segment, next, more := cutSegment(rest)
		if dots(segment) {
			return target{}, errPath
		}
		if !more {
			break
		}
		if segment == "" || rest[len(segment)] != '/' {
			t.encoded = true
		}
		rest = next
	}
	return t, nil
}

// cutSegment cuts at whatever some server takes for a slash.
func cutSegment(path string) (segment, rest string, more bool) {
	for i := range len(path) {
		switch {
		case path[i] == '/':
			return path[:i], path[i+1:], true
		case escapeOf(path[i:], '/'), escapeOf(path[i:], '\\'):
			return path[:i], path[i+3:], true
		}
	}
	return path, "", false
}

// dots tells whether a segment is "." or "..", plain or escaped, alone or with
// parameters.
func dots(segment string) bool {
	n := 0
	for ; segment != ""; n++ {
		switch {
		case segment[0] == '.':
			segment = segment[1:]
			continue
		case escapeOf(segment, '.'):
			segment = segment[3:]
			continue
		}
		break
	}
	return (n == 1 || n == 2) && (segment == "" || segment[0] == ';' || escapeOf(segment, ';'))
}

// escapeOf tells whether s begins with the escape of c.
func escapeOf(s string, c byte) bool {
	return len(s) >= 3 && s[0] == '%' && unhex(s[1])<<4|unhex(s[2]) == int(c)
}

// unhex is the value of a hexadecimal digit, or above any byte.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return 1 << 8
}

// pathText tells whether path is made of RFC 3986 segments, with no escape of NUL.
func pathText(path string) bool {
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("/-._~!$&'()*+,;=:@", c) >= 0:
		case c == '%' && escaped(path[i:]) && !escapeOf(path[i:], 0):
			i += 2
		default:
			return false
		}
	}
	return true
}

// escaped tells whether s begins with a "%" and two hexadecimal digits.
func escaped(s string) bool { return len(s) >= 3 && unhex(s[1]) < 16 && unhex(s[2]) < 16 }

// queryText tells whether net/http forwards the query as it is.
func queryText(query string) bool {
	for i := range len(query) {
		switch c := query[i]; {
		case c <= ' ' || c == 0x7f || c == ';' || c == '#':
			return false
		case c == '%' && !escaped(query[i:]):
			return false
		}
	}
	return true
}

// loosest is the path as the most lenient server would read it: escapes decoded,
// parameters cut, repeated slashes joined, small letters. A path whose loosest
// reading belongs to another route is ambiguous.
func loosest(path string) string {
	if !strings.ContainsAny(path, "%;ABCDEFGHIJKLMNOPQRSTUVWXYZ") && !strings.Contains(path, "//") {
		return path
	}
	b := make([]byte, 0, len(path))
	skip := false // within the parameters of a segment
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			c = byte(unhex(path[i+1])<<4 | unhex(path[i+2]))
			i += 2
		}
		switch {
		case c == '/' || c == '\\':
			skip = false
			if len(b) > 0 && b[len(b)-1] == '/' {
				continue
			}
			c = '/'
		case c == ';':
			skip = true
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		if !skip {
			b = append(b, c)
		}
	}
	return string(b)
}

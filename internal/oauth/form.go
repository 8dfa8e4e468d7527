package oauth

import "net/http"

// Limits of a form.
const (
	MaxForm       = 64 << 10
	MaxParameters = 100
)

// Form is a parsed application/x-www-form-urlencoded body, in which no
// parameter occurs twice and an empty one counts as omitted (RFC 6749 section
// 3.2).
type Form struct{ values map[string]string }

// Value is the parameter's value, "" when omitted.
func (f Form) Value(name string) string { return f.values[name] }

// ParseForm reads the body of r. It refuses, as invalid_request: another media
// type, a body or a count beyond the limits, a parameter twice, bad escapes,
// text that is not UTF-8 or holds control characters, and any client credential
// in the query.
func ParseForm(r *http.Request) (Form, error) { panic("not written") }

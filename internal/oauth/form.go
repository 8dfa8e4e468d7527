package oauth

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a form.
const (
	MaxForm       = 64 << 10
	MaxParameters = 100
)

const formMediaType = "application/x-www-form-urlencoded"

// Form is a parsed application/x-www-form-urlencoded body, in which no
// parameter but "resource" occurs twice and an empty one counts as omitted
// (RFC 6749 section 3.2, RFC 8707 section 2).
type Form struct{ parameters []parameter }

type parameter struct{ name, value string }

// NewForm is the form of names and values, in turn: what came in another way than
// as a form, to be read like one.
func NewForm(namesAndValues ...string) Form {
	var f Form
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		f.parameters = append(f.parameters, parameter{namesAndValues[i], namesAndValues[i+1]})
	}
	return f
}

// Value is the parameter's value, "" when omitted; of a repeated "resource", the first.
func (f Form) Value(name string) string {
	for i := range f.parameters {
		if f.parameters[i].name == name {
			return f.parameters[i].value
		}
	}
	return ""
}

// Count is how often the parameter occurs with a value: more than once only for "resource".
func (f Form) Count(name string) int {
	n := 0
	for i := range f.parameters {
		if f.parameters[i].name == name {
			n++
		}
	}
	return n
}

// ParseForm reads the body of r. It refuses, as invalid_request: another media
// type, a body or a count beyond the limits, a parameter twice, bad escapes,
// text that is not UTF-8 or holds control characters, and any query: what
// belongs in the body must not be in a URL, where logs keep it (RFC 6749
// section 2.3.1).
func ParseForm(r *http.Request) (Form, error) {
	if r.URL.RawQuery != "" {
		return Form{}, refuseForm("query_not_allowed", "the request must not have a query", nil)
	}
	if !isForm(r.Header["Content-Type"]) {
		return Form{}, refuseForm("media_type", "the body must be application/x-www-form-urlencoded in UTF-8", nil)
	}
	body, err := readForm(r)
	if err != nil {
		return Form{}, err
	}
	return parseForm(body)
}

func refuseForm(reason, description string, cause error) error {
	return Refuse(InvalidRequest, reason, description, cause)
}

// isForm accepts the media type without parameters, or with charset=utf-8.
func isForm(contentType []string) bool {
	if len(contentType) != 1 {
		return false
	}
	if contentType[0] == formMediaType {
		return true
	}
	media, parameters, err := mime.ParseMediaType(contentType[0])
	if err != nil || media != formMediaType {
		return false
	}
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

// readForm reads the whole body, of at most MaxForm bytes, in a buffer that is
// the caller's to change.
func readForm(r *http.Request) ([]byte, error) {
	tooLarge := func() error { return refuseForm("form_too_large", "the body is larger than 64 KiB", nil) }
	room := 4 << 10
	switch {
	case r.ContentLength > MaxForm:
		return nil, tooLarge()
	case r.ContentLength >= 0:
		room = int(r.ContentLength) + 1 // one more, to see the end without growing
	}
	body := make([]byte, 0, room)
	for {
		body = slices.Grow(body, 1)
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > MaxForm:
			return nil, tooLarge()
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, refuseForm("form_unreadable", "the body could not be read", err)
		}
	}
}

var errParameter = errors.New("not a form parameter")

// parseForm decodes body in place: what is decoded is never longer. All names
// and values share one string.
func parseForm(body []byte) (Form, error) {
	type span struct{ name, value, end int }
	var room [16]span
	spans := room[:0]
	out, count := 0, 0
	for in := 0; in < len(body); {
		end := len(body)
		if i := bytes.IndexByte(body[in:], '&'); i >= 0 {
			end = in + i
		}
		pair := body[in:end]
		in = end + 1
		if len(pair) == 0 {
			continue
		}
		if count++; count > MaxParameters {
			return Form{}, refuseForm("too_many_parameters", "the body has more than 100 parameters", nil)
		}
		name, value, _ := bytes.Cut(pair, []byte("="))
		s := span{name: out}
		var err error
		if s.value, err = decode(body, s.name, name); err == nil && s.value > s.name {
			s.end, err = decode(body, s.value, value)
		} else {
			err = errParameter
		}
		if err != nil {
			return Form{}, refuseForm("form_malformed", "the body has a parameter that is not well formed", nil)
		}
		if s.end > s.value {
			spans = append(spans, s)
			out = s.end
		}
	}
	text := string(body[:out])
	f := Form{parameters: make([]parameter, 0, len(spans))}
	for _, s := range spans {
		p := parameter{name: text[s.name:s.value], value: text[s.value:s.end]}
		if p.name != "resource" && f.Count(p.name) > 0 {
			return Form{}, refuseForm("duplicate_parameter", "a parameter occurs twice", nil)
		}
		f.parameters = append(f.parameters, p)
	}
	return f, nil
}

// decode unescapes piece into buf from out on, and returns where it ends. The
// piece lies in buf, at or after out. A raw ";" is refused, because some parsers
// split at it.
func decode(buf []byte, out int, piece []byte) (end int, err error) {
	start := out
	for i := 0; i < len(piece); i++ {
		c := piece[i]
		switch c {
		case '%':
			var ok bool
			if c, ok = escaped(piece[i+1:]); !ok {
				return 0, errParameter
			}
			i += 2
		case '+':
			c = ' '
		case ';':
			return 0, errParameter
		}
		if c < ' ' || c == 0x7f {
			return 0, errParameter
		}
		buf[out] = c
		out++
	}
	if !utf8.Valid(buf[start:out]) {
		return 0, errParameter
	}
	return out, nil
}

// escaped is the byte of the two hexadecimal digits that digits begins with.
func escaped(digits []byte) (c byte, ok bool) {
	if len(digits) < 2 {
		return 0, false
	}
	high, ok1 := hexadecimal(digits[0])
	low, ok2 := hexadecimal(digits[1])
	return high<<4 | low, ok1 && ok2
}

func hexadecimal(c byte) (value byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

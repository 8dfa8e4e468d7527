package strictjson

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"
)

// Value is one JSON value as it stood in its object, surrounding space removed
// and already known to be well formed.
type Value []byte

// Fault is text that this package refuses. It tells where and why and never
// quotes what was read.
type Fault struct {
	Offset int // bytes from the start of the text
	Reason string
}

// Error is the reason and the offset.
func (f *Fault) Error() string {
	return "JSON: " + f.Reason + " at byte " + strconv.Itoa(f.Offset)
}

// Errors of the methods of Value.
var (
	ErrNotText    = errors.New("JSON: not a string")
	ErrNotInteger = errors.New("JSON: not a whole number of 64 bits")
	ErrNotBoolean = errors.New("JSON: not true or false")
	ErrNotArray   = errors.New("JSON: not an array")
)

// Members calls yield for each member of the one object that data holds, in
// order, with the name unescaped. Nested values are checked to the same rules,
// at most depth levels deep (the object itself is level 1). It stops at the
// first fault or at the first error of yield, and returns it; what was yielded
// before a fault must not be used.
func Members(data []byte, depth int, yield func(name string, v Value) error) error {
	if !utf8.Valid(data) {
		return &Fault{Offset: invalidAt(data), Reason: "invalid UTF-8"}
	}
	s := scanner{text: string(data)}
	s.space()
	if s.peek() != '{' {
		return s.fault("an object was expected")
	}
	err := s.object(depth, func(name string, start, end int) error {
		return yield(name, data[start:end:end])
	})
	if err != nil {
		return err
	}
	return s.end()
}

// Elements calls yield for each element of the array v, in order, with the
// rules of Members; the array is level 1.
func (v Value) Elements(depth int, yield func(element Value) error) error {
	if !v.IsArray() {
		return ErrNotArray
	}
	if !utf8.Valid(v) {
		return &Fault{Offset: invalidAt(v), Reason: "invalid UTF-8"}
	}
	s := scanner{text: string(v)}
	err := s.array(depth, func(start, end int) error { return yield(v[start:end:end]) })
	if err != nil {
		return err
	}
	return s.end()
}

// Text is the value of a JSON string, unescaped. Any other kind is an error.
func (v Value) Text() (string, error) {
	if !v.IsText() {
		return "", ErrNotText
	}
	s := scanner{text: string(v)}
	text, err := s.string()
	if err != nil {
		return "", err
	}
	return text, s.end()
}

// Integer is the value of a JSON number that is a whole number within int64,
// without fraction or exponent. Any other kind is an error.
func (v Value) Integer() (int64, error) {
	if !v.IsNumber() {
		return 0, ErrNotInteger
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return 0, ErrNotInteger
	}
	return n, nil
}

// Seconds is the whole seconds of a NumericDate (RFC 7519 section 2), which may
// have a fraction; it is cut off. An exponent is an error.
func (v Value) Seconds() (int64, error) {
	whole, fraction, cut := bytes.Cut(v, []byte("."))
	if cut && (len(fraction) == 0 || bytes.ContainsFunc(fraction, func(r rune) bool { return r < '0' || r > '9' })) {
		return 0, ErrNotInteger
	}
	return Value(whole).Integer()
}

// Boolean is the value of true or false.
func (v Value) Boolean() (bool, error) {
	switch string(v) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, ErrNotBoolean
}

// Texts is the value of an array of strings.
func (v Value) Texts() ([]string, error) {
	var texts []string
	err := v.Elements(2, func(element Value) error {
		text, err := element.Text()
		texts = append(texts, text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return texts, nil
}

// IsObject, IsArray, IsText, IsNumber and IsNull tell the kind by the first
// byte.
func (v Value) IsObject() bool { return len(v) > 0 && v[0] == '{' }
func (v Value) IsArray() bool  { return len(v) > 0 && v[0] == '[' }
func (v Value) IsText() bool   { return len(v) > 0 && v[0] == '"' }
func (v Value) IsNumber() bool {
	return len(v) > 0 && (v[0] == '-' || '0' <= v[0] && v[0] <= '9')
}
func (v Value) IsNull() bool { return len(v) > 0 && v[0] == 'n' }

const hexDigits = "0123456789abcdef"

// AppendText appends s as a JSON string to dst. Bytes of s that are not UTF-8
// become U+FFFD.
func AppendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0 // of what is not yet copied
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			dst = append(dst, s[start:i]...)
			start = i + 1
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		i++
	}
	return append(append(dst, s[start:]...), '"')
}

// invalidAt is where data stops being UTF-8.
func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(data)
}

package strictjson

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// fewNames is how many names, of all the objects that are open, are compared
// one by one. Those of a larger object go into a set, or an object of many
// members would cost the square of them.
const fewNames = 24

// scanner reads JSON text that is valid UTF-8, once, from front to back. Names
// that it hands out are parts of text.
type scanner struct {
	text string
	pos  int

	names [fewNames]string // of the objects that are open, outermost first
	kept  int              // how many names there are
}

func (s *scanner) fault(reason string) error {
	return &Fault{Offset: s.pos, Reason: reason}
}

// peek is the next byte, or 0, which begins no token, at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// end demands that nothing but space follows.
func (s *scanner) end() error {
	s.space()
	if s.pos < len(s.text) {
		return s.fault("text after the value")
	}
	return nil
}

// object reads the object at pos, which is '{'. A nil yield only checks.
func (s *scanner) object(depth int, yield func(name string, start, end int) error) error {
	if depth < 1 {
		return s.fault("nested too deeply")
	}
	base := s.kept
	var set map[string]struct{}
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		if s.kept == fewNames && set == nil {
			set = setOf(s.names[base:])
		}
		name, err := s.name(base, set)
		if err != nil {
			return err
		}
		start := s.pos
		if err := s.value(depth - 1); err != nil {
			return err
		}
		if yield != nil {
			if err := yield(name, start, s.pos); err != nil {
				return err
			}
		}
		more, err := s.more('}')
		if err != nil {
			return err
		}
		if !more {
			s.kept = base
			return nil
		}
	}
}

// name reads a name with its colon and the space around it. The names that its
// object had before are in set, or, if that is nil, in s.names from base on.
func (s *scanner) name(base int, set map[string]struct{}) (string, error) {
	if s.peek() != '"' {
		return "", s.fault("a name was expected")
	}
	at := s.pos
	name, err := s.string()
	if err != nil {
		return "", err
	}
	if s.repeated(name, base, set) {
		return "", &Fault{Offset: at, Reason: "a name occurs twice"}
	}
	s.space()
	if s.peek() != ':' {
		return "", s.fault("a colon was expected")
	}
	s.pos++
	s.space()
	return name, nil
}

// repeated keeps name and tells whether it was there before.
func (s *scanner) repeated(name string, base int, set map[string]struct{}) bool {
	if set != nil {
		_, had := set[name]
		set[name] = struct{}{}
		return had
	}
	for _, n := range s.names[base:s.kept] {
		if n == name {
			return true
		}
	}
	s.names[s.kept] = name
	s.kept++
	return false
}

func setOf(names []string) map[string]struct{} {
	set := make(map[string]struct{}, 4*len(names))
	for _, n := range names {
		set[n] = struct{}{}
	}
	return set
}

// array reads the array at pos, which is '['. A nil yield only checks.
func (s *scanner) array(depth int, yield func(start, end int) error) error {
	if depth < 1 {
		return s.fault("nested too deeply")
	}
	s.pos++
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		start := s.pos
		if err := s.value(depth - 1); err != nil {
			return err
		}
		if yield != nil {
			if err := yield(start, s.pos); err != nil {
				return err
			}
		}
		if more, err := s.more(']'); err != nil || !more {
			return err
		}
	}
}

// more reads what stands after a member or an element: a comma, when another
// one must follow, or closing.
func (s *scanner) more(closing byte) (bool, error) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true, nil
	case closing:
		s.pos++
		return false, nil
	}
	return false, s.fault("a comma or the end was expected")
}

// value checks the value at pos, whose objects and arrays may be depth levels
// deep.
func (s *scanner) value(depth int) error {
	switch c := s.peek(); c {
	case '"':
		_, err := s.string()
		return err
	case '{':
		return s.object(depth, nil)
	case '[':
		return s.array(depth, nil)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.number()
	}
}

func (s *scanner) literal(word string) error {
	if !strings.HasPrefix(s.text[s.pos:], word) {
		return s.fault("a value was expected")
	}
	s.pos += len(word)
	return nil
}

// number reads RFC 8259 section 6, where a leading zero stands alone.
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.fault("a value was expected")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.fault("a digit was expected")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fault("a digit was expected")
		}
	}
	return nil
}

// digits passes over digits and tells whether there was one.
func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

// string reads the string at pos, which is a quotation mark, and unescapes it.
// Without an escape the result is a part of s.text.
func (s *scanner) string() (string, error) {
	start := s.pos + 1
	for i := start; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.pos = i + 1
			return s.text[start:i], nil
		case c == '\\':
			s.pos = i
			return s.escaped(s.text[start:i])
		case c < ' ':
			s.pos = i
			return "", s.fault("control character in a string")
		}
	}
	s.pos = len(s.text)
	return "", s.fault("a string without end")
}

// escaped reads the rest of a string that begins with before, from its first
// escape on.
func (s *scanner) escaped(before string) (string, error) {
	text := append(make([]byte, 0, len(before)+32), before...)
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			return string(text), nil
		case c == '\\':
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			text = utf8.AppendRune(text, r)
		case c < ' ':
			return "", s.fault("control character in a string")
		default:
			text = append(text, c)
			s.pos++
		}
	}
	return "", s.fault("a string without end")
}

// escape reads the escape at pos, which is a backslash.
func (s *scanner) escape() (rune, error) {
	if s.pos+1 >= len(s.text) {
		return 0, s.fault("a string without end")
	}
	c := s.text[s.pos+1]
	if c == 'u' {
		return s.unicodeEscape()
	}
	i := strings.IndexByte(`"\/bfnrt`, c)
	if i < 0 {
		return 0, s.fault("unknown escape")
	}
	s.pos += 2
	return rune("\"\\/\b\f\n\r\t"[i]), nil
}

// unicodeEscape reads the \uXXXX at pos, with the second half of a surrogate
// pair. NUL is refused: PostgreSQL holds none, and C programs stop at it.
func (s *scanner) unicodeEscape() (rune, error) {
	r, ok := s.codeUnit()
	if ok && utf16.IsSurrogate(r) {
		low, _ := s.codeUnit()
		r = utf16.DecodeRune(r, low)
		ok = r != utf8.RuneError
	}
	if !ok {
		return 0, s.fault("a Unicode escape that is no character")
	}
	if r == 0 {
		return 0, s.fault("NUL in a string")
	}
	return r, nil
}

// codeUnit reads one \uXXXX.
func (s *scanner) codeUnit() (rune, bool) {
	if len(s.text)-s.pos < 6 || s.text[s.pos] != '\\' || s.text[s.pos+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s.text[s.pos+2:s.pos+6], 16, 16)
	s.pos += 6
	return rune(n), err == nil
}

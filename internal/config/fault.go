package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Error is one fault of a configuration, at its place.
type Error struct {
	Origin       string // the file's path, or the name of the variable or flag that was read last; "" for a value made in memory
	Line, Column int    // in the file, from 1; 0 where the fault has no place in it
	Key          string // as in "listen.public"; "" where the fault is not of one key
	Message      string // what is wrong, naming the key
	Hint         string // what to do about it; may be ""
	Excerpt      string // the line of the file up to the fault and a caret below it; "" without a place
}

// Error returns one line, beginning with the place: `holdfast.yaml:12:3: ...`.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Origin != "" {
		b.WriteString(e.Origin)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Faults returns the faults that err joins, in the order of the file, or nil
// where err did not come from this package.
func Faults(err error) []*Error {
	var one *Error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var list []*Error
		for _, e := range joined.Unwrap() {
			list = append(list, Faults(e)...)
		}
		return list
	}
	if errors.As(err, &one) {
		return []*Error{one}
	}
	return nil
}

// origin is where a key's value came from.
type origin struct {
	name         string
	line, column int
	excerpt      string
	fromFile     bool
}

// faults collects what is wrong. The zero value serves a configuration that was
// made in memory.
type faults struct {
	file   string            // the file's path as the user gave it
	origin map[string]origin // of every key that was set, by its path
	bad    map[string]bool   // keys whose value could not be read at all
	list   []error
}

// add records that key's value is wrong; message continues "<key>: ".
func (f *faults) add(key, message string) { f.addHint(key, message, "") }

// addHint is add with what to do about it.
func (f *faults) addHint(key, message, hint string) {
	at := origin{name: f.file}
	for k := key; k != ""; k = parent(k) {
		if f.bad[k] {
			return // told already, and what was meant is not known
		}
		if set, ok := f.origin[k]; ok && at.line == 0 && at.name == f.file {
			at = set // of a key that is missing: where its section begins
		}
	}
	f.at(at, key, key+": "+message, hint)
}

// parent returns the key of the list entry or section that key is in, or "".
func parent(key string) string { return key[:max(0, strings.LastIndexAny(key, ".["))] }

func (f *faults) at(o origin, key, message, hint string) {
	f.list = append(f.list, &Error{
		Origin: o.name, Line: o.line, Column: o.column, Excerpt: o.excerpt,
		Key: key, Message: message, Hint: hint,
	})
}

// set notes that key has a value now, from o.
func (f *faults) set(key string, o origin) {
	if f.origin == nil {
		f.origin = make(map[string]origin)
	}
	f.origin[key] = o
	delete(f.bad, key)
}

// spoil notes that what was written for key is no value for it.
func (f *faults) spoil(key string) {
	if f.bad == nil {
		f.bad = make(map[string]bool)
	}
	f.bad[key] = true
}

func (f *faults) err() error { return errors.Join(f.list...) }

// quote shows a value of the file in a message, cut where it is long.
func quote(value string) string {
	const most = 60
	if runes := []rune(value); len(runes) > most {
		value = string(runes[:most]) + "..."
	}
	return strconv.Quote(value)
}

// meant returns the hint for a misspelt name, or "" where none of the known names is near.
func meant(name string, known []string) string {
	best, least := "", 1+max(2, len(name)/4)
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance counts the single-byte edits between two names (Levenshtein).
func distance(a, b string) int {
	const longest = 64 // no key is longer, and what the user wrote may be
	if len(a) > longest {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

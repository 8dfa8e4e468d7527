package as

import (
	"slices"
	"strings"
	"testing"
)

func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"", "payments", "a b a", "a  b", " a", "a\x00", `"`, `\`, "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, scope string) {
		got, err := parseScope(scope)
		fields := strings.FieldsFunc(scope, func(r rune) bool { return r == ' ' })
		// RFC 6749 section 3.3: what is well formed is exactly its tokens with one space between them.
		plain := strings.Join(fields, " ") == scope && !strings.ContainsFunc(scope, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
		if plain != (err == nil) {
			t.Fatalf("%q: %v", scope, err)
		}
		if err != nil {
			return
		}
		for _, s := range fields {
			if !slices.Contains(got, s) {
				t.Fatalf("%q lost %q", scope, s)
			}
		}
		slices.Sort(got)
		if len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("%q: doubles in %q", scope, got)
		}
	})
}

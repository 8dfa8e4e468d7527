package audit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/audit"
)

func TestEventLine(t *testing.T) {
	for name, change := range map[string]func(e *audit.Event){
		"an event":                   func(*audit.Event) {},
		"text that must be escaped":  func(e *audit.Event) { e.Actor, e.Subject = "a\"b\n\\", "ü <&> \u2028" },
		"a detail with members":      func(e *audit.Event) { e.Detail = `{"a":[1,{"b":"<&>"}],"c":"ü"}` },
		"a detail that has spaces":   func(e *audit.Event) { e.Detail = `{ "a": 1 }` },
		"a detail that is no object": func(e *audit.Event) { e.Detail = `[]` },
		"a detail that is no JSON":   func(e *audit.Event) { e.Detail = `{"a":` },
		"a detail that is empty":     func(e *audit.Event) { e.Detail = `` },
		"a detail that is a string":  func(e *audit.Event) { e.Detail = `"x"` },
	} {
		t.Run(name+" is read as it was written", func(t *testing.T) {
			e := sample(7)
			change(&e)
			e.Seal([32]byte{3})
			line := e.AppendJSON(nil)
			if strings.ContainsAny(string(line), "\n\r") {
				t.Errorf("%q has a line break", line)
			}
			got, err := audit.ParseEvent(line)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(e, got); diff != "" || !got.Verify() {
				t.Error(diff)
			}
		})
	}
	e := sample(7)
	e.Seal([32]byte{})
	good := string(e.AppendJSON(nil))
	for name, line := range map[string]string{
		"nothing":                "",
		"a list":                 "[]",
		"a member missing":       strings.Replace(good, `"actor":"operator",`, "", 1),
		"an unknown member":      strings.Replace(good, `{`, `{"x":1,`, 1),
		"a member twice":         strings.Replace(good, `{`, `{"sequence":7,`, 1),
		"a time of another form": strings.Replace(good, "2026-11-23T", "2026-11-23 ", 1),
		"a short hash":           good[:len(good)-4] + `"}`,
		"something after it":     good + "x",
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			if _, err := audit.ParseEvent([]byte(line)); err == nil {
				t.Error("taken")
			}
		})
	}
}

// FuzzEvent: what is read is written as a line that is read as the same.
func FuzzEvent(f *testing.F) {
	e := sample(7)
	e.Seal([32]byte{1})
	f.Add(e.AppendJSON(nil))
	e.Detail = "{ }"
	f.Add(e.AppendJSON(nil))
	f.Fuzz(func(t *testing.T, line []byte) {
		first, err := audit.ParseEvent(line)
		if err != nil {
			return
		}
		second, err := audit.ParseEvent(first.AppendJSON(nil))
		if err != nil {
			t.Fatalf("%q: %v", first.AppendJSON(nil), err)
		}
		if first != second {
			t.Fatalf("%+v became %+v", first, second)
		}
	})
}

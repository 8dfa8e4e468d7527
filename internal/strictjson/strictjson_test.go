package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

func accept(string, strictjson.Value) error { return nil }

func TestMembersRefusesWhatOtherParsersLetThrough(t *testing.T) {
	deep := func(levels int) string {
		return strings.Repeat(`{"a":`, levels-1) + "{}" + strings.Repeat("}", levels-1)
	}
	var hundred strings.Builder
	for i := range 100 {
		fmt.Fprintf(&hundred, `"m%d":%d,`, i, i)
	}
	cases := []struct{ name, text string }{
		{"nothing", ""},
		{"space only", " \n"},
		{"an array", `[]`},
		{"a string", `"a"`},
		{"null", `null`},
		{"BOM", "\xef\xbb\xbf{}"},
		{"text after the object", `{} {}`},
		{"NUL after the object", "{}\x00"},
		{"a comma after the object", `{},`},
		{"no end", `{`},
		{"no end after a member", `{"a":1`},
		{"no end in a name", `{"a`},
		{"no value", `{"a":}`},
		{"no value before the end", `{"a":`},
		{"no colon", `{"a" 1}`},
		{"a trailing comma", `{"a":1,}`},
		{"a leading comma", `{,"a":1}`},
		{"two commas", `{"a":1,,"b":2}`},
		{"no comma", `{"a":1 "b":2}`},
		{"a name without quotes", `{a:1}`},
		{"a name in single quotes", `{'a':1}`},
		{"a number as name", `{1:1}`},
		{"a name with another mark first", `{'a":1}`},
		{"a semicolon for the colon", `{"a";1}`},
		{"a comment", `{/**/"a":1}`},
		{"vertical tab as space", "{\v\"a\":1}"},
		{"no-break space", "{\u00a0\"a\":1}"},
		{"the wrong bracket", `{"a":1]`},
		{"the wrong brace", `{"a":[1}}`},

		{"a name twice", `{"sub":1,"sub":2}`},
		{"a name twice by an escape", `{"sub":1,"s\u0075b":2}`},
		{"a name twice by an escape, first", `{"s\u0075b":1,"sub":2}`},
		{"the empty name twice", `{"":1,"":2}`},
		{"a name twice, one level down", `{"a":{"b":1,"b":2}}`},
		{"a name twice, in an array", `{"a":[{"b":1,"b":2}]}`},
		{"a name twice after a nested object", `{"a":{"b":1},"a":2}`},
		{"a name twice among a hundred", `{` + hundred.String() + `"m0":1}`},
		{"a late name twice among a hundred", `{` + hundred.String() + `"m99":1}`},
		{"a name twice, one level down, after a hundred", `{` + hundred.String() + `"x":{"a":1,"a":1}}`},

		{"a leading zero", `{"a":01}`},
		{"a leading plus", `{"a":+1}`},
		{"a minus alone", `{"a":-}`},
		{"a minus before a leading zero", `{"a":-01}`},
		{"a point first", `{"a":.5}`},
		{"a point last", `{"a":5.}`},
		{"an exponent without digits", `{"a":1e}`},
		{"a signed exponent without digits", `{"a":1e+}`},
		{"hexadecimal", `{"a":0x10}`},
		{"NaN", `{"a":NaN}`},
		{"Infinity", `{"a":Infinity}`},
		{"an underscore in a number", `{"a":1_000}`},

		{"True", `{"a":True}`},
		{"tru", `{"a":tru}`},
		{"trux", `{"a":trux}`},
		{"truex", `{"a":truex}`},
		{"fals", `{"a":fals}`},
		{"nul", `{"a":nul}`},

		{"invalid UTF-8 in a value", "{\"a\":\"\xff\"}"},
		{"invalid UTF-8 in a name", "{\"\xff\":1}"},
		{"overlong UTF-8", "{\"a\":\"\xc0\xaf\"}"},
		{"a surrogate as UTF-8", "{\"a\":\"\xed\xa0\x80\"}"},
		{"a raw newline in a string", "{\"a\":\"\n\"}"},
		{"a raw NUL in a string", "{\"a\":\"\x00\"}"},
		{"a raw tab after an escape", "{\"a\":\"\\n\t\"}"},
		{"an unknown escape", `{"a":"\x41"}`},
		{"an escaped quote in single quotes", `{"a":"\'"}`},
		{"an escape at the end", `{"a":"\`},
		{"no end after an escape", `{"a":"\n`},
		{"a short Unicode escape", `{"a":"\u12"}`},
		{"a Unicode escape with a sign", `{"a":"\u+123"}`},
		{"a Unicode escape with an underscore", `{"a":"\u1_23"}`},
		{"a lone high surrogate", `{"a":"\ud800"}`},
		{"a lone low surrogate", `{"a":"\udc00"}`},
		{"two high surrogates", `{"a":"\ud800\ud800"}`},
		{"a high surrogate and a letter", `{"a":"\ud800\u0041"}`},
		{"an escaped NUL", `{"a":"\u0000"}`},
		{"an escaped NUL in a name", `{"\u0000":1}`},

		{"objects one level too deep", deep(5)},
		{"arrays one level too deep", `{"a":[[[[]]]]}`},
	}
	for _, c := range cases {
		t.Run(c.name+" is refused", func(t *testing.T) {
			err := strictjson.Members([]byte(c.text), 4, accept)
			var fault *strictjson.Fault
			if !errors.As(err, &fault) {
				t.Fatalf("error %v, want a Fault", err)
			}
			if fault.Offset < 0 || fault.Offset > len(c.text) {
				t.Errorf("offset %d of %d bytes", fault.Offset, len(c.text))
			}
		})
	}
	t.Run("four levels of four pass", func(t *testing.T) {
		for _, text := range []string{deep(4), `{"a":[[[]]]}`, `{"a":[[{}]]}`} {
			if err := strictjson.Members([]byte(text), 4, accept); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
	t.Run("depth 0 reads nothing", func(t *testing.T) {
		if err := strictjson.Members([]byte("{}"), 0, accept); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("10,000 names cost no square", func(t *testing.T) {
		var b strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&b, `,"%d":0`, i)
		}
		if err := strictjson.Members([]byte("{"+b.String()[1:]+"}"), 1, accept); err != nil {
			t.Error(err)
		}
	})
}

func TestMembersYieldsNamesAndValuesInOrder(t *testing.T) {
	const text = " {\r\n\"iss\" : \"https:\\/\\/a\\u00e9\" ,\t\"exp\":-12, \"f\":1.50E+3,\"list\": [1, {\"a\":[ ]} ],\"o\":{ \"x\" : {} },\"t\":true,\"n\":null,\"k\\n\":\"\"} \n"
	want := []string{
		"iss", `"https:\/\/a\u00e9"`, "exp", "-12", "f", "1.50E+3", "list", `[1, {"a":[ ]} ]`,
		"o", `{ "x" : {} }`, "t", "true", "n", "null", "k\n", `""`,
	}
	var got []string
	err := strictjson.Members([]byte(text), 4, func(name string, v strictjson.Value) error {
		got = append(got, name, string(v))
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v\nwant %q", got, err, want)
	}
	t.Run("a name is told from another by case", func(t *testing.T) {
		if err := strictjson.Members([]byte(`{"sub":1,"SUB":2}`), 1, accept); err != nil {
			t.Error(err)
		}
	})
	t.Run("the first error of yield ends it", func(t *testing.T) {
		stop := errors.New("stop")
		calls := 0
		err := strictjson.Members([]byte(`{"a":1,"b":2,"b":3}`), 1, func(string, strictjson.Value) error {
			calls++
			return stop
		})
		if err != stop || calls != 1 {
			t.Errorf("%v after %d calls", err, calls)
		}
	})
	t.Run("a fault does not quote the input", func(t *testing.T) {
		err := strictjson.Members([]byte(`{"secret-name":1,"secret-name":1}`), 1, accept)
		if err == nil || err.Error() != "JSON: a name occurs twice at byte 17" {
			t.Error(err)
		}
	})
	for text, want := range map[string]string{
		"{\"a\":\"é\xff\"}": "JSON: invalid UTF-8 at byte 8",
		"{\"a\x01\":1}":     "JSON: control character in a string at byte 3",
		`{"a":tru}`:         "JSON: a value was expected at byte 5",
	} {
		t.Run(want, func(t *testing.T) {
			if err := strictjson.Members([]byte(text), 1, accept); err == nil || err.Error() != want {
				t.Error(err)
			}
		})
	}
	t.Run("a value has no room to write into its neighbour", func(t *testing.T) {
		data := []byte(`{"a":1,"b":2}`)
		err := strictjson.Members(data, 1, func(_ string, v strictjson.Value) error {
			_ = append(v, "999"...)
			return nil
		})
		if err != nil || string(data) != `{"a":1,"b":2}` {
			t.Errorf("%s, %v", data, err)
		}
	})
}

func TestValueKinds(t *testing.T) {
	texts := map[string]string{
		`""`: "", `"a"`: "a", `"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t", `"a\u00e9b"`: "aéb",
		`"\ud83d\ude00"`: "😀", `"\uFFFD"`: "\uFFFD", `"é"`: "é",
	}
	for in, want := range texts {
		if got, err := strictjson.Value(in).Text(); got != want || err != nil {
			t.Errorf("Text of %s: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "1", "null", `["a"]`, `{}`, "true", `"`, `'a"`, `"a" "`, `"\`} {
		if got, err := strictjson.Value(in).Text(); err == nil {
			t.Errorf("Text of %s: %q", in, got)
		}
	}
	integers := map[string]int64{
		"0": 0, "-0": 0, "-1": -1, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63,
	}
	for in, want := range integers {
		if got, err := strictjson.Value(in).Integer(); got != want || err != nil {
			t.Errorf("Integer of %s: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "1.0", "1e2", "1e400", "9223372036854775808", `"1"`, "null", "true", "[1]", "+1", "-"} {
		if got, err := strictjson.Value(in).Integer(); !errors.Is(err, strictjson.ErrNotInteger) || got != 0 {
			t.Errorf("Integer of %s: %d, %v", in, got, err)
		}
	}
	for in, want := range map[string]int64{"1": 1, "-7": -7, "1793620860.999": 1793620860, "-0.5": 0, "-1.5": -1, "0.0": 0} {
		if got, err := strictjson.Value(in).Seconds(); got != want || err != nil {
			t.Errorf("Seconds of %s: %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", ".", ".5", "1.", "1.5e3", "1e400", "1.5.5", "1.-5", "9223372036854775808.5", `"1.5"`, "null", "[1.5]", "-.5"} {
		if got, err := strictjson.Value(in).Seconds(); !errors.Is(err, strictjson.ErrNotInteger) || got != 0 {
			t.Errorf("Seconds of %s: %d, %v", in, got, err)
		}
	}
	for in, want := range map[string]bool{"true": true, "false": false} {
		if got, err := strictjson.Value(in).Boolean(); got != want || err != nil {
			t.Errorf("Boolean of %s: %t, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "1", `"true"`, "null"} {
		if got, err := strictjson.Value(in).Boolean(); !errors.Is(err, strictjson.ErrNotBoolean) || got {
			t.Errorf("Boolean of %s: %t, %v", in, got, err)
		}
	}
	if got, err := strictjson.Value(`[ "a" , "b\n" ]`).Texts(); err != nil || !slices.Equal(got, []string{"a", "b\n"}) {
		t.Errorf("Texts: %q, %v", got, err)
	}
	if got, err := strictjson.Value(`[]`).Texts(); err != nil || len(got) != 0 {
		t.Errorf("Texts of an empty array: %q, %v", got, err)
	}
	for _, in := range []string{"", `"a"`, "null", `["a",1]`, `["a",null]`, `[["a"]]`, `["a"`, `["a"]x`, "[\"\xff\"]"} {
		if got, err := strictjson.Value(in).Texts(); err == nil || got != nil {
			t.Errorf("Texts of %s: %q", in, got)
		}
	}
	kinds := map[string]string{`{}`: "object", `[]`: "array", `""`: "text", "-1": "number", "0": "number", "9": "number", "null": "null", "true": "", "": ""}
	for in, want := range kinds {
		v := strictjson.Value(in)
		got := ""
		for name, is := range map[string]bool{
			"object": v.IsObject(), "array": v.IsArray(), "text": v.IsText(), "number": v.IsNumber(), "null": v.IsNull(),
		} {
			if is {
				got += name
			}
		}
		if got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestElements(t *testing.T) {
	var got []string
	collect := func(v strictjson.Value) error {
		got = append(got, string(v))
		return nil
	}
	if err := strictjson.Value(`[ {"a":1} ,[2], "3"]`).Elements(2, collect); err != nil ||
		!slices.Equal(got, []string{`{"a":1}`, `[2]`, `"3"`}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, in := range []string{`{}`, `[1,]`, `[,1]`, `[1 2]`, `[[[]]]`, `[{"a":1,"a":1}]`, `[1]]`, `(1]`} {
		if err := strictjson.Value(in).Elements(2, collect); err == nil {
			t.Errorf("%s accepted", in)
		}
	}
	stop := errors.New("stop")
	if err := strictjson.Value(`[1,2]`).Elements(1, func(strictjson.Value) error { return stop }); err != stop {
		t.Error(err)
	}
}

func TestAppendText(t *testing.T) {
	cases := map[string]string{
		"":               `""`,
		"plain":          `"plain"`,
		"q\"b\\s/":       `"q\"b\\s/"`,
		"\n\r\t\x00\x1f": `"\n\u000d\u0009\u0000\u001f"`,
		"é😀\u2028<>&":    "\"é😀\u2028<>&\"",
		"a\xffb\xc3":     "\"a\uFFFDb\uFFFD\"",
	}
	for in, want := range cases {
		got := strictjson.AppendText([]byte("x"), in)
		if string(got) != "x"+want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
		var back string
		if err := json.Unmarshal(got[1:], &back); err != nil || back != strings.ToValidUTF8(in, "\uFFFD") {
			t.Errorf("%q comes back as %q, %v", in, back, err)
		}
	}
}

const claims = `{"iss":"https://localhost:8443","sub":"payments-client","aud":"https://localhost:8444/payments","exp":1790000300,"iat":1790000000,` +
	`"jti":"8f2b8a6c4e0d4f4c9a4d5f0d3b1a2c3d","client_id":"payments-client","scope":"payments","credential_id":"crd_5f0d3b1a2c3d","cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}`

func TestMembersOfClaimsAllocateOnce(t *testing.T) {
	data := []byte(claims)
	if n := testing.AllocsPerRun(100, func() {
		if err := strictjson.Members(data, 4, accept); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

func BenchmarkMembers(b *testing.B) {
	data := []byte(claims)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := strictjson.Members(data, 4, accept); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMembersOfEncodingJSON(b *testing.B) {
	data := []byte(claims)
	b.ReportAllocs()
	for b.Loop() {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(data, &m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTexts(b *testing.B) {
	data := []byte(claims)
	b.ReportAllocs()
	for b.Loop() {
		var iss, sub string
		var exp int64
		err := strictjson.Members(data, 4, func(name string, v strictjson.Value) (err error) {
			switch name {
			case "iss":
				iss, err = v.Text()
			case "sub":
				sub, err = v.Text()
			case "exp":
				exp, err = v.Integer()
			}
			return err
		})
		if err != nil || iss == "" || sub == "" || exp == 0 {
			b.Fatal(err)
		}
	}
}

// Whatever Members accepts, encoding/json reads as the same members with the
// same values, no name twice.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		claims, `{}`, `{"a":[1,-0,1.5e-3,true,false,null,"\u0061\ud83d\ude00",{"b":{}}]}`, `{"a":1,"a":2}`, `{"s\u0075b":1,"sub":2}`,
		`{"a":"\ud800"}`, `{"a":01}`, "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}", `{} x`, `{"a":[[[[[[]]]]]]}`, `{"keys":[{"kty":"EC"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		ours := make(map[string]strictjson.Value)
		err := strictjson.Members(data, 6, func(name string, v strictjson.Value) error {
			if _, had := ours[name]; had {
				t.Fatalf("name yielded twice")
			}
			ours[name] = v
			return nil
		})
		if !bytes.Equal(before, data) {
			t.Fatal("input changed")
		}
		if err != nil {
			return
		}
		var theirs map[string]json.RawMessage
		if err := json.Unmarshal(data, &theirs); err != nil {
			t.Fatalf("encoding/json refuses what Members accepts: %v", err)
		}
		if len(theirs) != len(ours) {
			t.Fatalf("%d members, encoding/json has %d", len(ours), len(theirs))
		}
		for name, v := range ours {
			if !bytes.Equal(theirs[name], v) {
				t.Fatalf("%q is %s, encoding/json has %s", name, v, theirs[name])
			}
			sameKind(t, v)
		}
	})
}

// sameKind compares the typed readings of v with those of encoding/json.
func sameKind(t *testing.T, v strictjson.Value) {
	t.Helper()
	text, err := v.Text()
	var theirText *string
	if theirErr := json.Unmarshal(v, &theirText); err == nil && (theirErr != nil || theirText == nil || *theirText != text) {
		t.Fatalf("Text of %s is %q, encoding/json has %v", v, text, theirErr)
	}
	if (err == nil) != v.IsText() {
		t.Fatalf("Text of %s: %v", v, err)
	}
	if err == nil {
		again, err := strictjson.Value(strictjson.AppendText(nil, text)).Text()
		if err != nil || again != text {
			t.Fatalf("%q comes back as %q, %v", text, again, err)
		}
	}
	if n, err := v.Integer(); err == nil {
		var theirs int64
		if err := json.Unmarshal(v, &theirs); err != nil || theirs != n {
			t.Fatalf("Integer of %s is %d, encoding/json has %d, %v", v, n, theirs, err)
		}
	}
	if texts, err := v.Texts(); err == nil {
		var theirs []string
		if err := json.Unmarshal(v, &theirs); err != nil || !slices.Equal(theirs, texts) {
			t.Fatalf("Texts of %s is %q, encoding/json has %q, %v", v, texts, theirs, err)
		}
	}
}

func TestBrokenEscapes(t *testing.T) {
	for _, text := range []string{`{"a":"\u1"}`, `{"a":"\ud83dxude00"}`, `{"a":"\ud83d\xde00"}`} {
		if err := strictjson.Members([]byte(text), 4, func(string, strictjson.Value) error { return nil }); err == nil {
			t.Errorf("accepted %s", text)
		}
	}
}

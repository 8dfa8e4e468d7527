package oauth

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func formRequest(body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://as.example/token", body)
	r.Header.Set("Content-Type", formMediaType)
	return r
}

// wantRefused checks that err is invalid_request, 400, for this reason.
func wantRefused(t *testing.T, err error, reason string) {
	t.Helper()
	e, ok := AsError(err)
	if !ok {
		t.Fatalf("not refused: %v", err)
	}
	if e.Code != InvalidRequest || e.Status != http.StatusBadRequest || e.Reason != reason {
		t.Fatalf("got %s %d %s, want invalid_request 400 %s", e.Code, e.Status, e.Reason, reason)
	}
	if strings.ContainsAny(e.Description, "\"\\\r\n\t") || e.Description == "" {
		t.Fatalf("description %q", e.Description)
	}
}

func TestParseForm(t *testing.T) {
	f, err := ParseForm(formRequest(strings.NewReader("grant_type=client_credentials&scope=a+b%20c&&empty=&bare&resource=https%3A%2F%2Fa&resource=b&name=%C3%a9")))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"grant_type": "client_credentials", "scope": "a b c", "empty": "", "bare": "", "resource": "https://a", "name": "é", "absent": "", "": "",
	} {
		if got := f.Value(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]int{"grant_type": 1, "empty": 0, "bare": 0, "resource": 2, "absent": 0} {
		if got := f.Count(name); got != want {
			t.Errorf("%s occurs %d times, want %d", name, got, want)
		}
	}
}

func TestParseFormAccepts(t *testing.T) {
	full := "a=" + strings.Repeat("x", MaxForm-2)
	for name, body := range map[string]string{
		"an empty body": "", "a body of 64 KiB": full, "100 parameters": manyParameters(MaxParameters),
		"RFC 6749 §3.2: an empty parameter counts as omitted, also beside another": "scope=&scope=a",
		"RFC 8707 §2: resource may repeat":                                         "resource=a&resource=a&resource=b",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseForm(formRequest(strings.NewReader(body))); err != nil {
				t.Error("length known:", err)
			}
			unknown := formRequest(iotest.OneByteReader(strings.NewReader(body)))
			if unknown.ContentLength != -1 {
				t.Fatal("length is known")
			}
			if _, err := ParseForm(unknown); err != nil {
				t.Error("length unknown, byte by byte:", err)
			}
		})
	}
	for _, contentType := range []string{formMediaType, formMediaType + "; charset=utf-8", "Application/X-WWW-Form-Urlencoded;charset=UTF-8"} {
		r := formRequest(strings.NewReader("a=b"))
		r.Header.Set("Content-Type", contentType)
		if f, err := ParseForm(r); err != nil || f.Value("a") != "b" {
			t.Errorf("%s: %v", contentType, err)
		}
	}
}

func manyParameters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "p%d=v&", i)
	}
	return b.String()
}

func TestParseFormRefusesBodies(t *testing.T) {
	for _, c := range []struct{ name, body, reason string }{
		{"RFC 6749 §3.2: a parameter twice", "scope=a&scope=a", "duplicate_parameter"},
		{"a parameter twice under two spellings", "scope=a&sc%6fpe=b", "duplicate_parameter"},
		{"a parameter that nobody knows, twice", "x=a&x=b", "duplicate_parameter"},
		{"a credential twice", "client_assertion=a&client_assertion=b", "duplicate_parameter"},
		{"a byte more than 64 KiB", "a=" + strings.Repeat("x", MaxForm-1), "form_too_large"},
		{"advisory 109: 101 parameters", manyParameters(MaxParameters + 1), "too_many_parameters"},
		{"101 empty parameters", strings.Repeat("a=&", MaxParameters+1), "too_many_parameters"},
		{"an escape cut after one digit", "a=%4", "form_malformed"},
		{"an escape cut after the percent sign", "a=b%", "form_malformed"},
		{"an escape with a wrong first digit", "a=%g1", "form_malformed"},
		{"an escape with a wrong second digit", "a=%4g", "form_malformed"},
		{"a bad escape in a name", "%zz=a", "form_malformed"},
		{"a bad escape in the name of an omitted parameter", "%zz=", "form_malformed"},
		{"a semicolon", "a=b;c=d", "form_malformed"},
		{"a parameter without a name", "=a", "form_malformed"},
		{"text that is not UTF-8", "a=%ff", "form_malformed"},
		{"a raw byte that is not UTF-8", "a=\xff", "form_malformed"},
		{"a surrogate in UTF-8", "a=%ed%a0%80", "form_malformed"},
		{"a name that is not UTF-8", "%ff=a", "form_malformed"},
		{"NUL", "a=%00", "form_malformed"},
		{"the last control character", "a=%1f", "form_malformed"},
		{"a raw line break", "a=b\n", "form_malformed"},
		{"DEL", "a=%7f", "form_malformed"},
		{"a line break in a name", "a%0a=b", "form_malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseForm(formRequest(strings.NewReader(c.body)))
			wantRefused(t, err, c.reason)
		})
	}
	t.Run("a byte more than 64 KiB, length unknown", func(t *testing.T) {
		_, err := ParseForm(formRequest(iotest.HalfReader(strings.NewReader(strings.Repeat("x", MaxForm+1)))))
		wantRefused(t, err, "form_too_large")
	})
	t.Run("a length beyond the limit is refused before the body is read", func(t *testing.T) {
		r := formRequest(iotest.ErrReader(errors.New("was read")))
		r.ContentLength = MaxForm + 1
		_, err := ParseForm(r)
		wantRefused(t, err, "form_too_large")
	})
	t.Run("a body that breaks off", func(t *testing.T) {
		_, err := ParseForm(formRequest(io.MultiReader(strings.NewReader("a=b"), iotest.ErrReader(io.ErrUnexpectedEOF))))
		wantRefused(t, err, "form_unreadable")
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error("the cause is lost")
		}
	})
}

func TestParseFormRefusesHeaders(t *testing.T) {
	for _, contentType := range []string{
		"", "application/json", "multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencoded2",
		formMediaType + "; charset=iso-8859-1", formMediaType + "; boundary=x", formMediaType + "; boundary=utf-8", formMediaType + "; charset", formMediaType + ", text/plain",
	} {
		t.Run("media type "+contentType, func(t *testing.T) {
			r := formRequest(strings.NewReader("a=b"))
			r.Header.Set("Content-Type", contentType)
			_, err := ParseForm(r)
			wantRefused(t, err, "media_type")
		})
	}
	t.Run("no media type", func(t *testing.T) {
		r := formRequest(strings.NewReader("a=b"))
		r.Header.Del("Content-Type")
		_, err := ParseForm(r)
		wantRefused(t, err, "media_type")
	})
	t.Run("two media types", func(t *testing.T) {
		r := formRequest(strings.NewReader("a=b"))
		r.Header.Add("Content-Type", formMediaType)
		_, err := ParseForm(r)
		wantRefused(t, err, "media_type")
	})
	for _, query := range []string{"client_secret=a", "client_id=a", "client_assertion=a", "token=a", "x", "&"} {
		t.Run("RFC 6749 §2.3.1: query "+query, func(t *testing.T) {
			r := formRequest(strings.NewReader("a=b"))
			r.URL.RawQuery = query
			_, err := ParseForm(r)
			wantRefused(t, err, "query_not_allowed")
		})
	}
}

// FuzzParseForm: whatever is accepted, the standard library reads in the same
// way; whatever the standard library reads and our extra rules allow, is accepted.
func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{"", "a=b", "a=b&c=d+e%20", "resource=a&resource=b", "a=%", "a=&a=b", "=", "a;b", "%41=%c3%a9", "a=\x00", "a==b&c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > MaxForm {
			return
		}
		got, err := ParseForm(formRequest(strings.NewReader(body)))
		want, wantErr := url.ParseQuery(body)
		if err == nil {
			if wantErr != nil {
				t.Fatalf("accepted what the standard library refuses: %v", wantErr)
			}
			compareForms(t, got, want)
			return
		}
		if wantErr == nil && allowed(body, want) {
			t.Fatalf("refused without a rule for it: %v", err)
		}
	})
}

func compareForms(t *testing.T, got Form, want url.Values) {
	t.Helper()
	total := 0
	for name, values := range want {
		var full []string
		for _, v := range values {
			if v != "" {
				full = append(full, v)
			}
		}
		total += len(full)
		if got.Count(name) != len(full) {
			t.Fatalf("%q occurs %d times, want %d", name, got.Count(name), len(full))
		}
		if len(full) > 0 && got.Value(name) != full[0] {
			t.Fatalf("%q = %q, want %q", name, got.Value(name), full[0])
		}
	}
	if len(got.parameters) != total {
		t.Fatalf("%d parameters, want %d", len(got.parameters), total)
	}
}

// allowed applies our own rules to what the standard library read.
func allowed(body string, values url.Values) bool {
	pairs := 0
	for pair := range strings.SplitSeq(body, "&") {
		if pair != "" {
			pairs++
		}
	}
	if pairs > MaxParameters {
		return false
	}
	bad := func(s string) bool {
		return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	}
	for name, list := range values {
		full := 0
		for _, v := range list {
			if bad(v) {
				return false
			}
			if v != "" {
				full++
			}
		}
		if name == "" || bad(name) || (full > 1 && name != "resource") {
			return false
		}
	}
	return true
}

func BenchmarkParseForm(b *testing.B) {
	body := "grant_type=client_credentials&scope=payments&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=" + strings.Repeat("x", 500)
	r := formRequest(nil)
	r.ContentLength = int64(len(body))
	reader := strings.NewReader(body)
	r.Body = io.NopCloser(reader)
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		if _, err := ParseForm(r); err != nil {
			b.Fatal(err)
		}
	}
}

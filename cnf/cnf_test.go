package cnf_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/cnf"
)

// Of the example of RFC 8705 section 3.1 and of that of RFC 9449 section 6.1.
const (
	x5t = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"
	jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
)

func TestParseThumbprint(t *testing.T) {
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"RFC 9449 §6.1: the example", jkt, true},
		{"a SHA-1 thumbprint", jkt[:27], false},
		{"one character more", jkt + "A", false},
		{"padding", jkt + "=", false},
		{"the other alphabet", strings.ReplaceAll(jkt, "-", "+"), false},
		{"a character of no alphabet", jkt[:10] + "*" + jkt[11:], false},
		{"a line break after it", jkt + "\n", false},
		{"a line break for a character", jkt[:41] + "A\n", false},
		{"RFC 4648 §3.5: another spelling of the last bits", x5t[:42] + "3", false},
		{"nothing", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			thumbprint, err := cnf.ParseThumbprint(tt.text)
			if (err == nil) != tt.ok {
				t.Fatalf("got %v", err)
			}
			if tt.ok && thumbprint.String() != tt.text {
				t.Errorf("%q is written %q", tt.text, thumbprint)
			}
		})
	}
}

func TestThumbprintsOfDifferentCertificatesDiffer(t *testing.T) {
	a, b := cnf.CertificateThumbprint([]byte("a")), cnf.CertificateThumbprint([]byte("b"))
	if a.Equal(b) || !a.Equal(cnf.CertificateThumbprint([]byte("a"))) {
		t.Error("Equal does not tell certificates apart")
	}
}

func parse(t *testing.T, text string) cnf.Thumbprint {
	t.Helper()
	thumbprint, err := cnf.ParseThumbprint(text)
	if err != nil {
		t.Fatal(err)
	}
	return thumbprint
}

func TestBindingIsWrittenAndReadBack(t *testing.T) {
	thumbprint := parse(t, jkt)
	tests := []struct {
		name    string
		binding cnf.Binding
		method  cnf.Method
		want    string
	}{
		{"RFC 8705 §3.1: to a certificate", cnf.ToCertificate(thumbprint), cnf.MTLS, `{"x5t#S256":"` + jkt + `"}`},
		{"RFC 9449 §6.1: to a key", cnf.ToKey(thumbprint), cnf.DPoP, `{"jkt":"` + jkt + `"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claim := tt.binding.AppendJSON([]byte("cnf="))
			if string(claim) != "cnf="+tt.want {
				t.Fatalf("got %s", claim)
			}
			if tt.binding.IsZero() || tt.binding.Method() != tt.method || !tt.binding.Thumbprint().Equal(thumbprint) {
				t.Errorf("got %+v", tt.binding)
			}
			c, err := cnf.ParseConfirmation(claim[4:])
			if err != nil {
				t.Fatal(err)
			}
			if c.HasCertificate != (tt.method == cnf.MTLS) || c.HasKey != (tt.method == cnf.DPoP) {
				t.Errorf("read back as %+v", c)
			}
			if c.HasKey && c.Key != thumbprint || c.HasCertificate && c.Certificate != thumbprint {
				t.Errorf("read back with another thumbprint: %+v", c)
			}
		})
	}
}

func TestZeroBindingBindsToNothing(t *testing.T) {
	var b cnf.Binding
	if !b.IsZero() || b.Method() != "" || b.Member() != "" {
		t.Errorf("got %+v, member %q", b, b.Member())
	}
	defer func() {
		if recover() == nil {
			t.Error("a claim was made of it")
		}
	}()
	b.AppendJSON(nil)
}

func TestParseConfirmationRefuses(t *testing.T) {
	tests := []struct {
		name, claim string
		unknown     bool // by ErrUnknownMember
	}{
		{"no member", `{}`, false},
		{"RFC 7800 §3.1: a member that we do not check", `{"jwk":{}}`, true},
		{"such a member with the look of a thumbprint", `{"x5t":"` + jkt + `"}`, true},
		{"such a member beside one that we check", `{"jkt":"` + jkt + `","kid":"a"}`, true},
		{"a name in other letters", `{"JKT":"` + jkt + `"}`, true},
		{"a member twice", `{"jkt":"` + jkt + `","jkt":"` + jkt + `"}`, false},
		{"a number", `{"jkt":1}`, false},
		{"null", `{"x5t#S256":null}`, false},
		{"a thumbprint cut short", `{"x5t#S256":"` + jkt[:42] + `"}`, false},
		{"a thumbprint cut short beside a good one", `{"jkt":"` + jkt + `","x5t#S256":""}`, false},
		{"a list", `["` + jkt + `"]`, false},
		{"nothing", ``, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := cnf.ParseConfirmation([]byte(tt.claim))
			if err == nil || errors.Is(err, cnf.ErrUnknownMember) != tt.unknown {
				t.Errorf("got %v", err)
			}
			if c != (cnf.Confirmation{}) {
				t.Errorf("refused, and yet %+v", c)
			}
		})
	}
}

func TestParseConfirmationTakesBoth(t *testing.T) {
	other := cnf.CertificateThumbprint([]byte("certificate"))
	c, err := cnf.ParseConfirmation([]byte(`{"jkt":"` + jkt + `","x5t#S256":"` + other.String() + `"}`))
	if err != nil || !c.HasKey || !c.HasCertificate || c.Key != parse(t, jkt) || c.Certificate != other {
		t.Errorf("got %+v, %v", c, err)
	}
}

func FuzzParseConfirmation(f *testing.F) {
	f.Add([]byte(`{"x5t#S256":"` + jkt + `"}`))
	f.Add([]byte(`{"jkt":"` + jkt + `"}`))
	f.Add([]byte(`{"jkt":"` + jkt + `","x5t#S256":"` + jkt + `"}`))
	f.Add([]byte(`{"jk\u0074":"` + jkt + `"}`))
	f.Fuzz(func(t *testing.T, claim []byte) {
		c, err := cnf.ParseConfirmation(claim)
		if err != nil {
			return
		}
		if !c.HasCertificate && !c.HasKey {
			t.Fatal("a confirmation of nothing")
		}
		// Our own writing of each member reads back the same.
		for _, b := range []struct {
			has     bool
			binding cnf.Binding
		}{{c.HasCertificate, cnf.ToCertificate(c.Certificate)}, {c.HasKey, cnf.ToKey(c.Key)}} {
			if !b.has {
				continue
			}
			written := b.binding.AppendJSON(nil)
			again, err := cnf.ParseConfirmation(written)
			if err != nil || !bytes.Contains(written, []byte(b.binding.Thumbprint().String())) {
				t.Fatalf("%s: %+v, %v", written, again, err)
			}
		}
	})
}

func BenchmarkParseConfirmation(b *testing.B) {
	claim := []byte(`{"x5t#S256":"` + jkt + `"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cnf.ParseConfirmation(claim); err != nil {
			b.Fatal(err)
		}
	}
}

package jose_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

func TestParseRefusesEveryOtherForm(t *testing.T) {
	s := newSigner(t, jose.ES256, "k")
	good := sign(t, s, s.Header("at+jwt", false), `{"sub":"c1"}`)
	parts := strings.Split(good, ".")
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	// The last character of a part whose length is no multiple of four has bits
	// that carry nothing.
	stray := func(part string) string { return part[:len(part)-1] + string(part[len(part)-1]+1) }
	two := func(text string) string { return b64.EncodeToString([]byte(text)) } // bytes that leave stray bits
	cases := []struct{ name, compact string }{
		{"nothing", ""},
		{"one part", parts[0]},
		{"two parts", join(parts[0], parts[1])},
		{"four parts", good + ".AA"},
		{"a dot before", "." + good},
		{"a dot after", good + "."},
		{"no header", join("", parts[1], parts[2])},
		{"no signature", join(parts[0], parts[1], "")},
		{"no payload and no signature", parts[0] + ".."},
		{"JSON serialisation", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`},
		{"a space before", " " + good},
		{"a space after", good + " "},
		{"a line break after", good + "\n"},
		{"CR LF after", good + "\r\n"},
		{"a line break in the header", parts[0][:4] + "\n" + parts[0][4:] + "." + parts[1] + "." + parts[2]},
		{"a line break in the payload", join(parts[0], parts[1][:4]+"\n"+parts[1][4:], parts[2])},
		{"a line break in the signature", join(parts[0], parts[1], parts[2][:4]+"\r"+parts[2][4:])},
		{"padding of the header", join(two(`{"alg":"ES256" }`)+"==", parts[1], parts[2])},
		{"padding of the payload", join(parts[0], "AA==", parts[2])},
		{"padding of the signature", good + "=="},
		{"the other alphabet", join(parts[0], "+/+/", parts[2])},
		{"a NUL", join(parts[0], "AAAA\x00", parts[2])},
		{"a letter beyond ASCII", join(parts[0], "AAAé", parts[2])},
		{"stray bits in the header", join(stray(two(`{"alg":"ES256"}  `)), parts[1], parts[2])},
		{"stray bits in the payload", join(parts[0], stray(two(`{} {`)), parts[2])},
		{"stray bits in the signature", join(parts[0], parts[1], stray(parts[2]))},
		{"a header of an impossible length", join("AAAAA", parts[1], parts[2])},
		{"a payload of an impossible length", join(parts[0], "AAAAA", parts[2])},
		{"a signature of an impossible length", join(parts[0], parts[1], "AAAAA")},
	}
	for _, c := range cases {
		t.Run(c.name+" is refused", func(t *testing.T) {
			if m, err := jose.Parse(c.compact, limit); !errors.Is(err, jose.ErrMalformed) || m != nil {
				t.Errorf("%v, want ErrMalformed", err)
			} else if strings.HasPrefix(c.name, "stray bits") && !strings.Contains(err.Error(), "base64url") {
				t.Errorf("%v does not name the spelling", err)
			}
		})
	}
	t.Run("the form that the cases start from passes", func(t *testing.T) {
		for _, compact := range []string{
			good, join(two(`{"alg":"ES256"}  `), two(`{} {`), parts[2]), join(parts[0], "", parts[2]),
		} {
			if _, err := jose.Parse(compact, limit); err != nil {
				t.Errorf("%s: %v", compact, err)
			}
		}
	})
	t.Run("the limit is the last size that passes", func(t *testing.T) {
		if _, err := jose.Parse(good, len(good)); err != nil {
			t.Error(err)
		}
		if _, err := jose.Parse(good, len(good)-1); !errors.Is(err, jose.ErrTooLarge) {
			t.Error(err)
		}
	})
}

func TestParseHeader(t *testing.T) {
	s := newSigner(t, jose.ES256, "")
	long := strings.Repeat("k", 128)
	deep := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	cases := []struct {
		header string
		want   error // nil is accepted
	}{
		{`{"alg":"ES256"}`, nil},
		{` {"alg" : "ES256"} `, nil},
		{`{"alg":"ES\u0032\u0035\u0036"}`, nil},
		{`{"alg":"ES256","kid":"` + long + `"}`, nil},
		{`{"alg":"ES256","typ":"` + long + `"}`, nil},
		{`{"alg":"ES256","ALG":"none","cty":"JWT","jku":1,"x5u":[],"x5c":{},"x5t":null,"zip":"DEF","extra":{"a":[1]}}`, nil},
		{`{"alg":"ES256","x":` + deep(31) + `}`, nil},

		{`{"alg":"none"}`, jose.ErrAlgorithm},
		{`{"alg":"None"}`, jose.ErrAlgorithm},
		{`{"alg":""}`, jose.ErrAlgorithm},
		{`{}`, jose.ErrAlgorithm},
		{`{"Alg":"ES256"}`, jose.ErrAlgorithm},
		{`{"alg":"es256"}`, jose.ErrAlgorithm},
		{`{"alg":"ES256 "}`, jose.ErrAlgorithm},
		{`{"alg":"ES256K"}`, jose.ErrAlgorithm},
		{`{"alg":"ES384"}`, jose.ErrAlgorithm},
		{`{"alg":"ES512"}`, jose.ErrAlgorithm},
		{`{"alg":"RS256"}`, jose.ErrAlgorithm},
		{`{"alg":"PS384"}`, jose.ErrAlgorithm},
		{`{"alg":"HS256"}`, jose.ErrAlgorithm},
		{`{"alg":"Ed448"}`, jose.ErrAlgorithm},
		{`{"alg":"dir","enc":"A128GCM"}`, jose.ErrAlgorithm},

		{`{"alg":null}`, jose.ErrMalformed},
		{`{"alg":["ES256"]}`, jose.ErrMalformed},
		{`{"alg":256}`, jose.ErrMalformed},
		{`{"alg":"ES256","alg":"ES256"}`, jose.ErrMalformed},
		{`{"alg":"ES256","\u0061lg":"EdDSA"}`, jose.ErrMalformed},
		{`{"alg":"ES256","x":{"a":1,"a":1}}`, jose.ErrMalformed},
		{`{"alg":"ES256"}{}`, jose.ErrMalformed},
		{`{"alg":"ES256",}`, jose.ErrMalformed},
		{`["ES256"]`, jose.ErrMalformed},
		{`"ES256"`, jose.ErrMalformed},
		{"\xef\xbb\xbf" + `{"alg":"ES256"}`, jose.ErrMalformed},
		{"{\"alg\":\"ES256\",\"kid\":\"\xff\"}", jose.ErrMalformed},
		{`{"alg":"ES256","x":` + deep(32) + `}`, jose.ErrMalformed},
		{`{"alg":"ES256","kid":""}`, jose.ErrMalformed},
		{`{"alg":"ES256","kid":1}`, jose.ErrMalformed},
		{`{"alg":"ES256","kid":null}`, jose.ErrMalformed},
		{`{"alg":"ES256","kid":"` + long + `k"}`, jose.ErrMalformed},
		{`{"alg":"ES256","kid":"a\nb"}`, jose.ErrMalformed},
		{`{"alg":"ES256","kid":"a\u0085b"}`, jose.ErrMalformed},
		{`{"alg":"ES256","typ":""}`, jose.ErrMalformed},
		{`{"alg":"ES256","typ":["JWT"]}`, jose.ErrMalformed},
		{`{"alg":"ES256","typ":"` + long + `t"}`, jose.ErrMalformed},
		{`{"alg":"ES256","jwk":null}`, jose.ErrMalformed},
		{`{"alg":"ES256","jwk":"{}"}`, jose.ErrMalformed},
		{`{"alg":"ES256","jwk":[]}`, jose.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%.60s", c.header), func(t *testing.T) {
			m, err := jose.Parse(signed(t, s, c.header, `{}`), limit)
			if !errors.Is(err, c.want) || (m == nil) != (c.want != nil) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if m != nil {
				if err := m.Verify(s.Public()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Run("no fault quotes the header", func(t *testing.T) {
		for _, header := range []string{`{"alg":"secret"}`, `{"secret":1,"secret":1}`, `{"kid":"secret\n"}`, `{"jwk":"secret"}`} {
			if _, err := jose.Parse(signed(t, s, header, `{}`), limit); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", header, err)
			}
		}
	})
}

func TestHeaderThatEmbedsTheKey(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA, jose.PS256} {
		s := newSigner(t, alg, "a kid that is left out")
		for _, typ := range []string{"dpop+jwt", ""} {
			m, err := jose.Parse(sign(t, s, s.Header(typ, true), `{}`), limit)
			if err != nil {
				t.Fatal(err)
			}
			if m.Header.KeyID != "" || m.Header.Type != typ {
				t.Errorf("%s: header %+v", alg, m.Header)
			}
			k, err := jose.ParseJWK(m.Header.JWK)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Verify(k); err != nil {
				t.Error(err)
			}
			if k.Thumbprint() != s.Public().Thumbprint() {
				t.Error("another thumbprint")
			}
			if strings.Contains(string(m.Header.JWK), "kid") {
				t.Errorf("%s: %s", alg, m.Header.JWK)
			}
		}
	}
}

func TestEveryChangedCharacterIsRefused(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	s := newSigner(t, jose.EdDSA, "k")
	good := sign(t, s, s.Header("at+jwt", false), `{"sub":"c1"}`)
	for i := range len(good) {
		j := strings.IndexByte(alphabet, good[i])
		for _, c := range []byte{alphabet[(j+1)%64], alphabet[(j+32)%64]} {
			changed := good[:i] + string(c) + good[i+1:]
			m, err := jose.Parse(changed, limit)
			if err != nil {
				continue
			}
			if err := m.Verify(s.Public()); err == nil {
				t.Errorf("character %d of %s changed to %c", i, good, c)
			}
		}
	}
}

func TestLineBreakInAHeaderOfWholeGroups(t *testing.T) {
	header := `{"alg":"ES256"}`
	for b64.EncodedLen(len(header))%4 != 0 {
		header = strings.Replace(header, "{", "{ ", 1)
	}
	encoded := b64.EncodeToString([]byte(header))
	if _, err := jose.Parse(encoded[:4]+"\n"+encoded[4:]+".e30.AAAA", 1000); !errors.Is(err, jose.ErrMalformed) {
		t.Errorf("accepted: %v", err)
	}
}

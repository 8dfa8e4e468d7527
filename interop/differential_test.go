package interop

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// compare puts one compact JWS to both libraries with each key. Whatever ours
// accepts go-jose must accept with the same payload, and whatever only go-jose
// accepts must be refused by ours for a declared reason. It counts the outcomes
// in which one accepted.
func compare(t *testing.T, compact string, keys []oracleKey, outcomes map[string]int) {
	t.Helper()
	for _, k := range keys {
		ours, ourErr := oursVerifies(compact, k)
		theirs, theirErr := goJoseVerifies(compact, k)
		switch {
		case ourErr == nil && theirErr == nil:
			outcomes["both accept"]++
			if !bytes.Equal(ours, theirs) {
				t.Errorf("%s: two payloads of %q: %q and %q", k.alg, compact, ours, theirs)
			}
		case ourErr == nil:
			outcomes["go-jose reads more"]++
			if !goJoseReadsMore(compact) {
				t.Errorf("%s: ours accepts %q, go-jose says %v", k.alg, compact, theirErr)
			}
		case theirErr == nil:
			reason := stricter(compact, k, ourErr)
			outcomes[reason]++
			if reason == "" {
				t.Errorf("%s: go-jose accepts %q, ours says %v", k.alg, compact, ourErr)
			}
		}
	}
}

// goJoseReadsMore tells whether the header has what go-jose knows otherwise than
// ours: it reads the members "x5c", "jwk" and "nonce", which we leave to whoever
// needs them, and not the algorithm name "Ed25519" of RFC 9864.
func goJoseReadsMore(compact string) bool {
	m, err := jose.Parse(compact, tokenLimit)
	if err != nil {
		return false
	}
	if m.Header.Algorithm == jose.Ed25519 {
		return true
	}
	if m.Header.JWK != nil {
		if _, err := jose.ParseJWK(m.Header.JWK); err != nil {
			return true
		}
	}
	header := headerOf(compact)
	_, x5c := header["x5c"]
	nonce, hasNonce := header["nonce"]
	return x5c || hasNonce && !strictjson.Value(nonce).IsText()
}

// The reasons for which ours may refuse what go-jose accepts, and no others.
const (
	sizeReason   = "beyond the size limit"
	base64Reason = "line breaks or stray bits in base64url"
	critReason   = "crit"
	b64Reason    = "b64"
	jsonReason   = "header beyond strict JSON: duplicate, depth, escapes, UTF-8"
	nameReason   = "kid or typ that is no name of 128 bytes"
	jwkReason    = "jwk that is no object"
	saltReason   = "PSS salt of another length"
)

// stricter is the declared reason for which ours refuses what go-jose accepts,
// or "". Each is read from the input, not from our error alone.
func stricter(compact string, k oracleKey, ourErr error) string {
	if len(compact) > tokenLimit {
		return sizeReason
	}
	for _, part := range strings.Split(compact, ".") {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err == nil && base64.RawURLEncoding.EncodeToString(decoded) != part {
			return base64Reason
		}
	}
	header := headerOf(compact)
	if header == nil {
		return ""
	}
	if _, ok := header["crit"]; ok {
		return critReason
	}
	if _, ok := header["b64"]; ok {
		return b64Reason
	}
	raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[0])
	nothing := func(string, strictjson.Value) error { return nil }
	if strictjson.Members(raw, 32, nothing) != nil {
		return jsonReason
	}
	for _, name := range []string{"kid", "typ"} {
		var text string
		if value, ok := header[name]; ok &&
			(json.Unmarshal(value, &text) != nil || text == "" || len(text) > 128 || strings.ContainsFunc(text, isControl)) {
			return nameReason
		}
	}
	if jwk, ok := header["jwk"]; ok && !strictjson.Value(jwk).IsObject() {
		return jwkReason
	}
	if k.alg == jose.PS256 && errors.Is(ourErr, jose.ErrSignature) {
		return saltReason
	}
	return ""
}

func isControl(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }

// headerOf is the members of the header as encoding/json reads them, or nil.
func headerOf(compact string) map[string]json.RawMessage {
	encoded, _, _ := strings.Cut(compact, ".")
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil
	}
	var header map[string]json.RawMessage
	if json.Unmarshal(raw, &header) != nil {
		return nil
	}
	return header
}

// headers are header texts to be signed as they stand; ALG becomes the key's.
var headers = []string{
	`{"alg":"ALG"}`,
	`{"alg":"ALG","kid":"k","typ":"at+jwt"}`,
	` { "alg" : "ALG" } `,
	`{"alg":"ALG","crit":["exp"],"exp":1}`,
	`{"alg":"ALG","crit":[]}`,
	`{"alg":"ALG","crit":["b64"],"b64":true}`,
	`{"alg":"ALG","crit":["b64"],"b64":false}`,
	`{"alg":"ALG","b64":false}`,
	`{"alg":"ALG","alg":"ALG"}`,
	`{"alg":"ALG","al\u0067":"ALG"}`,
	`{"alg":"ALG","x":{"a":1,"a":2}}`,
	`{"alg":"ALG","kid":""}`,
	`{"alg":"ALG","kid":7}`,
	`{"alg":"ALG","typ":null}`,
	`{"alg":"ALG","jwk":null}`,
	`{"alg":"ALG","jwk":{"kty":"EC"}}`,
	`{"alg":"ALG","jwk":{"kty":"EC","crv":"P-256","x":"04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY","y":"UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw"}}`,
	`{"alg":"ALG","x5c":["MIIB"],"jku":"https://a.example/","x5u":"https://a.example/"}`,
	`{"alg":"ALG","nonce":"n"}`,
	`{"alg":"ALG","nonce":1}`,
	`{"alg":"ALG","zip":"DEF"}`,
	`{"alg":"ALG","kid":"a key whose name is long enough to be changed","typ":"a type whose name is long enough to be changed too"}`,
	`{"alg":"ALG","numbers":[0,-1,2.5,3e+7,4E-08,1234567890,{"deep":[[[true]],false,null]}],"text":"\"\/\\\b\u00e9\ud83d\ude00"}`,
	`{"alg":"ALG","x":"\ud800"}`,
	`{"alg":"ALG","x":"\u0000"}`,
	"{\"alg\":\"ALG\",\"x\":\"\xff\"}",
	`{"alg":"none"}`,
	`{"alg":"HS256"}`,
	`{"alg":"Ed25519"}`,
	`{"alg":"ES384"}`,
	`{"alg":"RS256"}`,
	`{"ALG":"ALG"}`,
	`{"Alg":"ALG","alg":"ALG"}`,
	`{}`,
	`[]`,
}

// seeds are JWS texts signed with every header by every key, and spellings of
// them that a strict parser tells apart.
func seeds(t testing.TB, keys []oracleKey) []string {
	var all []string
	for _, k := range keys {
		for _, header := range headers {
			header = strings.ReplaceAll(header, "ALG", string(k.alg))
			all = append(all, k.sign(t, []byte(header), []byte(`{"sub":"c1"}`)))
		}
		compact := all[len(all)-len(headers)]
		parts := strings.Split(compact, ".")
		all = append(all,
			compact+"\n", "\n"+compact, compact+" ", compact+"=", compact+".", "."+compact,
			parts[0]+"\r\n."+parts[1]+"."+parts[2], parts[0]+"."+parts[1]+"=."+parts[2],
			parts[0]+"..", parts[0]+"."+parts[1]+".", parts[0]+"."+parts[1], parts[0]+".."+parts[2],
			strings.NewReplacer("-", "+", "_", "/").Replace(compact),
			k.sign(t, []byte(`{"alg":"`+string(k.alg)+`"}`), nil),
			k.sign(t, []byte(`{"alg":"`+string(k.alg)+`"}`), bytes.Repeat([]byte("a"), tokenLimit)))
	}
	for _, group := range readVectors(t, "json_web_signature_test.json").TestGroups {
		for _, c := range group.Tests {
			if compact := text(c.JWS); len(compact) < 1000 {
				all = append(all, compact)
			}
		}
	}
	return all
}

func TestDifferentialOfMutants(t *testing.T) {
	keys := oracleKeys(t)
	texts := seeds(t, keys)
	random := rand.New(rand.NewPCG(1, 2))
	outcomes := make(map[string]int)
	for _, compact := range texts {
		compare(t, compact, keys, outcomes)
	}
	for range 4000 {
		compare(t, mutant(random, texts), keys, outcomes)
	}
	// A mutant of a whole text seldom has a good signature, so headers are
	// changed before they are signed too.
	for range 4000 {
		k := keys[2*random.IntN(2)] // not PS256, which signs slowly
		header := strings.ReplaceAll(headers[random.IntN(len(headers))], "ALG", string(k.alg))
		compare(t, k.sign(t, change(random, []byte(header)), []byte(`{"sub":"c1"}`)), keys, outcomes)
	}
	if both := outcomes["both accept"]; both < 300 {
		t.Errorf("both accepted %d texts only: the comparison has lost its meaning", both)
	}
	for _, reason := range []string{sizeReason, base64Reason, critReason, b64Reason, jsonReason, nameReason, jwkReason, saltReason} {
		if outcomes[reason] == 0 {
			t.Errorf("nothing was refused for the declared reason %q: drop it, or seed it", reason)
		}
	}
	t.Logf("%d seeds and 8000 mutants: %v", len(texts), outcomes)
}

// mutant is one of texts with a change, or with a part of another one.
func mutant(random *rand.Rand, texts []string) string {
	compact := texts[random.IntN(len(texts))]
	if random.IntN(4) > 0 {
		return string(change(random, []byte(compact)))
	}
	parts, others := strings.Split(compact, "."), strings.Split(texts[random.IntN(len(texts))], ".")
	i := random.IntN(len(parts))
	parts[i] = others[min(i, len(others)-1)]
	return strings.Join(parts, ".")
}

// change makes one to three small changes.
func change(random *rand.Rand, text []byte) []byte {
	const interesting = ".=-_+/ \n\r\t\x00\"{}[]:,\\AZaz09\x7f\x80\xff"
	for range 1 + random.IntN(3)*random.IntN(2) {
		if len(text) == 0 {
			return text
		}
		i := random.IntN(len(text))
		switch random.IntN(5) {
		case 0:
			text[i] ^= 1 << random.IntN(8)
		case 1:
			text[i] = interesting[random.IntN(len(interesting))]
		case 2:
			text = bytes.Join([][]byte{text[:i], {interesting[random.IntN(len(interesting))]}, text[i:]}, nil)
		case 3:
			text = append(text[:i:i], text[i+1:]...)
		case 4:
			j := i + random.IntN(len(text)-i)
			text = bytes.Join([][]byte{text[:j], text[i:]}, nil) // a piece twice
		}
	}
	return text
}

func FuzzDifferential(f *testing.F) {
	keys := oracleKeys(f)
	for _, compact := range seeds(f, keys) {
		f.Add(compact)
	}
	f.Fuzz(func(t *testing.T, compact string) { compare(t, compact, keys, make(map[string]int)) })
}

// FuzzDifferentialHeader signs whatever header and payload it is given, so that
// what is compared is the reading of the header.
func FuzzDifferentialHeader(f *testing.F) {
	keys := oracleKeys(f)
	for _, header := range headers {
		for _, k := range keys {
			f.Add([]byte(strings.ReplaceAll(header, "ALG", string(k.alg))), []byte(`{"sub":"c1"}`))
		}
	}
	f.Fuzz(func(t *testing.T, header, payload []byte) {
		for _, k := range []oracleKey{keys[0], keys[2]} { // PS256 signs slowly
			compare(t, k.sign(t, header, payload), keys, make(map[string]int))
		}
	})
}

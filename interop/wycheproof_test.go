package interop

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

const tokenLimit = 8 << 10

// vectors is a Wycheproof file of JSON Web Signature or JSON Web Key cases.
type vectors struct {
	NumberOfTests int `json:"numberOfTests"`
	TestGroups    []struct {
		Public  json.RawMessage `json:"public"`
		Private json.RawMessage `json:"private"`
		Tests   []struct {
			ID      int             `json:"tcId"`
			Comment string          `json:"comment"`
			JWS     json.RawMessage `json:"jws"`
			Result  string          `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

func readVectors(t testing.TB, name string) vectors {
	t.Helper()
	data, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// key is the public key of a group, or its symmetric key: ours must refuse that.
func key(public, private json.RawMessage) []byte {
	if public != nil {
		return public
	}
	return private
}

// text is the JWS as it would come over the wire.
func text(jws json.RawMessage) string {
	var compact string
	if json.Unmarshal(jws, &compact) == nil {
		return compact
	}
	return string(jws)
}

func verify(jwk []byte, compact string) error {
	k, err := jose.ParseJWK(jwk)
	if err != nil {
		return err
	}
	m, err := jose.Parse(compact, tokenLimit)
	if err != nil {
		return err
	}
	return m.Verify(k)
}

// otherAlgorithm is the algorithm of a sound JWS that its key names too and that
// Holdfast does not have, or "".
func otherAlgorithm(jwk []byte, compact string) string {
	var header, k struct {
		Alg string `json:"alg"`
	}
	parts := strings.Split(compact, ".")
	for i, part := range parts {
		decoded, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || i == 0 && json.Unmarshal(decoded, &header) != nil {
			return ""
		}
	}
	if json.Unmarshal(jwk, &k) != nil || len(parts) != 3 || header.Alg != k.Alg {
		return ""
	}
	switch jose.Algorithm(k.Alg) {
	case jose.ES256, jose.PS256, jose.EdDSA, jose.Ed25519:
		return ""
	}
	return k.Alg
}

func TestWycheproofJSONWebSignature(t *testing.T) {
	// What the file calls valid and a strict verifier refuses: a header whose
	// algorithm is not the key's (346, 350), a key for the algorithm "ES521",
	// which does not exist (347, 351), and '?' inside base64url (372, 373).
	declared := []int{346, 347, 350, 351, 372, 373}
	v := readVectors(t, "json_web_signature_test.json")
	var accepted, refused int
	others := make(map[string]int)
	var deviations []int
	for _, group := range v.TestGroups {
		jwk := key(group.Public, group.Private)
		for _, c := range group.Tests {
			compact := text(c.JWS)
			err := verify(jwk, compact)
			switch {
			case c.Result == "valid" && err == nil:
				accepted++
			case c.Result == "invalid" && err != nil:
				refused++
			case c.Result == "valid" && otherAlgorithm(jwk, compact) != "":
				if !errors.Is(err, jose.ErrKey) {
					t.Errorf("case %d (%s): %v, want the key refused", c.ID, c.Comment, err)
				}
				others[otherAlgorithm(jwk, compact)]++
			default:
				deviations = append(deviations, c.ID)
				if !slices.Contains(declared, c.ID) {
					t.Errorf("case %d (%s) is %s: %v", c.ID, c.Comment, c.Result, err)
				}
			}
		}
	}
	if !slices.Equal(deviations, declared) {
		t.Errorf("deviations %v, declared %v", deviations, declared)
	}
	if want := map[string]int{"HS256": 8, "RS256": 8, "RS384": 4, "RS512": 4, "PS384": 4, "PS512": 4}; !maps.Equal(others, want) {
		t.Errorf("valid cases of algorithms that Holdfast does not have: %v, want %v", others, want)
	}
	agreed := v.NumberOfTests - len(deviations)
	if agreed != 395 || accepted == 0 {
		t.Errorf("%d of %d agree, want 395", agreed, v.NumberOfTests)
	}
	t.Logf("%d of %d as a strict verifier should: %d valid accepted, %d invalid refused, %v valid of algorithms that Holdfast does not have refused; declared deviations %v",
		agreed, v.NumberOfTests, accepted, refused, others, deviations)
}

func TestWycheproofJSONWebKey(t *testing.T) {
	v := readVectors(t, "json_web_key_test.json")
	var refused, others int
	for _, group := range v.TestGroups {
		set := key(group.Public, group.Private)
		for _, c := range group.Tests {
			err := verifyWithSet(set, text(c.JWS))
			switch {
			case err == nil:
				t.Errorf("case %d (%s) is accepted: every key here is weak, symmetric or for RS256", c.ID, c.Comment)
			case c.Result == "invalid":
				refused++
			default:
				others++
			}
		}
	}
	if refused != 21 || others != 5 {
		t.Errorf("%d invalid and %d others refused, want 21 and 5", refused, others)
	}
	t.Logf("%d of 21 invalid keys refused; %d valid ones of HS256 and RS256, which Holdfast does not have, refused too", refused, others)
}

// verifyWithSet verifies with the key of the set that the header names.
func verifyWithSet(set []byte, compact string) error {
	keys, err := jose.ParseJWKSet(set, 100)
	if err != nil {
		return err
	}
	m, err := jose.Parse(compact, tokenLimit)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.KeyID() == m.Header.KeyID {
			return m.Verify(k)
		}
	}
	return errors.New("no key of that kid")
}

// The RSA keys of the file are for RS256, which alone is reason to refuse them.
// As keys for PS256 each must be refused for its own fault.
func TestWycheproofWeakRSAKeysForPS256(t *testing.T) {
	want := map[int]string{
		5: "", // sound
		7: "ROCA",
		8: "1024 bits",
		9: "exponent",
	}
	for _, group := range readVectors(t, "json_web_key_test.json").TestGroups {
		for _, c := range group.Tests {
			reason, ok := want[c.ID]
			if !ok {
				continue
			}
			delete(want, c.ID)
			set := strings.ReplaceAll(string(group.Public), `"RS256"`, `"PS256"`)
			keys, err := jose.ParseJWKSet([]byte(set), 100)
			if reason == "" {
				if err != nil || len(keys) != 1 {
					t.Errorf("advisory 15: case %d (%s): %v", c.ID, c.Comment, err)
				}
				continue
			}
			if !errors.Is(err, jose.ErrKey) || !strings.Contains(err.Error(), reason) {
				t.Errorf("advisory 15: case %d (%s): %v, want a refusal that names %q", c.ID, c.Comment, err, reason)
			}
		}
	}
	if len(want) != 0 {
		t.Errorf("cases not found: %v", want)
	}
}

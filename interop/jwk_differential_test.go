package interop

import (
	"bytes"
	"crypto"
	"encoding/json"
	"math/rand/v2"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

// compareJWK demands that go-jose reads whatever key ours accepts, as the same
// public key. Go-jose refuses more in one point: it checks the certificates of
// "x5c", which ours ignores. It tells whether ours accepts.
func compareJWK(t *testing.T, data []byte) bool {
	t.Helper()
	ours, err := jose.ParseJWK(data)
	if err != nil {
		return false
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatalf("encoding/json refuses %s: %v", data, err)
	}
	for name := range members {
		switch name {
		case "kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops":
		default:
			delete(members, name)
		}
	}
	known, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	var theirs gojose.JSONWebKey
	if err := json.Unmarshal(known, &theirs); err != nil {
		t.Errorf("ours accepts %s, go-jose says %v", data, err)
		return true
	}
	want, err := theirs.Thumbprint(crypto.SHA256)
	if got := ours.Thumbprint(); err != nil || !bytes.Equal(got[:], want) {
		t.Errorf("%s: thumbprint %x, go-jose has %x, %v", data, got, want, err)
	}
	if !theirs.IsPublic() || theirs.KeyID != "" && theirs.KeyID != ours.KeyID() {
		t.Errorf("%s: kid %q, go-jose has %q", data, ours.KeyID(), theirs.KeyID)
	}
	return true
}

func jwkSeeds(t testing.TB) [][]byte {
	var all [][]byte
	for _, k := range oracleKeys(t) {
		all = append(all, k.signer.Public().JWK())
		private, err := json.Marshal(k.theirs)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, private)
	}
	for _, name := range []string{"json_web_signature_test.json", "json_web_key_test.json"} {
		for _, group := range readVectors(t, name).TestGroups {
			if group.Public != nil {
				all = append(all, group.Public)
			}
		}
	}
	return all
}

func TestDifferentialOfJWKMutants(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	texts := jwkSeeds(t)
	accepted := 0
	for i := range 4000 {
		data := bytes.Clone(texts[i%len(texts)])
		if i >= len(texts) {
			data = change(random, data)
		}
		if compareJWK(t, data) {
			accepted++
		}
	}
	if accepted < 50 {
		t.Errorf("ours accepted %d keys only: the comparison has lost its meaning", accepted)
	}
	t.Logf("4000 keys, %d accepted", accepted)
}

func FuzzJWKDifferential(f *testing.F) {
	for _, data := range jwkSeeds(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { compareJWK(t, data) })
}

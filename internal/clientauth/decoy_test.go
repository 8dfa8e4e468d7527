package clientauth

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

// The time of an answer must not tell whether the client exists, so that an
// unknown one costs a whole verification too.
func TestDecoysDoTheWork(t *testing.T) {
	a := &Authenticator{}
	for alg, size := range map[jose.Algorithm]int{jose.ES256: 64, jose.PS256: 256, jose.EdDSA: 64, jose.Ed25519: 64} {
		signature := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("1", size)))
		m, err := jose.Parse(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+string(alg)+`"}`))+".e30."+signature, MaxAssertion)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Verify(a.decoy(alg)); !errors.Is(err, jose.ErrSignature) {
			t.Errorf("%s: got %v, want a signature that was computed and does not verify", alg, err)
		}
	}
	if a.decoy("none") == nil {
		t.Error("no decoy for an unknown algorithm")
	}
}

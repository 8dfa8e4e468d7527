package interop

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

// oracleKey is one key pair as each library holds it.
type oracleKey struct {
	alg    jose.Algorithm
	signer *jose.Signer
	theirs *gojose.JSONWebKey // private
}

// public is the key as go-jose verifies with it.
func (k oracleKey) public() gojose.JSONWebKey { return k.theirs.Public() }

// oracleKeys are published key pairs, so that a fuzzer's corpus keeps its
// meaning: two of Wycheproof, and RFC 8037 appendix A.1.
func oracleKeys(t testing.TB) []oracleKey {
	t.Helper()
	groups := readVectors(t, "json_web_signature_test.json").TestGroups
	ed25519 := `{"kty":"OKP","crv":"Ed25519","kid":"ed","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	return []oracleKey{
		newOracleKey(t, jose.ES256, groups[1].Private),
		newOracleKey(t, jose.PS256, groups[6].Private),
		newOracleKey(t, jose.EdDSA, []byte(ed25519)),
	}
}

func newOracleKey(t testing.TB, alg jose.Algorithm, privateJWK []byte) oracleKey {
	t.Helper()
	var theirs gojose.JSONWebKey
	if err := json.Unmarshal(privateJWK, &theirs); err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(theirs.Key.(crypto.Signer), alg, theirs.KeyID)
	if err != nil {
		t.Fatal(err)
	}
	theirs.Algorithm = string(alg)
	return oracleKey{alg, signer, &theirs}
}

// sign is the JWS of payload under any header, signed by k.
func (k oracleKey) sign(t testing.TB, header, payload []byte) string {
	t.Helper()
	compact, err := k.signer.Sign(jose.PreparedHeader(base64.RawURLEncoding.EncodeToString(header)), payload)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func oursVerifies(compact string, k oracleKey) ([]byte, error) {
	m, err := jose.Parse(compact, tokenLimit)
	if err != nil {
		return nil, err
	}
	if err := m.Verify(k.signer.Public()); err != nil {
		return nil, err
	}
	return m.Payload, nil
}

func goJoseVerifies(compact string, k oracleKey) ([]byte, error) {
	jws, err := gojose.ParseSignedCompact(compact, []gojose.SignatureAlgorithm{gojose.ES256, gojose.PS256, gojose.EdDSA})
	if err != nil {
		return nil, err
	}
	return jws.Verify(k.public().Key)
}

func TestSignaturesBothWays(t *testing.T) {
	const payload = `{"sub":"c1","exp":1790000000}`
	for _, k := range oracleKeys(t) {
		t.Run(string(k.alg), func(t *testing.T) {
			for _, embed := range []bool{false, true} {
				compact, err := k.signer.Sign(k.signer.Header("at+jwt", embed), []byte(payload))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := goJoseVerifies(compact, k); err != nil || string(got) != payload {
					t.Errorf("ours to go-jose, jwk in the header %t: %q, %v", embed, got, err)
				}
				options := (&gojose.SignerOptions{EmbedJWK: embed}).WithType("dpop+jwt")
				signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.SignatureAlgorithm(k.alg), Key: k.theirs}, options)
				if err != nil {
					t.Fatal(err)
				}
				jws, err := signer.Sign([]byte(payload))
				if err != nil {
					t.Fatal(err)
				}
				if compact, err = jws.CompactSerialize(); err != nil {
					t.Fatal(err)
				}
				if got, err := oursVerifies(compact, k); err != nil || string(got) != payload {
					t.Errorf("go-jose to ours, jwk in the header %t: %q, %v", embed, got, err)
				}
				if !embed {
					continue
				}
				m, err := jose.Parse(compact, tokenLimit)
				if err != nil {
					t.Fatal(err)
				}
				embedded, err := jose.ParseJWK(m.Header.JWK)
				if err != nil || embedded.Thumbprint() != k.signer.Public().Thumbprint() {
					t.Errorf("jwk that go-jose embeds: %v", err)
				}
			}
		})
	}
}

func TestJWKAndThumbprintBothWays(t *testing.T) {
	keys := oracleKeys(t)
	for range 20 { // coordinates have leading zeros now and then
		for _, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA} {
			private, err := jose.GenerateKey(alg, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			signer, err := jose.NewSigner(private, alg, "")
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, oracleKey{alg, signer, &gojose.JSONWebKey{Key: private, KeyID: signer.Public().KeyID(), Algorithm: string(alg)}})
		}
	}
	for _, k := range keys {
		ours, theirs := k.signer.Public(), k.public()
		want, err := theirs.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if got := ours.Thumbprint(); !bytes.Equal(got[:], want) {
			t.Errorf("%s: thumbprint %x, go-jose has %x", k.alg, got, want)
		}
		var read gojose.JSONWebKey
		if err := json.Unmarshal(ours.JWK(), &read); err != nil {
			t.Fatalf("go-jose reads our JWK: %v", err)
		}
		if !read.Valid() || !read.IsPublic() || read.KeyID != ours.KeyID() || read.Algorithm != string(k.alg) || read.Use != "sig" {
			t.Errorf("go-jose reads our JWK as %+v", read)
		}
		theirs.Use = "sig"
		data, err := json.Marshal(theirs)
		if err != nil {
			t.Fatal(err)
		}
		back, err := jose.ParseJWK(data)
		if err != nil || !bytes.Equal(back.JWK(), ours.JWK()) {
			t.Errorf("we read go-jose's JWK: %v", err)
		}
	}
	var all []*jose.PublicKey
	for _, k := range keys {
		all = append(all, k.signer.Public())
	}
	var set gojose.JSONWebKeySet
	if err := json.Unmarshal(jose.JWKSet(all), &set); err != nil || len(set.Keys) != len(keys) {
		t.Errorf("go-jose reads our set as %d keys of %d: %v", len(set.Keys), len(keys), err)
	}
}

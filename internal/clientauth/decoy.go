package clientauth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

// decoy is a key of this algorithm to verify with when the client or its key is
// unknown, so that the answer takes as long as a bad signature does. Whatever
// it says is thrown away.
func (a *Authenticator) decoy(alg jose.Algorithm) *jose.PublicKey {
	a.decoysOnce.Do(func() {
		a.decoys = map[jose.Algorithm]*jose.PublicKey{}
		for alg, key := range map[jose.Algorithm]crypto.PublicKey{
			jose.ES256:   decoyP256(),
			jose.PS256:   &rsa.PublicKey{N: new(big.Int).SetBytes(bytes.Repeat([]byte{0xff}, 256)), E: 65537},
			jose.EdDSA:   ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public(),
			jose.Ed25519: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public(),
		} {
			if k, err := jose.NewPublicKey(key, alg, "decoy"); err == nil {
				a.decoys[alg] = k
			}
		}
	})
	if k := a.decoys[alg]; k != nil {
		return k
	}
	return &jose.PublicKey{} // verifies nothing
}

// decoyP256 is the public key of the private key 1.
func decoyP256() crypto.PublicKey {
	one := make([]byte, 32)
	one[31] = 1
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), one)
	if err != nil {
		return nil
	}
	return key.Public()
}

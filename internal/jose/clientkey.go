package jose

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// ClientKey is a key of a client's "jwks" (RFC 7591 section 2) and, where "x5c"
// has one, its certificate in DER. A certificate of a token or a proof is never
// read: this is for keys that were registered or fetched.
type ClientKey struct {
	*PublicKey
	Certificate []byte
}

// maxChainElements bounds "x5c", of which the first element alone is read.
const maxChainElements = 10

// ParseClientKey is ParseJWK with the certificate, which must be of this very key
// (RFC 7517 section 4.7).
func ParseClientKey(data []byte) (ClientKey, error) {
	j, err := parseMembers(data)
	if err != nil {
		return ClientKey{}, err
	}
	k, err := j.publicKey()
	if err != nil {
		return ClientKey{}, err
	}
	return j.clientKey(k)
}

// ParseClientKeySet is ParseJWKSet with the certificates; one that is not its
// key's refuses the set.
func ParseClientKeySet(data []byte, most int) ([]ClientKey, error) {
	var keys []ClientKey
	err := parseSet(data, most, func(j *members, k *PublicKey) error {
		key, err := j.clientKey(k)
		keys = append(keys, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

func (j *members) clientKey(k *PublicKey) (ClientKey, error) {
	if j.chain == nil {
		return ClientKey{PublicKey: k}, nil
	}
	der, err := firstCertificate(j.chain, k)
	if err != nil {
		return ClientKey{}, fmt.Errorf("%w: x5c: %w", ErrKey, err)
	}
	return ClientKey{PublicKey: k, Certificate: der}, nil
}

func firstCertificate(chain strictjson.Value, k *PublicKey) ([]byte, error) {
	texts, err := chain.Texts()
	if err != nil {
		return nil, err
	}
	if len(texts) < 1 || len(texts) > maxChainElements {
		return nil, fmt.Errorf("not 1 to %d certificates", maxChainElements)
	}
	der, err := base64.StdEncoding.Strict().DecodeString(texts[0])
	if err != nil {
		return nil, errors.New("not base64")
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errors.New("not an X.509 certificate in DER")
	}
	same, ok := k.Crypto().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !same.Equal(c.PublicKey) {
		return nil, errors.New("a certificate of another key")
	}
	return der, nil
}

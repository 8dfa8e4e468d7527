package registration

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// Proof of a key: a compact JWS by the key itself, which whoever only knows the
// public half cannot make, for one client at this server, once.
const (
	// ProofType is the JWS "typ".
	ProofType = "key-proof+jwt"

	maxProof  = 4 << 10 // bytes
	maxID     = 128     // bytes of jti
	proofLife = 5 * time.Minute
	keepProof = proofLife + 2*maxAhead // how long after iat a jti is remembered
)

type keyProof struct {
	message                  *jose.Message
	audience, id, thumbprint string
	issued                   int64
}

// parseProof reads one without judging it.
func parseProof(compact string) (*keyProof, error) {
	m, err := jose.Parse(compact, maxProof)
	if err != nil {
		return nil, err
	}
	p := &keyProof{message: m}
	err = strictjson.Members(m.Payload, maxDepth, func(name string, v strictjson.Value) (err error) {
		switch name {
		case "aud":
			p.audience, err = v.Text()
		case "jti":
			p.id, err = v.Text()
		case "jkt":
			p.thumbprint, err = v.Text()
		case "iat":
			p.issued, err = v.Integer()
		}
		return err
	})
	return p, err
}

// proves tells why the proof does not prove the key for this client; nil if it does.
func (p *keyProof) proves(key *jose.PublicKey, audiences []string, now time.Time) error {
	switch issued := time.Unix(p.issued, 0); {
	case p.message.Header.Type != ProofType:
		return invalid("proof", "is a JWT of another type")
	case p.message.Verify(key) != nil:
		return invalid("proof", "is not signed with the key")
	case !contains(audiences, p.audience):
		return invalid("proof", "has an aud that is not the registration_client_uri")
	case p.id == "" || len(p.id) > maxID:
		return invalid("proof", "has no jti of 1 to %d bytes", maxID)
	case issued.After(now.Add(maxAhead)) || issued.Before(now.Add(-proofLife)):
		return invalid("proof", "has an iat that is not of the last %s", proofLife)
	}
	return nil
}

// use is the single use of the proof.
func (p *keyProof) use() token.Use {
	b := append([]byte("key-proof\x00"), p.thumbprint...)
	b = append(append(b, 0), p.id...)
	return token.Use{Key: sha256.Sum256(b), Until: time.Unix(p.issued, 0).Add(keepProof)}
}

func isKey(k *jose.PublicKey, other crypto.PublicKey) bool {
	same, ok := k.Crypto().(interface{ Equal(crypto.PublicKey) bool })
	return ok && same.Equal(other)
}

func contains(all []string, s string) bool {
	for _, one := range all {
		if one != "" && one == s {
			return true
		}
	}
	return false
}

// proveKeys wants a proof of each new key: a JWS among proofs, or the handshake
// that the request came over, with the certificate shown.
func proveKeys(keys []Key, proofs []string, shown *x509.Certificate, audiences []string, now time.Time) ([]token.Use, error) {
	parsed := make([]*keyProof, len(proofs))
	for i, compact := range proofs {
		p, err := parseProof(compact)
		if err != nil {
			return nil, invalid(memberJWKS, "proof %d in Key-Proof is not a JWS that this server reads", i+1)
		}
		parsed[i] = p
	}
	var uses []token.Use
	for _, k := range keys {
		if shown != nil && isKey(k.Public, shown.PublicKey) {
			continue
		}
		thumbprint := k.Public.Thumbprint()
		jkt := base64.RawURLEncoding.EncodeToString(thumbprint[:])
		var found *keyProof
		for _, p := range parsed {
			if p.thumbprint == jkt {
				found = p
			}
		}
		if found == nil {
			return nil, invalid(memberJWKS, "a new key has no proof in Key-Proof")
		}
		if err := found.proves(k.Public, audiences, now); err != nil {
			return nil, invalid(memberJWKS, "the proof of a new key: %v", err)
		}
		uses = append(uses, found.use())
	}
	return uses, nil
}

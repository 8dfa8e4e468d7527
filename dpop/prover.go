package dpop

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// Prover makes proofs with one key. Safe for concurrent use.
type Prover struct {
	signer *jose.Signer
	header jose.PreparedHeader
	jkt    cnf.Thumbprint
}

// NewProver prepares proofs with key (the algorithm is the key's own).
func NewProver(key crypto.Signer) (*Prover, error) {
	signer, err := jose.NewSigner(key, "", "")
	if err != nil {
		return nil, fmt.Errorf("DPoP key: %w", err)
	}
	return &Prover{signer, signer.Header(typ, true), signer.Public().Thumbprint()}, nil
}

// JKT is the thumbprint of the prover's key.
func (p *Prover) JKT() cnf.Thumbprint { return p.jkt }

// Algorithm is the JWS "alg" of the proofs.
func (p *Prover) Algorithm() string { return string(p.signer.Public().Algorithm()) }

// Prove makes a proof for one request. accessToken and nonce may be empty; url
// loses its query and fragment.
func (p *Prover) Prove(now time.Time, method, url, accessToken, nonce string) (string, error) {
	if end := strings.IndexAny(url, "?#"); end >= 0 {
		url = url[:end]
	}
	var id [16]byte
	rand.Read(id[:])
	claims := make([]byte, 0, 256)
	claims = append(claims, `{"jti":"`...)
	claims = base64.RawURLEncoding.AppendEncode(claims, id[:])
	claims = append(claims, `","htm":`...)
	claims = strictjson.AppendText(claims, method)
	claims = append(claims, `,"htu":`...)
	claims = strictjson.AppendText(claims, url)
	claims = append(claims, `,"iat":`...)
	claims = strconv.AppendInt(claims, now.Unix(), 10)
	if accessToken != "" {
		hash := sha256.Sum256([]byte(accessToken))
		claims = append(claims, `,"ath":"`...)
		claims = base64.RawURLEncoding.AppendEncode(claims, hash[:])
		claims = append(claims, '"')
	}
	if nonce != "" {
		claims = append(claims, `,"nonce":`...)
		claims = strictjson.AppendText(claims, nonce)
	}
	proof, err := p.signer.Sign(p.header, append(claims, '}'))
	if err != nil {
		return "", fmt.Errorf("sign DPoP proof: %w", err)
	}
	return proof, nil
}

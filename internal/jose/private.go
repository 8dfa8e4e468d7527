package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
)

const (
	maxPEM     = 64 << 10
	pemType    = "PRIVATE KEY"
	pemBegin   = "-----BEGIN "
	pemOpening = pemBegin + pemType + "-----"
)

// GenerateKey makes a private key for alg: P-256, RSA 2048 or Ed25519.
func GenerateKey(alg Algorithm, random io.Reader) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), random)
	case PS256:
		return rsa.GenerateKey(random, minRSABits)
	case EdDSA, Ed25519:
		_, key, err := ed25519.GenerateKey(random)
		return key, err
	}
	return nil, ErrAlgorithm
}

// ParsePrivateKeyPEM reads one PKCS#8 "PRIVATE KEY" block (at most 64 KiB) that
// holds a key which NewPublicKey accepts. White space may stand around the
// block and nothing else.
func ParsePrivateKeyPEM(data []byte) (crypto.Signer, error) {
	if len(data) > maxPEM {
		return nil, ErrTooLarge
	}
	data = bytes.TrimSpace(data)
	if !bytes.HasPrefix(data, []byte(pemOpening)) || bytes.Count(data, []byte(pemBegin)) != 1 {
		return nil, fmt.Errorf("%w: the text is not one PKCS#8 private key in PEM", ErrKey)
	}
	block, rest := pem.Decode(data)
	if block == nil || len(block.Headers) > 0 {
		return nil, fmt.Errorf("%w: not PEM, or PEM with headers", ErrKey)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: text after the private key", ErrKey)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		// The library's error is not passed on: it may quote what it read.
		return nil, fmt.Errorf("%w: not a PKCS#8 private key", ErrKey)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: a key that cannot sign", ErrKey)
	}
	if _, err := NewPublicKey(signer.Public(), "", ""); err != nil {
		return nil, err
	}
	return signer, nil
}

// MarshalPrivateKeyPEM is the reverse of ParsePrivateKeyPEM.
func MarshalPrivateKeyPEM(key crypto.Signer) ([]byte, error) {
	if _, err := NewSigner(key, "", ""); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: not a key in memory", ErrKey)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

func TestPrivateKeyPEM(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.PS256, jose.EdDSA} {
		key := newKey(t, alg)
		data, err := jose.MarshalPrivateKeyPEM(key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := jose.ParsePrivateKeyPEM(data)
		if err != nil {
			t.Fatal(err)
		}
		if !back.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key) {
			t.Errorf("%s: another key came back", alg)
		}
	}
}

func TestParsePrivateKeyPEMRefuses(t *testing.T) {
	pkcs8 := func(key any) []byte {
		t.Helper()
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	good := newKey(t, jose.ES256).(*ecdsa.PrivateKey)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(good)
	if err != nil {
		t.Fatal(err)
	}
	headers := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(good), Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}})
	text := block("PRIVATE KEY", pkcs8(good))
	for name, data := range map[string][]byte{
		"nothing":              nil,
		"DER":                  pkcs8(good),
		"SEC 1":                block("EC PRIVATE KEY", sec1),
		"an encrypted key":     block("ENCRYPTED PRIVATE KEY", pkcs8(good)),
		"a certificate":        block("CERTIFICATE", pkcs8(good)),
		"PEM headers":          headers,
		"no end":               text[:len(text)-20],
		"an empty block":       block("PRIVATE KEY", nil),
		"SEC 1 called PKCS #8": block("PRIVATE KEY", sec1),
		"a key of P-384":       block("PRIVATE KEY", pkcs8(p384)),
		"a key of X25519":      block("PRIVATE KEY", pkcs8(x25519)),
	} {
		t.Run(name, func(t *testing.T) {
			if key, err := jose.ParsePrivateKeyPEM(data); !errors.Is(err, jose.ErrKey) || key != nil {
				t.Errorf("%v, want ErrKey", err)
			} else if name == "SEC 1 called PKCS #8" && !strings.Contains(err.Error(), "PKCS#8") {
				t.Errorf("%v does not name PKCS#8", err)
			}
		})
	}
	t.Run("beyond 64 KiB", func(t *testing.T) {
		space := func(size int) []byte { return append(bytes.Clone(text), bytes.Repeat([]byte(" "), size-len(text))...) }
		if _, err := jose.ParsePrivateKeyPEM(space(64 << 10)); err != nil {
			t.Errorf("64 KiB: %v", err)
		}
		if _, err := jose.ParsePrivateKeyPEM(space(64<<10 + 1)); !errors.Is(err, jose.ErrTooLarge) {
			t.Errorf("one byte more: %v", err)
		}
	})
}

// device is a key that is not in memory, with what its Sign answers.
type device struct {
	crypto.Signer
	signature []byte
	err       error
}

func (d device) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return d.signature, d.err }

func TestMarshalPrivateKeyPEMRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{
		"nothing": nil, "P-384": p384, "a key that is not in memory": device{Signer: newKey(t, jose.ES256)},
	} {
		if data, err := jose.MarshalPrivateKeyPEM(key); !errors.Is(err, jose.ErrKey) || data != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignerRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := newKey(t, jose.ES256)
	if s, err := jose.NewSigner(nil, "", ""); !errors.Is(err, jose.ErrKey) || s != nil {
		t.Errorf("no key: %v", err)
	}
	if s, err := jose.NewSigner(p384, "", ""); !errors.Is(err, jose.ErrKey) || s != nil {
		t.Errorf("P-384: %v", err)
	}
	if s, err := jose.NewSigner(good, jose.PS256, ""); !errors.Is(err, jose.ErrKey) || s != nil {
		t.Errorf("PS256 with P-256: %v", err)
	}
	broken := errors.New("the device is gone")
	for name, d := range map[string]device{
		"a device that fails":               {good, nil, broken},
		"a device that answers with no DER": {good, make([]byte, 64), nil},
	} {
		s, err := jose.NewSigner(d, "", "")
		if err != nil {
			t.Fatal(err)
		}
		compact, err := s.Sign(s.Header("", false), []byte(`{}`))
		if err == nil || compact != "" || d.err != nil && !errors.Is(err, broken) {
			t.Errorf("%s: %q, %v", name, compact, err)
		}
	}
}

func TestGenerateKey(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.PS256, jose.EdDSA, jose.Ed25519} {
		key, err := jose.GenerateKey(alg, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jose.NewSigner(key, alg, ""); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	for _, alg := range []jose.Algorithm{"", "HS256", "none", "ES384"} {
		if key, err := jose.GenerateKey(alg, rand.Reader); !errors.Is(err, jose.ErrAlgorithm) || key != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

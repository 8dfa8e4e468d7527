package client

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/mtls"
)

// maxPEM bounds every PEM file, in bytes.
const maxPEM = 64 << 10

// Signer signs client assertions.
type Signer = jose.Signer

// NewSigner prepares assertions signed with key: P-256, Ed25519, or RSA of 2048
// to 4096 bits. An empty alg means the one that fits the key; an empty kid means
// the key's RFC 7638 thumbprint.
func NewSigner(key crypto.Signer, alg, kid string) (*Signer, error) {
	return jose.NewSigner(key, jose.Algorithm(alg), kid)
}

// Credentials are what one application has, in one generation. It authenticates
// with Assertion (private_key_jwt) or else with Certificate (tls_client_auth,
// self_signed_tls_client_auth); its tokens are bound to the key of DPoP or else
// to Certificate.
type Credentials struct {
	ClientID    string
	Assertion   *Signer          // nil: none
	Certificate *tls.Certificate // nil: none
	DPoP        *dpop.Prover     // nil: none
}

func (c *Credentials) check() error {
	if c.ClientID == "" {
		return errors.New("credentials have no client_id")
	}
	if c.Certificate == nil && c.Assertion == nil {
		return errors.New("credentials have neither a key for assertions nor a certificate")
	}
	if c.Certificate == nil && c.DPoP == nil {
		return errors.New("credentials have nothing to bind a token to: neither a certificate nor a DPoP key")
	}
	return nil
}

// scheme is the token_type, and the scheme of the Authorization field.
func (c *Credentials) scheme() string {
	if c.DPoP != nil {
		return "DPoP"
	}
	return "Bearer"
}

// NewHTTP makes the HTTP client of one generation: connections that show its
// certificate (nil for none) and are shared with nothing else. roots verify
// servers and are required.
func NewHTTP(roots *x509.CertPool, certificate *tls.Certificate) (*http.Client, error) {
	var show func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	if certificate != nil {
		show = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	config, err := mtls.ClientConfig(roots, show)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout:     90 * time.Second, // less than the 120 s after which Holdfast hangs up
		MaxIdleConnsPerHost: 32,
	}}, nil
}

// LoadKey reads a private key: one PKCS#8 block in PEM.
func LoadKey(file string) (crypto.Signer, error) {
	data, err := readPEM(file)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := jose.ParsePrivateKeyPEM(data)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", file, err)
	}
	return key, nil
}

// LoadCertificate reads a chain in PEM, leaf first, and the leaf's private key.
func LoadCertificate(certificateFile, keyFile string) (*tls.Certificate, error) {
	chain, err := readPEM(certificateFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	key, err := readPEM(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", certificateFile, keyFile, err)
	}
	if len(pair.Certificate) > mtls.MaxChain {
		return nil, fmt.Errorf("certificate %s: more than %d certificates", certificateFile, mtls.MaxChain)
	}
	return &pair, nil
}

// Roots are the CA certificates in the file, as LoadRoots reads them, or those of
// the system where no file is named.
func Roots(file string) (*x509.CertPool, error) {
	if file != "" {
		return LoadRoots(file)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's CA certificates: %w", err)
	}
	return roots, nil
}

// LoadRoots reads the CA certificates that servers are verified by. A file
// without any is an error, ErrRoots as all of them: an empty pool must not come to
// mean the system's.
func LoadRoots(file string) (*x509.CertPool, error) {
	data, err := readPEM(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoots, err)
	}
	roots, found := x509.NewCertPool(), false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%w %s: a block in it is not a certificate", ErrRoots, file)
		}
		roots.AddCert(c)
		found = true
	}
	if !found {
		return nil, fmt.Errorf("%w %s: there is none in it", ErrRoots, file)
	}
	return roots, nil
}

func readPEM(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxPEM {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, maxPEM)
	}
	return data, nil
}

package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// MaxCSR is the most bytes of a CSR, PEM or DER.
const MaxCSR = 64 << 10

// parseCSR reads a certificate signing request for the application named uri.
// Its signature proves possession of the key (RFC 2986 section 4.2). A name that
// it asks for must be the application's own; its subject and other extensions
// say nothing.
func parseCSR(data []byte, uri string) (*x509.CertificateRequest, error) {
	if len(data) > MaxCSR {
		return nil, badCSR("larger than 64 KiB")
	}
	der := data
	if bytes.Contains(data, []byte("-----BEGIN")) {
		block, rest := pem.Decode(data)
		if block == nil || (block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST") {
			return nil, badCSR("not a PEM block of a certificate request")
		}
		if len(bytes.TrimSpace(rest)) != 0 {
			return nil, badCSR("more than one PEM block")
		}
		der = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, badCSR("not a PKCS#10 certificate request")
	}
	if _, err := jose.NewPublicKey(csr.PublicKey, "", ""); err != nil {
		return nil, badCSR("its key is not P-256, Ed25519 or RSA of 2048 to 4096 bits")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, badCSR("its signature does not verify")
	}
	if asked := alternativeNames(csr.Extensions); asked != nil {
		own, err := uriName(uri)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(asked, own) {
			return nil, badCSR("it asks for a name other than " + uri)
		}
	}
	return csr, nil
}

func badCSR(reason string) error {
	return &directory.InvalidError{Field: "csr", Reason: reason}
}

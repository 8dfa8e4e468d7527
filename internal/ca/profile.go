package ca

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// authorityTemplate is the profile of a CA certificate. Its organisation is the
// trust domain, which Open compares.
func authorityTemplate(trustDomain, role string, pathLen int, now time.Time, life time.Duration, key crypto.PublicKey) (*x509.Certificate, error) {
	t, err := template(now, now.Add(life), key)
	if err != nil {
		return nil, err
	}
	t.Subject = pkix.Name{CommonName: "Holdfast " + role + " CA", Organization: []string{trustDomain}}
	t.BasicConstraintsValid, t.IsCA = true, true
	t.MaxPathLen, t.MaxPathLenZero = pathLen, pathLen == 0
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return t, nil
}

// template is what all our certificates have: a random serial, a backdated
// start, and the key's identifier.
func template(now, notAfter time.Time, key crypto.PublicKey) (*x509.Certificate, error) {
	id, err := keyID(key)
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber:          newSerial(),
		NotBefore:             now.Add(-backdate).UTC().Truncate(time.Second),
		NotAfter:              notAfter.UTC().Truncate(time.Second),
		BasicConstraintsValid: true,
		SubjectKeyId:          id,
	}, nil
}

// newSerial is 159 random bits, not zero (RFC 5280 section 4.1.2.2: at most 20
// octets, positive).
func newSerial() *big.Int {
	for {
		var b [20]byte
		_, _ = rand.Read(b[:]) // never fails
		b[0] &= 0x7f
		if n := new(big.Int).SetBytes(b[:]); n.Sign() > 0 {
			return n
		}
	}
}

// keyID is RFC 7093 section 2, method 1: 160 bits of the SHA-256 of the key's bits.
func keyID(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	hash := sha256.Sum256(info.Key.Bytes)
	return hash[:20], nil
}

// sign makes the certificate and reads back what was made.
func sign(template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// uriName is the DER of GeneralNames with one URI (RFC 5280 section 4.2.1.6).
func uriName(uri string) ([]byte, error) {
	const uniformResourceIdentifier = 6
	return asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: uniformResourceIdentifier, Bytes: []byte(uri)}})
}

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// alternativeNames is the SAN extension among extensions; nil when there is none.
func alternativeNames(extensions []pkix.Extension) []byte {
	for _, e := range extensions {
		if e.Id.Equal(subjectAltName) {
			return e.Value
		}
	}
	return nil
}

// lint checks a client certificate against what it is meant to be.
func lint(c, meant *x509.Certificate, key crypto.PublicKey, uri string) error {
	names, err := uriName(uri)
	if err != nil {
		return err
	}
	equal, ok := key.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !equal.Equal(c.PublicKey):
		return fmt.Errorf("%w: another public key", ErrLint)
	case !bytes.Equal(alternativeNames(c.Extensions), names):
		return fmt.Errorf("%w: other names", ErrLint)
	case c.IsCA || !c.BasicConstraintsValid:
		return fmt.Errorf("%w: a CA", ErrLint)
	case c.KeyUsage != x509.KeyUsageDigitalSignature:
		return fmt.Errorf("%w: another key usage", ErrLint)
	case len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(c.UnknownExtKeyUsage) != 0:
		return fmt.Errorf("%w: another extended key usage", ErrLint)
	case c.SerialNumber.Cmp(meant.SerialNumber) != 0:
		return fmt.Errorf("%w: another serial", ErrLint)
	case !c.NotBefore.Equal(meant.NotBefore) || !c.NotAfter.Equal(meant.NotAfter) || !c.NotAfter.After(c.NotBefore):
		return fmt.Errorf("%w: another time", ErrLint)
	}
	return nil
}

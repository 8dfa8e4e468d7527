package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// Profile is what a certificate is for.
type Profile string

// The profiles.
const (
	// ClientTransport is shown in a TLS handshake: clientAuth.
	ClientTransport Profile = "client_transport"
	// ClientSigning certifies the key that signs an application's assertions:
	// id-kp-jwt (RFC 9509). A certificate without any extended key usage would do
	// for a TLS handshake, too.
	ClientSigning Profile = "client_signing"
	// ServerTLS is for a TLS server: serverAuth, DNS names and IP addresses.
	ServerTLS Profile = "server_tls"
)

// Kind is that of the credential that a certificate of the profile becomes.
func (p Profile) Kind() directory.Kind {
	switch p {
	case ClientSigning:
		return directory.SigningKey
	case ServerTLS:
		return directory.ServerCertificate
	}
	return directory.Certificate
}

// Fits tells whether an application with this way of authentication has any use
// for a certificate of the profile.
func (p Profile) Fits(method directory.AuthMethod) bool {
	switch p {
	case ClientTransport:
		return method != directory.SelfSignedTLSClientAuth
	case ClientSigning:
		return method == directory.PrivateKeyJWT
	}
	return p == ServerTLS
}

// maxLife is the most that a certificate of the profile is asked for, and what
// one that is asked for by hand gets.
func (p Profile) maxLife() time.Duration {
	if p == ServerTLS {
		return ServerLife
	}
	return MaxClientLife
}

// signsJWT is id-kp-jwt (RFC 9509 section 3).
var signsJWT = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 37}

// otherUsages are the extended key usages of the profile that crypto/x509 has no name for.
func (p Profile) otherUsages() []asn1.ObjectIdentifier {
	if p == ClientSigning {
		return []asn1.ObjectIdentifier{signsJWT}
	}
	return nil
}

// usages are the extended key usages of the profile.
func (p Profile) usages() []x509.ExtKeyUsage {
	switch p {
	case ClientTransport:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case ServerTLS:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	return nil
}

// authorityTemplate is the profile of a CA certificate.
func authorityTemplate(trustDomain, role string, pathLen int, now time.Time, life time.Duration, key crypto.PublicKey) (*x509.Certificate, error) {
	t, err := template(now, now.Add(life), key)
	if err != nil {
		return nil, err
	}
	t.Subject = authorityName(trustDomain, role)
	t.IsCA = true
	t.MaxPathLen, t.MaxPathLenZero = pathLen, pathLen == 0
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return t, nil
}

// authorityName is for people; the key is what counts. X.520 ends an
// organisation's name at 64 characters.
func authorityName(trustDomain, role string) pkix.Name {
	return pkix.Name{CommonName: "Holdfast " + role + " CA", Organization: []string{commonName(trustDomain)}}
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

// newSerial is 158 random bits below a bit that is set: positive, of one length,
// and at most 20 octets (RFC 5280 section 4.1.2.2).
func newSerial() *big.Int {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
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

// subject is what the leaf will say of its owner.
type subject struct {
	profile Profile
	name    pkix.Name // for people
	uri     string    // of an application; "" for a server
	hosts   []string  // DNS names and IP addresses of a server
}

// leafTemplate is the certificate that the issuer will sign; it ends with the
// issuer at the latest.
func (s subject) leafTemplate(by issuer, now time.Time, life time.Duration, key crypto.PublicKey) (*x509.Certificate, error) {
	notAfter := now.Add(life)
	if by.certificate.NotAfter.Before(notAfter) {
		notAfter = by.certificate.NotAfter
	}
	t, err := template(now, notAfter, key)
	if err != nil {
		return nil, err
	}
	t.Subject = s.name
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage, t.UnknownExtKeyUsage = s.profile.usages(), s.profile.otherUsages()
	if by.crl != "" {
		t.CRLDistributionPoints = []string{by.crl}
	}
	if s.uri != "" {
		uri, err := url.Parse(s.uri)
		if err != nil {
			return nil, err
		}
		t.URIs = []*url.URL{uri}
	}
	for _, host := range s.hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t, nil
}

// Tags of GeneralName (RFC 5280 section 4.2.1.6).
const (
	tagDNS = 2
	tagURI = 6
	tagIP  = 7
)

// generalNames is the DER of the SAN extension: first DNS names, then addresses,
// then the URI, as crypto/x509 orders them.
func (s subject) generalNames() ([]byte, error) {
	var names, addresses []asn1.RawValue
	for _, host := range s.hosts {
		if ip := net.ParseIP(host); ip != nil {
			if four := ip.To4(); four != nil {
				ip = four
			}
			addresses = append(addresses, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagIP, Bytes: ip})
		} else {
			names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagDNS, Bytes: []byte(host)})
		}
	}
	names = append(names, addresses...)
	if s.uri != "" {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagURI, Bytes: []byte(s.uri)})
	}
	return asn1.Marshal(names)
}

// commonName cuts a name at the 64 characters that X.520 allows.
func commonName(name string) string {
	n := 0
	for i := range name {
		if n++; n > 64 {
			return name[:i]
		}
	}
	return name
}

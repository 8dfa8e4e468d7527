package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

var (
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidCRLPoints        = asn1.ObjectIdentifier{2, 5, 29, 31}
)

// critical are the extensions that a leaf may have, and whether each is critical
// (RFC 5280 section 4.2). The SAN is not, because there is always a subject.
var critical = []struct {
	id       asn1.ObjectIdentifier
	critical bool
}{
	{oidKeyUsage, true}, {oidBasicConstraints, true}, {oidSubjectAltName, false}, {oidExtKeyUsage, false},
	{oidAuthorityKeyID, false}, {oidSubjectKeyID, false}, {oidCRLPoints, false},
}

// minSerialBits leaves a serial of 64 random bits or more (CA/B Forum's figure).
const minSerialBits = 65

// extension finds an extension; nil when there is none.
func extension(all []pkix.Extension, id asn1.ObjectIdentifier) *pkix.Extension {
	for i := range all {
		if all[i].Id.Equal(id) {
			return &all[i]
		}
	}
	return nil
}

// lint checks a leaf against what it is meant to be, and by rules of its own.
func lint(c, meant *x509.Certificate, by issuer, key crypto.PublicKey, s subject) error {
	names, err := s.generalNames()
	if err != nil {
		return err
	}
	id, err := keyID(key)
	if err != nil {
		return err
	}
	san := extension(c.Extensions, oidSubjectAltName)
	equal, comparable := key.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case c.Version != 3:
		return faulty("another version")
	case !comparable || !equal.Equal(c.PublicKey):
		return faulty("another public key")
	case weak(key):
		return faulty("a key that is not P-256, Ed25519 or RSA of 2048 to 4096 bits")
	case c.SerialNumber.Cmp(meant.SerialNumber) != 0:
		return faulty("another serial")
	case c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() < minSerialBits || c.SerialNumber.BitLen() > 159:
		return faulty("a serial that is not positive, too short or too long")
	case !bytes.Equal(c.RawIssuer, by.certificate.RawSubject):
		return faulty("another issuer")
	case c.Subject.String() != meant.Subject.String() || len(c.Subject.Names) == 0:
		return faulty("another subject")
	case san == nil || !bytes.Equal(san.Value, names):
		return faulty("other names")
	case c.IsCA || !c.BasicConstraintsValid || c.MaxPathLen > 0 || c.MaxPathLenZero:
		return faulty("a CA")
	case c.KeyUsage != x509.KeyUsageDigitalSignature:
		return faulty("another key usage")
	case !slices.Equal(c.ExtKeyUsage, s.profile.usages()) || !slices.EqualFunc(c.UnknownExtKeyUsage, s.profile.otherUsages(), asn1.ObjectIdentifier.Equal):
		return faulty("another extended key usage")
	case !bytes.Equal(c.SubjectKeyId, id):
		return faulty("another subject key identifier")
	case len(by.certificate.SubjectKeyId) == 0 || !bytes.Equal(c.AuthorityKeyId, by.certificate.SubjectKeyId):
		return faulty("another authority key identifier")
	case by.crl == "" && len(c.CRLDistributionPoints) != 0 || by.crl != "" && !slices.Equal(c.CRLDistributionPoints, []string{by.crl}):
		return faulty("another CRL distribution point")
	}
	if err := lintTime(c, meant, by, s.profile.maxLife()); err != nil {
		return err
	}
	return lintExtensions(c.Extensions)
}

func lintTime(c, meant *x509.Certificate, by issuer, most time.Duration) error {
	switch {
	case !c.NotBefore.Equal(meant.NotBefore) || !c.NotAfter.Equal(meant.NotAfter) || !c.NotAfter.After(c.NotBefore):
		return faulty("another time")
	case c.NotAfter.After(by.certificate.NotAfter):
		return faulty("an end beyond the issuer's")
	case c.NotAfter.Sub(c.NotBefore) > most+backdate:
		return faulty("a life longer than the profile's")
	}
	return nil
}

// lintExtensions lets through those of the table, each once and as critical as it
// should be.
func lintExtensions(all []pkix.Extension) error {
	for i, e := range all {
		known := false
		for _, may := range critical {
			if e.Id.Equal(may.id) {
				known = true
				if e.Critical != may.critical {
					return faulty("extension %v: critical is %t", e.Id, e.Critical)
				}
			}
		}
		if !known {
			return faulty("an extension %v", e.Id)
		}
		if extension(all[:i], e.Id) != nil {
			return faulty("extension %v twice", e.Id)
		}
	}
	return nil
}

func faulty(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrLint}, args...)...)
}

func weak(key crypto.PublicKey) bool {
	_, err := jose.NewPublicKey(key, "", "")
	return err != nil
}

// lintAuthority checks the certificate of an issuing CA, ours or imported, under
// the root that signed it.
func lintAuthority(now time.Time, c, root *x509.Certificate) error {
	bad := func(reason string) error { return &directory.InvalidError{Field: "certificate", Reason: reason} }
	basic, usage := extension(c.Extensions, oidBasicConstraints), extension(c.Extensions, oidKeyUsage)
	switch {
	case c.Version != 3:
		return bad("is not of version 3")
	case !c.BasicConstraintsValid || !c.IsCA || !basic.Critical:
		return bad("is not a CA's: basicConstraints must be critical, with cA true")
	case c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign && c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature:
		return bad("must have the key usages keyCertSign and cRLSign and no others but digitalSignature")
	case !usage.Critical:
		return bad("its key usage must be critical")
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) != 0:
		return bad("must have no extended key usage")
	case len(c.UnhandledCriticalExtensions) != 0:
		return bad("has a critical extension that is not known")
	case len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains)+len(c.PermittedIPRanges)+len(c.ExcludedIPRanges)+
		len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses)+len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) != 0:
		return bad("must have no name constraints")
	case len(c.Subject.Names) == 0:
		return bad("has no subject")
	case len(c.SubjectKeyId) == 0 || len(c.SubjectKeyId) > 64:
		return bad("has no subject key identifier, or a very long one")
	case len(root.SubjectKeyId) != 0 && !bytes.Equal(c.AuthorityKeyId, root.SubjectKeyId):
		return bad("its authority key identifier is not the root's key identifier")
	case c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() > 159:
		return bad("its serial is not positive, or longer than 20 octets")
	case weak(c.PublicKey):
		return bad("must have a P-256, an Ed25519 or an RSA key of 2048 to 4096 bits")
	case now.Before(c.NotBefore) || !now.Before(c.NotAfter):
		return bad("is not valid now")
	case c.NotAfter.After(root.NotAfter):
		return bad("ends after the root")
	}
	return lintPath(c, root, bad)
}

// lintPath checks that root may have c below it, and c leaves below it.
func lintPath(c, root *x509.Certificate, bad func(string) error) error {
	if root.MaxPathLen == 0 && root.MaxPathLenZero {
		return bad("the root's path length of 0 allows no CA below it")
	}
	if err := c.CheckSignatureFrom(root); err != nil || !bytes.Equal(c.RawIssuer, root.RawSubject) {
		return bad("was not signed by the root")
	}
	return nil
}

// lintRoot checks a root of others.
func lintRoot(now time.Time, c *x509.Certificate) error {
	bad := func(reason string) error { return &directory.InvalidError{Field: "root", Reason: reason} }
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return bad("is not a CA's certificate")
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return bad("may not sign certificates")
	case len(c.UnhandledCriticalExtensions) != 0:
		return bad("has a critical extension that is not known")
	case now.Before(c.NotBefore) || !now.Before(c.NotAfter):
		return bad("is not valid now")
	case bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) != nil:
		return bad("does not bear its own signature")
	}
	return nil
}

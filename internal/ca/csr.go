package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// MaxCSR is the most bytes of a CSR, PEM or DER.
const MaxCSR = 64 << 10

// maxNames is the most names of one server certificate.
const maxNames = 100

// parseCSR reads a certificate signing request. Its signature proves possession
// of the key (RFC 2986 section 4.2).
func parseCSR(data []byte) (*x509.CertificateRequest, error) {
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
	return csr, nil
}

// checkClientNames lets a CSR ask for no name, or for the application's own and
// no other, of whatever kind. Its subject is for people and is not copied; one
// that pretends to be a name is refused all the same.
func checkClientNames(csr *x509.CertificateRequest, own subject) error {
	if san := extension(csr.Extensions, oidSubjectAltName); san != nil {
		want, err := own.generalNames()
		if err != nil {
			return err
		}
		if !bytes.Equal(san.Value, want) {
			return badCSR("it asks for a name other than " + own.uri)
		}
	}
	cn, err := subjectName(csr)
	if err != nil {
		return err
	}
	if strings.Contains(cn, "://") && cn != own.uri {
		return badCSR("its common name is a URI other than " + own.uri)
	}
	return nil
}

// checkServerNames reads the names that a server certificate is asked for. Which
// of them the organisation owns is the store's to say.
func checkServerNames(csr *x509.CertificateRequest) ([]string, error) {
	san := extension(csr.Extensions, oidSubjectAltName)
	if san == nil {
		return nil, badCSR("it asks for no DNS name and no IP address (a common name is no name)")
	}
	names, err := hosts(san.Value)
	if err != nil {
		return nil, err
	}
	cn, err := subjectName(csr)
	if err != nil {
		return nil, err
	}
	if cn != "" && !slices.Contains(names, strings.ToLower(cn)) {
		return nil, badCSR("its common name is none of the names that it asks for")
	}
	return names, nil
}

// hosts reads GeneralNames that are DNS names and addresses only, each once.
func hosts(der []byte) ([]string, error) {
	var general []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &general); err != nil || len(rest) != 0 {
		return nil, badCSR("its names cannot be read")
	}
	if len(general) == 0 || len(general) > maxNames {
		return nil, badCSR(fmt.Sprintf("it asks for %d names, 1 to %d are possible", len(general), maxNames))
	}
	names := make([]string, 0, len(general))
	for i, g := range general {
		text := string(g.Bytes)
		switch {
		case g.Class != asn1.ClassContextSpecific || g.IsCompound || g.Tag != tagDNS && g.Tag != tagIP:
			return nil, badCSR(fmt.Sprintf("its name %d is neither a DNS name nor an IP address", i+1))
		case g.Tag == tagIP:
			if len(g.Bytes) != net.IPv4len && len(g.Bytes) != net.IPv6len {
				return nil, badCSR(fmt.Sprintf("its name %d is no IP address", i+1))
			}
			text = net.IP(g.Bytes).String()
		}
		name, err := ParseName(text)
		if err != nil || (net.ParseIP(name) != nil) != (g.Tag == tagIP) {
			return nil, badCSR(fmt.Sprintf("its name %d is not one that a server can have: %s", i+1, reason(err)))
		}
		if slices.Contains(names, name) {
			return nil, badCSR(fmt.Sprintf("its name %d occurs twice", i+1))
		}
		names = append(names, name)
	}
	return names, nil
}

func reason(err error) string {
	if invalid, ok := err.(*directory.InvalidError); ok {
		return invalid.Reason
	}
	return "an address written as a DNS name"
}

// subjectName is the common name of the CSR's subject, of which there is at most one.
func subjectName(csr *x509.CertificateRequest) (cn string, err error) {
	for _, a := range csr.Subject.Names {
		text, ok := a.Value.(string)
		if !ok || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }) {
			return "", badCSR("its subject has a text that cannot be printed")
		}
		if !a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			continue
		}
		if cn != "" {
			return "", badCSR("it has two common names")
		}
		cn = text
	}
	return cn, nil
}

// ParseName checks a DNS name or an IP address that a server certificate may have
// and writes it in its one spelling: lower case, without a final dot; addresses as
// RFC 5952 writes them. There are no wildcards: who has the key of one has every
// name below it.
func ParseName(text string) (string, error) {
	bad := func(reason string) (string, error) {
		return "", &directory.InvalidError{Field: "name", Reason: reason}
	}
	if address, err := netip.ParseAddr(text); err == nil {
		switch {
		case address.Zone() != "":
			return bad("an address with a zone")
		case address.IsUnspecified() || address.IsMulticast():
			return bad("not the address of one host")
		}
		return address.Unmap().String(), nil
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) {
		return bad("may have letters, digits, hyphens and dots only (an international name in its xn-- form)")
	}
	name := strings.ToLower(text)
	if len(name) < 1 || len(name) > 253 {
		return bad("must have 1 to 253 characters")
	}
	if strings.Contains(name, "*") {
		return bad("wildcards are not issued")
	}
	var digits bool
	for label := range strings.SplitSeq(name, ".") {
		if len(label) < 1 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return bad("a label must have 1 to 63 characters and no hyphen at its ends")
		}
		digits = true
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return bad("may have letters, digits, hyphens and dots only")
			}
			digits = digits && '0' <= c && c <= '9'
		}
	}
	if digits { // the last label: URL parsers read such names as addresses
		return bad("ends in a number and is no IP address")
	}
	return name, nil
}

func badCSR(reason string) error {
	return &directory.InvalidError{Field: "csr", Reason: reason}
}

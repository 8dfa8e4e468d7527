package clientauth

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"net/netip"
	"strings"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// The tags of GeneralName (RFC 5280 section 4.2.1.6) that a name is registered in.
// The others are never compared with anything.
const (
	rfc822Name                = 1
	dNSName                   = 2
	uniformResourceIdentifier = 6
	iPAddress                 = 7
)

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// Faults of a subject alternative name extension, each of which refuses the
// certificate: what two readers read differently names nobody.
var (
	errNameStructure = errors.New("subject alternative name: not a sequence of general names")
	errNameText      = errors.New("subject alternative name: text that is not printable ASCII")
	errNameWildcard  = errors.New("subject alternative name: a wildcard")
	errNameAddress   = errors.New("subject alternative name: an IP address of another length")
)

// hasName tells whether one of the certificate's alternative names, of exactly
// the registered kind, is the registered one (RFC 8705 section 2.1.2). Its distinguished
// name is never looked at. The whole extension is read before anything is said.
func hasName(leaf *x509.Certificate, want directory.TLSName) (found bool, err error) {
	names, err := alternativeNames(leaf)
	if err != nil {
		return false, err
	}
	for _, n := range names {
		if err := checkName(n); err != nil {
			return false, err
		}
		found = found || isName(n, want)
	}
	return found, nil
}

// alternativeNames takes the extension apart; there is one at most, which
// crypto/x509 has checked.
func alternativeNames(leaf *x509.Certificate) ([]asn1.RawValue, error) {
	for _, e := range leaf.Extensions {
		if e.Id.Equal(subjectAltName) {
			return generalNames(e.Value)
		}
	}
	return nil, nil
}

func generalNames(value []byte) (names []asn1.RawValue, err error) {
	var sequence asn1.RawValue
	rest, err := asn1.Unmarshal(value, &sequence)
	if err != nil || len(rest) > 0 || sequence.Class != asn1.ClassUniversal || sequence.Tag != asn1.TagSequence || !sequence.IsCompound {
		return nil, errNameStructure
	}
	for rest = sequence.Bytes; len(rest) > 0; {
		var name asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &name); err != nil || name.Class != asn1.ClassContextSpecific {
			return nil, errNameStructure
		}
		names = append(names, name)
	}
	return names, nil
}

// checkName looks at the kinds that are compared.
func checkName(n asn1.RawValue) error {
	switch n.Tag {
	case rfc822Name, dNSName, uniformResourceIdentifier:
		if n.IsCompound {
			return errNameStructure
		}
		for _, c := range n.Bytes {
			if c < ' ' || c > '~' {
				return errNameText
			}
		}
		if n.Tag != uniformResourceIdentifier && bytes.IndexByte(hostOf(n), '*') >= 0 {
			return errNameWildcard
		}
	case iPAddress:
		if n.IsCompound || len(n.Bytes) != 4 && len(n.Bytes) != 16 {
			return errNameAddress
		}
	}
	return nil
}

// hostOf is the host of an e-mail address, or the whole of another name.
func hostOf(n asn1.RawValue) []byte {
	if n.Tag == rfc822Name {
		return n.Bytes[bytes.LastIndexByte(n.Bytes, '@')+1:]
	}
	return n.Bytes
}

func isName(n asn1.RawValue, want directory.TLSName) bool {
	switch {
	case want.Value == "":
		return false
	case n.Tag == uniformResourceIdentifier && want.Kind == directory.NameURI:
		return string(n.Bytes) == want.Value
	case n.Tag == dNSName && want.Kind == directory.NameDNS: // RFC 4343 section 3; both are ASCII
		return strings.EqualFold(string(n.Bytes), want.Value)
	case n.Tag == iPAddress && want.Kind == directory.NameIP:
		address, _ := netip.ParseAddr(want.Value) // of what is none the bytes are none, which checkName refuses
		return bytes.Equal(n.Bytes, address.AsSlice())
	case n.Tag == rfc822Name && want.Kind == directory.NameEmail: // RFC 5280 section 7.5
		local, host := cutMail(string(n.Bytes))
		wantLocal, wantHost := cutMail(want.Value)
		return local != "" && local == wantLocal && strings.EqualFold(host, wantHost)
	}
	return false
}

// cutMail parts an address at its last @.
func cutMail(address string) (local, host string) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", address
	}
	return address[:at], address[at+1:]
}

// onlyName tells whether the certificate's SAN extension is exactly the one URI
// want: no other name, of whatever kind, and no other spelling. It is for
// certificates of our own CA.
func onlyName(leaf *x509.Certificate, want string) bool {
	uri := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: uniformResourceIdentifier, Bytes: []byte(want)}
	names, _ := asn1.Marshal([]asn1.RawValue{uri}) // never fails, and no extension equals nothing
	for _, e := range leaf.Extensions {
		if e.Id.Equal(subjectAltName) {
			return bytes.Equal(e.Value, names)
		}
	}
	return false
}

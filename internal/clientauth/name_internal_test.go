package clientauth

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// FuzzName: of whatever stands in the extension, a name is found only if its very
// bytes (for DNS and the host of an e-mail address: in any case) stand there under
// the tag of its kind, and beside no text that two readers could read differently.
func FuzzName(f *testing.F) {
	add := func(kind directory.NameKind, value string, names ...asn1.RawValue) {
		extension, err := asn1.Marshal(names)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(extension, string(kind), value)
	}
	name := func(tag int, value string) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)}
	}
	add(directory.NameDNS, "client.example", name(2, "Client.example"))
	add(directory.NameURI, "https://client.example/a", name(6, "https://client.example/a"), name(2, "x"))
	add(directory.NameIP, "192.0.2.1", name(7, "\xc0\x00\x02\x01"))
	add(directory.NameEmail, "a@client.example", name(1, "a@CLIENT.example"), name(0, ""))
	add(directory.NameDNS, "client.example", name(2, "client.example\x00"), name(2, "*.example"))
	f.Add([]byte{0x30, 0x80, 0x00, 0x00}, "dns", "a")
	f.Fuzz(func(t *testing.T, extension []byte, kind, value string) {
		want := directory.TLSName{Kind: directory.NameKind(kind), Value: value}
		leaf := &x509.Certificate{Extensions: []pkix.Extension{{Id: subjectAltName, Value: extension}}}
		found, err := hasName(leaf, want)
		if err != nil && found {
			t.Fatal("found in what is refused")
		}
		if !found {
			return
		}
		tag, bytesOf, fold := 0, []byte(value), false
		switch want.Kind {
		case directory.NameDNS:
			tag, fold = 2, true
		case directory.NameURI:
			tag = 6
		case directory.NameEmail:
			tag, fold = 1, true
		case directory.NameIP:
			tag, bytesOf = 7, netip.MustParseAddr(value).AsSlice()
		default:
			t.Fatalf("found a name of the kind %q", kind)
		}
		var all []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension, &all); err != nil || len(rest) > 0 {
			t.Fatalf("found in what encoding/asn1 does not read: %v", err)
		}
		there := false
		for _, n := range all {
			if n.Tag == 1 || n.Tag == 2 || n.Tag == 6 {
				if bytes.ContainsFunc(n.Bytes, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Fatalf("found beside %q", n.Bytes)
				}
			}
			if n.Tag == tag && (bytes.Equal(n.Bytes, bytesOf) || fold && bytes.EqualFold(n.Bytes, bytesOf)) {
				there = true
			}
		}
		if !there {
			t.Fatalf("%q found in %x", value, extension)
		}
	})
}

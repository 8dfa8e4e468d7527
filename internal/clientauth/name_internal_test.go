package clientauth

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net/netip"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

func TestName(t *testing.T) {
	tlv := func(first byte, value string) string {
		return string(append([]byte{first, byte(len(value))}, value...))
	}
	names := func(all ...string) string {
		text := ""
		for _, n := range all {
			text += n
		}
		return tlv(0x30, text)
	}
	const dns, uri, mail, ip = 0x82, 0x86, 0x81, 0x87
	name := func(kind directory.NameKind, value string) directory.TLSName {
		return directory.TLSName{Kind: kind, Value: value}
	}
	client := name(directory.NameDNS, "client.example")
	good := tlv(dns, "client.example")
	cases := []struct {
		name      string
		extension string
		want      directory.TLSName
		found     bool
		err       error
	}{
		{"the name", names(good), client, true, nil},
		{"among others, also of kinds that are not compared", names(tlv(0xa0, "\x06\x01\x2a\xa0\x02\x05\x00"), tlv(0x88, "\x2a"), good), client, true, nil},
		{"no names", names(), client, false, nil},
		{"an empty name and nothing registered", names(tlv(dns, "")), name(directory.NameDNS, ""), false, nil},
		{"the local part and another host", names(tlv(mail, "a@b.example")), name(directory.NameEmail, "a@c.example"), false, nil},
		{"another local part", names(tlv(mail, "b@c.example")), name(directory.NameEmail, "a@c.example"), false, nil},
		{"no local part", names(tlv(mail, "@c.example")), name(directory.NameEmail, "@c.example"), false, nil},
		{"an address that is none", names(tlv(ip, "\x00\x00\x00\x00")), name(directory.NameIP, "nowhere"), false, nil},
		{"the kind of no name", names(good), name("subject_dn", "client.example"), false, nil},

		{"not ASN.1", "\x30", client, false, errNameStructure},
		{"more after the sequence", names(good) + "\x05\x00", client, false, errNameStructure},
		{"a set", "\x31" + names(good)[1:], client, false, errNameStructure},
		{"a sequence of another class", "\x70" + names(good)[1:], client, false, errNameStructure},
		{"a sequence that is not made of parts", "\x10" + names(good)[1:], client, false, errNameStructure},
		{"a name that breaks off", tlv(0x30, good+"\x82\x05a"), client, false, errNameStructure},
		{"a name of the universal class", names(good, tlv(0x16, "a")), client, false, errNameStructure},
		{"a name made of parts", names(good, tlv(0xa2, "")), client, false, errNameStructure},
		{"an address made of parts", names(good, tlv(0xa7, "\x05\x00\x05\x00")), client, false, errNameAddress},
		{"an address with a mask", names(good, tlv(ip, "\x0a\x00\x00\x00\xff\x00\x00\x00")), client, false, errNameAddress},
		{"an address of five bytes", names(good, tlv(ip, "\x0a\x00\x00\x00\xff")), client, false, errNameAddress},
		{"advisory 28: a NUL", names(good, tlv(uri, "https://a.example/\x00")), client, false, errNameText},
		{"beyond ASCII", names(good, tlv(dns, "\xe4.example")), client, false, errNameText},
		{"DEL", names(good, tlv(mail, "a\x7f@a.example")), client, false, errNameText},
		{"a wildcard", names(good, tlv(dns, "*.example")), client, false, errNameWildcard},
		{"a wildcard for hosts of e-mail", names(good, tlv(mail, "a@*.example")), client, false, errNameWildcard},
		{"a star in a local part and in a URI is no wildcard", names(good, tlv(mail, "*@a.example"), tlv(uri, "https://a.example/*")), client, true, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			leaf := &x509.Certificate{Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 15}}, {Id: subjectAltName, Value: []byte(c.extension)}}}
			found, err := hasName(leaf, c.want)
			if found != c.found || !errors.Is(err, c.err) {
				t.Errorf("got %t, %v", found, err)
			}
		})
	}
}

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

package ca

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

func request(t testing.TB, edit func(*x509.CertificateRequest)) *x509.CertificateRequest {
	t.Helper()
	template := &x509.CertificateRequest{}
	edit(template)
	der, err := x509.CreateCertificateRequest(rand.Reader, template, newTestKey(t))
	if err != nil {
		t.Fatal(err)
	}
	csr, err := parseCSR(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

// general is a SAN extension of raw names.
func general(t testing.TB, names ...asn1.RawValue) func(*x509.CertificateRequest) {
	t.Helper()
	value, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *x509.CertificateRequest) {
		r.ExtraExtensions = []pkix.Extension{{Id: oidSubjectAltName, Value: value}}
	}
}

func named(tag int, value string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)}
}

func TestServerNames(t *testing.T) {
	t.Run("what is asked for, in one spelling", func(t *testing.T) {
		csr := request(t, func(r *x509.CertificateRequest) {
			r.Subject.CommonName = "API.example"
			r.DNSNames = []string{"API.Example", "b.example"}
			r.IPAddresses = []net.IP{net.ParseIP("192.0.2.7"), net.ParseIP("2001:DB8::1")}
		})
		got, err := checkServerNames(csr)
		if want := []string{"api.example", "b.example", "192.0.2.7", "2001:db8::1"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v", got, err)
		}
	})
	for name, edit := range map[string]func(*x509.CertificateRequest){
		"advisory 93: no SAN": func(*x509.CertificateRequest) {},
		"a common name alone": func(r *x509.CertificateRequest) { r.Subject.CommonName = "api.example" },
		"a common name that is none of the names": func(r *x509.CertificateRequest) {
			r.Subject.CommonName, r.DNSNames = "evil.example", []string{"api.example"}
		},
		"a wildcard":                             func(r *x509.CertificateRequest) { r.DNSNames = []string{"*.example"} },
		"advisory 93: a URI":                     general(t, named(tagDNS, "api.example"), named(tagURI, "https://api.example")),
		"advisory 93: an e-mail address":         general(t, named(tagDNS, "api.example"), named(1, "a@api.example")),
		"advisory 93: a directory name":          general(t, asn1.RawValue{Class: 2, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0}}),
		"an otherName":                           general(t, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: []byte{6, 1, 42, 0xa0, 2, 5, 0}}),
		"no name in the SAN":                     general(t),
		"a name twice":                           general(t, named(tagDNS, "api.example"), named(tagDNS, "API.example")),
		"an address as a DNS name":               general(t, named(tagDNS, "192.0.2.7")),
		"an address of three bytes":              general(t, named(tagIP, "abc")),
		"an address of nobody":                   general(t, named(tagIP, "\x00\x00\x00\x00")),
		"advisory 28: NUL in a DNS name":         general(t, named(tagDNS, "api.example\x00.evil")),
		"a final dot":                            general(t, named(tagDNS, "api.example.")),
		"an international name that is not xn--": general(t, named(tagDNS, "\u00e9.example")),
		"the Kelvin sign for a k":                general(t, named(tagDNS, "\u212aey.example")),
		"101 names": func(r *x509.CertificateRequest) {
			for i := range 101 {
				r.DNSNames = append(r.DNSNames, fmt.Sprintf("h%d.example", i))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			der, err := func() ([]byte, error) {
				template := &x509.CertificateRequest{}
				edit(template)
				return x509.CreateCertificateRequest(rand.Reader, template, newTestKey(t))
			}()
			if err != nil {
				t.Fatal(err)
			}
			csr, err := parseCSR(der)
			var names []string
			if err == nil {
				names, err = checkServerNames(csr)
			}
			var invalid *directory.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != "csr" || invalid.Reason == "" || names != nil {
				t.Errorf("%q, %v", names, err)
			}
		})
	}
	t.Run("each of N names, only the k-th bad, for all k", func(t *testing.T) {
		good := make([]asn1.RawValue, 9)
		for i := range good {
			good[i] = named(tagDNS, fmt.Sprintf("h%d.example", i))
		}
		for k := range good {
			for _, bad := range []asn1.RawValue{named(tagDNS, "*.example"), named(tagURI, "spiffe://x"), named(tagDNS, "")} {
				names := slices.Clone(good)
				names[k] = bad
				value, err := asn1.Marshal(names)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := hosts(value); !errors.Is(err, directory.ErrInvalid) || !strings.Contains(err.Error(), fmt.Sprint(k+1)) {
					t.Errorf("the %d-th: %q, %v", k+1, got, err)
				}
			}
		}
	})
}

func TestClientNames(t *testing.T) {
	own := subject{profile: ClientTransport, uri: uri}
	for name, c := range map[string]struct {
		edit func(*x509.CertificateRequest)
		good bool
	}{
		"nothing":                     {func(*x509.CertificateRequest) {}, true},
		"its own name":                {general(t, named(tagURI, uri)), true},
		"a name for people":           {func(r *x509.CertificateRequest) { r.Subject.CommonName = "Ledger, production" }, true},
		"its own name as common name": {func(r *x509.CertificateRequest) { r.Subject.CommonName = uri }, true},
		"another's as common name":    {func(r *x509.CertificateRequest) { r.Subject.CommonName = uri + "x" }, false},
		"advisory 27: a common name that hides another": {func(r *x509.CertificateRequest) {
			r.Subject.ExtraNames = []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "a"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "b"},
			}
		}, false},
		"a line break in the subject": {func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"a\nb"} }, false},
		"its own name and a DNS name": {general(t, named(tagURI, uri), named(tagDNS, "x.example")), false},
		"its own name twice":          {general(t, named(tagURI, uri), named(tagURI, uri)), false},
		"its own name in capitals":    {general(t, named(tagURI, strings.ToUpper(uri))), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := checkClientNames(request(t, c.edit), own); (err == nil) != c.good || err != nil && !errors.Is(err, directory.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestParseName(t *testing.T) {
	for text, want := range map[string]string{
		"localhost": "localhost", "API.Example": "api.example", "xn--9ca.example": "xn--9ca.example", "a-b.c": "a-b.c",
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:DB8:0::1": "2001:db8::1", "127.0.0.1": "127.0.0.1",
		strings.Repeat("a", 63) + ".b": strings.Repeat("a", 63) + ".b",
	} {
		if got, err := ParseName(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, bad := range []string{
		"", ".", "a.", ".a", "a..b", "-a", "a-", "*", "*.a", "a.*", "a b", "a_b", "a/b", "a:443", "\u00e9", "\u212a", "1.2.3", "1.2.3.4.5", "0x7f.1", "127.1",
		"fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1", "[::1]", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "abc", "a\x00b", "https://a",
	} {
		if bad == "0x7f.1" { // ends in a number
			continue
		}
		var invalid *directory.InvalidError
		if got, err := ParseName(bad); !errors.As(err, &invalid) || invalid.Field != "name" || got != "" {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

// corpus are requests that are malformed in ways that have broken others.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	der := request(t, general(t, named(tagURI, uri))).Raw
	at := func(find string, put ...byte) []byte {
		i := bytes.Index(der, []byte(find))
		if i < 0 {
			t.Fatalf("no %q", find)
		}
		c := bytes.Clone(der)
		copy(c[i:], put)
		return c
	}
	all := map[string][]byte{
		"a length of 2^31":        append([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, der...),
		"an indefinite length":    append([]byte{0x30, 0x80}, der[4:]...),
		"a length that is longer": append([]byte{0x30, 0x83, 0, der[2], der[3]}, der[4:]...),
		"sequences 10,000 deep":   bytes.Repeat([]byte{0x30, 0x80}, 10000),
		"a URI of NUL":            at("spiffe://", 0, 0, 0),
		"a URI of 0xff":           at("spiffe://", 0xff, 0xff),
		"64 KiB of zero":          make([]byte, MaxCSR),
		"64 KiB of 0xff":          bytes.Repeat([]byte{0xff}, MaxCSR),
	}
	for i := 0; i < len(der); i += 7 {
		c := bytes.Clone(der)
		c[i] ^= 0x80
		all[fmt.Sprintf("bit 7 of byte %d", i)] = c
		all[fmt.Sprintf("cut at %d", i)] = der[:i]
	}
	big := func(e string, bits uint) []byte { return hugeRSA(t, e, bits) }
	all["advisory 110: RSA of 16384 bits"] = big("65537", 16384)
	all["advisory 110: an exponent of 2^33"] = big("8589934593", 2048)
	all["advisory 15: e is 1"] = big("1", 2048)
	all["advisory 15: e is even"] = big("65536", 2048)
	all["advisory 15: RSA of 1024 bits"] = big("65537", 1024)
	return all
}

// hugeRSA is a request with an RSA key that nobody has, and no signature.
func hugeRSA(t testing.TB, e string, bits uint) []byte {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	n.Add(n, big.NewInt(12345))
	exponent, _ := new(big.Int).SetString(e, 10)
	key, err := asn1.Marshal(struct{ N, E *big.Int }{n, exponent})
	if err != nil {
		t.Fatal(err)
	}
	type info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	rsa := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue}
	sha := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
	der, err := asn1.Marshal(struct {
		Info struct {
			Version    int
			Subject    pkix.RDNSequence
			Key        info
			Attributes asn1.RawValue `asn1:"tag:0"`
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		Info: struct {
			Version    int
			Subject    pkix.RDNSequence
			Key        info
			Attributes asn1.RawValue `asn1:"tag:0"`
		}{0, pkix.RDNSequence{}, info{rsa, asn1.BitString{Bytes: key, BitLength: len(key) * 8}}, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true}},
		Algorithm: sha, Signature: asn1.BitString{Bytes: make([]byte, bits/8), BitLength: int(bits)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAdvisory67MalformedRequests(t *testing.T) {
	own := subject{profile: ClientTransport, uri: uri}
	for name, data := range corpus(t) {
		start := time.Now()
		csr, err := parseCSR(data)
		if err == nil {
			if err = checkClientNames(csr, own); err == nil {
				t.Errorf("advisory 67: %s: accepted", name)
			}
		}
		if !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("advisory 67: %s: %v is not the client's fault", name, err)
		}
		if took := time.Since(start); took > 50*time.Millisecond {
			t.Errorf("advisory 67: %s: took %v", name, took)
		}
	}
}

func FuzzCSR(f *testing.F) {
	key := newTestKey(f)
	own, err := url.Parse(uri)
	if err != nil {
		f.Fatal(err)
	}
	for _, template := range []x509.CertificateRequest{{}, {URIs: []*url.URL{own}}, {DNSNames: []string{"a.example"}, IPAddresses: []net.IP{{1, 2, 3, 4}}}} {
		der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// What is accepted proves its key and asks for no name but ours.
		csr, err := parseCSR(data)
		if err != nil {
			if !errors.Is(err, directory.ErrInvalid) {
				t.Fatalf("%v is not the client's fault", err)
			}
			return
		}
		if err := csr.CheckSignature(); err != nil {
			t.Fatal(err)
		}
		if err := checkClientNames(csr, subject{profile: ClientTransport, uri: uri}); err == nil {
			if len(csr.DNSNames)+len(csr.EmailAddresses)+len(csr.IPAddresses) != 0 {
				t.Fatal("other names")
			}
			for _, u := range csr.URIs {
				if u.String() != uri {
					t.Fatal("another name")
				}
			}
		}
		// And as a server it has hosts, each in its one spelling.
		names, err := checkServerNames(csr)
		if err != nil {
			if !errors.Is(err, directory.ErrInvalid) || names != nil {
				t.Fatalf("%q, %v", names, err)
			}
			return
		}
		if len(names) != len(csr.DNSNames)+len(csr.IPAddresses) || len(csr.EmailAddresses)+len(csr.URIs) != 0 {
			t.Fatalf("%q for %q and %v", names, csr.DNSNames, csr.IPAddresses)
		}
		for _, name := range names {
			if again, err := ParseName(name); err != nil || again != name {
				t.Fatalf("%q has another spelling: %q, %v", name, again, err)
			}
		}
	})
}

package conformance_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http"
	"net/url"
	"testing"
)

// TestAdvisoriesOfNames: certificates whose names look like the application's, in
// every way that a parser might be led astray. None is the application's, so each is
// refused as any stranger's is, and the server goes on.
func TestAdvisoriesOfNames(t *testing.T) {
	w := start(t)
	a, own := w.application(t, byCA), w.application(t, bySelfSigned)
	leaf, err := x509.ParseCertificate(a.certificate.Certificate[0])
	must(t, err)
	uri := leaf.URIs[0]
	subject := func(sets ...any) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			var rdns [][]byte
			for _, set := range sets {
				der, err := asn1.MarshalWithParams(set, "set")
				must(t, err)
				rdns = append(rdns, der)
			}
			var raw []byte
			for _, rdn := range rdns {
				raw = append(raw, rdn...)
			}
			c.RawSubject, err = asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: raw})
			must(t, err)
		}
	}
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	cn := func(tag int, value string) attribute {
		return attribute{asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.RawValue{Tag: tag, Bytes: []byte(value)}}
	}
	names := func(values ...asn1.RawValue) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			der, err := asn1.Marshal(values)
			must(t, err)
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}}
		}
	}
	name := func(tag int, value string) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)}
	}
	const email, dns, uniform = 1, 2, 6
	unreadable := map[string]bool{ // what crypto/x509 does not parse ends the handshake
		"advisory 27: a BMPString of odd bytes": true, "advisory 27: bytes that are no text": true,
		"advisory 28: NUL after our URI": true, "advisory 28: NUL in our URI": true,
	}
	for title, change := range map[string]func(*x509.Certificate){
		"advisory 27: a comma in the CN":        subject([]attribute{cn(asn1.TagUTF8String, "x,CN="+a.id)}),
		"advisory 27: a multi-valued RDN":       subject([]attribute{cn(asn1.TagUTF8String, a.id), cn(asn1.TagUTF8String, "x")}),
		"advisory 27: two CNs":                  subject([]attribute{cn(asn1.TagUTF8String, a.id)}, []attribute{cn(asn1.TagUTF8String, "x")}),
		"advisory 27: a T61String":              subject([]attribute{cn(asn1.TagT61String, a.id)}),
		"advisory 27: a BMPString of odd bytes": subject([]attribute{cn(asn1.TagBMPString, "\x00a\x00")}),
		"advisory 27: NUL in the CN":            subject([]attribute{cn(asn1.TagUTF8String, a.id+"\x00.evil")}),
		"advisory 27: an empty CN":              subject([]attribute{cn(asn1.TagUTF8String, "")}),
		"advisory 27: bytes that are no text":   subject([]attribute{cn(asn1.TagUTF8String, "\xff\xfe")}),
		"advisory 28: NUL after our URI":        names(name(uniform, uri.String()+"\x00.evil")),
		"advisory 28: NUL in our URI":           names(name(uniform, uri.String()[:20]+"\x00"+uri.String()[20:])),
		"advisory 29: our URI as a DNS name":    names(name(dns, uri.String())),
		"advisory 29: our URI as e-mail":        names(name(email, uri.String())),
		"advisory 29: our URI and another kind": names(name(uniform, uri.String()), name(dns, "x.example")),
		"advisory 31: all our names":            func(c *x509.Certificate) { c.URIs, c.Subject = []*url.URL{uri}, leaf.Subject },
		"advisory 31: our serial and key id, too": func(c *x509.Certificate) {
			c.URIs, c.RawSubject, c.SerialNumber, c.SubjectKeyId = []*url.URL{uri}, leaf.RawSubject, leaf.SerialNumber, leaf.SubjectKeyId
		},
	} {
		t.Run(title, func(t *testing.T) {
			c := selfSigned(t, w.clock.Now(), change)
			for _, victim := range []*application{a, own} {
				client := w.client(c)
				r := victim.tokenRequest(t)
				r.client = client
				got, err := w.try(t, r)
				client.CloseIdleConnections()
				if unreadable[title] {
					if err == nil {
						t.Errorf("the handshake did not end: %s", got)
					}
					continue
				}
				must(t, err)
				got.refused(401, "invalid_client")
			}
		})
	}
	t.Run("advisory 110: a chain of more than five", func(t *testing.T) {
		for _, n := range []int{6, 20} {
			long := &tls.Certificate{PrivateKey: own.certificate.PrivateKey}
			for range n {
				long.Certificate = append(long.Certificate, own.certificate.Certificate[0])
			}
			client := w.client(long)
			r := own.tokenRequest(t)
			r.client = client
			got, err := w.try(t, r)
			client.CloseIdleConnections()
			if err == nil && got.status == http.StatusOK {
				t.Errorf("%d certificates: %s", n, got)
			}
		}
	})
	a.token(t) // the server is there, and knows whom it knows
	own.token(t)
}

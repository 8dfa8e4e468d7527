package conformance_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// resumed connects once, reads what a TLS 1.3 server sends after the handshake, and
// tells whether the session was an old one.
func resumed(t *testing.T, address string, config *tls.Config) bool {
	t.Helper()
	conn, err := tls.Dial("tcp", address, config)
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	must(t, err)
	_, _ = io.Copy(io.Discard, conn) // a ticket comes before the answer
	return conn.ConnectionState().DidResume
}

// inPieces is a client whose first flight is cut before it is sent.
func (w *world) inPieces(address string, c *tls.Certificate, cut func([]byte) [][]byte) *http.Client {
	config := &tls.Config{RootCAs: w.roots, ServerName: "localhost", Time: w.clock.Now, MinVersion: tls.VersionTLS12}
	if c != nil {
		config.Certificates = []tls.Certificate{*c}
	}
	client := w.clientWith(config)
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &pieces{Conn: conn, cut: cut}, nil
	}
	return client
}

// pieces is a connection that cuts what is written first.
type pieces struct {
	net.Conn
	once sync.Once
	cut  func([]byte) [][]byte
}

func (p *pieces) Write(b []byte) (n int, err error) {
	first := false
	p.once.Do(func() { first = true })
	if !first {
		return p.Conn.Write(b)
	}
	for _, piece := range p.cut(b) {
		if _, err := p.Conn.Write(piece); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// bytewise is one byte a segment, as far as TCP lets one ask for it.
func bytewise(b []byte) (all [][]byte) {
	for i := range b {
		all = append(all, b[i:i+1])
	}
	return all
}

// recordwise puts each byte of a handshake record into a record of its own
// (RFC 8446 section 5.1).
func recordwise(b []byte) (all [][]byte) {
	var out bytes.Buffer
	for len(b) > 5 {
		size := int(binary.BigEndian.Uint16(b[3:5]))
		for _, c := range b[5 : 5+size] {
			out.Write(b[:3])
			out.Write([]byte{0, 1, c})
		}
		b = b[5+size:]
	}
	return [][]byte{out.Bytes()}
}

// elsewhere is an application of an organisation of its own.
func (w *world) elsewhere(t testing.TB) *application {
	t.Helper()
	w.server(t) // which makes ledger
	o, err := w.admin.CreateOrganisation(t.Context(), admin.NewOrganisation{Name: "elsewhere"})
	must(t, err)
	other := *w
	other.organisation = o.ID
	return other.application(t, byKey, withLedger)
}

func newApplication(organisation, id string) admin.NewApplication {
	return admin.NewApplication{ClientID: id, Organisation: organisation, Name: "again", AuthMethod: "private_key_jwt", Binding: "dpop"}
}

func decode(t testing.TB, text any) []byte {
	t.Helper()
	s, _ := text.(string)
	b, err := base64.RawURLEncoding.DecodeString(s)
	must(t, err)
	return b
}

func escape(s string) string { return url.QueryEscape(s) }

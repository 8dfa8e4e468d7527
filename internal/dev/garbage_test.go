package dev_test

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/dev"
)

// garbage is what comes over a connection that is up to no good.
type garbage struct {
	name string
	tls  *tls.Config // nil: none
	send []string    // each in a packet of its own
	// status of the answer; 0: the connection is closed without one; refused: it is
	// closed, or the answer says that the request is at fault or not served.
	status int
}

const refused = -1

// request is HTTP/1.1 with these fields.
func request(line string, fields ...string) string {
	return line + "\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
}

func garbages(host string, roots *x509.CertPool) []garbage {
	speak := &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}}
	h2 := &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}}
	other := &tls.Config{InsecureSkipVerify: true, ServerName: "elsewhere.test", NextProtos: []string{"http/1.1"}}
	nameless := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
	noise := make([]byte, 4096)
	rand.Read(noise) // never fails
	named := "Host: " + host
	return []garbage{
		{"nothing at all", nil, []string{""}, 0},
		{"noise", nil, []string{string(noise)}, 0},
		{"the beginning of a handshake, and then noise", nil, []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", string(noise)}, 0},
		{"a record of 64 KiB", nil, []string{"\x16\x03\x01\xff\xff", string(noise)}, 0},
		{"plain HTTP", nil, []string{request("GET / HTTP/1.1", named)}, 400},
		{"plain HTTP/2", nil, []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, 0},
		{"noise within TLS", speak, []string{string(noise)}, refused},
		{"noise within HTTP/2", h2, []string{string(noise)}, 0},
		{"no SNI", nameless, []string{request("GET /nothing HTTP/1.1", named)}, refused},
		{"another SNI", other, []string{request("GET /nothing HTTP/1.1", "Host: elsewhere.test")}, refused},
		{"another Host", speak, []string{request("GET /nothing HTTP/1.1", "Host: elsewhere.test")}, refused},
		{"no Host", speak, []string{request("GET /nothing HTTP/1.1")}, 400},
		{"two Hosts", speak, []string{request("GET /nothing HTTP/1.1", named, "Host: elsewhere.test")}, 400},
		{"HTTP/1.0", speak, []string{request("GET /nothing HTTP/1.0")}, refused},
		{"HTTP/3.0", speak, []string{request("GET /nothing HTTP/3.0", named)}, 505},
		{"an unknown method", speak, []string{request("FROB /token HTTP/1.1", named)}, refused},
		{"a method that is none", speak, []string{request("G@T /token HTTP/1.1", named)}, 400},
		{"CONNECT", speak, []string{request("CONNECT elsewhere.test:443 HTTP/1.1", "Host: elsewhere.test:443")}, refused},
		{"a header of 64 KiB", speak, []string{request("GET /payments/ HTTP/1.1", named, "X: "+strings.Repeat("x", 64<<10))}, refused},
		{"ten thousand fields", speak, []string{request("GET /payments/ HTTP/1.1", named, strings.Repeat("X: y\r\n", 10000)+"Z: z")}, refused},
		{"1 MB of dots in Authorization", speak, []string{request("GET /payments/ HTTP/1.1", named, "Authorization: Bearer "+strings.Repeat(".", 1<<20))}, refused},
		{"30 KB of dots in Authorization", speak, []string{request("GET /v1/organisations HTTP/1.1", named, "Authorization: DPoP "+strings.Repeat(".", 30000))}, refused},
		{"control characters in a field", speak, []string{request("GET /payments/ HTTP/1.1", named, "Authorization: Bearer \x00\x01")}, 400},
		{"a field with a space before its colon", speak, []string{request("GET /payments/ HTTP/1.1", named, "Authorization : Bearer x")}, 400},
		{"two lengths", speak, []string{request("POST /token HTTP/1.1", named, "Content-Length: 3", "Content-Length: 4") + "abc"}, 400},
		{"a length and chunks", speak, []string{request("POST /token HTTP/1.1", named, "Content-Length: 3", "Transfer-Encoding: chunked") + "abc"}, refused},
		{"a length that is none", speak, []string{request("POST /token HTTP/1.1", named, "Content-Length: -1")}, 400},
		{"chunks that are none", speak, []string{request("POST /token HTTP/1.1", named, "Content-Type: application/x-www-form-urlencoded", "Transfer-Encoding: chunked") + "zz\r\n"}, refused},
		{"a body that never ends", speak, []string{request("POST /token HTTP/1.1", named, "Content-Type: application/x-www-form-urlencoded", "Content-Length: 1000000") + strings.Repeat("a", 200000)}, refused},
		{"a path of NULs", speak, []string{request("GET /%00%00 HTTP/1.1", named)}, refused},
		{"a path beyond ASCII", speak, []string{request("GET /\xff\xfe HTTP/1.1", named)}, refused},
		{"a request byte by byte", speak, strings.Split(request("GET /nothing HTTP/1.1", named), ""), refused},
	}
}

func TestGarbage(t *testing.T) {
	s := start(t, dev.Options{Dir: t.TempDir()})
	f := s.File()
	roots := rootsOf(t, f.CAFile)
	for listener, address := range addresses(t, s) {
		t.Run(listener, func(t *testing.T) {
			host := "localhost:" + address[strings.LastIndexByte(address, ':')+1:]
			for _, g := range garbages(host, roots) {
				t.Run(g.name, func(t *testing.T) { throw(t, listener, address, g) })
			}
			alive(t, f, "https://"+host+"/nothing")
		})
	}
	for _, c := range f.Clients {
		if status := open(t, f, c); status != 200 {
			t.Errorf("%s opens nothing any more: %d", c.ClientID, status)
		}
	}
}

// throw sends g and wants a refusal or the end.
func throw(t *testing.T, listener, address string, g garbage) {
	t.Helper()
	c, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	tcp := c.(*net.TCPConn)
	if g.tls != nil {
		secure := tls.Client(c, g.tls)
		if err := secure.Handshake(); err != nil {
			t.Fatal(err)
		}
		c = secure
	}
	go func() { // a server that has heard enough need not read the rest
		for _, part := range g.send {
			if _, err := io.WriteString(c, part); err != nil {
				return
			}
		}
		if g.tls == nil {
			tcp.CloseWrite()
		} else {
			c.(*tls.Conn).CloseWrite()
		}
	}()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("neither an answer nor an end")
	}
	if err != nil {
		if g.status > 0 {
			t.Errorf("no answer: %v; want %d", err, g.status)
		}
		return
	}
	defer answer.Body.Close()
	switch {
	case g.status > 0 && answer.StatusCode != g.status:
		t.Errorf("status %d, not %d", answer.StatusCode, g.status)
	case g.status == 0:
		t.Errorf("status %d instead of the end", answer.StatusCode)
	case answer.StatusCode < 400 && listener != "echo", answer.StatusCode == 500, 502 <= answer.StatusCode && answer.StatusCode <= 504:
		t.Errorf("status %d", answer.StatusCode)
	}
}

// alive tells whether the listener answers a request that it can understand.
func alive(t *testing.T, f dev.File, target string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := plain(t, f).Do(req)
	if err != nil {
		t.Fatalf("it serves no more: %v", err)
	}
	answer.Body.Close()
}

func rootsOf(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		t.Fatal("no certificate")
	}
	return roots
}

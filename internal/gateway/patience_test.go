package gateway_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/verifytest"
)

func TestPatience(t *testing.T) {
	const patience = 300 * time.Millisecond
	s := newStand(t, func(s *stand) { s.config.Now = time.Now }) // deadlines of connections are of the real time
	s.gateway.SetPatience(patience)
	dial := func(t *testing.T, config *tls.Config) *tls.Conn {
		t.Helper()
		conn, err := tls.Dial("tcp", s.Addr, config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for name, authorization := range map[string]string{
		"nobody": "", "a stolen token": "Authorization: Bearer " + s.token(verifytest.NewClient(t, s.clock).ToCertificate()) + "\r\n",
	} {
		t.Run("a body that never comes, of "+name+", holds no connection", func(t *testing.T) {
			conn := dial(t, s.ClientConfig(nil))
			fmt.Fprint(conn, "POST /payments/1 HTTP/1.1\r\nHost: localhost\r\n"+authorization+"Content-Length: 200000\r\n\r\n")
			all, err := io.ReadAll(conn)
			if err != nil || len(all) < 12 || string(all[9:12]) != "401" {
				t.Errorf("%.40q, %v", all, err)
			}
		})
	}
	t.Run("a granted body takes as long as it takes", func(t *testing.T) {
		conn := dial(t, s.ClientConfig(&s.client.Certificate))
		fmt.Fprint(conn, "POST /payments/1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+s.token(s.client.ToCertificate())+"\r\nContent-Length: 4\r\n\r\nhe")
		<-time.After(2 * patience)
		fmt.Fprint(conn, "re")
		a, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || a.StatusCode != 200 {
			t.Errorf("%v, %v", a, err)
		}
	})
}

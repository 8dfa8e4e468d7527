package web_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/web"
)

func TestServerLimits(t *testing.T) {
	s := web.NewServer(http.NotFoundHandler(), &tls.Config{MinVersion: tls.VersionTLS13}, slog.New(slog.DiscardHandler))
	for name, got := range map[string][2]time.Duration{
		"handshake and header": {s.ReadHeaderTimeout, 5 * time.Second},
		"request":              {s.ReadTimeout, 10 * time.Second},
		"answer":               {s.WriteTimeout, 10 * time.Second},
		"idle":                 {s.IdleTimeout, 120 * time.Second},
		"HTTP/2 write":         {s.HTTP2.WriteByteTimeout, 10 * time.Second},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %s, want %s", name, got[0], got[1])
		}
	}
	if s.MaxHeaderBytes != 32<<10 || s.TLSConfig.MinVersion != tls.VersionTLS13 {
		t.Errorf("header %d bytes, TLS %v", s.MaxHeaderBytes, s.TLSConfig)
	}
}

func TestHeaderLimit(t *testing.T) {
	l := listen(t, web.Route{Pattern: "GET /", Handler: say("x")})
	conn := l.dial(t)
	go func() {
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nBig: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("advisory 109: 64 KiB of header answered %d", res.StatusCode)
	}
}

func TestConnContext(t *testing.T) {
	type key struct{}
	l := listen(t, web.Route{Pattern: "GET /", Handler: func(w http.ResponseWriter, r *web.Request) error {
		name, _ := r.Context().Value(key{}).(string)
		_, err := io.WriteString(w, name)
		return err
	}})
	l.Close()
	table := l.Config.Handler
	s := web.NewServer(table, l.TLS, slog.New(slog.DiscardHandler))
	s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return context.WithValue(ctx, key{}, "hook") }
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(ln, "", "") }()
	for _, h2 := range []bool{false, true} {
		res, err := l.client(h2).Get("https://" + ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != "hook" || (res.ProtoMajor == 2) != h2 {
			t.Errorf("%q over %s", body, res.Proto)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-done
}

func TestConnectionLog(t *testing.T) {
	out := &stream{}
	s := web.NewServer(http.NotFoundHandler(), nil, slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	s.ErrorLog.Print("http: TLS handshake error from 127.0.0.1:1: EOF")
	s.ErrorLog.Print("http: Accept error: \x1b[31m" + strings.Repeat("x", 1000))
	records, writes := out.lines(t)
	if len(records) != 2 || writes != 2 {
		t.Fatalf("%v", records)
	}
	if records[0]["level"] != "DEBUG" || records[1]["level"] != "WARN" || len(records[1]["cause"].(string)) != 256 {
		t.Errorf("%v", records)
	}
}

func TestFailedHandshakeIsNoEvent(t *testing.T) {
	l := listen(t, web.Route{Pattern: "GET /", Handler: say("x")})
	conn, err := net.Dial("tcp", l.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
	_, _ = io.Copy(io.Discard, conn)
	conn.Close()
	l.ask(t, l.client(false), http.MethodGet, "/")
	records, _ := l.stream.lines(t)
	for _, r := range records {
		if r["msg"] == "connection" && r["level"] != "DEBUG" {
			t.Errorf("%v", r)
		}
	}
}

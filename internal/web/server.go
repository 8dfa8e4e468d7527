package web

import (
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Limits of a listener.
const (
	maxHeader     = 32 << 10
	headerTimeout = 5 * time.Second // the handshake's, too
	bodyTimeout   = 10 * time.Second
	idleTimeout   = 120 * time.Second
)

// NewServer is a server with our limits, speaking HTTP/1.1 and HTTP/2 over TLS.
// A slow client costs nobody else. The caller may set ConnContext and, for a
// proxy whose bodies take as long as they take, ReadTimeout and WriteTimeout to 0.
func NewServer(h http.Handler, tlsConfig *tls.Config, errorLog *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           h,
		TLSConfig:         tlsConfig,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      bodyTimeout,
		IdleTimeout:       idleTimeout,
		HTTP2:             &http.HTTP2Config{WriteByteTimeout: bodyTimeout},
		Protocols:         new(http.Protocols),

		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the table's, too
		ErrorLog:                     log.New(connectionLog{errorLog}, "", 0),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	return s
}

// connectionLog takes what net/http says about connections that never became a
// request. Failed handshakes are the weather of a public listener: level debug.
type connectionLog struct{ log *slog.Logger }

func (c connectionLog) Write(p []byte) (int, error) {
	line := printable(strings.TrimSpace(string(p)))
	level := slog.LevelWarn
	if strings.HasPrefix(line, "http: TLS handshake error") {
		level = slog.LevelDebug
	}
	c.log.LogAttrs(context.Background(), level, "connection", slog.String("cause", line))
	return len(p), nil
}

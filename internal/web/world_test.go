package web_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/web"
)

// stream is an event stream that tests read.
type stream struct {
	mu     sync.Mutex
	text   bytes.Buffer // guarded by mu
	writes int          // guarded by mu
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	return s.text.Write(p)
}

// lines are the records so far, decoded.
func (s *stream) lines(t *testing.T) (records []map[string]any, writes int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range bytes.Lines(s.text.Bytes()) {
		var r map[string]any
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		records = append(records, r)
	}
	return records, s.writes
}

// listener is a table behind a real TLS socket.
type listener struct {
	*httptest.Server
	stream *stream
	events chan web.Event
}

var errFault = errors.New("the disk is full")

func render(w http.ResponseWriter, r *web.Request, err error) {
	status := http.StatusInternalServerError
	if s, ok := errors.AsType[*web.StatusError](err); ok {
		status = s.Status
	} else {
		r.Event.Error = "server_error"
		r.Event.Cause = err.Error()
	}
	http.Error(w, http.StatusText(status), status)
}

func listen(t *testing.T, routes ...web.Route) *listener {
	t.Helper()
	l := &listener{stream: &stream{}, events: make(chan web.Event, 100)}
	log := slog.New(slog.NewJSONHandler(l.stream, &slog.HandlerOptions{Level: slog.LevelDebug}))
	table := web.NewTable(web.Options{
		Listener: "public", Now: time.Now, Log: log, Render: render,
		Observe: func(e *web.Event) { l.events <- *e },
	}, routes)
	l.Server = httptest.NewUnstartedServer(nil)
	l.Config = web.NewServer(table, nil, log)
	l.EnableHTTP2 = true
	l.StartTLS()
	t.Cleanup(l.Close)
	return l
}

// client is one that does not follow redirects and speaks one protocol.
func (l *listener) client(h2 bool) *http.Client {
	transport := l.Server.Client().Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = h2
	if !h2 {
		transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type answer struct {
	*http.Response
	body  string
	event web.Event
}

// ask makes a request and waits for its event.
func (l *listener) ask(t *testing.T, c *http.Client, method, path string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, l.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, string(body), l.event(t)}
}

// event is the next event.
func (l *listener) event(t *testing.T) web.Event {
	t.Helper()
	select {
	case e := <-l.events:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
		return web.Event{}
	}
}

// dial opens a bare TLS connection that speaks HTTP/1.1.
func (l *listener) dial(t *testing.T) net.Conn {
	t.Helper()
	config := l.Server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", l.Listener.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func say(text string) web.Handler {
	return func(w http.ResponseWriter, _ *web.Request) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

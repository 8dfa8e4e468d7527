package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/web"
)

// serveOnce runs one handler without a socket.
func serveOnce(t *testing.T, renderer func(http.ResponseWriter, *web.Request, error), h web.Handler) (status int, e web.Event) {
	t.Helper()
	table := web.NewTable(web.Options{
		Now: time.Now, Log: slog.New(slog.DiscardHandler), Render: renderer, Observe: func(seen *web.Event) { e = *seen },
	}, []web.Route{{Pattern: "GET /", Handler: h}})
	w := httptest.NewRecorder()
	table.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Code, e
}

func TestFlush(t *testing.T) {
	next := make(chan struct{})
	l := listen(t,
		web.Route{Pattern: "GET /controller", Handler: func(w http.ResponseWriter, _ *web.Request) error {
			if err := http.NewResponseController(w).Flush(); err != nil {
				return err
			}
			<-next
			_, err := io.WriteString(w, "rest")
			return err
		}},
		web.Route{Pattern: "GET /flusher", Handler: func(w http.ResponseWriter, _ *web.Request) error {
			w.(http.Flusher).Flush()
			<-next
			return nil
		}})
	for _, h2 := range []bool{false, true} {
		for _, path := range []string{"/controller", "/flusher"} {
			t.Run(fmt.Sprintf("%s over HTTP/2 %t: the header arrives before the handler ends", path, h2), func(t *testing.T) {
				res, err := l.client(h2).Get(l.URL + path)
				if err != nil {
					t.Fatal(err)
				}
				next <- struct{}{}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if e := l.event(t); res.StatusCode != 200 || e.Status != 200 || res.Header.Get("Request-Id") != e.RequestID {
					t.Errorf("%d %v %+v", res.StatusCode, res.Header, e)
				}
			})
		}
	}
}

func TestHijack(t *testing.T) {
	l := listen(t, web.Route{Pattern: "GET /", Handler: func(w http.ResponseWriter, _ *web.Request) error {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello")
		return rw.Flush()
	}})
	conn := l.dial(t)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(text), "hello") {
		t.Errorf("%q, %v", text, err)
	}
	if e := l.event(t); e.Status != http.StatusSwitchingProtocols || e.Outcome != "served" {
		t.Errorf("event %+v", e)
	}
	t.Run("what cannot be hijacked is an error of the handler", func(t *testing.T) {
		if got := l.ask(t, l.client(true), http.MethodGet, "/"); got.StatusCode != 500 {
			t.Errorf("%d", got.StatusCode)
		}
	})
}

// TestReverseProxy: what the gateway needs works through the table.
func TestReverseProxy(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Request-Id", "the-upstreams")
		switch r.URL.Path {
		case "/upgrade":
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
			_ = rw.Flush()
		case "/early":
			w.Header().Set("Link", "</x>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	l := listen(t, web.Route{Pattern: "/", Handler: web.Plain(proxy)})
	t.Run("early hints leave the answer open", func(t *testing.T) {
		got := l.ask(t, l.client(false), http.MethodGet, "/early")
		if got.StatusCode != http.StatusAccepted || got.event.Status != http.StatusAccepted {
			t.Errorf("%d, %+v", got.StatusCode, got.event)
		}
	})
	t.Run("an upstream's Request-Id is replaced", func(t *testing.T) {
		got := l.ask(t, l.client(true), http.MethodGet, "/x")
		if ids := got.Header["Request-Id"]; len(ids) != 1 || ids[0] != got.event.RequestID || got.event.Status != 404 {
			t.Errorf("%v, %+v", ids, got.event)
		}
	})
	t.Run("an upgrade", func(t *testing.T) {
		conn := l.dial(t)
		if _, err := io.WriteString(conn, "GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(conn)
		res, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		hello := make([]byte, 5)
		if _, err := io.ReadFull(reader, hello); err != nil || string(hello) != "hello" || res.StatusCode != 101 {
			t.Errorf("%d %q %v", res.StatusCode, hello, err)
		}
		conn.Close()
		if e := l.event(t); e.Status != 101 || res.Header.Get("Request-Id") != e.RequestID {
			t.Errorf("%v %+v", res.Header, e)
		}
	})
}

func TestEventOf(t *testing.T) {
	t.Run("a writer of no table", func(t *testing.T) {
		web.EventOf(httptest.NewRecorder()).Reason = "unseen"
	})
	t.Run("through a wrapper", func(t *testing.T) {
		_, e := serveOnce(t, render, func(w http.ResponseWriter, _ *web.Request) error {
			web.EventOf(wrapper{w}).Reason = "seen"
			return nil
		})
		if e.Reason != "seen" {
			t.Errorf("%+v", e)
		}
	})
}

type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestClientGone(t *testing.T) {
	arrived := make(chan struct{})
	l := listen(t,
		web.Route{Pattern: "GET /fault", Handler: func(_ http.ResponseWriter, r *web.Request) error {
			arrived <- struct{}{}
			<-r.Context().Done()
			return context.Cause(r.Context())
		}},
		web.Route{Pattern: "GET /refusal", Handler: func(_ http.ResponseWriter, r *web.Request) error {
			arrived <- struct{}{}
			<-r.Context().Done()
			return &web.StatusError{Status: http.StatusNotFound}
		}})
	for path, want := range map[string]struct {
		status  int
		outcome string
		reason  string
	}{
		"/fault":   {499, "refused", "client_gone"},
		"/refusal": {404, "refused", "no_such_path"},
	} {
		t.Run(path, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				<-arrived
				cancel()
			}()
			if res, err := l.client(true).Do(req); err == nil {
				res.Body.Close()
				t.Fatal("answered")
			}
			if e := l.event(t); e.Status != want.status || e.Outcome != want.outcome || e.Reason != want.reason {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestSecondWriteHeader(t *testing.T) {
	l := listen(t, web.Route{Pattern: "GET /", Handler: func(w http.ResponseWriter, _ *web.Request) error {
		w.WriteHeader(http.StatusCreated)
		w.WriteHeader(http.StatusTeapot)
		return nil
	}})
	if got := l.ask(t, l.client(false), http.MethodGet, "/"); got.StatusCode != 201 || got.event.Status != 201 {
		t.Errorf("%d, %+v", got.StatusCode, got.event)
	}
	if strings.Contains(l.stream.text.String(), "superfluous") {
		t.Error("net/http saw the second one")
	}
}

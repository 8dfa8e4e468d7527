package web_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/web"
)

var requestID = regexp.MustCompile(`^[a-z2-7]{26}$`)

func TestTable(t *testing.T) {
	l := listen(t,
		web.Route{Pattern: "POST /token", Handler: say("token")},
		web.Route{Pattern: "GET /things/{id}", Handler: func(w http.ResponseWriter, r *web.Request) error {
			_, err := io.WriteString(w, r.PathValue("id"))
			return err
		}},
		web.Route{Pattern: "GET /empty", Handler: func(http.ResponseWriter, *web.Request) error { return nil }},
		web.Route{Pattern: "GET /fault", Handler: func(http.ResponseWriter, *web.Request) error { return errFault }},
	)
	for _, h2 := range []bool{false, true} {
		c := l.client(h2)
		for _, want := range []struct {
			name, method, path, route string
			status                    int
			body, outcome, reason     string
		}{
			{"a route", "POST", "/token", "POST /token", 200, "token", "served", ""},
			{"a route with a wildcard", "GET", "/things/a%2Fb", "GET /things/{id}", 200, "a/b", "served", ""},
			{"HEAD of a GET route", "HEAD", "/things/a", "GET /things/{id}", 200, "", "served", ""},
			{"an empty answer", "GET", "/empty", "GET /empty", 200, "", "served", ""},
			{"an error", "GET", "/fault", "GET /fault", 500, "Internal Server Error\n", "failed", ""},
			{"no such path", "GET", "/tokens", "", 404, "Not Found\n", "refused", "no_such_path"},
			{"another case", "POST", "/Token", "", 404, "Not Found\n", "refused", "no_such_path"},
			{"a path that the mux would clean is not redirected", "POST", "//token", "", 404, "Not Found\n", "refused", "no_such_path"},
			{"a path with a dot segment is not redirected", "POST", "/x/../token", "", 404, "Not Found\n", "refused", "no_such_path"},
			{"a wrong method", "GET", "/token", "", 405, "Method Not Allowed\n", "refused", "wrong_method"},
		} {
			t.Run(want.name, func(t *testing.T) {
				got := l.ask(t, c, want.method, want.path)
				e := got.event
				if h2 != (got.ProtoMajor == 2) {
					t.Fatalf("%s", got.Proto)
				}
				if got.StatusCode != want.status || got.body != want.body {
					t.Errorf("got %d %q, want %d %q", got.StatusCode, got.body, want.status, want.body)
				}
				if e.Route != want.route || e.Status != want.status || e.Outcome != want.outcome || e.Reason != want.reason || e.Method != want.method || e.Listener != "public" {
					t.Errorf("event %+v", e)
				}
				ids := got.Header["Request-Id"]
				if len(ids) != 1 || !requestID.MatchString(ids[0]) || ids[0] != e.RequestID {
					t.Errorf("Request-Id %q, event %q", ids, e.RequestID)
				}
				if got.Header.Get("Date") == "" {
					t.Error("no Date")
				}
				if allow := got.Header.Get("Allow"); (want.status == 405) != (allow == "POST") {
					t.Errorf("Allow %q", allow)
				}
			})
		}
	}
}

func TestRequestID(t *testing.T) {
	l := listen(t,
		web.Route{Pattern: "GET /", Handler: func(w http.ResponseWriter, r *web.Request) error {
			w.Header()["Request-Id"] = []string{"an-upstreams", "own"}
			w.Header()["Date"] = nil
			w.WriteHeader(http.StatusTeapot)
			return nil
		}})
	c := l.client(false)
	t.Run("is not taken from the client nor from the handler", func(t *testing.T) {
		req, err := http.NewRequest(http.MethodGet, l.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Request-Id", "mine")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if id := res.Header["Request-Id"]; len(id) != 1 || id[0] != l.event(t).RequestID {
			t.Errorf("%q", id)
		}
		if res.Header.Get("Date") == "" {
			t.Error("no Date")
		}
	})
	t.Run("differs between requests", func(t *testing.T) {
		seen := map[string]bool{}
		for range 50 {
			seen[l.ask(t, c, http.MethodGet, "/").event.RequestID] = true
		}
		if len(seen) != 50 {
			t.Errorf("%d of 50", len(seen))
		}
	})
}

func TestCatchAll(t *testing.T) {
	l := listen(t,
		web.Route{Pattern: "GET /.well-known/jwks.json", Handler: say("keys")},
		web.Route{Pattern: "/", Handler: web.Plain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			web.EventOf(w).ClientID = "c1"
			if r.URL.Path == "/none" {
				http.Error(w, "mine", http.StatusNotFound)
				return
			}
			_, _ = io.WriteString(w, r.Method+" "+r.URL.EscapedPath())
		}))})
	c := l.client(false)
	for path, want := range map[string]string{
		"/any": "GET /any", "//x//../y": "GET //x//../y", "/a/%2e%2e/b": "GET /a/%2e%2e/b", "/.well-known/jwks.json": "keys", "/none": "mine\n",
	} {
		got := l.ask(t, c, http.MethodGet, path)
		if got.body != want {
			t.Errorf("%s: %q, want %q", path, got.body, want)
		}
		if got.body != "keys" && (got.event.Route != "/" || got.event.ClientID != "c1") {
			t.Errorf("%s: event %+v", path, got.event)
		}
	}
	t.Run("a wrong method of another route is the catch-all's", func(t *testing.T) {
		if got := l.ask(t, c, http.MethodDelete, "/.well-known/jwks.json"); got.body != "DELETE /.well-known/jwks.json" {
			t.Errorf("%q", got.body)
		}
	})
}

func TestPanic(t *testing.T) {
	l := listen(t,
		web.Route{Pattern: "GET /panic", Handler: func(w http.ResponseWriter, _ *web.Request) error {
			w.Header().Set("Secret", "sesame")
			panic("sesame")
		}},
		web.Route{Pattern: "POST /late", Handler: func(w http.ResponseWriter, _ *web.Request) error {
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<16))
			panic(errors.New("sesame"))
		}},
		web.Route{Pattern: "POST /late-error", Handler: func(w http.ResponseWriter, _ *web.Request) error {
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<16))
			return errFault
		}},
		web.Route{Pattern: "POST /abort", Handler: func(http.ResponseWriter, *web.Request) error { panic(http.ErrAbortHandler) }},
		web.Route{Pattern: "GET /fine", Handler: say("fine")},
	)
	for _, h2 := range []bool{false, true} {
		c := l.client(h2)
		t.Run("advisory 9: becomes 500 for that request only", func(t *testing.T) {
			got := l.ask(t, c, http.MethodGet, "/panic")
			if got.StatusCode != 500 || got.Header.Get("Secret") != "" || got.event.Status != 500 || got.event.Reason != web.ReasonPanic || got.event.Outcome != "failed" {
				t.Errorf("%d %v %+v", got.StatusCode, got.Header, got.event)
			}
			if !requestID.MatchString(got.Header.Get("Request-Id")) {
				t.Error("no Request-Id")
			}
			if fine := l.ask(t, c, http.MethodGet, "/fine"); fine.body != "fine" {
				t.Errorf("the next request: %q", fine.body)
			}
		})
		for path, reason := range map[string]string{"/late": "panic", "/late-error": "answer_cut", "/abort": "answer_cut"} {
			t.Run("an answer that began is cut: "+path, func(t *testing.T) {
				res, err := c.Post(l.URL+path, "", nil) // a GET would be sent again
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				if err == nil {
					t.Error("the client saw a whole answer")
				}
				if e := l.event(t); e.Reason != reason || e.Outcome != "failed" {
					t.Errorf("event %+v", e)
				}
			})
		}
	}
	records, _ := l.stream.lines(t)
	panics := 0
	for _, r := range records {
		if r["msg"] != "panic" {
			continue
		}
		panics++
		at, _ := r["at"].(string)
		if !strings.Contains(at, "TestPanic") || !strings.Contains(at, "table_test.go:") || r["route"] == nil || !requestID.MatchString(r["request_id"].(string)) {
			t.Errorf("record %v", r)
		}
	}
	if panics != 4 {
		t.Errorf("%d records of a panic, want 4", panics)
	}
	if strings.Contains(l.stream.text.String(), "sesame") {
		t.Error("the value of a panic is in the log")
	}
}

func TestPanicOfRender(t *testing.T) {
	for name, renderer := range map[string]func(http.ResponseWriter, *web.Request, error){
		"Render panics too":       func(http.ResponseWriter, *web.Request, error) { panic("again") },
		"Render does not answer":  func(http.ResponseWriter, *web.Request, error) {},
		"Render makes an own 500": render,
	} {
		t.Run(name, func(t *testing.T) {
			status, e := serveOnce(t, renderer, func(http.ResponseWriter, *web.Request) error { panic("x") })
			if status != 500 || e.Status != 500 || e.Reason != web.ReasonPanic {
				t.Errorf("%d, event %+v", status, e)
			}
		})
	}
	t.Run("an error that Render does not answer is 500, never an empty 200", func(t *testing.T) {
		status, e := serveOnce(t, func(http.ResponseWriter, *web.Request, error) {}, func(http.ResponseWriter, *web.Request) error { return errFault })
		if status != 500 || e.Status != 500 {
			t.Errorf("%d, event %+v", status, e)
		}
	})
}

func TestServerWideRequest(t *testing.T) {
	for name, routes := range map[string][]web.Route{
		"without a catch-all": {{Pattern: "GET /x", Handler: say("x")}}, "with a catch-all": {{Pattern: "/", Handler: say("x")}},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, routes...)
			conn := l.dial(t)
			if _, err := io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if e := l.event(t); res.StatusCode != 400 || e.Status != 400 || e.Reason != "bad_request" {
				t.Errorf("status %d, event %+v", res.StatusCode, e)
			}
		})
	}
}

package web_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/web"
)

func TestSmoke(t *testing.T) {
	var out bytes.Buffer
	h := web.NewTable(web.Options{Listener: "public", Now: time.Now, Log: slog.New(slog.NewJSONHandler(&out, nil)),
		Render: func(w http.ResponseWriter, r *web.Request, err error) {
			s := 500
			if e, ok := err.(*web.StatusError); ok {
				s = e.Status
			}
			http.Error(w, err.Error(), s)
		}}, []web.Route{{"POST /token", func(w http.ResponseWriter, r *web.Request) error { w.Write([]byte("hi")); return nil }},
		{"GET /panic", func(w http.ResponseWriter, r *web.Request) error { panic("secret") }}})
	for _, x := range [][2]string{{"GET", "/token"}, {"POST", "/token"}, {"GET", "//token"}, {"GET", "/panic"}, {"GET", "/x"}} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(x[0], "http://h"+x[1], nil))
		t.Log(x, rec.Code, rec.Header(), rec.Body)
	}
	t.Log(out.String())
}

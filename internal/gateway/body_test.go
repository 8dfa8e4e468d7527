package gateway_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// breaking is a body that breaks after its beginning.
type breaking struct{ io.Reader }

func (b breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = errors.New("the client's disk broke")
	}
	return n, err
}

func TestClientBody(t *testing.T) {
	s := newStand(t)
	head := "POST /payments/1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + s.token(s.client.ToCertificate()) + "\r\n"
	for name, rest := range map[string]string{
		"a chunk that is none": "5\r\nhello\r\nconfidential\r\n", "a trailer that is none": "5\r\nhello\r\n0\r\nconfidential words\r\n\r\n",
	} {
		t.Run(name+" is the client's fault", func(t *testing.T) {
			s.TB = t
			n := s.eventCount()
			a := s.raw(head + "Transfer-Encoding: chunked\r\n\r\n" + rest)
			if e := s.event(n + 1); a.StatusCode != 400 || e.Reason != "client_body" || e.Outcome != "refused" || e.ClientID != "shop" ||
				strings.Contains(e.Cause, "confidential") {
				t.Errorf("%d %+v", a.StatusCode, e)
			}
		})
	}
	t.Run("a client that breaks its HTTP/2 stream off is no alarm", func(t *testing.T) {
		s.TB = t
		n := s.eventCount()
		r, err := http.NewRequest("POST", s.URL+"/payments/1", breaking{strings.NewReader("half")})
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.token(s.client.ToCertificate()))
		if a, err := s.mtlsClient().Do(r); err == nil {
			_ = a.Body.Close()
			t.Errorf("answered %d", a.StatusCode)
		}
		if e := s.event(n + 1); e.Status >= 500 || e.Outcome != "refused" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("an upstream that is gone is to blame, whatever became of the body", func(t *testing.T) {
		s := newStand(t)
		s.upstream.Close()
		for range 10 {
			a := s.call(call{method: "POST", body: strings.NewReader(strings.Repeat("x", 1<<20))})
			if a.StatusCode != 502 || a.event.Reason != "upstream_unavailable" || a.event.Outcome != "failed" {
				t.Errorf("%d %+v", a.StatusCode, a.event)
			}
		}
	})
}

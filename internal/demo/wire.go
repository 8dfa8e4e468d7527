package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
)

// answer is what came back over the wire.
type answer struct {
	status     int
	challenges []string // WWW-Authenticate
	requestID  string
	nonce      string
	reused     bool // the request went over a connection that was open
	body       []byte
}

// challenge is every WWW-Authenticate field in one (RFC 9110 section 5.3).
func (a answer) challenge() string { return strings.Join(a.challenges, ", ") }

// send makes one request and reads its whole answer, so that the connection can
// be used again.
func send(ctx context.Context, c *http.Client, method, target string, header http.Header, form url.Values) (answer, error) {
	var a answer
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { a.reused = i.Reused }})
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return a, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.status = resp.StatusCode
	a.challenges = resp.Header.Values("WWW-Authenticate")
	a.requestID = resp.Header.Get("Request-Id")
	a.nonce = resp.Header.Get("DPoP-Nonce")
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return a, err
}

// observe joins an answer with what the event stream says of the same request.
// An answer without a request id is not Holdfast's, and has no event.
func (s *story) observe(ctx context.Context, did string, a answer) (Observation, error) {
	o := Observation{Did: did, Status: a.status, Challenge: a.challenge(), challenges: a.challenges, RequestID: a.requestID, Error: errorCode(a.body)}
	if a.requestID == "" {
		return o, nil
	}
	ev, err := s.events.of(ctx, a.requestID)
	if err != nil {
		return o, err
	}
	if ev.Status != a.status {
		return o, fmt.Errorf("%s: the wire says %d and the event %d", did, a.status, ev.Status)
	}
	o.Reason = ev.Reason
	return o, nil
}

// attempt is something that a step tries, and what must come of it.
type attempt struct {
	did    string
	client *http.Client
	method string
	url    string
	header http.Header
	form   url.Values
	status int
	code   string // "error" in the challenge, or in the body of the token endpoint's answer; "" for none
	reason string // in the event
}

// told tells whether the answer has the error code where it belongs.
func (t attempt) told(a answer) bool {
	if t.form != nil {
		return errorCode(a.body) == t.code // RFC 6749 section 5.2
	}
	return strings.Contains(a.challenge(), `error="`+t.code+`"`) // RFC 6750 section 3
}

// try makes the attempt and holds it against what must come of it.
func (s *story) try(ctx context.Context, t attempt) (Observation, error) {
	a, err := send(ctx, t.client, t.method, t.url, t.header, t.form)
	if err != nil {
		return Observation{Did: t.did}, fmt.Errorf("%s: %w", t.did, err)
	}
	o, err := s.observe(ctx, t.did, a)
	switch {
	case err != nil:
		return o, err
	case a.status != t.status:
		return o, fmt.Errorf("%s: status %d, not %d", t.did, a.status, t.status)
	case t.code != "" && !t.told(a):
		return o, fmt.Errorf("%s: the answer does not say %s", t.did, t.code)
	case o.Reason != t.reason:
		return o, fmt.Errorf("%s: the event's reason is %q, not %q", t.did, o.Reason, t.reason)
	}
	return o, nil
}

// tryAll makes the attempts in order and stops at the first that came out otherwise.
func (s *story) tryAll(ctx context.Context, all ...attempt) (seen []Observation, err error) {
	for _, t := range all {
		o, err := s.try(ctx, t)
		seen = append(seen, o)
		if err != nil {
			return seen, err
		}
	}
	return seen, nil
}

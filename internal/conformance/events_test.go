package conformance_test

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"
	"time"
)

// events is the event stream of the system, read as an operator's tools would:
// one JSON object a line. The wire says little by design, so what a request was
// refused for is looked up here, by its Request-Id.
type events struct {
	mu        sync.Mutex
	rest      []byte                    // of a line that is not whole
	byRequest map[string]map[string]any // guarded by mu
	text      bytes.Buffer              // everything, for those who look for secrets
}

func newEvents() *events { return &events{byRequest: map[string]map[string]any{}} }

func (e *events) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text.Write(p)
	e.rest = append(e.rest, p...)
	for {
		line, rest, ok := bytes.Cut(e.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		var members map[string]any
		if json.Unmarshal(line, &members) == nil {
			if id, ok := members["request_id"].(string); ok {
				e.byRequest[id] = members
			}
		}
		e.rest = rest
	}
}

// of is the event of a request. It is written after the answer, so it may take a
// moment.
func (e *events) of(t testing.TB, requestID string) map[string]any {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		e.mu.Lock()
		found := e.byRequest[requestID]
		e.mu.Unlock()
		if found != nil {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("no event of request %q", requestID)
		}
	}
}

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// event is what the demo reads of a line of the event stream.
type event struct {
	RequestID string `json:"request_id"`
	Listener  string `json:"listener"`
	Status    int    `json:"status"`
	Reason    string `json:"reason"`
}

// events is the event stream as the system wrote it: a writer that keeps, by
// request id, what was said of each request.
type events struct {
	mu    sync.Mutex
	rest  []byte           // an unfinished line
	seen  map[string]event // by request id
	await map[string]chan struct{}
}

func newEvents() *events {
	return &events{seen: map[string]event{}, await: map[string]chan struct{}{}}
}

// Write takes whole or broken lines; lines that are no events pass by.
func (e *events) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rest = append(e.rest, p...)
	for {
		line, rest, ok := bytes.Cut(e.rest, []byte{'\n'})
		if !ok {
			return len(p), nil
		}
		var ev event
		if json.Unmarshal(line, &ev) == nil && ev.RequestID != "" {
			e.seen[ev.RequestID] = ev
			if c := e.await[ev.RequestID]; c != nil {
				close(c)
				delete(e.await, ev.RequestID)
			}
		}
		e.rest = append(e.rest[:0], rest...)
	}
}

// of is the event of one request. The answer may reach us before the line does,
// so it waits for it, two seconds at most.
func (e *events) of(ctx context.Context, id string) (event, error) {
	e.mu.Lock()
	if ev, ok := e.seen[id]; ok {
		e.mu.Unlock()
		return ev, nil
	}
	c := e.await[id]
	if c == nil {
		c = make(chan struct{})
		e.await[id] = c
	}
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	select {
	case <-c:
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.seen[id], nil
	case <-ctx.Done():
		return event{}, fmt.Errorf("no event for request %q in the event stream", id)
	}
}

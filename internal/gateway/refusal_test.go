package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/iotest"
)

func TestUpstreamError(t *testing.T) {
	for _, tt := range []struct {
		cause error
		want  int
	}{
		{context.DeadlineExceeded, 504},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, 504},
		{fmt.Errorf("dial: %w", context.DeadlineExceeded), 504},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, 502},
		{context.Canceled, 502},
		{errors.New("malformed answer"), 502},
	} {
		e := &upstreamError{tt.cause}
		if got := e.refusal(); got.status != tt.want || !errors.Is(e, tt.cause) {
			t.Errorf("%v: %d, want %d", tt.cause, got.status, tt.want)
		}
	}
}

func TestBody(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		closed bool // before it is read
		want   bool
	}{
		"an end":                    {io.EOF, false, false},
		"a fault":                   {io.ErrUnexpectedEOF, false, true},
		"closed by the transport":   {errors.New("read after close"), true, false},
		"its end, read after close": {io.EOF, true, false},
	} {
		b := &body{ReadCloser: io.NopCloser(iotest.ErrReader(tt.err))}
		if tt.closed {
			_ = b.Close()
		}
		if _, err := b.Read(make([]byte, 1)); err != tt.err || b.broken.Load() != tt.want {
			t.Errorf("%s: %v, broken %t", name, err, b.broken.Load())
		}
	}
}

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
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

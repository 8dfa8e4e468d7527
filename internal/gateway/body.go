package gateway

import (
	"io"
	"sync/atomic"
)

// body is a client's, which remembers that it broke: then an upstream that got
// half a request is not to blame. How it broke is not for the log, because what
// net/http says of a trailer holds the client's words.
type body struct {
	io.ReadCloser
	broken atomic.Bool
	closed atomic.Bool
}

// Read notes an error that is the client's. After Close, errors are ours.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !b.closed.Load() {
		b.broken.Store(true)
	}
	return n, err
}

// Close is called by the transport while it may still be reading.
func (b *body) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}

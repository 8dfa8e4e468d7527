package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/httpmw"
)

// Bounds of the connection to an upstream.
const (
	dialTimeout      = 5 * time.Second
	answerTimeout    = 10 * time.Second // from the request sent to the answer's header
	idleTimeout      = 60 * time.Second
	idleConnections  = 128 // of one upstream
	maxAnswerHeader  = 64 << 10
	copyBufferLength = 32 << 10
)

// forward is one granted request on its way to the upstream.
type forward struct {
	route    *route
	grant    *verify.Grant
	identity *identity
	event    *web.Event
	err      error // why there was no answer
}

type forwardKey struct{}

// send forwards r. The error is an *upstreamError, or a *refusal if the client's
// body broke; then nothing was answered.
func (g *Gateway) send(w http.ResponseWriter, r *web.Request, f *forward) error {
	out := r.WithContext(context.WithValue(r.Context(), forwardKey{}, f))
	var sent *body
	if r.ContentLength != 0 {
		sent = &body{ReadCloser: r.Body}
		out.Body = sent
	}
	f.route.proxy.ServeHTTP(w, out)
	switch {
	case f.err == nil:
		r.Event.Outcome = "served" // whatever the upstream thought of it
		return nil
	case sent != nil && sent.broken.Load():
		return errClientBody
	}
	return &upstreamError{f.err}
}

// newProxy leaves FlushInterval alone: answers without a length, and server-sent
// events, pass as they come, and the others are not cut in two.
func (g *Gateway) newProxy(r *route) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      g.transport(r.Upstream, r.UpstreamTLS),
		BufferPool:     g.buffers,
		ModifyResponse: finish,
		ErrorHandler:   func(_ http.ResponseWriter, r *http.Request, err error) { forwarding(r.Context()).err = err },
		ErrorLog:       slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

func forwarding(ctx context.Context) *forward { return ctx.Value(forwardKey{}).(*forward) }

// rewrite makes the upstream's request. The path that was matched is forwarded
// byte for byte, and so is the query; what the client may not say is gone, and
// hop-by-hop fields were removed before, so that Connection cannot name ours.
func rewrite(p *httputil.ProxyRequest) {
	f := forwarding(p.In.Context())
	out := p.Out
	out.URL.Scheme, out.URL.Host = f.route.upstream.Scheme, f.route.upstream.Host
	out.URL.RawQuery = p.In.URL.RawQuery // ReverseProxy writes some anew
	strip(out.URL, f.route.StripPrefix)
	out.Host = ""     // the upstream's
	out.Trailer = nil // field names that were not looked at
	removeForgeable(out.Header)
	f.identity.set(out.Header, f.event.RequestID)
}

// strip takes prefix, which holds no escapes, off the path. What is empty then is
// sent as "/".
func strip(u *url.URL, prefix string) {
	u.Path = u.Path[len(prefix):]
	if u.RawPath != "" {
		u.RawPath = u.RawPath[len(prefix):]
	}
}

var errSwitched = errors.New("answered 101 to a request that did not ask for it")

// finish makes the client's answer out of the upstream's.
func finish(answer *http.Response) error {
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return errSwitched
	}
	delete(answer.Header, "Dpop-Nonce")
	httpmw.OfferNonce(answer.Header, forwarding(answer.Request.Context()).grant)
	return nil
}

// upstreamID tells connections that may be shared from those that may not.
type upstreamID struct {
	url string
	tls *tls.Config
}

// transport is the connections to one upstream.
func (g *Gateway) transport(url string, config *tls.Config) *http.Transport {
	id := upstreamID{url, config}
	if t := g.transports[id]; t != nil {
		return t
	}
	t := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        config.Clone(),
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  answerTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // bytes pass as they are
		ForceAttemptHTTP2:      true,
	}
	g.transports[id] = t
	return t
}

// buffers is a httputil.BufferPool.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[copyBufferLength]byte); ok {
		return p[:]
	}
	return make([]byte, copyBufferLength)
}

func (b *buffers) Put(p []byte) { b.pool.Put((*[copyBufferLength]byte)(p)) }

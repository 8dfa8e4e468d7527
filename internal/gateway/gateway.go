package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/httpmw"
)

// keysPath is where the keys of Holdfast-Grant are.
const keysPath = "/.well-known/jwks.json"

// refusalTime is how long the gateway reads of a request that is not granted:
// net/http reads much of a body before it answers, and before it hangs up.
const refusalTime = 10 * time.Second

// Config is what a Gateway is made of. All but Observe is required.
type Config struct {
	// URL is how clients address the gateway: https, host and port and nothing more.
	URL      string
	Verifier *verify.Verifier
	Routes   []Route
	// Signer signs Holdfast-Grant.
	Signer  *jose.Signer
	Now     func() time.Time
	Log     *slog.Logger     // the event stream
	Observe func(*web.Event) // counts
}

// Gateway is the handler of a TLS listener that asks for client certificates
// (mtls.ServerConfig). The server's ConnContext should be mtls.WithConn.
type Gateway struct {
	handler    http.Handler
	edge       *httpmw.Edge
	verifier   *verify.Verifier
	routes     table
	keys       []byte // the JWK set
	metadata   *httpmw.Metadata
	transports map[upstreamID]*http.Transport
	buffers    *buffers
	log        *slog.Logger
	now        func() time.Time
	patience   time.Duration // refusalTime
}

// New checks c whole: the error joins every *verify.Fault.
func New(c Config) (*Gateway, error) {
	edge, err := httpmw.NewEdge(c.URL)
	faults := faultsOf(err)
	require := func(ok bool, path string) {
		if !ok {
			faults = append(faults, &verify.Fault{Path: path, Problem: "is required"})
		}
	}
	require(c.Verifier != nil, "verifier")
	require(c.Signer != nil, "signer")
	require(c.Now != nil, "now")
	require(c.Log != nil, "log")
	require(len(c.Routes) > 0, "routes")
	if len(faults) > 0 {
		return nil, joined(faults)
	}
	g := &Gateway{
		edge: edge, verifier: c.Verifier, keys: jose.JWKSet([]*jose.PublicKey{c.Signer.Public()}),
		transports: make(map[upstreamID]*http.Transport), buffers: new(buffers), log: c.Log, now: c.Now, patience: refusalTime,
	}
	var policies []*verify.Policy
	for i, r := range c.Routes {
		ready, wrong := g.newRoute(&c, r)
		if ready != nil {
			policies = append(policies, ready.policy)
			wrong = faultsOf(g.routes.add(ready))
		}
		for _, f := range wrong {
			faults = append(faults, &verify.Fault{Path: fmt.Sprintf("routes[%d].%s", i, f.Path), Problem: f.Problem})
		}
	}
	if len(faults) > 0 {
		return nil, joined(faults)
	}
	g.metadata = httpmw.NewMetadata(c.Verifier, edge, policies...)
	g.handler = web.NewTable(
		web.Options{Listener: "gateway", Now: c.Now, Log: c.Log, Observe: c.Observe, Render: render},
		[]web.Route{{Pattern: "/", Handler: g.serve}},
	)
	return g, nil
}

func joined(faults []*verify.Fault) error {
	var errs []error
	for _, f := range faults {
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}

// ServeHTTP answers one request and leaves one event.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.handler.ServeHTTP(w, r) }

// CloseIdle closes the connections to upstreams that nobody uses.
func (g *Gateway) CloseIdle() {
	for _, t := range g.transports {
		t.CloseIdleConnections()
	}
}

// serve is the way of every request. Only its last line talks to an upstream.
func (g *Gateway) serve(w http.ResponseWriter, r *web.Request) error {
	r.Event.Route = ""
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(g.now().Add(g.patience)) // what has no deadlines is not a connection
	switch {
	case r.Method == http.MethodConnect, r.Method == http.MethodTrace:
		return errMethod // TRACE would show the client what only the upstream is told
	case r.Header["Upgrade"] != nil:
		return errUpgrade // the new protocol would outlive the grant
	}
	facts, err := g.edge.Collect(r.Request)
	if err != nil {
		return err
	}
	at, wrong := parseTarget(r.RequestURI)
	if wrong != nil {
		return wrong
	}
	if document := g.document(at.path); document != nil {
		return serveDocument(w, r, at.path, document)
	}
	route, err := g.routes.find(r.Method, at)
	if err != nil {
		return err
	}
	r.Event.Route, r.Event.Resource = route.Path, route.Resource
	grant, err := g.verifier.Verify(r.Context(), &facts, route.policy)
	if err != nil {
		return err
	}
	describe(r.Event, grant.Token)
	identity, err := route.identities.of(grant, g.now())
	if err != nil {
		return err
	}
	_ = control.SetReadDeadline(time.Time{}) // a granted body takes as long as it takes
	return g.send(w, r, &forward{route: route, grant: grant, identity: identity, event: r.Event})
}

// document is the gateway's own document at path; nil if none.
func (g *Gateway) document(path string) http.Handler {
	switch {
	case path == keysPath:
		return http.HandlerFunc(g.serveKeys)
	case g.metadata.Has(path):
		return g.metadata
	}
	return nil
}

// Routes are the paths that the gateway knows: those of its own documents, and those
// of its routes.
func (g *Gateway) Routes() (documents, resources []string) {
	documents = append(g.metadata.Paths(), keysPath)
	for _, at := range g.routes {
		resources = append(resources, at.path)
	}
	return documents, resources
}

func (g *Gateway) serveKeys(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", "max-age=300")
	_, _ = w.Write(g.keys) // the client is gone if this fails
}

func serveDocument(w http.ResponseWriter, r *web.Request, path string, document http.Handler) error {
	r.Event.Route = path
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &refusal{status: 405, code: "method_not_allowed", reason: "wrong_method", allow: "GET, HEAD"}
	}
	document.ServeHTTP(w, r.Request)
	return nil
}

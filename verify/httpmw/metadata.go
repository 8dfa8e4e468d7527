package httpmw

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-auth/holdfast/verify"
)

const metadataPath = "/.well-known/oauth-protected-resource"

// MetadataURL is where the RFC 9728 document of a resource is, when the resource
// is the public URL or below it; else "".
func MetadataURL(publicURL, resource string) string {
	path, below := strings.CutPrefix(resource, publicURL)
	if !below || path != "" && path[0] != '/' || strings.Contains(path, "?") {
		return ""
	}
	if path == "/" { // RFC 9728 section 3.1
		path = ""
	}
	return publicURL + metadataPath + path
}

// document is RFC 9728 section 2.
type document struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	CertificateBound     bool     `json:"tls_client_certificate_bound_access_tokens"`
	DPoPRequired         bool     `json:"dpop_bound_access_tokens_required"`
	DPoPAlgorithms       []string `json:"dpop_signing_alg_values_supported,omitempty"`
}

// Metadata is the RFC 9728 documents of the resources of policies.
type Metadata struct {
	byPath map[string][]byte
}

// NewMetadata makes one document for each resource that is the edge's URL or
// below it, out of all policies for it.
func NewMetadata(v *verify.Verifier, edge *Edge, policies ...*verify.Policy) *Metadata {
	documents := make(map[string]*document)
	for _, p := range policies {
		r := p.Rules()
		at, ok := strings.CutPrefix(MetadataURL(edge.origin, r.Resource), edge.origin)
		if !ok {
			continue
		}
		d := documents[at]
		if d == nil {
			d = &document{Resource: r.Resource, AuthorizationServers: v.Issuers(), BearerMethods: []string{"header"}, DPoPRequired: true}
			documents[at] = d
		}
		d.add(r)
	}
	m := &Metadata{make(map[string][]byte, len(documents))}
	for at, d := range documents {
		slices.Sort(d.Scopes)
		m.byPath[at], _ = json.Marshal(d) // texts and booleans cannot fail
	}
	return m
}

// add widens the document by what one more policy accepts.
func (d *document) add(r verify.Rules) {
	for _, s := range r.Scopes {
		if !slices.Contains(d.Scopes, s) {
			d.Scopes = append(d.Scopes, s)
		}
	}
	if r.Binding != verify.BindDPoP {
		d.CertificateBound, d.DPoPRequired = true, false
	}
	if r.Binding != verify.BindMTLS {
		d.DPoPAlgorithms = verify.Algorithms()
	}
}

// Has tells whether path is that of a document.
func (m *Metadata) Has(path string) bool { return m.byPath[path] != nil }

// Paths are those of the documents, sorted.
func (m *Metadata) Paths() []string { return slices.Sorted(maps.Keys(m.byPath)) }

// ServeHTTP answers GET and HEAD under /.well-known/oauth-protected-resource.
func (m *Metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text := m.byPath[r.URL.EscapedPath()]
	if text == nil {
		http.Error(w, "no such resource", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "max-age=300")
	_, _ = w.Write(text) // the client is gone if this fails
}

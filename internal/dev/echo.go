package dev

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// Echo is the sample API behind the gateway: it answers with what it was told,
// so that a caller sees that the identity came from Holdfast and that the token
// did not get this far.
func Echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "body larger than 1 MiB", http.StatusRequestEntityTooLarge)
			return
		}
		answer := map[string]any{
			"method":       r.Method,
			"path":         r.URL.EscapedPath(),
			"query":        r.URL.RawQuery,
			"client":       r.Header.Get("Holdfast-Client-Id"),
			"organisation": r.Header.Get("Holdfast-Organisation"),
			"scope":        r.Header.Get("Holdfast-Scope"),
			"binding":      r.Header.Get("Holdfast-Binding"),
			"body_bytes":   n,
			"headers":      shown(r.Header),
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	})
}

// shown is the header as one value a name, without the signature of the grant,
// which an upstream could replay to another.
func shown(h http.Header) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		v := strings.Join(values, ", ")
		if name == "Holdfast-Grant" {
			if i := strings.LastIndexByte(v, '.'); i >= 0 {
				v = v[:i] + ".(signature)"
			}
		}
		out[name] = v
	}
	return out
}

// Package httpmw is the net/http door of package verify: middleware that
// collects the facts of a request, lets the verifier decide, and renders the
// decision (RFC 6750 section 3, RFC 9449 sections 7 to 9, RFC 9728 section 5.1).
//
// It is for a server that ends TLS itself. Client certificates come from the TLS
// connection and from nowhere else: headers that carry one are removed.
package httpmw

import (
	"context"
	"net/http"

	"github.com/holdfast-auth/holdfast/verify"
)

type grantKey struct{}

// Require lets a request pass to the next handler when it satisfies the policy
// that policyFor names for it; a request that it names none for is refused. The
// next handler finds the grant with GrantFrom.
func Require(v *verify.Verifier, policyFor func(*http.Request) *verify.Policy, edge *Edge) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			facts, err := edge.Collect(r)
			if err != nil {
				WriteError(w, err)
				return
			}
			grant, err := v.Verify(r.Context(), &facts, policyFor(r))
			if err != nil {
				WriteError(w, err)
				return
			}
			OfferNonce(w.Header(), grant)
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), grantKey{}, grant)))
		})
	}
}

// GrantFrom finds the grant of a request that passed Require.
func GrantFrom(ctx context.Context) (*verify.Grant, bool) {
	g, ok := ctx.Value(grantKey{}).(*verify.Grant)
	return g, ok
}

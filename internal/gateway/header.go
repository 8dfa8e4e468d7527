package gateway

import (
	"net/http"

	"github.com/holdfast-auth/holdfast/verify/httpmw"
)

// The fields that tell the upstream who calls.
const (
	headerClientID     = "Holdfast-Client-Id"
	headerOrganisation = "Holdfast-Organisation"
	headerScope        = "Holdfast-Scope"
	headerBinding      = "Holdfast-Binding"
	headerGrant        = "Holdfast-Grant"
	headerRequestID    = "Holdfast-Request-Id"
)

// forgeable are the beginnings of header names that an upstream may believe and
// that are not for a client to set: our own, those of proxies that tell of the
// client, host, path or method, and the credentials, which stop here. Certificate
// headers come on top.
var forgeable = [...]string{
	"holdfast-", "x-holdfast-", "authorization", "dpop", "x-forwarded-", "forwarded", "x-real-ip", "x-original-", "x-rewrite-",
	"x-http-method", "x-method-override", "x-http-host-override", "x-host", "x-envoy-", "x-client-ip", "x-cluster-client-ip",
	"true-client-ip", "cf-connecting-ip", "remote-user", "remote-addr",
	"proxy", // HTTP_PROXY is where a CGI program sends its requests
}

// removeForgeable removes every spelling of what a client may not say.
func removeForgeable(h http.Header) {
	for name := range h {
		if isForgeable(name) {
			delete(h, name)
		}
	}
}

func isForgeable(name string) bool {
	for _, prefix := range forgeable {
		if httpmw.HasPrefixFold(name, prefix) {
			return true
		}
	}
	return httpmw.IsCertificateHeader(name)
}

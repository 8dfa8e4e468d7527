package goidc

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// difference is a reason, the verdicts, and the requests that it is about: a
// mutation, of all its clients or of one.
type difference struct {
	why          string // also a row of docs/conformance.md
	ours, theirs string // beginnings of the verdicts
	cases        []string
}

var differences = []difference{
	// What Holdfast refuses and go-oidc lets through.
	{"typ of an assertion is absent, JWT or client-authentication+jwt (rfc7523bis): no other token passes for one", "refused: client", "issued", []string{
		"assertion: typ at+jwt", "assertion: typ a number", "assertion: typ dpop+jwt", "assertion: typ JOSE"}},
	{"crit is never empty (RFC 7515 section 4.1.11)", "refused", "issued", []string{"assertion: crit empty", "proof: crit empty"}},
	{"kid names a key or is absent", "refused: client", "issued", []string{"assertion: kid empty"}},
	{"aud is the issuer as one string (FAPI 2.0 section 5.3.2.1)", "refused: client", "issued", []string{"assertion: aud a list of the issuer"}},
	{"exp has 10 s of grace; go-oidc is set to the 30 s of its own examples", "refused: client", "issued", []string{"assertion: exp 20 s ago"}},
	{"jti has at most 128 bytes", "refused", "issued", []string{"assertion: jti of 2,000 bytes", "proof: jti of 2,000 bytes"}},
	{"base64url has no line breaks (RFC 7515 section 2)", "refused: request", "issued", []string{"assertion: a line break in the signature"}},
	{"a proof key has the strength that any key must have: RSA of 2048 bits (FAPI 2.0 section 5.4.1)", "refused: request", "issued", []string{"proof: an RSA key of 1024 bits"}},
	{"htu is this endpoint at this listener, whose path does not end in a slash (RFC 9449 section 4.3)", "refused: request", "issued", []string{
		"proof: htu with a slash behind it", "proof: htu of the mTLS listener", "listener: htu of the public listener"}},
	{"iat of a proof is at most 60 s old", "refused: request", "issued", []string{"proof: iat 2 min ago"}},
	{"nonce is a string (RFC 9449 section 4.2), and one that is there is one of ours (section 4.3); go-oidc has none", "refused: request", "issued", []string{"proof: nonce a number"}},
	{"a nonce that is there is one of ours (RFC 9449 section 4.3), or the client is told the right one; go-oidc has none", "refused: nonce", "issued", []string{"proof: nonce made up"}},
	{"one authentication method in a request (RFC 6749 section 2.3), and any Authorization counts", "refused: request", "issued", []string{
		"method: a client_secret beside the method: es256", "method: a client_secret beside the method: es256-mtls",
		"method: Basic beside the method: es256", "method: Basic beside the method: es256-mtls",
		"method: a Bearer token beside the method: es256", "method: a Bearer token beside the method: es256-mtls"}},
	{"a secret or an Authorization is what the request authenticates with; a certificate beside it does not help", "refused: client", "issued", []string{
		"method: a client_secret beside the method: ca", "method: Basic beside the method: ca", "method: a Bearer token beside the method: ca",
		"method: client_secret_post alone: ca"}},
	{"a parameter occurs once (RFC 6749 section 3.2)", "refused: request", "issued", []string{
		"pair: client_assertion_type twice", "form: grant_type twice", "form: scope twice", "form: scope twice, with two values", "form: an unknown parameter twice"}},
	{"a form has limits: 64 KiB, 100 parameters", "refused: request", "issued", []string{
		"form: 200 unknown parameters", "form: an unknown parameter of 70,000 bytes"}},
	{"a form is UTF-8, well escaped, without control characters, and each parameter has a name (RFC 6749 appendix B)", "refused: request", "issued", []string{
		"form: acme with control characters", "form: a parameter without a name", "form: a malformed escape", "form: an escape cut short", "form: text that is not UTF-8"}},
	{"the media type of a form is known and its charset UTF-8", "refused: request", "issued", []string{
		"form: Content-Type with another charset", "form: Content-Type malformed"}},
	{"a token request has no query: logs keep it", "refused: request", "issued", []string{"form: a query: ca"}},
	{"scope is tokens with one space between them (RFC 6749 section 3.3)", "refused: scope", "issued", []string{
		"form: scope with a space before it", "form: scope with a space behind it", "form: scope with two spaces"}},
	{"one token, one audience: scopes belong to the resource, which is named once or is the scopes' owner", "refused: scope", "issued", []string{
		"form: scope of another resource", "form: resource another that is granted", "form: scopes of two resources, and no resource", "form: neither scope nor resource"}},
	{"one token, one audience: a second resource is invalid_target (RFC 8707 section 2)", "refused: target", "issued", []string{
		"form: resource twice, the same", "form: resource twice, two that are granted"}},
	{"a resource is granted to the client; go-oidc has one list for all clients", "refused: target", "issued", []string{"form: resource not granted"}},
	{"tokens of a client registered for certificates are bound to the certificate alone: a proof beside it is a mistake", "refused: request", "issued", []string{
		"certificate: its own and a good DPoP proof"}},
	{"a certificate counts at the listener that asks for it", "refused: client", "issued", []string{
		"certificate: its own, at the public listener: ca", "certificate: its own, at the public listener: own"}},
	{"a certificate counts at the listener that asks for it, for binding, too", "refused: request", "issued", []string{
		"certificate: its own, at the public listener: es256-mtls"}},
	{"the binding certificate is a credential of the same client; go-oidc binds to any", "refused: request", "issued", []string{
		"certificate: the certificate of stranger-ca: es256-mtls", "certificate: the certificate of stranger-own: es256-mtls",
		"certificate: the certificate of server-ca: es256-mtls", "certificate: the certificate of ps256-mtls: es256-mtls"}},

	// What Holdfast grants and go-oidc refuses.
	{"exp and nbf are no claims of a proof (RFC 9449 section 4.2): iat says how old it is", "issued", "refused: request", []string{
		"proof: exp 1 h ago", "proof: nbf 1 h ahead"}},
	{"escapes of unreserved characters in htu are undone (RFC 3986 section 6.2.2.2)", "issued", "refused: request", []string{"proof: htu with a letter escaped"}},
	{"a jti is used up for its key or client alone: nobody burns another's; go-oidc has one set for all", "issued", "refused: request", []string{
		"proof: another key's with a used jti", "proof: with the assertion's jti"}},
	{"a parameter without a value counts as omitted (RFC 6749 section 3.2)", "issued", "refused: target", []string{"form: resource empty"}},
	{"our own issuing CA is known without the chain that the client sends", "issued", "refused", []string{
		"certificate: its own without the chain: ca", "certificate: its own without the chain: es256-mtls"}},

	// Both grant, but not the same.
	{"a scope that was asked for twice is granted once", "issued", "issued", []string{"form: scope one and the same twice"}},
	{"no scope asked for is all that is granted of the resource (RFC 6749 section 3.3 leaves the default to us); go-oidc grants none", "issued", "issued", []string{
		"form: scope absent", "form: scope empty"}},
	{"tokens of a client registered for DPoP are bound to the proof's key alone: a certificate beside it says nothing", "issued: jkt,", "issued: jkt and x5t#S256,", []string{
		"listener: a stranger's certificate", "listener: a certificate that nobody vouches for"}},

	// Both refuse, by another code.
	{"a request that no client authentication can be read from is invalid_request (RFC 6749 section 5.2)", "refused: request", "refused: client", []string{
		"assertion: empty", "method: client_id empty: ca", "method: Basic of another client beside the method: es256",
		"method: Basic of another client beside the method: es256-mtls", "method: nothing: es256-mtls", "method: nothing: ca", "method: client_id in the query",
		"pair: client_assertion_type absent", "pair: client_assertion_type empty", "pair: client_assertion_type unknown", "pair: client_assertion_type in capitals",
		"pair: client_assertion absent", "pair: client_assertion absent, client_id given", "pair: client_assertion twice",
		"form: a semicolon between parameters"}},
	{"a missing grant_type, and a body that is no form, are invalid_request (RFC 6749 section 5.2)", "refused: request", "refused: grant type", []string{
		"method: the method in the query", "form: grant_type absent", "form: grant_type empty", "form: Content-Type absent", "form: an empty body", "form: a body of JSON"}},
	{"a control character makes the form invalid_request before the scope is looked at", "refused: request", "refused: scope", []string{"form: scope of a line break"}},
	{"every bad proof is invalid_dpop_proof (RFC 9449 section 5); go-oidc says unauthorized_client of one without a good iat", "refused: request", "refused: unauthorized", []string{
		"proof: iat absent", "proof: iat 1 h ago"}},
}

// TestReasonsAreDocumented wants docs/conformance.md to list the same reasons in
// the same order, no more and no fewer.
func TestReasonsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(data), "\n## go-oidc\n")
	if !ok {
		t.Fatal("docs/conformance.md has no section go-oidc")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var got, want []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| Holdfast") && !strings.HasPrefix(line, "| ---") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	for _, d := range differences {
		want = append(want, "| "+d.ours+" | "+d.theirs+" | "+d.why+" |")
	}
	for i, line := range want {
		if i >= len(got) || got[i] != line {
			t.Errorf("row %d of the section is not %s", i+1, line)
		}
	}
	if len(got) > len(want) {
		t.Errorf("the section has %d rows too many", len(got)-len(want))
	}
	if why := slices.Sorted(slices.Values(want)); len(slices.Compact(why)) != len(want) {
		t.Error("a reason occurs twice")
	}
}

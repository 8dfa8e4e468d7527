package conformance_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// member is one member of an RFC 8414 document and what it must be.
type member struct {
	kind  kind
	known []string // of a list: the registered values; nil: any
}

type kind int

const (
	text     kind = iota
	endpoint      // an https URL without fragment
	list
	boolean
	aliases // RFC 8705 section 5
)

var (
	methodNames = []string{"none", "client_secret_post", "client_secret_basic", "client_secret_jwt", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}
	fapiAlgs    = []string{"PS256", "ES256", "EdDSA", "Ed25519"} // FAPI 2.0 section 5.4.1
)

// members are those of the registry "OAuth Authorization Server Metadata" that
// make sense without an authorization endpoint. What stands in a document and not
// here is a claim that nobody has looked at.
var members = map[string]member{
	"issuer":                                {kind: text},
	"authorization_endpoint":                {kind: endpoint},
	"token_endpoint":                        {kind: endpoint},
	"jwks_uri":                              {kind: endpoint},
	"registration_endpoint":                 {kind: endpoint},
	"introspection_endpoint":                {kind: endpoint},
	"revocation_endpoint":                   {kind: endpoint},
	"service_documentation":                 {kind: endpoint},
	"scopes_supported":                      {kind: list},
	"response_types_supported":              {kind: list},
	"grant_types_supported":                 {kind: list},
	"token_endpoint_auth_methods_supported": {kind: list, known: methodNames},
	"token_endpoint_auth_signing_alg_values_supported":         {kind: list, known: fapiAlgs},
	"introspection_endpoint_auth_methods_supported":            {kind: list, known: methodNames},
	"introspection_endpoint_auth_signing_alg_values_supported": {kind: list, known: fapiAlgs},
	"revocation_endpoint_auth_methods_supported":               {kind: list, known: methodNames},
	"revocation_endpoint_auth_signing_alg_values_supported":    {kind: list, known: fapiAlgs},
	"dpop_signing_alg_values_supported":                        {kind: list, known: fapiAlgs},
	"tls_client_certificate_bound_access_tokens":               {kind: boolean},
	"mtls_endpoint_aliases":                                    {kind: aliases},
	"protected_resources":                                      {kind: list},
}

// metadataFaults are the sentences of RFC 8414, RFC 8705 and RFC 9449 that a
// document at issuer breaks.
func metadataFaults(issuer string, document map[string]any) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for name, value := range document {
		m, ok := members[name]
		if !ok {
			fault("%s: is not a member that is known", name)
			continue
		}
		if problem := m.problem(name, value, document); problem != "" {
			fault("%s: %s", name, problem)
		}
	}
	for _, name := range []string{"issuer", "token_endpoint", "jwks_uri", "response_types_supported", "grant_types_supported", "token_endpoint_auth_methods_supported"} {
		if _, ok := document[name]; !ok { // without the last two, section 2 has defaults that are not so here
			fault("%s: is required", name)
		}
	}
	if document["issuer"] != issuer { // section 3.3
		fault("issuer: is %v and was asked for as %s", document["issuer"], issuer)
	}
	if u, err := url.Parse(issuer); err != nil || u.Scheme != "https" || strings.ContainsAny(issuer, "?#") {
		fault("issuer: is not an https URL without query and fragment")
	}
	grants := texts(document["grant_types_supported"])
	if slices.Contains(grants, "authorization_code") != (document["authorization_endpoint"] != nil) {
		fault("authorization_endpoint: is required for, and only for, a grant that uses it")
	}
	for _, at := range []string{"token", "introspection", "revocation"} {
		methods, algs := texts(document[at+"_endpoint_auth_methods_supported"]), texts(document[at+"_endpoint_auth_signing_alg_values_supported"])
		if slices.Contains(methods, "private_key_jwt") != (len(algs) > 0) {
			fault("%s_endpoint_auth_signing_alg_values_supported: is required with, and only with, private_key_jwt", at)
		}
	}
	return faults
}

func (m member) problem(name string, value any, document map[string]any) string {
	switch m.kind {
	case text:
		if s, _ := value.(string); s == "" {
			return "is not a text"
		}
	case endpoint:
		s, _ := value.(string)
		if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" || strings.Contains(s, "#") {
			return "is not an https URL without fragment"
		}
	case boolean:
		if _, ok := value.(bool); !ok {
			return "is not a boolean"
		}
	case list:
		return m.listProblem(name, value)
	case aliases:
		return aliasProblem(value, document)
	}
	return ""
}

func (m member) listProblem(name string, value any) string {
	items, ok := value.([]any)
	all := texts(value)
	switch {
	case !ok || len(all) != len(items):
		return "is not a list of texts"
	case len(all) == 0 && name != "response_types_supported": // section 3.2; but section 2 requires this one
		return "is empty"
	}
	for i, s := range all {
		if s == "" || slices.Contains(all[:i], s) {
			return "has an empty or a repeated value"
		}
		if m.known != nil && !slices.Contains(m.known, s) {
			return "has the value " + s
		}
	}
	return ""
}

// aliasProblem: an alias is of an endpoint that the document has, and elsewhere.
func aliasProblem(value any, document map[string]any) string {
	object, ok := value.(map[string]any)
	if !ok || len(object) == 0 {
		return "is not an object with members"
	}
	for name, alias := range object {
		if members[name].kind != endpoint || name == "jwks_uri" {
			return name + " is no endpoint"
		}
		if problem := members[name].problem(name, alias, document); problem != "" {
			return name + " " + problem
		}
		if document[name] == nil || document[name] == alias {
			return name + " is no alias"
		}
	}
	return ""
}

// texts are the texts of a JSON list.
func texts(value any) (all []string) {
	items, _ := value.([]any)
	for _, item := range items {
		if s, ok := item.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

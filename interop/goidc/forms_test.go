package goidc

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// methods are mixtures of client authentication methods (RFC 6749 section 2.3).
func methods() []mutation {
	basic := func(d *draft, id, secret string) {
		d.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
	}
	nothing := func(d *draft) {
		d.assertion = nil
		d.put("client_assertion_type", absent)
		d.put("client_id", absent)
	}
	return []mutation{
		{"client_id beside the method", func(d *draft) { d.put("client_id", d.app.ClientID) }},
		{"client_id of another client", func(d *draft) { d.put("client_id", d.w.Applications["stranger"].ClientID) }},
		{"client_id of nobody", func(d *draft) { d.put("client_id", "nobody") }},
		{"client_id empty", func(d *draft) { d.put("client_id", "") }},
		{"a client_secret beside the method", func(d *draft) { d.add("client_secret", "secret") }},
		{"Basic beside the method", func(d *draft) { basic(d, d.app.ClientID, "secret") }},
		{"Basic of another client beside the method", func(d *draft) { basic(d, d.w.Applications["stranger"].ClientID, "secret") }},
		{"a Bearer token beside the method", func(d *draft) { d.header.Set("Authorization", "Bearer token") }},
		{"Basic alone", func(d *draft) {
			nothing(d)
			basic(d, d.app.ClientID, "secret")
		}},
		{"client_secret_post alone", func(d *draft) {
			nothing(d)
			d.add("client_id", d.app.ClientID)
			d.add("client_secret", "secret")
		}},
		{"client_id alone", func(d *draft) {
			nothing(d)
			d.add("client_id", d.app.ClientID)
		}},
		{"nothing", nothing},
		{"client_id in the query", func(d *draft) {
			nothing(d)
			d.query = "client_id=" + d.app.ClientID
		}},
		{"the method in the query", func(d *draft) {
			d.body = func(form string) string {
				d.query = form
				return ""
			}
		}},
	}
}

// pairs are about the parameters of an assertion (RFC 7521 section 4.2).
func pairs() []mutation {
	return []mutation{
		{"client_assertion_type absent", func(d *draft) { d.put("client_assertion_type", absent) }},
		{"client_assertion_type empty", func(d *draft) { d.put("client_assertion_type", "") }},
		{"client_assertion_type unknown", func(d *draft) {
			d.put("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		}},
		{"client_assertion_type in capitals", func(d *draft) { d.put("client_assertion_type", strings.ToUpper(assertionType)) }},
		{"client_assertion_type twice", func(d *draft) { d.add("client_assertion_type", assertionType) }},
		{"client_assertion absent", func(d *draft) { d.assertion = nil }},
		{"client_assertion absent, client_id given", func(d *draft) {
			d.assertion = nil
			d.put("client_id", d.app.ClientID)
		}},
		{"client_assertion twice", func(d *draft) { d.add("client_assertion", "garbage") }},
		{"of a client registered for certificates", func(d *draft) {
			d.assertion.claims.set("iss", d.w.Applications["ca"].ClientID)
			d.assertion.claims.set("sub", d.w.Applications["ca"].ClientID)
		}},
	}
}

// forms are the variants of everything else in a token request.
func forms() []mutation {
	put := func(label, name string, value any) mutation {
		return mutation{name + " " + label, func(d *draft) {
			if f, ok := value.(func(*draft) string); ok {
				d.put(name, f(d))
				return
			}
			d.put(name, value)
		}}
	}
	add := func(label, name, value string) mutation {
		return mutation{name + " " + label, func(d *draft) { d.add(name, value) }}
	}
	media := func(label, value string) mutation {
		return mutation{"Content-Type " + label, func(d *draft) { d.media = value }}
	}
	body := func(name string, f func(string) string) mutation {
		return mutation{name, func(d *draft) { d.body = f }}
	}
	return []mutation{
		{"nothing", func(*draft) {}},
		put("absent", "grant_type", absent), put("empty", "grant_type", ""), put("password", "grant_type", "password"),
		put("authorization_code", "grant_type", "authorization_code"), put("refresh_token", "grant_type", "refresh_token"),
		put("in capitals", "grant_type", "CLIENT_CREDENTIALS"), put("with a space", "grant_type", "client_credentials "),
		put("jwt-bearer", "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
		put("token-exchange", "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
		add("twice", "grant_type", "client_credentials"),

		put("absent", "scope", absent), put("empty", "scope", ""),
		put("the other", "scope", func(d *draft) string { return d.w.Scopes[1] }),
		put("both", "scope", func(d *draft) string { return strings.Join(d.w.Scopes, " ") }),
		put("one and the same twice", "scope", func(d *draft) string { return d.w.Scopes[0] + " " + d.w.Scopes[0] }),
		put("unknown", "scope", "nonsense"), put("known and unknown", "scope", func(d *draft) string { return d.w.Scopes[0] + " nonsense" }),
		put("not granted", "scope", "reports"), put("in capitals", "scope", func(d *draft) string { return strings.ToUpper(d.w.Scopes[0]) }),
		put("openid", "scope", "openid"), put("offline_access", "scope", "offline_access"),
		put("with two spaces", "scope", func(d *draft) string { return strings.Join(d.w.Scopes, "  ") }),
		put("with a space before it", "scope", func(d *draft) string { return " " + d.w.Scopes[0] }),
		put("with a space behind it", "scope", func(d *draft) string { return d.w.Scopes[0] + " " }),
		put("with a quote", "scope", `a"b`), put("with a backslash", "scope", `a\b`), put("beyond ASCII", "scope", "é"),
		put("of a line break", "scope", "a\nb"), put("separated by a comma", "scope", func(d *draft) string { return strings.Join(d.w.Scopes, ",") }),
		put("of another resource", "scope", "payments"),
		mutation{"scope twice", func(d *draft) { d.add("scope", d.w.Scopes[0]) }},
		mutation{"scope twice, with two values", func(d *draft) { d.add("scope", d.w.Scopes[1]) }},
		mutation{"scopes of two resources, and no resource", func(d *draft) {
			d.put("scope", d.w.Scopes[0]+" payments")
			d.put("resource", absent)
		}},
		mutation{"neither scope nor resource", func(d *draft) {
			d.put("scope", absent)
			d.put("resource", absent)
		}},

		put("absent", "resource", absent), put("empty", "resource", ""), put("unknown", "resource", "https://elsewhere.test/"),
		put("not granted", "resource", func(d *draft) string { return d.w.Dev.GatewayURL + "/reports" }),
		put("another that is granted", "resource", func(d *draft) string { return d.w.Dev.GatewayURL + "/payments" }),
		put("no URI", "resource", "accounts"), put("with a fragment", "resource", func(d *draft) string { return d.w.Resource + "#x" }),
		put("with a slash behind it", "resource", func(d *draft) string { return d.w.Resource + "/" }),
		put("with the host in capitals", "resource", func(d *draft) string {
			return strings.Replace(d.w.Resource, "accounts.interop.test", "ACCOUNTS.INTEROP.TEST", 1)
		}),
		mutation{"resource twice, the same", func(d *draft) { d.add("resource", d.w.Resource) }},
		mutation{"resource twice, two that are granted", func(d *draft) { d.add("resource", d.w.Dev.GatewayURL+"/payments") }},
		mutation{"resource twice, one unknown", func(d *draft) { d.add("resource", "https://elsewhere.test/") }},
		mutation{"another resource with its scope", func(d *draft) {
			d.put("resource", d.w.Dev.GatewayURL+"/payments")
			d.put("scope", "payments")
		}},

		add("unknown", "acme", "1"), add("of another grant", "code", "abc"), add("of another grant", "redirect_uri", "https://elsewhere.test/"),
		add("of another grant", "refresh_token", "abc"), add("of token exchange", "audience", "x"), add("with control characters", "acme", "a\x00b"),
		mutation{"an unknown parameter twice", func(d *draft) {
			d.add("acme", "1")
			d.add("acme", "2")
		}},
		mutation{"200 unknown parameters", func(d *draft) {
			for i := range 200 {
				d.add("p"+strconv.Itoa(i), "x")
			}
		}},
		mutation{"an unknown parameter of 70,000 bytes", func(d *draft) { d.add("acme", strings.Repeat("a", 70000)) }},

		media("absent", ""), media("application/json", "application/json"), media("text/plain", "text/plain"), media("multipart/form-data", "multipart/form-data; boundary=x"),
		media("with charset", "application/x-www-form-urlencoded; charset=UTF-8"), media("with another charset", "application/x-www-form-urlencoded; charset=iso-8859-1"),
		media("in capitals", "APPLICATION/X-WWW-FORM-URLENCODED"), media("malformed", "application/x-www-form-urlencoded;;=="),
		mutation{"a query", func(d *draft) { d.query = "a=b" }},
		mutation{"GET", func(d *draft) { d.method = http.MethodGet }}, mutation{"PUT", func(d *draft) { d.method = http.MethodPut }},
		mutation{"DELETE", func(d *draft) { d.method = http.MethodDelete }},
		body("an empty body", func(string) string { return "" }), body("a body of JSON", func(string) string { return `{"grant_type":"client_credentials"}` }),
		body("an empty parameter between others", func(s string) string { return s + "&&acme" }),
		body("a parameter without a name", func(s string) string { return s + "&=x" }),
		body("a malformed escape", func(s string) string { return s + "&acme=%zz" }),
		body("an escape cut short", func(s string) string { return s + "&acme=%4" }),
		body("a semicolon between parameters", func(s string) string { return s + ";acme=1" }),
		body("text that is not UTF-8", func(s string) string { return s + "&acme=%ff" }),
		body("names escaped", func(s string) string { return strings.Replace(s, "grant_type", "grant%5Ftype", 1) }),
	}
}

package verify

import "strings"

// scheme is an authentication scheme of RFC 6750 or RFC 9449.
type scheme int

const (
	bearerScheme scheme = iota
	dpopScheme
)

// challenges are the WWW-Authenticate values of one policy, by what was refused.
type challenges struct {
	none        []string               // no credential: every scheme that the policy accepts
	wrongScheme [2][]string            // by the scheme used: that one's error, and the other to use
	errors      [2]map[string][]string // by the scheme used and the error code
}

func newChallenges(r Rules) challenges {
	scope := strings.Join(r.Scopes, " ")
	line := func(s scheme, code, scope string) string {
		var params []string
		add := func(name, value string) {
			if value != "" {
				params = append(params, name+`="`+value+`"`)
			}
		}
		add("error", code)
		if s == dpopScheme {
			add("algs", strings.Join(Algorithms(), " "))
		}
		add("scope", scope)
		add("resource_metadata", r.MetadataURL)
		return strings.TrimSuffix([...]string{"Bearer ", "DPoP "}[s]+strings.Join(params, ", "), " ")
	}
	var c challenges
	if r.Binding != BindMTLS {
		c.none = append(c.none, line(dpopScheme, "", scope))
	}
	if r.Binding != BindDPoP {
		c.none = append(c.none, line(bearerScheme, "", scope))
	}
	for _, s := range [...]scheme{bearerScheme, dpopScheme} {
		c.errors[s] = make(map[string][]string)
		for _, code := range [...]string{codeInvalidRequest, codeInvalidToken, codeInvalidProof, codeUseNonce} {
			c.errors[s][code] = []string{line(s, code, "")}
		}
		c.errors[s][codeInsufficientScope] = []string{line(s, codeInsufficientScope, scope)}
		c.wrongScheme[s] = []string{line(s, codeInvalidToken, ""), line(1-s, "", "")}
	}
	return c
}

// of chooses the challenges of one refusal. 503 has none.
func (c *challenges) of(r Reason, s scheme, code string) []string {
	switch r {
	case NoCredential:
		return c.none
	case WrongScheme:
		return c.wrongScheme[s]
	}
	return c.errors[s][code]
}

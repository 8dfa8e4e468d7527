package main

// target is one package whose checks are removed.
type target struct {
	Package string   // its folder
	Files   []string // of it; none means every file
	Killers []string // the packages whose tests may notice, besides its own, in this order
}

// equivalent is a check whose loss no test can notice, and why.
type equivalent struct {
	File     string // as "verify/verify.go"
	Function string // as "Verifier.Verify"
	Source   string // the check's text on one line
	Reason   string
}

// targets are the columns of checks: what stands between a request and a token,
// and between a token and an API.
func targets() []target {
	return []target{
		{Package: "internal/strictjson"},
		{Package: "internal/jose"},
		{Package: "cnf"},
		{Package: "dpop"},
		{Package: "mtls"},
		{Package: "internal/token"},
		{Package: "internal/outbound"},
		{Package: "internal/jwksuri", Killers: []string{"internal/as"}},
		{Package: "internal/clientauth", Killers: []string{"internal/as"}},
		{Package: "internal/as", Killers: []string{"internal/server"}},
		{Package: "verify", Killers: []string{"verify/httpmw", "internal/gateway"}},
		{Package: "verify/httpmw", Killers: []string{"internal/gateway"}},
	}
}

// open is how many checks of a file may survive until their cases are written:
// registration and enrolment are tried from outside (internal/conformance,
// interop/clients), which is no killer here. The numbers only go down.
func open() map[string]int {
	return map[string]int{
		"internal/as/register.go":            19,
		"internal/as/enrolment.go":           3,
		"internal/jose/clientkey.go":         11,
		"mtls/mtls.go":                       4,
		"internal/outbound/outbound.go":      1,
		"internal/clientauth/certificate.go": 2,
	}
}

// equivalents may only hold checks that survive.
func equivalents() []equivalent {
	return []equivalent{
		{
			File: "internal/clientauth/name.go", Function: "generalNames", Source: "rest, err := asn1.Unmarshal(value, &sequence); err != nil",
			Reason: "what cannot be read leaves the zero value, which is no sequence",
		},
		{
			File: "internal/clientauth/name.go", Function: "generalNames", Source: "rest, err = asn1.Unmarshal(rest, &name); err != nil",
			Reason: "what cannot be read leaves the zero value, whose class is another",
		},
		{
			File: "internal/clientauth/published.go", Function: "Authenticator.AuthenticateRequest", Source: "r, ok := errors.AsType[*Refusal](err); !ok",
			Reason: "every error of Authenticate is a *Refusal",
		},
		{
			File: "internal/strictjson/scanner.go", Function: "scanner.array", Source: "more, err := s.more(']'); err != nil",
			Reason: "with an error more is false, and the next operand returns the error as well",
		},
		{
			File: "internal/jose/jwk.go", Function: "decodeExactly", Source: "!isBase64URL(text)",
			Reason: "of what is not the alphabet the decoder passes over line breaks alone; fewer bytes remain then, which no kind of key takes",
		},
		{
			File: "internal/jose/message.go", Function: "Parse", Source: `header == ""`,
			Reason: "an empty header is no JSON object, which is the same error",
		},
	}
}

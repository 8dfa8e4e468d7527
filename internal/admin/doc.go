// Package admin is the JSON API of operators, and of the command line, over the
// directory and the certificate authority. Each operation is a plain function of
// a caller and typed input; the framework around it decodes, documents (OpenAPI
// 3.1 at /openapi.json) and words errors as RFC 9457 problems. It never returns
// a private key or a secret, because it is never given one.
//
// Whoever gets here has shown a bound token with the scope "admin" for this API
// (Config.Require), and is an application of the operator's organisation, which
// is checked once more.
//
// RFC 9457; RFC 8705 and RFC 9449 for the tokens.
package admin

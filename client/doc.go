// Package client is the API consumer's side: it proves who calls with a key that
// never leaves its owner, gets access tokens bound to that key, and calls APIs
// with them.
//
//	roots, err := client.LoadRoots("ca.pem")
//	key, err := client.LoadKey("key.pem")
//	signer, err := client.NewSigner(key, "", "")
//	dpopKey, err := client.LoadKey("dpop.pem")
//	proofs, err := dpop.NewProver(dpopKey)
//	api, err := client.New(ctx, client.Config{
//		Issuer: "https://auth.example.com", Roots: roots,
//		Credentials: client.Credentials{ClientID: "acme-billing", Assertion: signer, DPoP: proofs},
//		Scope: "payments", Resource: "https://api.example.com/payments",
//	})
//	answer, err := api.Get("https://api.example.com/payments/17")
//
// Credentials are one generation: a rotation makes another client, with a
// connection, a certificate, a key and a token of its own.
//
// RFC 6749 section 4.4, RFC 7523 section 2.2, RFC 8414, RFC 8705, RFC 8707 and
// RFC 9449.
package client

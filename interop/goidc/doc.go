// Package goidc sends the same token requests, byte for byte, to a running
// `holdfast dev` and to luikyv/go-oidc, a certified FAPI 2.0 provider with the
// same clients and keys, and wants the same verdict. Where the two differ on
// purpose, the table in differences_test.go says so and why; a difference that
// is gone fails as one that is new does.
package goidc

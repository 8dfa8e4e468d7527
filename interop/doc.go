// Package interop holds what Holdfast's JOSE does against what others wrote:
// Wycheproof's vectors and go-jose. It is a module of its own, so that whoever
// builds Holdfast downloads neither.
package interop

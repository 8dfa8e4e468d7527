// Package interop holds what Holdfast's JOSE and its certificate authority do
// against what others wrote: Wycheproof's vectors, go-jose, zlint. It is a module
// of its own, so that whoever builds Holdfast downloads none of them.
package interop

package config

import (
	_ "embed"
	"slices"
)

// Kind names the command that a configuration is for.
type Kind string

// The commands that have a configuration file.
const (
	KindServe   Kind = "serve"
	KindGateway Kind = "gateway"
)

//go:embed serve.yaml
var serveExample []byte

//go:embed gateway.yaml
var gatewayExample []byte

// Example returns a complete file with every key and its comment; keys that may
// be left out are switched off with a # before them. It returns nil for a kind
// that does not exist.
func Example(kind Kind) []byte {
	switch kind {
	case KindServe:
		return slices.Clone(serveExample)
	case KindGateway:
		return slices.Clone(gatewayExample)
	}
	return nil
}

package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Key is a key that a flag or a variable can set. Lists have none.
type Key struct {
	Name     string // as in the file, with its section: "listen.public"
	Flag     string // "listen-public"
	Variable string // "HOLDFAST_LISTEN_PUBLIC"

	index []int
}

// ServeKeys returns the keys of [Serve] in the order of the file.
func ServeKeys() []Key { return keysOf(reflect.TypeFor[Serve]()) }

// GatewayKeys returns the keys of [Gateway] in the order of the file.
func GatewayKeys() []Key { return keysOf(reflect.TypeFor[Gateway]()) }

func keysOf(t reflect.Type) []Key {
	var keys []Key
	for i := range t.NumField() {
		field := t.Field(i)
		name := field.Tag.Get("yaml")
		switch field.Type.Kind() {
		case reflect.Slice:
		case reflect.Struct:
			for _, k := range keysOf(field.Type) {
				keys = append(keys, newKey(name+"."+k.Name, append([]int{i}, k.index...)))
			}
		default:
			keys = append(keys, newKey(name, []int{i}))
		}
	}
	return keys
}

func newKey(name string, index []int) Key {
	return Key{
		Name:     name,
		Flag:     flagName(name),
		Variable: variablePrefix + strings.ToUpper(strings.ReplaceAll(name, ".", "_")),
		index:    index,
	}
}

func flagName(key string) string { return strings.NewReplacer(".", "-", "_", "-").Replace(key) }

const variablePrefix = "HOLDFAST_"

// clientVariables are those of the commands that call a server; they set no key.
var clientVariables = []string{
	"HOLDFAST_AS", "HOLDFAST_OPERATOR_CLIENT_ID", "HOLDFAST_OPERATOR_KEY_FILE", "HOLDFAST_OPERATOR_KID",
}

// serviceLink matches the variables that Kubernetes sets in every pod for a
// service whose name begins with holdfast. They are nobody's setting.
var serviceLink = regexp.MustCompile(`^HOLDFAST(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// applyEnvironment sets what HOLDFAST_* variables say. One environment may
// serve every command: a variable of another one is left alone, a variable
// of none is a fault.
func applyEnvironment(environ []string, settings map[string]reflect.Value, f *faults) {
	known := make(map[string]string) // variable -> key
	for _, k := range slices.Concat(ServeKeys(), GatewayKeys()) {
		known[k.Variable] = k.Name
	}
	values := make(map[string]string)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, variablePrefix) {
			values[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key, ok := known[name]
		if !ok && !slices.Contains(clientVariables, name) && !serviceLink.MatchString(name) {
			f.at(origin{name: name}, "", fmt.Sprintf("no key is set by this variable%s", meant(name, slices.Sorted(maps.Keys(known)))), "")
		}
		if field, here := settings[key]; ok && here {
			f.setFrom(origin{name: name}, key, field, values[name])
		}
	}
}

package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The parser's time grows with the square of how deep brackets are nested and
// how much stands on one line, so both are bounded before it runs.
const (
	maxLine  = 4096 // bytes
	maxDepth = 32
)

// decoder writes the YAML of one file into a struct, by its yaml tags, and goes
// on after a fault. The library's own strict mode stops at the first.
type decoder struct {
	*faults
	lines []string
}

// decodeFile reports whether data holds keys at all; its faults are in f.
func decodeFile(data []byte, v reflect.Value, f *faults) bool {
	d := decoder{faults: f, lines: strings.Split(string(data), "\n")}
	for i, line := range d.lines {
		if len(line) > maxLine {
			d.at(d.place(i+1, 1), "", fmt.Sprintf("the line is longer than %d bytes", maxLine), "")
			return false
		}
	}
	tokens := lexer.Tokenize(string(data))
	if deep := tooDeep(tokens); deep != nil {
		d.at(d.placeOf(deep), "", fmt.Sprintf("brackets are nested more than %d deep", maxDepth), "")
		return false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return false
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch {
	case len(bodies) == 0:
		d.at(origin{name: f.file}, "", "holds no key", "")
	case len(bodies) > 1:
		d.at(d.placeOf(firstToken(bodies[1])), "", "must be one YAML document", "Remove what follows the line ---.")
	case len(entriesOf(bodies[0])) == 0:
		d.at(d.placeOf(firstToken(bodies[0])), "", "must hold keys with their values", "")
	default:
		d.section(bodies[0], v, "")
		return true
	}
	return false
}

func tooDeep(tokens token.Tokens) *token.Token {
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth > maxDepth {
			return t
		}
	}
	return nil
}

func (d *decoder) syntax(err error) {
	var fault *yaml.SyntaxError
	if !errors.As(err, &fault) || fault.Token == nil {
		d.at(origin{name: d.file}, "", "is not YAML", "")
		return
	}
	d.at(d.placeOf(fault.Token), "", "is not YAML: "+fault.Message, "")
}

// section writes the keys of a mapping into the struct v. A section without any
// key (all of them commented out) leaves v as it is.
func (d *decoder) section(node ast.Node, v reflect.Value, prefix string) {
	switch node.(type) {
	case *ast.NullNode:
		return
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		d.wrongType(node, strings.TrimSuffix(prefix, "."), "must be a section of keys")
		return
	}
	seen := make(map[string]int) // key -> line
	for _, entry := range entriesOf(node) {
		name := entry.Key.GetToken().Value
		at := d.placeOf(entry.Key.GetToken())
		field, ok := fieldOf(v, name)
		switch _, plain := entry.Key.(*ast.StringNode); {
		case entry.Key.IsMergeKey():
			d.at(at, "", "merge keys (<<) are not taken", "")
		case !plain || !ok:
			d.at(at, prefix+name, fmt.Sprintf("unknown key %q%s", name, meant(name, namesOf(v.Type()))), "`holdfast serve --example` and `holdfast gateway --example` print every key.")
		case seen[name] > 0:
			d.at(at, prefix+name, fmt.Sprintf("key %q is there twice (first in line %d)", name, seen[name]), "")
		default:
			seen[name] = at.line
			d.set(prefix+name, at)
			d.value(entry.Value, field, prefix+name)
		}
	}
}

func entriesOf(node ast.Node) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

func fieldOf(v reflect.Value, name string) (reflect.Value, bool) {
	i := slices.Index(namesOf(v.Type()), name)
	if i < 0 {
		return reflect.Value{}, false
	}
	return v.Field(i), true
}

func namesOf(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("yaml")
	}
	return names
}

func (d *decoder) value(node ast.Node, field reflect.Value, key string) {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.wrongType(node, key, "anchors, aliases and tags are not taken")
		return
	}
	switch field.Kind() {
	case reflect.Struct:
		d.section(node, field, key+".")
	case reflect.Slice:
		d.list(node, field, key)
	default:
		d.scalar(node, field, key)
	}
}

func (d *decoder) list(node ast.Node, field reflect.Value, key string) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		d.wrongType(node, key, "must be a list")
		return
	}
	items := reflect.MakeSlice(field.Type(), len(sequence.Values), len(sequence.Values))
	field.Set(items)
	for i, item := range sequence.Values {
		entry := fmt.Sprintf("%s[%d]", key, i)
		if item == nil {
			d.add(key, fmt.Sprintf("entry %d has no value", i+1))
			continue
		}
		d.set(entry, d.placeOf(firstToken(item)))
		if items.Index(i).Kind() == reflect.Struct {
			setDefaults(items.Index(i))
		}
		d.value(item, items.Index(i), entry)
	}
}

// scalar writes a value of exactly the field's type: no number is taken for a
// string, since 010 or 1e3 would not be the string that was written.
func (d *decoder) scalar(node ast.Node, field reflect.Value, key string) {
	text, isString := "", false
	switch n := node.(type) {
	case *ast.StringNode:
		text, isString = n.Value, true
	case *ast.LiteralNode:
		text, isString = n.Value.Value, true
	case *ast.NullNode:
		d.add(key, "has no value")
		d.spoil(key)
		return
	}
	_, isBool := node.(*ast.BoolNode)
	switch field.Interface().(type) {
	case string:
		if !isString {
			d.wrongType(node, key, "must be text (put it in quotes)")
			return
		}
	case time.Duration:
		if !isString {
			d.wrongType(node, key, "must be a duration with its unit, as in 90s, 5m or 1h")
			return
		}
	case bool:
		if !isBool {
			d.wrongType(node, key, "must be true or false")
			return
		}
		text = node.GetToken().Value
		if lower := strings.ToLower(text); lower == "true" || lower == "false" {
			text = lower
		}
	}
	if t := node.GetToken(); t != nil && t.Position != nil && t.Position.Line > 0 {
		d.set(key, d.placeOf(t))
	}
	if fault := setText(field, text); fault != "" {
		d.add(key, fault)
		d.spoil(key)
	}
}

// wrongType tells that the node is not what key needs, at the node.
func (d *decoder) wrongType(node ast.Node, key, message string) {
	if t := firstToken(node); t != nil {
		d.set(key, d.placeOf(t))
	}
	d.add(key, message)
	d.spoil(key)
}

// firstToken is where a node begins; a mapping's own token is its first colon.
func firstToken(node ast.Node) *token.Token {
	if entries := entriesOf(node); len(entries) > 0 {
		return entries[0].Key.GetToken()
	}
	return node.GetToken()
}

func (d *decoder) placeOf(t *token.Token) origin {
	if t == nil || t.Position == nil {
		return origin{name: d.file, fromFile: true}
	}
	return d.place(t.Position.Line, t.Position.Column)
}

func (d *decoder) place(line, column int) origin {
	o := origin{name: d.file, line: line, column: column, fromFile: true}
	if line < 1 || line > len(d.lines) || column < 1 {
		return origin{name: d.file, fromFile: true}
	}
	o.excerpt = excerpt(d.lines[line-1], column)
	return o
}

// excerpt shows a line around a column, with a caret under it.
func excerpt(line string, column int) string {
	const width, before = 60, 30
	text := []rune(strings.TrimRight(strings.ReplaceAll(line, "\t", " "), " \r"))
	start := max(0, min(column-1, len(text))-before)
	end := min(len(text), start+width)
	return string(text[start:end]) + "\n" + strings.Repeat(" ", min(column-1, len(text))-start) + "^"
}

package config

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write serve.yaml and gateway.yaml anew from the comments of the structs")

var examples = map[Kind]reflect.Type{
	KindServe:   reflect.TypeFor[Serve](),
	KindGateway: reflect.TypeFor[Gateway](),
}

func TestExampleIsMadeOfTheStructsComments(t *testing.T) {
	comments := fieldComments(t)
	for kind, typ := range examples {
		var b strings.Builder
		fmt.Fprintf(&b, "# Configuration of `holdfast %s`.\n#\n", kind)
		b.WriteString(wrap("#", `Each key outside a list can also be given as a flag (--log-level) or a variable of the
			environment (HOLDFAST_LOG_LEVEL): flag over variable over file. Paths that are not absolute start at the
			folder of this file. Keys with a # right before them may be left out.`))
		writeExample(t, &b, typ, comments, "")
		want := []byte(b.String())
		if *update {
			if err := os.WriteFile(string(kind)+".yaml", want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got := Example(kind); !bytes.Equal(got, want) {
			t.Errorf("%s.yaml is not what the comments say: run go test ./internal/config -update", kind)
		}
	}
}

// fieldComments returns the comment of every struct field of the package as one line, by "Type.Field".
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	comments := make(map[string]string)
	for _, name := range []string{"serve.go", "gateway.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if fields, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range fields.Fields.List {
					comments[spec.Name.Name+"."+f.Names[0].Name] = f.Doc.Text()
				}
			}
			return true
		})
	}
	return comments
}

func writeExample(t *testing.T, b *strings.Builder, typ reflect.Type, comments map[string]string, indent string) {
	t.Helper()
	for i := range typ.NumField() {
		field := typ.Field(i)
		comment := comments[typ.Name()+"."+field.Name]
		if comment == "" {
			t.Errorf("%s.%s has no comment, which is its manual", typ.Name(), field.Name)
		}
		first := indent
		if strings.HasSuffix(indent, "- ") && i == 0 {
			indent = strings.Repeat(" ", len(indent))
			b.WriteString(wrap(indent+"#", comment))
		} else {
			indent = strings.Repeat(" ", len(indent))
			first = indent
			if indent == "" || i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(wrap(indent+"#", comment))
		}
		name := field.Tag.Get("yaml")
		switch {
		case field.Type.Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s:\n", first, name)
			writeExample(t, b, field.Type, comments, indent+"  ")
			continue
		case field.Type.Kind() == reflect.Slice && field.Type.Elem().Kind() == reflect.Struct:
			fmt.Fprintf(b, "%s%s:\n", first, name)
			writeExample(t, b, field.Type.Elem(), comments, indent+"  - ")
			continue
		}
		value, ok := field.Tag.Lookup("example")
		if !ok {
			value, ok = field.Tag.Lookup("default")
		}
		if !ok {
			t.Errorf("%s has neither an example nor a default", name)
		}
		if field.Tag.Get("optional") == "true" {
			first += "#"
		}
		if strings.HasPrefix(value, ":") {
			value = `"` + value + `"`
		}
		fmt.Fprintf(b, "%s%s: %s\n", first, name, value)
	}
}

func wrap(prefix, text string) string {
	var b strings.Builder
	line := prefix
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 80 {
			b.WriteString(line + "\n")
			line = prefix
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

var switchedOff = regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`)

func TestExampleLoads(t *testing.T) {
	for kind, typ := range examples {
		for name, text := range map[string][]byte{
			"as it is":            Example(kind),
			"with every key used": switchedOff.ReplaceAll(Example(kind), []byte("$1$2")),
		} {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "holdfast.yaml")
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				var doc any
				var err error
				if kind == KindServe {
					doc, err = LoadServe(path, nil, nil)
				} else {
					doc, err = LoadGateway(path, nil, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(name, "with") {
					everyKeySet(t, reflect.ValueOf(doc).Elem(), typ.Name())
				}
			})
		}
	}
}

// everyKeySet reports fields without a value. A bool's safe value is false.
func everyKeySet(t *testing.T, v reflect.Value, name string) {
	t.Helper()
	for i := range v.NumField() {
		field, name := v.Field(i), name+"."+v.Type().Field(i).Name
		switch {
		case field.Kind() == reflect.Struct:
			everyKeySet(t, field, name)
		case field.Kind() == reflect.Slice && field.Len() > 0 && field.Index(0).Kind() == reflect.Struct:
			everyKeySet(t, field.Index(0), name+"[0]")
		case field.Kind() != reflect.Bool && field.IsZero():
			t.Errorf("%s is not set by the example", name)
		}
	}
}

func TestExampleNamesEveryKeyAndNothingElse(t *testing.T) {
	for kind, typ := range examples {
		text := string(Example(kind))
		for _, k := range keysOf(typ) {
			last := k.Name[strings.LastIndex(k.Name, ".")+1:]
			if !regexp.MustCompile(`(?m)^ *#?` + last + `: \S`).MatchString(text) {
				t.Errorf("%s.yaml lacks %s", kind, k.Name)
			}
		}
		before := ""
		for line := range strings.Lines(text) {
			line = strings.TrimLeft(line, " -")
			if key := strings.TrimPrefix(line, "#"); regexp.MustCompile(`^[a-z_]+:`).MatchString(key) && !strings.HasPrefix(before, "# ") {
				t.Errorf("%s.yaml: no comment before %q", kind, line)
			}
			before = line
		}
	}
	if Example("agent") != nil {
		t.Error("an example for a command that has no configuration")
	}
}

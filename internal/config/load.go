package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// document is what a file holds: *Serve or *Gateway.
type document interface {
	complete()          // sets the defaults that follow from other keys
	validate(f *faults) // tells what cannot work
}

// load fills doc from its defaults, the file, environ and overrides, each over the one before.
func load(doc document, path string, environ []string, overrides map[string]string) error {
	f := &faults{file: path}
	v := reflect.ValueOf(doc).Elem()
	setDefaults(v)
	if path != "" {
		data, err := readFile(path)
		if err != nil {
			return err
		}
		if !decodeFile(data, v, f) {
			return f.err() // what is missing is no news, where nothing could be read
		}
	}
	settings := make(map[string]reflect.Value)
	for _, k := range keysOf(v.Type()) {
		settings[k.Name] = v.FieldByIndex(k.index)
	}
	applyEnvironment(environ, settings, f)
	applyOverrides(overrides, settings, f)
	resolvePaths(v, "", f)
	doc.complete()
	doc.validate(f)
	return f.err()
}

// readFile returns the text of a configuration file, or the one *Error that says why not.
func readFile(path string) ([]byte, error) {
	fault := func(message, hint string) error {
		return &Error{Origin: path, Message: message, Hint: hint}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return nil, fault("is a folder", "Name the file in it.")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch {
	case err != nil:
		return nil, unreadable(path, err)
	case len(data) > maxFile:
		return nil, fault("is larger than 1 MiB", "Is this the configuration file?")
	case len(bytes.TrimSpace(data)) == 0:
		return nil, fault("is empty", "`holdfast serve --example` and `holdfast gateway --example` print a file to begin with.")
	case !utf8.Valid(data):
		return nil, fault("is not UTF-8 text", "Is this the configuration file?")
	}
	return data, nil
}

// unreadable puts an error of the file system in words.
func unreadable(path string, err error) *Error {
	var pathError *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Origin: path, Message: "there is no such file", Hint: "Is the path right? `holdfast serve --example` and `holdfast gateway --example` print a file to begin with."}
	case errors.Is(err, fs.ErrPermission):
		return &Error{Origin: path, Message: "this user may not read it", Hint: "Give the user that runs holdfast the right to read it."}
	case errors.As(err, &pathError):
		err = pathError.Err
	}
	return &Error{Origin: path, Message: "cannot be read: " + err.Error()}
}

// setDefaults writes the default tags of v and its sections.
func setDefaults(v reflect.Value) {
	for i := range v.NumField() {
		field, tag := v.Field(i), v.Type().Field(i).Tag
		if field.Kind() == reflect.Struct {
			setDefaults(field)
		} else if text, ok := tag.Lookup("default"); ok {
			if fault := setText(field, text); fault != "" {
				panic("config: default of " + v.Type().Field(i).Name + " " + fault)
			}
		}
	}
}

// setText writes a scalar that stands in text, and says what is wrong with it otherwise.
func setText(field reflect.Value, text string) (fault string) {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "must not hold line breaks or other control characters"
	}
	switch target := field.Addr().Interface().(type) {
	case *string:
		*target = text
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return quote(text) + " is not a duration (write it with its unit, as in 90s, 5m or 1h)"
		}
		*target = d
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil || text != "true" && text != "false" {
			return "must be true or false, not " + quote(text)
		}
		*target = b
	default:
		panic(fmt.Sprintf("config: no text for a %T", target))
	}
	return ""
}

func applyOverrides(overrides map[string]string, settings map[string]reflect.Value, f *faults) {
	for _, key := range slices.Sorted(maps.Keys(overrides)) {
		o := origin{name: "--" + flagName(key)}
		field, ok := settings[key]
		if !ok {
			f.at(o, key, fmt.Sprintf("unknown key %q%s", key, meant(key, slices.Sorted(maps.Keys(settings)))), "")
			continue
		}
		f.setFrom(o, key, field, overrides[key])
	}
}

// setFrom writes a value that came from a variable or a flag.
func (f *faults) setFrom(o origin, key string, field reflect.Value, text string) {
	f.set(key, o)
	if fault := setText(field, text); fault != "" {
		f.add(key, fault)
		f.spoil(key)
	}
}

// resolvePaths makes the file paths of v absolute: those of the file start at
// its folder, those of variables and flags at the working directory.
func resolvePaths(v reflect.Value, prefix string, f *faults) {
	for i := range v.NumField() {
		field, info := v.Field(i), v.Type().Field(i)
		key := prefix + info.Tag.Get("yaml")
		switch kind := info.Tag.Get("path"); {
		case field.Kind() == reflect.Struct:
			resolvePaths(field, key+".", f)
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
			for j := range field.Len() {
				resolvePaths(field.Index(j), fmt.Sprintf("%s[%d].", key, j), f)
			}
		case kind != "" && field.String() != "":
			field.SetString(f.resolve(key, kind, field.String()))
		}
	}
}

func (f *faults) resolve(key, kind, value string) string {
	if kind == "database" {
		if strings.Contains(value, "://") || strings.Contains(value, ":memory:") {
			return value // no path
		}
		if value = strings.TrimPrefix(value, "sqlite:"); value == "" {
			return value
		}
	}
	if !filepath.IsAbs(value) && f.origin[key].fromFile {
		value = filepath.Join(filepath.Dir(f.file), value)
	}
	absolute, err := filepath.Abs(value)
	if err != nil {
		f.add(key, "the working directory is not known: "+err.Error())
		f.spoil(key)
		return value
	}
	return absolute
}

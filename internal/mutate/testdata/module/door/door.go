// Package door is a target with checks of every shape.
package door

import (
	"errors"
	"net/http"
)

var errNo = errors.New("no")

func Open(name string, age int) error {
	if name == "" || age < 0 {
		return errNo
	}
	switch {
	case age > 150:
		return errNo
	}
	switch name {
	case "eve":
		return errNo
	}
	if name == "root" {
		return nil
	}
	if age >= 18 && name != "mallory" {
		return nil
	}
	return errNo
}

func Fits(a, b int) bool { return a > 0 && b > 0 }

func Known(name string) (string, bool) {
	if name == "nobody" {
		return "", false
	}
	return name, true
}

func Serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != "GET" {
		http.Error(w, "no", 405)
		return
	}
	if r.URL.Path == "/nowhere" {
		http.NotFound(w, r)
		return
	}
	w.WriteHeader(204)
}

func Unreached(n int) error {
	if n == 1 {
		return errNo
	}
	return nil
}

func Endless(n int) error {
	for {
		if n > 3 {
			return errNo
		}
	}
}

func Same(n int) error {
	if n < 0 { // the loop below does as much
		return errNo
	}
	for ; n >= 0; n-- {
		return nil
	}
	return errNo
}

func Reason(n int) string {
	if n < 0 {
		return "negative"
	}
	return ""
}

func Name(n int) string {
	if n < 0 {
		return "negative"
	}
	return "positive"
}

package main

import (
	"bytes"
	"os"
)

// kindOf guesses by a key that only a gateway's file has. A file that cannot be
// read is the loader's to complain about.
func kindOf(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return "serve"
	}
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, []byte("gateway_url:")) {
			return "gateway"
		}
	}
	return "serve"
}

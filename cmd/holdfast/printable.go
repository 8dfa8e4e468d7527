package main

import "strings"

// printable is text of a server's without what could command a terminal: every
// byte outside printable ASCII is shown as "?".
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

package main

import "testing"

func TestPrintable(t *testing.T) {
	if got := printable("401 \x1b[2J\u009b31m caf\u00e9\r\n"); got != "401 ?[2J?31m caf???" {
		t.Errorf("got %q", got)
	}
}

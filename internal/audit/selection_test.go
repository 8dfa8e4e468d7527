package audit_test

import (
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
)

func TestSelectionOfAll(t *testing.T) {
	if !(audit.Selection{}).All() {
		t.Error("an empty selection does not choose all")
	}
	for _, s := range []audit.Selection{
		{Actor: "x"}, {Action: "x"}, {NotNouns: []string{"x"}}, {Organisation: "x"}, {Subject: "x"}, {Since: time.Unix(1, 0)}, {Until: time.Unix(1, 0)},
	} {
		if s.All() {
			t.Errorf("%+v chooses all", s)
		}
	}
}

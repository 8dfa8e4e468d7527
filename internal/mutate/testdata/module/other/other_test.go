package other

import "testing"

func TestAsk(t *testing.T) {
	if Ask("nobody") {
		t.Error("wrong")
	}
}

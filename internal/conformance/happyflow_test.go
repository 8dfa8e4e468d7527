package conformance_test

import (
	"net/http"
	"testing"
)

func TestHappyFlow(t *testing.T) {
	eachVariant(t, func(t *testing.T, w *world, a *application) {
		token := a.token(t)
		got := w.send(t, a.resourceRequest(t, token))
		got.served()
		if got.status != http.StatusOK {
			t.Error(got)
		}
	})
}

package httpmw

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-auth/holdfast/verify"
)

// exposed are the fields that a browser's script must be able to read.
const exposed = "DPoP-Nonce, WWW-Authenticate"

// WriteError answers with a refusal: challenges, nonce, Retry-After and the
// error code as JSON, nothing of the reason. An error that is not a
// *verify.Error is answered 500.
func WriteError(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*verify.Error](err)
	if !ok {
		e = &verify.Error{Status: http.StatusInternalServerError, Code: "server_error"}
	}
	h := w.Header()
	h["Cache-Control"] = []string{"no-store"}
	if len(e.Challenges) > 0 {
		h["Www-Authenticate"] = e.Challenges
		h.Add("Access-Control-Expose-Headers", exposed)
	}
	if e.Nonce != "" {
		h.Set("DPoP-Nonce", e.Nonce)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	if e.Status == http.StatusMisdirectedRequest {
		h.Set("Connection", "close")
	}
	body := ""
	if e.Code != "" {
		h.Set("Content-Type", "application/json")
		body = `{"error":"` + e.Code + `"}` + "\n"
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.Status)
	_, _ = w.Write([]byte(body)) // the client is gone if this fails
}

// OfferNonce puts the grant's next nonce, if it has one, among the fields of an
// answer.
func OfferNonce(h http.Header, g *verify.Grant) {
	if g.Nonce != "" {
		h.Set("DPoP-Nonce", g.Nonce)
		h.Add("Access-Control-Expose-Headers", "DPoP-Nonce")
	}
}

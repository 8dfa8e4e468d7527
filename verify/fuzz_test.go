package verify_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/verify"
)

// alwaysFirst lets the fuzzer use a proof any number of times.
type alwaysFirst struct{}

func (alwaysFirst) FirstUse(context.Context, [32]byte, time.Time) (bool, error) { return true, nil }

// FuzzVerify holds that whatever is sent, a grant takes the text of a token that
// was issued and, for one bound to a key, a proof of that key; and that refusals
// have a reason, a status that a door knows, and nothing of what was sent.
func FuzzVerify(f *testing.F) {
	w := newWorld(f, func(w *world) { w.config.Replay = alwaysFirst{} })
	cert, key := w.certToken(), w.keyToken()
	proof := w.withProof(key).DPoP[0]
	for _, token := range []string{cert, key, "", "x", cert[:len(cert)-1], strings.Repeat(".", 64)} {
		for _, scheme := range []string{"Bearer ", "DPoP ", "dpop  ", ""} {
			f.Add(scheme+token, proof, true)
			f.Add(scheme+token, "", false)
		}
	}
	f.Fuzz(func(t *testing.T, authorization, dpopField string, overTLS bool) {
		r := &verify.Request{Method: "GET", URL: target, Authorization: []string{authorization}}
		if dpopField != "" {
			r.DPoP = []string{dpopField}
		}
		if overTLS {
			r.Certificate = w.client.Peer
		}
		g, err := w.verify(r)
		if err == nil {
			scheme, token, _ := strings.Cut(authorization, " ")
			token = strings.TrimLeft(token, " ")
			switch {
			case token == cert && overTLS && strings.EqualFold(scheme, "Bearer") && g.Nonce == "":
			case token == key && strings.EqualFold(scheme, "DPoP") && provesKey(dpopField, w):
			default:
				t.Fatalf("granted: %q with %q", authorization, dpopField)
			}
			return
		}
		e, ok := errors.AsType[*verify.Error](err)
		if !ok || g != nil || e.Reason == "" {
			t.Fatalf("%v, %v", g, err)
		}
		switch e.Status {
		case 400, 401, 403:
			if len(e.Challenges) == 0 {
				t.Error("no challenge")
			}
		default:
			t.Errorf("status %d for what a client sent", e.Status)
		}
	})
}

func provesKey(proof string, w *world) bool {
	p, err := dpop.Parse(proof)
	return err == nil && p.JKT == w.client.Prover.JKT() && p.Method == "GET"
}

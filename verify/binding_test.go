package verify_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/mtls"
	"github.com/holdfast-auth/holdfast/verify"
)

func TestBinding(t *testing.T) {
	w := newWorld(t)
	thumbprint := w.client.Peer.Thumbprint()
	x5t := func(value any) string {
		return w.issuer.Token(w, w.claims().With(verifytest.Claims{"cnf": map[string]any{"x5t#S256": value}}))
	}
	confirmed := func(value any) string {
		return w.issuer.Token(w, w.claims().With(verifytest.Claims{"cnf": value}))
	}
	unbound := w.issuer.Token(t, w.claims().With(verifytest.Claims{"cnf": nil}))
	asDPoP := func(token string) *verify.Request {
		r := w.withProof(token)
		r.Certificate = w.client.Peer
		return r
	}
	asBearer := func(token string) *verify.Request {
		r := w.withProof(token)
		r.Authorization[0] = "Bearer " + token
		r.Certificate = w.client.Peer
		return r
	}
	bare := func(token string) *verify.Request {
		return &verify.Request{Method: "GET", Authorization: []string{"Bearer " + token}}
	}
	for _, tt := range []struct {
		name    string
		request *verify.Request
		reason  verify.Reason
	}{
		{"promise 1: an unbound token", w.overMTLS(unbound), verify.NotBound},
		{"advisory 34: an unbound token with a proof", asDPoP(unbound), verify.NotBound},
		{"an empty cnf", w.overMTLS(confirmed(map[string]any{})), verify.UnknownConfirmation},
		{"a cnf that is no object", w.overMTLS(confirmed("x")), verify.UnknownConfirmation},
		{"an unknown member alone", w.overMTLS(confirmed(map[string]any{"kid": "1"})), verify.UnknownConfirmation},
		{"an unknown member beside a known one", w.overMTLS(confirmed(map[string]any{"x5t#S256": thumbprint.String(), "jwk": map[string]any{}})), verify.UnknownConfirmation},
		{"advisory 35: the hash in base64 instead of base64url", w.overMTLS(x5t(base64.StdEncoding.EncodeToString(thumbprint[:]))), verify.UnknownConfirmation},
		{"the hash in hex", w.overMTLS(x5t(fmt.Sprintf("%x", thumbprint[:]))), verify.UnknownConfirmation},
		{"the hash as a number", w.overMTLS(x5t(1)), verify.UnknownConfirmation},
		{"advisory 35: no certificate", bare(w.certToken()), verify.NoClientCert},
		{"advisory 34, RFC 9449 §7.2: a DPoP-bound token as Bearer", asBearer(w.keyToken()), verify.WrongScheme},
		{"a certificate-bound token as DPoP", asDPoP(w.certToken()), verify.WrongScheme},
		{"a token of both keys as Bearer", asBearer(w.bothToken()), verify.WrongScheme},
		{"a token of both keys without the certificate", w.withProof(w.bothToken()), verify.NoClientCert},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			if e := w.refused(tt.request, tt.reason, 401); e.Code != "invalid_token" || e.Token == nil {
				t.Errorf("code %q, token %v", e.Code, e.Token)
			}
		})
	}
	t.Run("a token of both keys without the proof", func(t *testing.T) {
		w.TB = t
		r := asDPoP(w.bothToken())
		r.DPoP = nil
		w.refused(r, verify.ProofMissing, 401)
	})
	t.Run("attack 1: a certificate in a header, from nobody we trust", func(t *testing.T) {
		w.TB = t
		r := bare(w.certToken())
		r.ForwardedCertificate = true
		w.refused(r, verify.UntrustedEdge, 401)
	})
	t.Run("a certificate in a header beside a DPoP-bound token as Bearer: the wire says what it says without", func(t *testing.T) {
		w.TB = t
		r := asBearer(w.keyToken())
		shown := r.Certificate
		r.Certificate = nil
		without := w.refused(r, verify.WrongScheme, 401)
		r.ForwardedCertificate = true
		if with := w.refused(r, verify.UntrustedEdge, 401); len(with.Challenges) != 2 || !slices.Equal(with.Challenges, without.Challenges) || with.Code != without.Code {
			t.Errorf("challenges %q, code %q", with.Challenges, with.Code)
		}
		r.Certificate = shown
		w.refused(r, verify.WrongScheme, 401)
	})
	t.Run("a stray header takes nothing from the connection's certificate", func(t *testing.T) {
		w.TB = t
		r := w.overMTLS(w.certToken())
		r.ForwardedCertificate = true
		w.served(r)
	})
	t.Run("a zero peer is nobody", func(t *testing.T) {
		w.TB = t
		r := bare(w.issuer.Token(t, w.claims().With(verifytest.Claims{"cnf": map[string]any{"x5t#S256": cnf.Thumbprint{}.String()}})))
		r.Certificate = new(mtls.Peer)
		w.refused(r, verify.CertExpired, 401)
	})
}

func TestBindingRule(t *testing.T) {
	for _, tt := range []struct {
		rule          verify.BindingRule
		cert, key     verify.Reason
		bothWithProof verify.Reason
	}{
		{verify.BindMTLS, "", verify.WrongBinding, ""},
		{verify.BindDPoP, verify.WrongBinding, "", ""},
		{verify.BindEither, "", "", ""},
	} {
		t.Run(string(tt.rule), func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.rules.Binding = tt.rule })
			both := w.withProof(w.bothToken())
			both.Certificate = w.client.Peer
			for _, c := range []struct {
				request *verify.Request
				want    verify.Reason
			}{{w.overMTLS(w.certToken()), tt.cert}, {w.withProof(w.keyToken()), tt.key}, {both, tt.bothWithProof}} {
				if c.want == "" {
					w.served(c.request)
				} else {
					w.refused(c.request, c.want, 401)
				}
			}
		})
	}
	t.Run("a verifier that cannot check proofs accepts no token that needs one", func(t *testing.T) {
		w := newWorld(t, func(w *world) {
			w.rules.Binding, w.config.Replay, w.config.Nonces = verify.BindMTLS, nil, nil
		})
		both := w.withProof(w.bothToken())
		both.Certificate = w.client.Peer
		w.refused(both, verify.WrongBinding, 401)
		w.served(w.overMTLS(w.certToken()))
	})
}

func TestOtherCertificate(t *testing.T) {
	renewed, stranger, known := &verifytest.Client{}, &verifytest.Client{}, certificates{}
	w := newWorld(t, func(w *world) {
		renewed, stranger = verifytest.NewClient(t, w.clock), verifytest.NewClient(t, w.clock)
		w.config.Certificates = known
	})
	neighbour := verifytest.NewClient(t, w.clock)
	known[renewed.Peer.Thumbprint()] = "shop"
	known[neighbour.Peer.Thumbprint()] = "neighbour"
	token := w.certToken()
	var wire []string
	for _, tt := range []struct {
		name   string
		client *verifytest.Client
		reason verify.Reason
	}{
		{"advisory 35: the renewed certificate of the same application", renewed, verify.BindingRotated},
		{"another application's certificate", neighbour, verify.BindingForeign},
		{"a certificate that nobody knows", stranger, verify.BindingForeign},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			r := w.overMTLS(token)
			r.Certificate = tt.client.Peer
			e := w.refused(r, tt.reason, 401)
			wire = append(wire, e.Code+strings.Join(e.Challenges, "|"))
		})
	}
	t.Run("the wire says the same to all", func(t *testing.T) {
		for _, s := range wire {
			if s != wire[0] {
				t.Errorf("%q and %q", s, wire[0])
			}
		}
	})
	t.Run("without a directory every other certificate is foreign", func(t *testing.T) {
		w := newWorld(t)
		r := w.overMTLS(w.certToken())
		r.Certificate = renewed.Peer
		w.refused(r, verify.BindingForeign, 401)
	})
}

func TestCertificateExpiry(t *testing.T) {
	t.Run("promise 6: a certificate that expires on an open connection", func(t *testing.T) {
		w := newWorld(t)
		w.client = verifytest.NewClientValid(t, w.clock.Now().Add(-time.Hour), w.clock.Now().Add(time.Minute))
		r := w.overMTLS(w.certToken())
		w.served(r)
		w.clock.Advance(time.Minute)
		w.served(r)
		w.clock.Advance(time.Second)
		w.refused(r, verify.CertExpired, 401)
	})
	t.Run("a certificate that is not yet valid", func(t *testing.T) {
		w := newWorld(t)
		w.client = verifytest.NewClientValid(t, w.clock.Now().Add(time.Minute), w.clock.Now().Add(time.Hour))
		w.refused(w.overMTLS(w.certToken()), verify.CertNotYetValid, 401)
	})
}

func TestProof(t *testing.T) {
	w := newWorld(t)
	token := w.keyToken()
	now := w.clock.Now()
	other := verifytest.NewClient(t, w.clock)
	prove := func(c *verifytest.Client, now time.Time, method, url, token string) string {
		return c.Proof(t, now, method, url, token, "")
	}
	good := prove(w.client, now, "GET", target, token)
	broken := []byte(good)
	if at := &broken[len(broken)-10]; *at == 'A' {
		*at = 'B'
	} else {
		*at = 'A'
	}
	for _, tt := range []struct {
		name, proof string
		reason      verify.Reason
	}{
		{"text that is no proof", "x", verify.ProofMalformed},
		{"two proofs in one line", good + ", " + good, verify.ProofMalformed},
		{"beyond 4 KiB", strings.Repeat("a", dpop.MaxProof+1), verify.ProofMalformed},
		{"an access token in its place", token, verify.ProofMalformed},
		{"a broken signature", string(broken), verify.ProofSignature},
		{"advisory 34: a proof of another key", prove(other, now, "GET", target, token), verify.ProofKeyMismatch},
		{"another method", prove(w.client, now, "POST", target, token), verify.ProofMethod},
		{"another path", prove(w.client, now, "GET", target+"0", token), verify.ProofURL},
		{"another host", prove(w.client, now, "GET", "https://evil.example/payments/1", token), verify.ProofURL},
		{"another token", prove(w.client, now, "GET", target, w.keyToken()), verify.ProofTokenHash},
		{"no token", prove(w.client, now, "GET", target, ""), verify.ProofTokenHash},
		{"70 s old", prove(w.client, now.Add(-70*time.Second), "GET", target, token), verify.ProofTooOld},
		{"31 s ahead", prove(w.client, now.Add(31*time.Second), "GET", target, token), verify.ProofFromFuture},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			if e := w.refused(w.showing(token, tt.proof), tt.reason, 401); e.Code != "invalid_dpop_proof" || e.Token == nil {
				t.Errorf("code %q, token %v", e.Code, e.Token)
			}
		})
	}
	t.Run("no proof", func(t *testing.T) {
		w.TB = t
		r := w.showing(token, "")
		r.DPoP = nil
		w.refused(r, verify.ProofMissing, 401)
	})
	t.Run("a door that does not say what was addressed", func(t *testing.T) {
		w.TB = t
		r := w.withProof(token)
		r.URL = ""
		w.refused(r, verify.ProofURL, 401)
	})
	t.Run("none of these burned the jti of the good proof", func(t *testing.T) {
		w.TB = t
		w.served(w.showing(token, good))
	})
}

func TestReplay(t *testing.T) {
	t.Run("attack 9: a proof is good once, also among 64 at a time", func(t *testing.T) {
		w := newWorld(t)
		r := w.withProof(w.keyToken())
		var served, replayed atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if _, err := w.verify(r); err == nil {
					served.Add(1)
				} else {
					replayed.Add(1)
				}
			})
		}
		wg.Wait()
		if served.Load() != 1 || replayed.Load() != 63 {
			t.Errorf("served %d, refused %d", served.Load(), replayed.Load())
		}
		w.refused(r, verify.ProofReplayed, 401)
	})
	t.Run("a proof cannot be used again while its iat is good", func(t *testing.T) {
		w := newWorld(t)
		token := w.keyToken()
		r := w.showing(token, w.client.Proof(t, w.clock.Now().Add(30*time.Second), "GET", target, token, ""))
		w.served(r)
		for range 99 {
			w.clock.Advance(time.Second)
			w.refused(r, verify.ProofReplayed, 401)
		}
		w.clock.Advance(time.Second)
		w.refused(r, verify.ProofTooOld, 401)
	})
	t.Run("a proof that fails for its method is good for the right one", func(t *testing.T) {
		w := newWorld(t)
		r := w.withProof(w.keyToken())
		r.Method = "POST"
		w.refused(r, verify.ProofMethod, 401)
		r.Method = "GET"
		w.served(r)
	})
	t.Run("a store that is down is 503, whatever else it says", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.config.Replay = brokenReplay{} })
		if e := w.refused(w.withProof(w.keyToken()), verify.ReplayStoreDown, 503); e.Cause == nil || e.RetryAfter <= 0 {
			t.Errorf("%+v", e)
		}
	})
	t.Run("a token whose scope is too small uses up its proof", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.rules.Scopes = []string{"more"} })
		r := w.withProof(w.keyToken())
		w.refused(r, verify.InsufficientScope, 403)
		w.refused(r, verify.ProofReplayed, 401)
	})
}

func TestNonce(t *testing.T) {
	justStarted := func(w *world) { w.config.StartedAt = w.clock.Now() }
	ask := func(w *world, token, nonce string) *verify.Request {
		return w.showing(token, w.client.Proof(w, w.clock.Now(), "GET", target, token, nonce))
	}
	t.Run("after a start without a shared store, a nonce younger than the start is needed", func(t *testing.T) {
		w := newWorld(t, justStarted)
		w.clock.Advance(time.Second)
		token := w.keyToken()
		before := w.nonces.Issue(w.clock.Now().Add(-2*time.Second), w.client.Prover.JKT())
		for _, nonce := range []string{"", "junk", before} {
			e := w.refused(ask(w, token, nonce), verify.NonceRequired, 401)
			if e.Code != "use_dpop_nonce" || !w.nonces.Check(w.clock.Now(), e.Nonce, w.client.Prover.JKT(), w.clock.Now()) {
				t.Errorf("%+v", e)
			}
			w.served(ask(w, token, e.Nonce))
		}
	})
	t.Run("it is asked for during 100 s and not after", func(t *testing.T) {
		w := newWorld(t, justStarted)
		token := w.keyToken()
		w.clock.Advance(dpop.KeepID - time.Second)
		w.refused(ask(w, token, ""), verify.NonceRequired, 401)
		w.clock.Advance(time.Second)
		w.served(ask(w, token, ""))
	})
	t.Run("the start is that of New unless it is told", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.config.StartedAt = time.Time{} })
		w.refused(ask(w, w.keyToken(), ""), verify.NonceRequired, 401)
	})
	t.Run("with a shared store there is no doubt", func(t *testing.T) {
		w := newWorld(t, justStarted, func(w *world) { w.config.SharedReplay = true })
		w.served(ask(w, w.keyToken(), ""))
	})
	t.Run("RFC 9449 §4.3 (10): without doubt none is needed, but none is good that is not ours", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.config.SharedReplay = true })
		token := w.keyToken()
		w.served(ask(w, token, ""))
		e := w.refused(ask(w, token, "junk"), verify.NonceRequired, 401)
		w.served(ask(w, token, e.Nonce))
	})
	t.Run("off, with a shared store", func(t *testing.T) {
		w := newWorld(t, justStarted, func(w *world) { w.config.SharedReplay, w.rules.Nonce = true, verify.NonceOff })
		w.served(ask(w, w.keyToken(), ""))
	})
	t.Run("always, also when there is no doubt, and then of any age that is good", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.rules.Nonce = verify.NonceAlways })
		token := w.keyToken()
		e := w.refused(ask(w, token, ""), verify.NonceRequired, 401)
		w.clock.Advance(2 * time.Minute)
		w.served(ask(w, token, e.Nonce))
	})
	t.Run("advisory: a nonce of another key", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.rules.Nonce = verify.NonceAlways })
		other := verifytest.NewClient(t, w.clock)
		w.refused(ask(w, w.keyToken(), w.nonces.Issue(w.clock.Now(), other.Prover.JKT())), verify.NonceRequired, 401)
	})
	t.Run("use_dpop_nonce burns no jti", func(t *testing.T) {
		w := newWorld(t, justStarted)
		r := ask(w, w.keyToken(), "")
		w.refused(r, verify.NonceRequired, 401)
		w.clock.Advance(dpop.KeepID)
		w.refused(r, verify.ProofTooOld, 401)
		w2 := newWorld(t, func(w2 *world) { w2.rules.Nonce = verify.NonceAlways })
		r2 := ask(w2, w2.keyToken(), "")
		w2.refused(r2, verify.NonceRequired, 401)
		w2.rules.Nonce = verify.NonceOnDoubt
		p, err := w2.verifier.NewPolicy(w2.rules)
		if err != nil {
			t.Fatal(err)
		}
		w2.policy = p
		w2.served(r2)
	})
	t.Run("a bad proof gets no nonce", func(t *testing.T) {
		w := newWorld(t, justStarted)
		r := ask(w, w.keyToken(), "")
		r.Method = "POST"
		if e := w.refused(r, verify.ProofMethod, 401); e.Nonce != "" {
			t.Error("a nonce for a proof that is wrong")
		}
	})
}

func TestChallenges(t *testing.T) {
	const (
		algs   = `algs="ES256 PS256 EdDSA Ed25519"`
		at     = `resource_metadata="` + metadata + `"`
		bearer = `Bearer error="invalid_token", ` + at
	)
	for _, tt := range []struct {
		name    string
		rule    verify.BindingRule
		request func(*world) *verify.Request
		want    []string
	}{
		{"no credential, either", verify.BindEither, func(*world) *verify.Request { return &verify.Request{} },
			[]string{`DPoP ` + algs + `, scope="payments", ` + at, `Bearer scope="payments", ` + at}},
		{"no credential, mtls", verify.BindMTLS, func(*world) *verify.Request { return &verify.Request{} }, []string{`Bearer scope="payments", ` + at}},
		{"no credential, dpop", verify.BindDPoP, func(*world) *verify.Request { return &verify.Request{} }, []string{`DPoP ` + algs + `, scope="payments", ` + at}},
		{"a bad token as Bearer", verify.BindEither, func(w *world) *verify.Request { return w.overMTLS("junk") }, []string{bearer}},
		{"a bad token as DPoP", verify.BindEither, func(w *world) *verify.Request { return w.showing("junk", "x") }, []string{`DPoP error="invalid_token", ` + algs + `, ` + at}},
		{"RFC 9449 §7.2: a DPoP-bound token as Bearer", verify.BindEither, func(w *world) *verify.Request { return w.overMTLS(w.keyToken()) },
			[]string{bearer, `DPoP ` + algs + `, ` + at}},
		{"a certificate-bound token as DPoP", verify.BindEither, func(w *world) *verify.Request { return w.withProof(w.certToken()) },
			[]string{`DPoP error="invalid_token", ` + algs + `, ` + at, `Bearer ` + at}},
		{"a bad proof", verify.BindDPoP, func(w *world) *verify.Request { return w.showing(w.keyToken(), "x") },
			[]string{`DPoP error="invalid_dpop_proof", ` + algs + `, ` + at}},
		{"two credentials, either", verify.BindEither, func(*world) *verify.Request { return &verify.Request{Authorization: []string{"a", "b"}} },
			[]string{`Bearer error="invalid_request", ` + at}},
		{"two credentials, dpop", verify.BindDPoP, func(*world) *verify.Request { return &verify.Request{Authorization: []string{"a", "b"}} },
			[]string{`DPoP error="invalid_request", ` + algs + `, ` + at}},
		{"scope", verify.BindMTLS, func(w *world) *verify.Request {
			return w.overMTLS(w.issuer.Token(w, w.claims().With(verifytest.Claims{"scope": "x"})))
		}, []string{`Bearer error="insufficient_scope", scope="payments", ` + at}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.rules.Binding = tt.rule })
			_, err := w.verify(tt.request(w))
			e, ok := err.(*verify.Error)
			if !ok || strings.Join(e.Challenges, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got  %q\nwant %q", e.Challenges, tt.want)
			}
		})
	}
	t.Run("without scopes and metadata", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.rules.Scopes, w.rules.MetadataURL = nil, "" })
		if e := w.refused(&verify.Request{}, verify.NoCredential, 401); strings.Join(e.Challenges, "\n") != "DPoP "+algs+"\nBearer" {
			t.Errorf("%q", e.Challenges)
		}
	})
	t.Run("nonce wanted", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.rules.Nonce = verify.NonceAlways })
		e := w.refused(w.withProof(w.keyToken()), verify.NonceRequired, 401)
		if want := `DPoP error="use_dpop_nonce", ` + algs + `, ` + at; e.Challenges[0] != want {
			t.Errorf("%q", e.Challenges)
		}
	})
	t.Run("an error says its reason and its cause and no token", func(t *testing.T) {
		w := newWorld(t)
		e := w.refused(w.overMTLS("junk"), verify.TokenMalformed, 401)
		if !strings.HasPrefix(e.Error(), "refused: token_malformed: ") || strings.Contains(e.Error(), "junk") {
			t.Error(e)
		}
		if e := w.refused(&verify.Request{}, verify.NoCredential, 401); e.Error() != "refused: no_credential" {
			t.Error(e)
		}
	})
}

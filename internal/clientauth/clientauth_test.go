package clientauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/mtls"
)

// refused checks the one answer that a refusal gives: its code, status and reason.
func refused(t *testing.T, err error, code oauth.Code, reason string) *clientauth.Refusal {
	t.Helper()
	e, ok := oauth.AsError(err)
	if !ok {
		t.Fatalf("got error %v, want %s (%s)", err, code, reason)
	}
	status := http.StatusBadRequest
	if code == oauth.InvalidClient {
		status = http.StatusUnauthorized
		if e.Description != "client authentication failed" {
			t.Errorf("description %q tells more than that it failed", e.Description)
		}
	}
	if e.Code != code || e.Reason != reason || e.Status != status {
		t.Fatalf("got %d %s (%s), want %d %s (%s)", e.Status, e.Code, e.Reason, status, code, reason)
	}
	r, ok := errors.AsType[*clientauth.Refusal](err)
	if !ok {
		t.Fatalf("%T is not a Refusal", err)
	}
	return r
}

func TestOneMethod(t *testing.T) {
	w := authtest.New(t)
	w.Application("jwt", directory.PrivateKeyJWT, cnf.DPoP)
	key := w.Key("jwt", "ES256", "k1")
	w.Application("tls", directory.TLSClientAuth, cnf.MTLS)
	peer := w.Peer(w.Issue("tls").Certificate)
	good := func() url.Values {
		return url.Values{"client_id": {"jwt"}, "client_assertion_type": {clientauth.AssertionType}, "client_assertion": {w.Assertion("jwt", key, nil)}}
	}
	cases := []struct {
		name   string
		edit   func(url.Values, *clientauth.Attempt)
		code   oauth.Code
		reason string
	}{
		{"advisory 26: assertion and client_secret", func(v url.Values, _ *clientauth.Attempt) { v.Set("client_secret", "s") },
			oauth.InvalidRequest, clientauth.ReasonTwoMethods},
		{"advisory 26: assertion and Authorization", func(_ url.Values, a *clientauth.Attempt) { a.Authorization = []string{"Basic and0Ong="} },
			oauth.InvalidRequest, clientauth.ReasonTwoMethods},
		{"two Authorization lines", func(v url.Values, a *clientauth.Attempt) {
			clear(v)
			a.Authorization = []string{"Basic and0Ong=", "Basic and0Ong="}
		}, oauth.InvalidRequest, clientauth.ReasonTwoMethods},
		{"half of the pair and client_secret", func(v url.Values, _ *clientauth.Attempt) {
			v.Del("client_assertion")
			v.Set("client_secret", "s")
		}, oauth.InvalidRequest, clientauth.ReasonTwoMethods},
		{"client_secret alone is not offered", func(v url.Values, _ *clientauth.Attempt) {
			clear(v)
			v.Set("client_id", "jwt")
			v.Set("client_secret", "s")
		}, oauth.InvalidClient, clientauth.ReasonMethodNotOffered},
		{"client_secret_basic is not offered", func(v url.Values, a *clientauth.Attempt) {
			clear(v)
			a.Authorization = []string{"Basic and0Ong="}
		}, oauth.InvalidClient, clientauth.ReasonMethodNotOffered},
		{"client_secret beside a good certificate is still a secret", func(v url.Values, a *clientauth.Attempt) {
			clear(v)
			v.Set("client_id", "tls")
			v.Set("client_secret", "s")
			a.Peer = peer
		}, oauth.InvalidClient, clientauth.ReasonMethodNotOffered},
		{"RFC 7521 §4.2: client_assertion without its type", func(v url.Values, _ *clientauth.Attempt) { v.Del("client_assertion_type") },
			oauth.InvalidRequest, clientauth.ReasonHalfPair},
		{"RFC 7521 §4.2: client_assertion_type without assertion", func(v url.Values, _ *clientauth.Attempt) { v.Del("client_assertion") },
			oauth.InvalidRequest, clientauth.ReasonHalfPair},
		{"unknown client_assertion_type", func(v url.Values, _ *clientauth.Attempt) {
			v.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		}, oauth.InvalidRequest, clientauth.ReasonAssertionType},
		{"nothing at all", func(v url.Values, _ *clientauth.Attempt) { clear(v) }, oauth.InvalidClient, clientauth.ReasonNoCredential},
		{"RFC 8705 §2: a certificate without client_id", func(v url.Values, a *clientauth.Attempt) {
			clear(v)
			a.Peer = peer
		}, oauth.InvalidRequest, clientauth.ReasonClientIDMissing},
		{"an unusable certificate without client_id", func(v url.Values, a *clientauth.Attempt) {
			clear(v)
			a.PeerErr = mtls.ErrUntrusted
		}, oauth.InvalidRequest, clientauth.ReasonClientIDMissing},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v, a := good(), clientauth.Attempt{}
			c.edit(v, &a)
			a.Form = w.Form(v)
			_, err := w.Auth.Authenticate(w.Now, w.Snapshot, a)
			if r := refused(t, err, c.code, c.reason); r.Error() == "" {
				t.Error("empty error text")
			}
		})
	}
	t.Run("an assertion beside a certificate is private_key_jwt", func(t *testing.T) {
		got, err := w.Auth.Authenticate(w.Now, w.Snapshot, clientauth.Attempt{Form: w.Form(good()), Peer: peer})
		if err != nil || got.Method != directory.PrivateKeyJWT || got.Client.ClientID != "jwt" {
			t.Fatalf("got %+v, %v", got, err)
		}
	})
}

package clientauth_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"net/url"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/jwksuri"
	"github.com/holdfast-auth/holdfast/internal/oauth"
)

// shelf is a clientauth.Published that a test fills.
type shelf struct {
	sets   map[jwksuri.Place]*jwksuri.Set
	arrive func() bool // what Want does
	wanted []string
}

func (s *shelf) Keys(p jwksuri.Place) *jwksuri.Set { return s.sets[p] }

func (s *shelf) Want(_ context.Context, _ jwksuri.Place, name string) bool {
	s.wanted = append(s.wanted, name)
	return s.arrive != nil && s.arrive()
}

// publishing is a world in which "jwt" and "self" publish their keys.
type publishing struct {
	*authtest.World
	shelf *shelf
}

func newPublishing(t testing.TB) *publishing {
	w := &publishing{world(t), &shelf{sets: map[jwksuri.Place]*jwksuri.Set{}}}
	w.Auth.Published = w.shelf
	for _, id := range []directory.ClientID{"jwt", "self"} {
		w.Edit(id, func(a *directory.Application) { a.JWKSURI = "https://keys.example/" + string(id) })
	}
	return w
}

func (w *publishing) publish(id directory.ClientID, keys ...*jose.PublicKey) {
	w.T.Helper()
	set, err := jwksuri.Parse(jose.JWKSet(keys))
	if err != nil {
		w.T.Fatal(err)
	}
	w.shelf.sets[clientauth.PlaceOf(w.Snapshot.Client(id))] = set
}

func (w *publishing) request(form url.Values, shown ...*authtest.Certificate) (*clientauth.Authenticated, error) {
	w.T.Helper()
	a := clientauth.Attempt{Form: w.Form(form)}
	for _, c := range shown {
		a.Peer = w.Peer(c.Certificate)
	}
	return w.Auth.AuthenticateRequest(w.T.Context(), w.Now, w.Snapshot, a)
}

func (w *publishing) assert(s *jose.Signer) (*clientauth.Authenticated, error) {
	w.T.Helper()
	return w.request(url.Values{"client_id": {"jwt"}, "client_assertion_type": {clientauth.AssertionType}, "client_assertion": {w.Assertion("jwt", s, nil)}})
}

// revoke is what directory.RevokeKey leaves.
func (w *publishing) revoke(id directory.ClientID, jkt cnf.Thumbprint) {
	w.Apply(directory.Delta{Credentials: []directory.Credential{{
		ID: directory.UnregisteredKey(id, jkt), ClientID: id, Kind: directory.PublishedKey, State: directory.Revoked, Thumbprint: jkt,
	}}})
}

func TestPublishedKeys(t *testing.T) {
	w := newPublishing(t)
	a, b := w.NewSigner(jose.ES256, "a"), w.NewSigner(jose.EdDSA, "b")
	w.publish("jwt", a.Public(), b.Public())
	for _, s := range []*jose.Signer{a, b} {
		got, err := w.assert(s)
		if err != nil {
			t.Fatal(err)
		}
		jkt := cnf.Thumbprint(s.Public().Thumbprint())
		k := got.Credential
		if k.ID != directory.UnregisteredKey("jwt", jkt) || k.Kind != directory.PublishedKey || k.Thumbprint != jkt || k.ClientID != "jwt" || got.Use == nil || got.Method != directory.PrivateKeyJWT {
			t.Errorf("got %+v, %+v", got, k)
		}
	}
	if len(w.shelf.wanted) != 0 {
		t.Errorf("asked for %v although everything is there", w.shelf.wanted)
	}
	t.Run("a registered key goes on working beside them", func(t *testing.T) {
		if _, err := w.assert(w.Key("jwt", jose.ES256, "registered")); err != nil {
			t.Error(err)
		}
	})
	t.Run("one that is registered too is what its record says", func(t *testing.T) {
		w := newPublishing(t)
		s := w.Key("jwt", jose.ES256, "k")
		w.publish("jwt", s.Public())
		got, err := w.assert(s)
		if err != nil || got.Credential.Kind != directory.SigningKey {
			t.Errorf("%+v %v", got, err)
		}
		w.EditCredential(got.Credential.ID, func(c *directory.Credential) { c.State = directory.Revoked })
		_, err = w.assert(s)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonKeyNotAccepted)
	})
	for _, state := range []directory.State{directory.Active, directory.Suspended, directory.Revoked, directory.Compromised} {
		t.Run("one that another application registered too, "+string(state)+" there", func(t *testing.T) {
			w := newPublishing(t)
			w.Application("rival", directory.PrivateKeyJWT, cnf.DPoP)
			s := w.Key("rival", jose.ES256, "k", func(c *directory.Credential) { c.State = state })
			w.publish("jwt", s.Public())
			if _, err := w.assert(s); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("an old kid with a new key", func(t *testing.T) {
		w := newPublishing(t)
		old := w.Key("jwt", jose.ES256, "k")
		w.EditCredential(directory.CredentialID("key-k"), func(c *directory.Credential) { c.State = directory.Retired })
		s := w.NewSigner(jose.ES256, "k")
		w.publish("jwt", s.Public())
		if _, err := w.assert(s); err != nil {
			t.Error(err)
		}
		_, err := w.assert(old)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonAssertionSignature)
	})
	t.Run("without kid, and one key", func(t *testing.T) {
		w := newPublishing(t)
		w.publish("jwt", a.Public())
		if _, err := w.assertWithoutKid(a); err != nil {
			t.Error(err)
		}
		w.publish("jwt", a.Public(), b.Public())
		_, err := w.assertWithoutKid(a)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonKeyUnknown)
	})
}

func (w *publishing) assertWithoutKid(s *jose.Signer) (*clientauth.Authenticated, error) {
	w.T.Helper()
	raw := w.JWS(authtest.Claims{"alg": s.Public().Algorithm()}, w.AssertionClaims("jwt", nil), s)
	return w.request(url.Values{"client_id": {"jwt"}, "client_assertion_type": {clientauth.AssertionType}, "client_assertion": {raw}})
}

func TestPublishedKeysRefused(t *testing.T) {
	cases := []struct {
		name, reason string
		wanted       int
		try          func(w *publishing, s *jose.Signer) error
	}{
		{"an unknown kid, after a look", clientauth.ReasonKeyUnknown, 1, func(w *publishing, s *jose.Signer) error {
			w.publish("jwt", w.NewSigner(jose.ES256, "other").Public())
			_, err := w.assert(s)
			return err
		}},
		{"no keys could be had", clientauth.ReasonKeySetUnavailable, 1, func(w *publishing, s *jose.Signer) error {
			_, err := w.assert(s)
			return err
		}},
		{"nobody fetches keys here", clientauth.ReasonKeySetUnavailable, 0, func(w *publishing, s *jose.Signer) error {
			w.Auth.Published = nil
			_, err := w.assert(s)
			return err
		}},
		{"another client's published key", clientauth.ReasonKeyUnknown, 1, func(w *publishing, s *jose.Signer) error {
			w.publish("jwt")
			w.publish("self", s.Public())
			_, err := w.assert(s)
			return err
		}},
		{"revoked as a DPoP key", clientauth.ReasonKeyNotAccepted, 0, func(w *publishing, s *jose.Signer) error {
			w.publish("jwt", s.Public())
			w.Apply(directory.Delta{Credentials: []directory.Credential{{ID: "c", ClientID: "jwt", Kind: directory.DPoPKey, State: directory.Revoked, Thumbprint: s.Public().Thumbprint()}}})
			_, err := w.assert(s)
			return err
		}},
		{"the key of a certificate that is compromised", clientauth.ReasonKeyNotAccepted, 0, func(w *publishing, _ *jose.Signer) error {
			c := w.Issue("jwt")
			w.EditCredential(c.ID, func(c *directory.Credential) { c.State = directory.Compromised })
			s, err := jose.NewSigner(c.Key, jose.ES256, "k")
			if err != nil {
				return err
			}
			w.publish("jwt", s.Public())
			_, err = w.assert(s)
			return err
		}},
		{"revoked by its thumbprint", clientauth.ReasonKeyNotAccepted, 0, func(w *publishing, s *jose.Signer) error {
			w.publish("jwt", s.Public())
			w.revoke("jwt", s.Public().Thumbprint())
			_, err := w.assert(s)
			return err
		}},
		{"advisory 4: another key under the kid", clientauth.ReasonAssertionSignature, 0, func(w *publishing, s *jose.Signer) error {
			w.publish("jwt", w.NewSigner(jose.ES256, "k").Public())
			_, err := w.assert(s)
			return err
		}},
		{"another algorithm than the key's", clientauth.ReasonAssertionSignature, 0, func(w *publishing, s *jose.Signer) error {
			w.publish("jwt", w.NewSigner(jose.EdDSA, "k").Public())
			_, err := w.assert(s)
			return err
		}},
		{"an application that is suspended", clientauth.ReasonClientNotLive, 0, func(w *publishing, s *jose.Signer) error {
			w.publish("jwt", s.Public())
			w.Edit("jwt", func(a *directory.Application) { a.State = directory.Suspended })
			_, err := w.assert(s)
			return err
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newPublishing(t)
			refused(t, c.try(w, w.NewSigner(jose.ES256, "k")), oauth.InvalidClient, c.reason)
			if len(w.shelf.wanted) != c.wanted {
				t.Errorf("asked for %q", w.shelf.wanted)
			}
		})
	}
}

func TestPublishedMeanwhile(t *testing.T) {
	w := newPublishing(t)
	s := w.NewSigner(jose.ES256, "new")
	w.publish("jwt")
	w.shelf.arrive = func() bool { w.publish("jwt", s.Public()); return true }
	if _, err := w.assert(s); err != nil {
		t.Error(err)
	}
	if len(w.shelf.wanted) != 1 {
		t.Errorf("asked %d times", len(w.shelf.wanted))
	}
}

func TestCertificateOfAPublishedKey(t *testing.T) {
	w := newPublishing(t)
	key, public := signerOf(t)
	_, other := signerOf(t)
	form := url.Values{"client_id": {"self"}}
	shown := w.OwnCertificate(key, "x")

	_, err := w.request(form, shown)
	refused(t, err, oauth.InvalidClient, clientauth.ReasonKeySetUnavailable)
	w.publish("self", other)
	_, err = w.request(form, shown)
	refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateUnknown)
	w.shelf.arrive = func() bool { w.publish("self", other, public); return true }
	got, err := w.request(form, shown)
	if err != nil {
		t.Fatal(err)
	}
	if k := got.Credential; k.ID != directory.UnregisteredKey("self", public.Thumbprint()) || k.Kind != directory.PublishedKey || !k.NotAfter.Equal(shown.NotAfter) || got.Method != directory.SelfSignedTLSClientAuth {
		t.Errorf("got %+v", got.Credential)
	}
	t.Run("it is no certificate of another client's", func(t *testing.T) {
		_, err := w.request(url.Values{"client_id": {"tls"}}, shown)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateUnknown)
	})
	t.Run("its end", func(t *testing.T) {
		now := w.Now
		defer func() { w.Now = now }()
		w.Now = shown.NotAfter.Add(time.Second)
		_, err := w.request(form, shown)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateExpired)
	})
	t.Run("the key is revoked", func(t *testing.T) {
		w.revoke("self", public.Thumbprint())
		_, err := w.request(form, shown)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateNotAccepted)
	})
}

func signerOf(t testing.TB) (crypto.Signer, *jose.PublicKey) {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.NewPublicKey(key.Public(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	return key, public
}

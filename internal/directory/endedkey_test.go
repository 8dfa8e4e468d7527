package directory_test

import (
	"crypto"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

func publicOf(t *testing.T, key crypto.Signer) *jose.PublicKey {
	t.Helper()
	public, err := jose.NewPublicKey(key.Public(), "", "")
	must(t, err)
	return public
}

// TestEndedKey: a key that ended in one shape comes back in no other, of the same
// application; what another one says of it does not count.
func TestEndedKey(t *testing.T) {
	ended := map[string]func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer){}
	for _, to := range []directory.State{directory.Revoked, directory.Compromised} {
		ended["a signing key, "+string(to)] = func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer) {
			c, err := w.RegisterKey(t.Context(), "op", client, publicOf(t, key), time.Time{})
			must(t, err)
			must(t, w.SetCredentialState(t.Context(), "op", c.ID, to))
		}
		ended["a certificate of the key, "+string(to)] = func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer) {
			c, err := w.RegisterCertificate(t.Context(), "op", client, made(t, key, nil, nil, nil))
			must(t, err)
			if w.Current().Client(client).EndedKey(key.Public()) {
				t.Error("a key in use counts as ended")
			}
			must(t, w.SetCredentialState(t.Context(), "op", c.ID, to))
		}
	}
	ended["a DPoP key"] = func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer) {
		_, err := w.RevokeDPoPKey(t.Context(), "op", client, publicOf(t, key).Thumbprint())
		must(t, err)
	}
	ended["a key at its jwks_uri"] = func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer) {
		_, err := w.RevokeKey(t.Context(), "op", client, publicOf(t, key).Thumbprint())
		must(t, err)
	}
	// Each says nil when it took the key.
	again := map[string]func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer) error{
		"a signing key": func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer) error {
			_, err := w.RegisterKey(t.Context(), "op", client, publicOf(t, key), time.Time{})
			return err
		},
		"a certificate of the key": func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer) error {
			_, err := w.RegisterCertificate(t.Context(), "op", client, made(t, key, nil, nil, nil))
			return err
		},
		"a key of a registration": func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer) error {
			_, err := directory.NewSigningKey(w.Current().Client(client), publicOf(t, key), start)
			return err
		},
		"a certificate of a registration": func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer) error {
			_, err := directory.NewCertificate(w.Current().Client(client), made(t, key, nil, nil, nil), start)
			return err
		},
		"a DPoP key": func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer) error {
			bound := directory.Token{ClientID: client, Binding: cnf.ToKey(publicOf(t, key).Thumbprint()), IssuedAt: w.clock.now().Add(time.Hour)}
			if w.Current().Ended(bound) != "" {
				return directory.ErrInvalid
			}
			return nil
		},
		"the key of a certificate request": func(t *testing.T, w *world, client directory.ClientID, key crypto.Signer) error {
			if w.Current().Client(client).EndedKey(key.Public()) {
				return directory.ErrInvalid
			}
			return nil
		},
	}
	for was, end := range ended {
		for is, take := range again {
			t.Run(was+", then "+is, func(t *testing.T) {
				w, key := filled(t), p256(t)
				end(t, w, "self", key)
				if err := take(t, w, "self", key); !errors.Is(err, directory.ErrInvalid) && !errors.Is(err, directory.ErrExists) {
					t.Errorf("got %v", err)
				}
				if err := take(t, w, "jwt", key); err != nil {
					t.Errorf("another application, which did not end it: %v", err)
				}
				if err := take(t, w, "self", p256(t)); err != nil {
					t.Errorf("another key: %v", err)
				}
			})
		}
	}
	if filled(t).Current().Client("self").EndedKey("no key") {
		t.Error("what is no key has ended")
	}
}

func TestEndedCertificate(t *testing.T) {
	w, der := filled(t), made(t, p256(t), nil, nil, nil)
	_, err := w.RevokeCertificate(t.Context(), "op", "self", cnf.CertificateThumbprint(der))
	must(t, err)
	w.unchanged(t, func() {
		_, err := w.RegisterCertificate(t.Context(), "op", "self", der)
		at(t, err, "certificate")
	})
	_, err = w.RegisterCertificate(t.Context(), "op", "jwt", der)
	must(t, err)
}

// TestSameCredential is finding a public key or certificate of another application
// and registering it: whatever becomes of it there, here it and its tokens live.
func TestSameCredential(t *testing.T) {
	ctx := t.Context()
	for _, to := range []directory.State{directory.Suspended, directory.Retired, directory.Revoked, directory.Compromised} {
		t.Run(string(to), func(t *testing.T) {
			w, key := filled(t), p256(t)
			public, der := publicOf(t, key), made(t, key, nil, nil, nil)
			mine, err := w.RegisterKey(ctx, "op", "jwt", public, time.Time{})
			must(t, err)
			_, err = w.RegisterCertificate(ctx, "op", "jwt", der)
			must(t, err)
			tokens := []directory.Token{
				{ClientID: "jwt", CredentialID: mine.ID, IssuedAt: start},
				{ClientID: "jwt", Binding: cnf.ToKey(public.Thumbprint()), IssuedAt: start},
				{ClientID: "jwt", Binding: cnf.ToCertificate(cnf.CertificateThumbprint(der)), IssuedAt: start},
				{ClientID: "jwt", CredentialID: directory.UnregisteredKey("jwt", public.Thumbprint()), IssuedAt: start},
			}
			w.clock.advance(time.Minute)
			k, err := w.RegisterKey(ctx, "op", "self", public, time.Time{})
			must(t, err)
			c, err := w.RegisterCertificate(ctx, "op", "self", der)
			must(t, err)
			spare, err := w.RegisterKey(ctx, "op", "self", publicKey(t, 7, "spare"), time.Time{})
			must(t, err)
			_, err = w.RegisterCertificate(ctx, "op", "self", made(t, p256(t), nil, nil, nil))
			must(t, err)
			for _, id := range []directory.CredentialID{k.ID, c.ID} {
				must(t, w.RevokeCredentialTokens(ctx, "op", id))
				must(t, w.SetCredentialState(ctx, "op", id, to))
			}
			s := w.Current()
			for _, token := range tokens {
				if got := s.Ended(token); got != "" {
					t.Errorf("%+v: %q", token, got)
				}
				if after := s.TokensAfter(s.Client("jwt"), s.Credential(mine.ID), token.Binding, ""); !after.IsZero() {
					t.Errorf("%+v: tokens after %v", token, after)
				}
				theirs := token
				theirs.ClientID, theirs.CredentialID = "self", spare.ID
				if !token.Binding.IsZero() && s.Ended(theirs) == "" {
					t.Errorf("%+v: alive where it ended", theirs)
				}
			}
			if of, known := s.Classify(cnf.CertificateThumbprint(der), "jwt"); of != "jwt" || !known {
				t.Errorf("the certificate is %q's", of)
			}
			if of, known := s.Classify(cnf.CertificateThumbprint(der), "self"); of != "self" || !known {
				t.Errorf("the certificate is %q's", of)
			}
			if of, known := s.Classify(cnf.CertificateThumbprint(der), "tls"); of == "" || of == "tls" || !known {
				t.Errorf("the certificate is %q's", of)
			}
		})
	}
}

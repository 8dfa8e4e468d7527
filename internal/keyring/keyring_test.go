package keyring_test

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

// memory is a keyring.Store that forgets at the end of the test.
type memory struct {
	rows   []keyring.StoredKey
	events []audit.Event
	fault  error
}

func (m *memory) Keys(_ context.Context, p keyring.Purpose) ([]keyring.StoredKey, error) {
	var found []keyring.StoredKey
	for _, k := range m.rows {
		if k.Purpose == p {
			found = append(found, k)
		}
	}
	return found, m.fault
}

func (m *memory) CreateKeys(_ context.Context, e audit.Event, only bool, keys ...keyring.StoredKey) error {
	if m.fault != nil {
		return m.fault
	}
	for _, k := range keys {
		if only && slices.ContainsFunc(m.rows, func(row keyring.StoredKey) bool { return row.Purpose == k.Purpose }) {
			return directory.ErrExists
		}
	}
	m.rows, m.events = append(m.rows, keys...), append(m.events, e)
	return nil
}

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func ring(t *testing.T) (*keyring.Ring, *memory) {
	t.Helper()
	kek, err := envelope.CreateKeyFile(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{}
	return &keyring.Ring{Store: m, KEK: kek, Now: func() time.Time { return start }}, m
}

func newSigner(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func certificate(t *testing.T, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: start, NotAfter: start.AddDate(10, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRing(t *testing.T) {
	ctx := context.Background()
	t.Run("a key comes back as it was", func(t *testing.T) {
		r, m := ring(t)
		root := newSigner(t)
		want := keyring.Key{ID: "k1", Purpose: keyring.Root, Signer: root, Certificate: certificate(t, root), NotBefore: start, NotAfter: start.AddDate(10, 0, 0)}
		if err := r.Create(ctx, "system", true, want); err != nil {
			t.Fatal(err)
		}
		got, err := r.Keys(ctx, keyring.Root)
		if err != nil || len(got) != 1 {
			t.Fatalf("%d keys, %v", len(got), err)
		}
		k := got[0]
		if k.ID != "k1" || k.Purpose != keyring.Root || !k.NotBefore.Equal(want.NotBefore) || !k.NotAfter.Equal(want.NotAfter) ||
			!k.Certificate.Equal(want.Certificate) || !root.(*ecdsa.PrivateKey).Equal(k.Signer) {
			t.Fatalf("%+v", k)
		}
		if !m.rows[0].Created.Equal(start) {
			t.Errorf("created %v", m.rows[0].Created)
		}
	})
	t.Run("an Ed25519 key comes back too, and has no certificate", func(t *testing.T) {
		r, _ := ring(t)
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Create(ctx, "system", true, keyring.Key{Purpose: keyring.TokenSigning, Signer: private}); err != nil {
			t.Fatal(err)
		}
		got, err := r.Keys(ctx, keyring.TokenSigning)
		if err != nil || len(got) != 1 || !private.Equal(got[0].Signer) || got[0].Certificate != nil {
			t.Fatalf("%+v, %v", got, err)
		}
		if len(got[0].ID) != 26 || !got[0].NotBefore.Equal(start) || !got[0].NotAfter.IsZero() {
			t.Errorf("id %q, not before %v, not after %v", got[0].ID, got[0].NotBefore, got[0].NotAfter)
		}
	})
	t.Run("the newest key comes first", func(t *testing.T) {
		r, _ := ring(t)
		for _, days := range []int{1, 3, 2} {
			if err := r.Create(ctx, "system", false, keyring.Key{Purpose: keyring.TokenSigning, Signer: newSigner(t), NotBefore: start.AddDate(0, 0, days)}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := r.Keys(ctx, keyring.TokenSigning)
		if err != nil || len(got) != 3 || !got[0].NotBefore.After(got[1].NotBefore) || !got[1].NotBefore.After(got[2].NotBefore) {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("the only key of its purpose has no second", func(t *testing.T) {
		r, _ := ring(t)
		one := keyring.Key{Purpose: keyring.Root, Signer: newSigner(t)}
		if err := r.Create(ctx, "system", true, one); err != nil {
			t.Fatal(err)
		}
		if err := r.Create(ctx, "system", true, one); !errors.Is(err, directory.ErrExists) {
			t.Fatal(err)
		}
	})
	t.Run("keys are made together, with one event that names them and no secret", func(t *testing.T) {
		r, m := ring(t)
		if err := r.Create(ctx, "operator", true, keyring.Key{ID: "a", Purpose: keyring.Root, Signer: newSigner(t)}, keyring.Key{ID: "b", Purpose: keyring.Issuing, Signer: newSigner(t)}); err != nil {
			t.Fatal(err)
		}
		if len(m.events) != 1 || m.events[0].Action != "key.created" || m.events[0].Actor != "operator" || !m.events[0].At.Equal(start) || m.events[0].Subject != "a" {
			t.Fatalf("%+v", m.events)
		}
		if want := `{"keys":[{"id":"a","purpose":"root"},{"id":"b","purpose":"issuing"}]}`; m.events[0].Detail != want || !json.Valid([]byte(want)) {
			t.Errorf("detail %s", m.events[0].Detail)
		}
	})
	t.Run("the store never sees a private key", func(t *testing.T) {
		r, m := ring(t)
		private := newSigner(t)
		if err := r.Create(ctx, "system", true, keyring.Key{Purpose: keyring.Root, Signer: private}); err != nil {
			t.Fatal(err)
		}
		secret, err := private.(*ecdsa.PrivateKey).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(m.rows[0].Sealed), string(secret)) {
			t.Fatal("the row holds the key")
		}
	})
}

// opaque is a signer whose public key cannot be compared.
type opaque struct{ crypto.Signer }

func (o opaque) Public() crypto.PublicKey { return struct{}{} }

func TestRingRefuses(t *testing.T) {
	ctx := context.Background()
	two := func(t *testing.T) (*keyring.Ring, *memory) {
		r, m := ring(t)
		if err := r.Create(ctx, "system", false,
			keyring.Key{ID: "a", Purpose: keyring.Root, Signer: newSigner(t)}, keyring.Key{ID: "b", Purpose: keyring.Root, Signer: newSigner(t)}); err != nil {
			t.Fatal(err)
		}
		return r, m
	}
	t.Run("a sealed key of another row does not open", func(t *testing.T) {
		r, m := two(t)
		m.rows[0].Sealed = m.rows[1].Sealed
		if keys, err := r.Keys(ctx, keyring.Root); !errors.Is(err, envelope.ErrOpen) || keys != nil {
			t.Fatalf("%v, %v", keys, err)
		}
	})
	t.Run("a sealed key does not serve another purpose", func(t *testing.T) {
		r, m := two(t)
		m.rows[0].Purpose = keyring.TokenSigning
		if _, err := r.Keys(ctx, keyring.TokenSigning); !errors.Is(err, envelope.ErrOpen) {
			t.Fatal(err)
		}
	})
	t.Run("another key-encryption key opens nothing", func(t *testing.T) {
		r, _ := two(t)
		other, _ := ring(t)
		r.KEK = other.KEK
		if _, err := r.Keys(ctx, keyring.Root); !errors.Is(err, envelope.ErrOpen) {
			t.Fatal(err)
		}
	})
	t.Run("what is sealed but is no private key is refused and not quoted", func(t *testing.T) {
		r, m := two(t)
		var err error
		if m.rows[0].Sealed, err = r.KEK.Seal("root/a", []byte("secret")); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Keys(ctx, keyring.Root); err == nil || strings.Contains(err.Error(), "secret") {
			t.Fatal(err)
		}
	})
	t.Run("a certificate of another key is refused, stored or new", func(t *testing.T) {
		r, m := two(t)
		foreign := certificate(t, newSigner(t))
		if err := r.Create(ctx, "system", false, keyring.Key{Purpose: keyring.Root, Signer: newSigner(t), Certificate: foreign}); err == nil {
			t.Error("created")
		}
		m.rows[0].Certificate = foreign.Raw
		if _, err := r.Keys(ctx, keyring.Root); err == nil {
			t.Error("opened")
		}
	})
	t.Run("a certificate that is none is refused", func(t *testing.T) {
		r, m := two(t)
		m.rows[0].Certificate = []byte("none")
		if _, err := r.Keys(ctx, keyring.Root); err == nil {
			t.Error("opened")
		}
	})
	t.Run("no key, or a key without a private half, is refused", func(t *testing.T) {
		r, m := ring(t)
		if err := r.Create(ctx, "system", false); err == nil {
			t.Error("created nothing")
		}
		if err := r.Create(ctx, "system", false, keyring.Key{Purpose: keyring.Root}); err == nil {
			t.Error("created a key without one")
		}
		if err := r.Create(ctx, "system", false, keyring.Key{Purpose: keyring.Root, Signer: struct{ crypto.Signer }{newSigner(t)}}); err == nil {
			t.Error("created a key that PKCS#8 does not know")
		}
		if len(m.rows) != 0 {
			t.Error("stored something")
		}
	})
	t.Run("a certificate without a private key is refused", func(t *testing.T) {
		r, _ := ring(t)
		if err := r.Create(ctx, "system", false, keyring.Key{Purpose: keyring.Root, Certificate: certificate(t, newSigner(t))}); err == nil {
			t.Error("created")
		}
	})
	t.Run("a certificate for a key that cannot be compared is refused", func(t *testing.T) {
		r, _ := ring(t)
		signer := newSigner(t)
		if err := r.Create(ctx, "system", false, keyring.Key{Purpose: keyring.Root, Signer: opaque{signer}, Certificate: certificate(t, signer)}); err == nil {
			t.Error("created")
		}
	})
	t.Run("a key that only agrees on secrets and signs nothing is refused", func(t *testing.T) {
		r, m := two(t)
		agreeing, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(agreeing)
		if err != nil {
			t.Fatal(err)
		}
		if m.rows[0].Sealed, err = r.KEK.Seal("root/a", der); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Keys(ctx, keyring.Root); err == nil {
			t.Error("opened")
		}
	})
	t.Run("without a key-encryption key nothing is stored", func(t *testing.T) {
		r, m := ring(t)
		r.KEK = nil
		if err := r.Create(ctx, "system", false, keyring.Key{Purpose: keyring.Root, Signer: newSigner(t)}); err == nil || len(m.rows) != 0 {
			t.Fatalf("%d rows, %v", len(m.rows), err)
		}
	})
	t.Run("a store that fails is an error", func(t *testing.T) {
		r, m := two(t)
		m.fault = errors.New("disk")
		if _, err := r.Keys(ctx, keyring.Root); !errors.Is(err, m.fault) {
			t.Error(err)
		}
		if err := r.Create(ctx, "system", false, keyring.Key{Purpose: keyring.Root, Signer: newSigner(t)}); !errors.Is(err, m.fault) {
			t.Error(err)
		}
	})
}

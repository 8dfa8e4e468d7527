package server_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/server"
)

func TestRestartSignsNothing(t *testing.T) {
	cfg := initialised(t)
	var leaves [][]byte
	for range 2 {
		r := runWith(t, cfg)
		leaves = append(leaves, r.dial(t, r.listeners.Public).ConnectionState().PeerCertificates[0].Raw)
		r.stop()
		if err := r.wait(t); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(leaves[0], leaves[1]) {
		t.Error("the second start has another certificate")
	}
}

// ownAuthority is a corporate issuing CA below a root whose key stays away.
func ownAuthority(t *testing.T) (own server.OwnAuthority, root *x509.Certificate) {
	t.Helper()
	key := func() crypto.Signer {
		k, err := jose.GenerateKey(jose.ES256, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	rootKey, issuingKey := key(), key()
	template := func(name string, serial int64, years int) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(years, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name),
		}
	}
	sign := func(c, parent *x509.Certificate, public crypto.PublicKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, public, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	text := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	rootDER := sign(template("root", 1, 10), template("root", 1, 10), rootKey.Public())
	root, err := x509.ParseCertificate(rootDER)
	if err != nil {
		t.Fatal(err)
	}
	own.RootCertificate = text(rootDER)
	own.IssuingCertificate = text(sign(template("issuing", 2, 1), root, issuingKey.Public()))
	if own.IssuingKey, err = jose.MarshalPrivateKeyPEM(issuingKey); err != nil {
		t.Fatal(err)
	}
	return own, root
}

func TestInitWithOwnAuthority(t *testing.T) {
	t.Run("its certificates verify under the operator's root", func(t *testing.T) {
		dir := t.TempDir()
		cfg, first := configuration(dir), firstStart(dir)
		own, root := ownAuthority(t)
		first.Authority = &own
		op, err := server.Init(t.Context(), cfg, first)
		if err != nil {
			t.Fatal(err)
		}
		if op.Roots != string(own.RootCertificate) {
			t.Errorf("roots %s", op.Roots)
		}
		r := runWith(t, cfg)
		chain := r.dial(t, r.listeners.Public).ConnectionState().VerifiedChains[0]
		if !chain[len(chain)-1].Equal(root) || chain[1].Subject.CommonName != "issuing" {
			t.Errorf("%v", chain)
		}
		r.stop()
		if err := r.wait(t); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("one that is not the root's leaves nothing", func(t *testing.T) {
		dir := t.TempDir()
		first := firstStart(dir)
		own, _ := ownAuthority(t)
		other, _ := ownAuthority(t)
		own.RootCertificate = other.RootCertificate
		first.Authority = &own
		if _, err := server.Init(t.Context(), configuration(dir), first); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("got %v", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%v, %v", left, err)
		}
		if _, err := os.Stat(first.OperatorKeyFile); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a key was left: %v", err)
		}
	})
}
